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
	return a.inFlags(a.train(t))
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
	*a.env = t.Spec()
	a.override(t.Config)
	if *a.env != t.Spec() { // written in another way, perhaps
		env, _ := gfn.ParseEnv(*a.env)
		*a.env = gfn.TraitsOf(env).Spec
	}
	if a.Config != t.Config || *a.env != t.Spec() {
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
func (a *training) train(t *gfn.Trainer) error {
	size := "too many states to enumerate, evaluated by samples"
	if t.Graph != nil {
		size = fmt.Sprintf("%d states, log Z* = %.6f", t.Graph.Len(), t.Graph.LogZ())
	}
	fmt.Fprint(a.stderr, wrapped(fmt.Sprintf("%s on %s: %s\n", t.Config.Method, t.Spec(), size)))
	bar := newProgress(a.stderr, t.Iteration, t.Config.Iterations)
	saved, failed := time.Now(), error(nil)
	const iterating = "at an iteration or its evaluation; with -eval-every 0 the end alone is evaluated"
	a.begin(iterating)
	err := t.Run(a.ctx, func(loss float64, e *gfn.Evaluation) {
		defer a.begin(iterating)
		if *a.out != "" && time.Since(saved) >= savePeriod {
			t.SaveFile(filepath.Join(*a.out, checkpointName)) // its error shows at the end, if it lasts
			saved = time.Now()
		}
		bar.step(loss, evaluationLine(e))
		if e != nil && a.json {
			bar.clear()
			failed = cmp.Or(failed, printJSON(a.stdout, evalRecord(t, *e)))
		}
	})
	bar.clear()
	var e gfn.Evaluation
	if err == nil { // first the files: the last evaluation may take long, and be interrupted
		a.begin("at the last evaluation")
		if *a.out != "" {
			failed = cmp.Or(failed, writeResults(t, *a.out))
		}
		e, err = final(a.ctx, t, t.Config.EvalSamples, 0)
	}
	if errors.Is(err, context.Canceled) {
		return a.interrupted(t)
	}
	if err != nil {
		return err
	}
	if *a.out == "" {
		fmt.Fprintln(a.stderr, "nothing was kept; -out DIR writes the checkpoint and pictures there")
	}
	return cmp.Or(a.printFinal(t, e), failed)
}

// interrupted writes a checkpoint and returns an error that says how to continue.
func (a *training) interrupted(t *gfn.Trainer) error {
	path := filepath.Join(*a.out, checkpointName)
	_, err := os.Stat(path)
	for i := 1; *a.out == "" && err == nil; i++ { // that name is taken
		path = fmt.Sprintf("checkpoint-%d.gfn", i)
		_, err = os.Stat(path)
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
// An error says that a figure is not finite, or what t has learned.
func final(ctx context.Context, t *gfn.Trainer, n int, seed uint64) (e gfn.Evaluation, err error) {
	if last := len(t.Curve) - 1; last >= 0 && t.Curve[last].Iteration == float64(t.Iteration) {
		e = t.Curve[last]
	} else if t.Graph != nil { // the checkpoint of an interrupted training
		e, err = t.Evaluate(ctx)
	}
	if err == nil && (e.Samples.N != float64(n) || seed != 0) { // else they are those of the evaluation
		var sampled gfn.Evaluation
		sampled, err = t.EvaluateSampled(ctx, n, seed)
		if t.Graph == nil {
			e = sampled
		}
		e.Samples = sampled.Samples
	}
	sum := e.LogZ + e.ELBO + e.MeanLogReward
	if t.Graph != nil {
		sum += e.EUBO + e.TV + e.JSD + e.KL
	}
	if err == nil && !isFinite(sum) {
		err = fmt.Errorf("a figure is not finite after %d iterations: log Z is %v, the ELBO %v; try a smaller -lr",
			t.Iteration, e.LogZ, e.ELBO)
	}
	return e, cmp.Or(err, t.Save(io.Discard))
}

// writeResults writes the checkpoint, the curves and, if there are any, the heat maps into the directory of -out.
func writeResults(t *gfn.Trainer, dir string) (err error) {
	os.MkdirAll(dir, 0o777) // it may have gone
	write := func(name string, content func(io.Writer) error) {
		err = cmp.Or(err, gfn.WriteFile(filepath.Join(dir, name), content))
	}
	write(checkpointName, t.Save)
	title := fmt.Sprintf("%s on %s", t.Config.Method, t.Spec())
	run := result{job: job{Config: t.Config}}
	for _, e := range t.Curve {
		run.Curve = append(run.Curve, evalRecord(t, e))
	}
	write("curve.jsonl", func(w io.Writer) (err error) {
		for _, point := range run.Curve {
			err = cmp.Or(err, printJSON(w, point))
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

// evaluationLine returns the figures of an evaluation that stand beside the progress, empty if there was none.
func evaluationLine(e *gfn.Evaluation) string {
	if e == nil {
		return ""
	}
	text := fmt.Sprintf("log Z %.4f", e.LogZ)
	if isFinite(e.Loss) {
		text = fmt.Sprintf("loss %.3g  ", e.Loss) + text
	}
	if isFinite(e.TV) {
		text = fmt.Sprintf("TV %.3g  ", e.TV) + text
	}
	return text
}
