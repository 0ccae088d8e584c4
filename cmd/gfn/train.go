package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gfn"
)

const (
	defaultMethod  = "tb-b"
	checkpointName = "checkpoint.gfn"
	enumerating    = "reading the environment and enumerating its states"
)

func train(c *call) error {
	a := newTraining(c)
	c.flags.StringVar(&a.Method, "method", a.Method, "what to train by; \"gfn help methods\" lists them")
	checkpoint := c.flags.String("resume", "", "continue from the checkpoint `FILE`;\n"+
		"only -iters -workers -eval-every -limit -out -json may differ then")
	if _, err := c.parse(0, 0); err != nil {
		return err
	}
	c.begin(enumerating)
	t, err := a.start(*checkpoint)
	if err != nil {
		return a.inFlags(err)
	}
	c.keeping.Lock() // an interrupt finishes the iteration
	if err := prepareDir(*a.out); err != nil {
		return err
	}
	if err := c.train(t, a); err != nil {
		return a.inFlags(err)
	}
	if *a.out == "" {
		fmt.Fprintln(c.stderr, "nothing was kept; -out DIR writes the checkpoint and pictures there")
	}
	return nil
}

// start returns the trainer of a checkpoint, or a new one if none is named.
func (a *training) start(checkpoint string) (*gfn.Trainer, error) {
	if checkpoint != "" {
		return a.resume(checkpoint)
	}
	env, err := a.parseEnv(*a.env)
	if err != nil {
		return nil, err
	}
	a.override(a.defaults(a.Method, env))
	return gfn.NewTrainer(env, a.Config)
}

// resume returns the trainer of a checkpoint. Other flags than those that may differ must say what the checkpoint says.
func (a *training) resume(checkpoint string) (*gfn.Trainer, error) {
	var was gfn.Running
	t, err := a.load(checkpoint, func(r *gfn.Running) {
		was = *r
		a.override(gfn.Config{Running: was})
		*r = a.Running
	})
	if err != nil {
		return nil, err
	}
	a.override(t.Config)
	spec := t.Spec()
	if given, ok := a.given["env"]; ok {
		env, _ := gfn.ParseEnv(given)
		spec = gfn.TraitsOf(env).Spec // empty if there is no such environment
	}
	if a.Config != t.Config || spec != t.Spec() {
		return nil, usagef("only -iters -workers -eval-every -limit -out -json may differ from the checkpoint; " +
			"leave the others out")
	}
	if a.Iterations != was.Iterations && a.Schedule != "constant" && t.Iteration > 0 {
		fmt.Fprintf(a.stderr, "-iters %d in place of %d stretches the %s schedule: the rates jump, and this is no "+
			"run of %[1]d from the start; a run to be lengthened wants -schedule constant\n",
			a.Iterations, was.Iterations, a.Schedule)
	}
	return t, nil
}

// load returns the trainer of a checkpoint. change may change the configuration before the trainer is made.
func (c *call) load(path string, change func(*gfn.Running)) (*gfn.Trainer, error) {
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return nil, usagef("%s is no file; name a checkpoint, such as %s that train -out DIR writes", path, checkpointName)
	}
	t, err := gfn.LoadFile(path, nil, change)
	if err == nil {
		c.sayNote(t.Env)
	}
	return t, err
}

// prepareDir makes the directory of -out and tries to write there: before training rather than after it.
func prepareDir(dir string) error {
	if dir == "" {
		return nil
	}
	probe := filepath.Join(dir, ".gfn-probe")
	if err := cmp.Or(os.MkdirAll(dir, 0o777), os.WriteFile(probe, nil, 0o666), os.Remove(probe)); err != nil {
		return usagef("-out %s: %w; name a directory that can be written to", dir, err)
	}
	return nil
}

// savePeriod is the time from one checkpoint to the next.
var savePeriod = time.Minute

// train runs t and reports.
func (c *call) train(t *gfn.Trainer, a *training) error {
	size := "too many states to enumerate, evaluated by samples"
	if t.Graph != nil {
		size = fmt.Sprintf("%d states, log Z* = %.6f", t.Graph.Len(), t.Graph.LogZ())
	}
	fmt.Fprint(c.stderr, wrapped(fmt.Sprintf("%s on %s: %s\n", t.Config.Method, t.Spec(), size)))
	bar := newProgress(c.stderr, t.Iteration, t.Config.Iterations)
	saved, failed := time.Now(), error(nil)
	const iterating = "at an iteration or its evaluation; with -eval-every 0 the end alone is evaluated"
	c.begin(iterating)
	err := t.Run(c.ctx, func(loss float64, e *gfn.Evaluation) {
		defer c.begin(iterating)
		if *a.out != "" && time.Since(saved) >= savePeriod {
			t.SaveFile(filepath.Join(*a.out, checkpointName)) // its error shows at the end, if it lasts
			saved = time.Now()
		}
		if e == nil {
			bar.step(loss, "")
			return
		}
		bar.step(loss, evaluationLine(e))
		if c.json {
			bar.clear()
			failed = cmp.Or(failed, printJSON(c.stdout, evalRecord(t, *e)))
		}
	})
	bar.clear()
	if n := len(t.Curve); err == nil && n > 0 {
		err = sound(t, t.Curve[n-1])
	}
	if err == nil { // first the files: the last evaluation may take long, and be interrupted
		c.begin("at the last evaluation")
		failed = cmp.Or(failed, writeResults(t, *a.out))
		var e gfn.Evaluation
		if e, err = final(c.ctx, t, t.Config.EvalSamples, 0); err == nil {
			err = c.printFinal(t, e)
		}
	}
	if errors.Is(err, context.Canceled) {
		return c.interrupted(t, a)
	}
	return cmp.Or(err, failed)
}

// interrupted writes a checkpoint and returns an error that says how to continue.
func (c *call) interrupted(t *gfn.Trainer, a *training) error {
	path := filepath.Join(*a.out, checkpointName)
	for i := 1; *a.out == ""; i++ {
		if _, err := os.Stat(path); err != nil { // a free name
			break
		}
		path = fmt.Sprintf("checkpoint-%d.gfn", i)
	}
	os.MkdirAll(filepath.Dir(path), 0o777) // it may have gone
	if err := t.SaveFile(path); err != nil {
		return fmt.Errorf("stopped after %d iterations, and %s could not be written: %w", t.Iteration, path, err)
	}
	return failure{fmt.Errorf("stopped after %d of %d iterations; wrote %s; to continue: gfn train -resume %s -out %s",
		t.Iteration, t.Config.Iterations, path, shellQuote(path), shellQuote(cmp.Or(*a.out, "DIR"))), 130}
}

// shellQuote returns a name as a shell takes it, whatever characters it has.
func shellQuote(name string) string { return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'" }

// final returns the last evaluation of t, with figures of n samples. Beyond enumeration it is of these samples alone.
func final(ctx context.Context, t *gfn.Trainer, n int, seed uint64) (e gfn.Evaluation, err error) {
	if last := len(t.Curve) - 1; last >= 0 && t.Curve[last].Iteration == float64(t.Iteration) {
		e = t.Curve[last]
	} else if t.Graph == nil {
		return t.EvaluateSampled(ctx, n, seed)
	} else if e, err = t.Evaluate(ctx); err != nil { // interrupted, or not one iteration was asked for
		return e, err
	}
	if e.Samples.N == float64(n) && seed == 0 { // they are those of the evaluation
		return e, nil
	}
	sampled, err := t.EvaluateSampled(ctx, n, seed)
	if t.Graph == nil {
		return sampled, err
	}
	e.Samples = sampled.Samples
	return e, err
}

// writeResults writes the checkpoint, the curves and, if there are any, the heat maps into the directory of -out.
func writeResults(t *gfn.Trainer, dir string) (err error) {
	if dir == "" {
		return nil
	}
	os.MkdirAll(dir, 0o777) // it may have gone
	write := func(name string, content func(io.Writer) error) {
		err = cmp.Or(err, gfn.WriteFile(filepath.Join(dir, name), content))
	}
	write(checkpointName, t.Save)
	title := fmt.Sprintf("%s on %s", t.Config.Method, t.Spec())
	run := result{job: job{Config: t.Config}}
	for _, e := range t.Curve {
		run.Curve = append(run.Curve, numbersOf(figures(t, e)))
	}
	write("curve.jsonl", func(w io.Writer) (err error) {
		for _, e := range t.Curve {
			err = cmp.Or(err, printJSON(w, evalRecord(t, e)))
		}
		return err
	})
	write("curves.svg", func(w io.Writer) error { return writeCharts(w, title, []runs{{run}}) })
	if target, learned, ok := gridMaps(t); ok {
		scale := max(target.max(), learned.max())
		write("target.png", func(w io.Writer) error { return target.writePNG(w, scale) })
		write("learned.png", func(w io.Writer) error { return learned.writePNG(w, scale) })
	}
	if err != nil {
		err = fmt.Errorf("results could not be written to %s: %w", dir, err)
	}
	return err
}

// evaluationLine returns the figures of an evaluation that stand beside the progress.
func evaluationLine(e *gfn.Evaluation) string {
	text := fmt.Sprintf("log Z %.4f", e.LogZ)
	if isFinite(e.Loss) {
		text = fmt.Sprintf("loss %.3g  ", e.Loss) + text
	}
	if isFinite(e.TV) {
		text = fmt.Sprintf("TV %.3g  ", e.TV) + text
	}
	return text
}
