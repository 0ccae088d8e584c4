package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"gfn"
)

const (
	defaultEnv     = "hypergrid"
	defaultMethod  = "tb-b"
	checkpointName = "checkpoint.gfn"
	saveEvery      = 5 * time.Second // at evaluations, at most

	trainAbout = `Trains a sampler and reports how far it is from the exact target.
The target is exact where the space can be enumerated; elsewhere the report is
of samples. Without flags it learns the 8×8 grid with R0 = 0.1. Ctrl-C finishes
the iteration and writes a checkpoint, from which -resume continues exactly,
if it is the same build that does.
Brackets name the methods that use a flag, where not all do.`
)

// trainArgs are the arguments of train.
type trainArgs struct {
	config           gfn.Config
	env, out, resume string
	json, paper      bool
}

// options returns the flags of train, which write to a and by default leave it as it is.
func (a *trainArgs) options() []option {
	c := &a.config
	return []option{
		envFlag(&a.env),
		{"method", "NAME", &c.Method, `what to train by; "gfn help methods" lists them`},
		{"iters", "N", &c.Iterations, "iterations"},
		{"batch", "N", &c.Batch, "trajectories of an iteration"},
		{"seed", "N", &c.Seed, "seed of everything random; equal seeds give equal numbers"},
		{"hidden", "N", &c.Hidden, "width of the policies' hidden layers"},
		{"layers", "N", &c.Layers, "hidden layers of the policies"},
		{"hidden-v", "N", &c.HiddenV, "width of the hidden layers of log F, or of critics"},
		{"layers-v", "N", &c.LayersV, "hidden layers of log F, or of critics"},
		{"tabular", "", &c.Tabular, "free parameters for each state in place of networks; wants larger -lr and -lr-v, such as 0.05"},
		{"lr", "X", &c.LR, "Adam's rate of the policies"},
		{"lr-z", "X", &c.LRZ, "rate of log Z (default 0.1; on dag 1, as its log Z* grows with the observations)"},
		{"lr-v", "X", &c.LRV, fmt.Sprintf("rate of log F (default %v), or of critics (default %v)", gfn.DefaultConfig("db-u").LRV, gfn.DefaultConfig("rl-u").LRV)},
		{"schedule", "NAME", &c.Schedule, "of all rates: constant, or linear or cosine decay to 0"},
		{"clip", "X", &c.Clip, "largest norm of a network's gradient; 0 is off"},
		{"lambda", "X", &c.Lambda, lambdaUsage()},
		{"centring", "NAME", &c.Centring, "of advantages, by the mean of the batch, of the others (without bias) or none (rl* subeb*)"},
		{"lambda-v", "X", &c.LambdaV, fmt.Sprintf("λ of the critics' targets (default %v), or of the weights of subeb* (default %v) (rl* subeb*)", gfn.DefaultConfig("rl-u").LambdaV, gfn.DefaultConfig("subeb").LambdaV)},
		{"backward-step", "NAME", &c.BackwardStep, "step PB by its policy gradient, pg, or down the squared residual of TB, tb (rl-b rl-g subeb-b)"},
		{"kl", "X", &c.KL, "trust region: largest mean KL of a step, nats (rl-t)"},
		{"penalised", "", &c.Penalised, "trust region: count that the reward depends on the policy (rl-t)"},
		{"guide", "NAME", &c.Guide, "exit or replay; auto is the environment's own, or else replay (rl-g)"},
		{"logz", "X", &c.LogZ, "log Z to begin with (tb* rl* subeb*)"},
		{"epsilon", "X", &c.Epsilon, "probability of a uniform action in sampling, at first (default 0, as rl* and subeb* need it; rpe 1)"},
		{"epsilon-end", "X", &c.EpsilonEnd, "the same at the end; linear between (default 0; rpe 1, the uniform policy throughout: below it goes where its own policy goes, too)"},
		{"temperature", "X", &c.Temperature, "sample ∝ PF^(1/X)"},
		{"alpha", "X", &c.Alpha, "temperature of maximum-entropy control (pcl sql pisql sac)"},
		{"replay", "N", &c.Replay, "trajectories to keep; half of each batch is drawn from them (default 0; sql pisql sac 1000; not rl* subeb*)"},
		{"paper", "", &a.paper, "the sizes and rates of Niu et al. 2024, except those that other flags give"},
		{"workers", "N", &c.Workers, "goroutines, by default one for each processor; results do not depend on it"},
		{"eval-every", "N", &c.EvalEvery, "iterations between evaluations; 0 evaluates at the end only"},
		{"eval-samples", "N", &c.EvalSamples, "trajectories of a sampled evaluation"},
		{"limit", "N", &c.Limit, "states up to which the space is enumerated and evaluation exact"},
		{"out", "DIR", &a.out, "write the checkpoint, the curves and, for two-dimensional grids, heat maps there"},
		jsonFlag(&a.json),
		{"resume", "FILE", &a.resume, "continue from a checkpoint; only -iters -workers -eval-every -out -json may differ then"},
	}
}

// lambdaUsage lists the default λ of every method that has one.
func lambdaUsage() string {
	text, last := "λ; by default ", math.NaN()
	for _, m := range gfn.Methods() {
		if isFinite(m.Lambda) && m.Lambda != last {
			text += fmt.Sprintf("%v for ", m.Lambda)
			last = m.Lambda
		}
		if isFinite(m.Lambda) {
			text += m.Name + ", "
		}
	}
	return strings.TrimSuffix(text, ", ")
}

func train(c *call) error {
	first := trainArgs{config: gfn.DefaultConfig(defaultMethod), env: defaultEnv}
	if _, err := c.parse(first.options()); err != nil {
		return err
	}
	ctx, stop := c.interruptible()
	defer stop()
	begin := c.start
	if first.resume != "" {
		begin = c.restart
	}
	t, err := begin(first)
	if err != nil {
		return err
	}
	defer t.Close()
	return c.train(ctx, t, first)
}

// interruptible returns a context that an interrupt ends; a second one kills as usual, but
// not a second hangup: a terminal that goes away may well send two.
func (c *call) interruptible() (context.Context, context.CancelFunc) {
	hangups := hangups()
	ctx, stop := signal.NotifyContext(c.ctx, append(hangups, os.Interrupt, syscall.SIGTERM)...)
	context.AfterFunc(ctx, stop)
	if len(hangups) == 0 {
		return ctx, stop
	}
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, hangups...)
	return ctx, func() {
		stop()
		signal.Stop(ignored)
	}
}

// knownMethod checks a method's name.
func knownMethod(name, prefix string) error {
	_, err := gfn.MethodByName(name)
	if err == nil {
		return nil
	}
	err = inFlags(err)
	var names []string
	for _, m := range gfn.Methods() {
		names = append(names, m.Name)
	}
	return usagef("%w%s", err, didYouMean(name, names, prefix))
}

// start returns a new trainer. It reads the arguments once more, on top of the defaults of their method.
func (c *call) start(first trainArgs) (*gfn.Trainer, error) {
	if err := knownMethod(first.config.Method, "-method "); err != nil {
		return nil, err
	}
	env, err := parseEnv(first.env)
	if err != nil {
		return nil, err
	}
	a := trainArgs{config: defaults(first, first.config.Method, env)}
	if err := c.again(&a, a.options()); err != nil {
		return nil, err
	}
	if err := prepareDir(a.out, resultNames...); err != nil {
		return nil, err
	}
	return newTrainer(env, a.config)
}

// newTrainer is [gfn.NewTrainer], where a flag is wrong with a usage error, such as -tabular beyond -limit.
func newTrainer(env gfn.Env, c gfn.Config) (*gfn.Trainer, error) {
	t, err := gfn.NewTrainer(env, c)
	if errors.As(err, new(*gfn.FieldError)) {
		return nil, usageError{inFlags(err)}
	}
	return t, err
}

// defaults returns what a method is trained with on env where no flag says otherwise.
func defaults(a trainArgs, method string, env gfn.Env) gfn.Config {
	c := gfn.DefaultConfig(method)
	if c.ForEnv(env); a.paper {
		c.Paper(env)
	}
	return c
}

// again reads the arguments on top of what a, to which options write, holds.
func (c *call) again(a *trainArgs, options []option) error {
	if _, err := c.parse(options); err != nil {
		return err
	}
	if err := a.config.Validate(); err != nil {
		return usageError{inFlags(err)}
	}
	return nil
}

// inFlags names the flags in the place of the configuration's fields in an error.
func inFlags(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, inFlags(e))
		}
		return errors.Join(all...)
	}
	var bad *gfn.FieldError
	if !errors.As(err, &bad) {
		return err
	}
	name := "iters"
	for _, o := range new(trainArgs).options() {
		if strings.EqualFold(bad.Field, strings.ReplaceAll(o.name, "-", "")) {
			name = o.name
		}
	}
	return fmt.Errorf("-%s is %s: %s", name, bad.Value, bad.Want)
}

// restart returns the trainer of a checkpoint.
func (c *call) restart(first trainArgs) (*gfn.Trainer, error) {
	if err := checkCheckpoint(first.resume); err != nil {
		return nil, err
	}
	var given trainArgs
	var unusable error
	t, err := gfn.LoadFile(first.resume, nil, func(config *gfn.Config) {
		given.config = *config
		if first.paper {
			given.config.Paper(nil)
			given.config.LRZ = config.LRZ // which depends on the environment
		}
		unusable = c.again(&given, given.options())
		if unusable == nil {
			unusable = unchanged(trainArgs{config: *config}, given)
		}
		if unusable == nil {
			*config = given.config
		}
	})
	if err := cmp.Or(unusable, err); err != nil {
		return nil, err
	}
	if t.Config.Iterations < t.Iteration {
		return nil, usagef("-iters is %d, and the checkpoint has %s already; write a larger number", t.Config.Iterations, count(t.Iteration, "iteration"))
	}
	if given.env != "" {
		env, err := parseEnv(given.env)
		if err != nil {
			return nil, err
		}
		if err := unchangedFlag("env", t.Spec(), gfn.TraitsOf(env).Spec); err != nil {
			return nil, err
		}
	}
	return t, prepareDir(given.out, resultNames...)
}

// unchanged returns an error if flags changed what must stay as it was.
func unchanged(was, is trainArgs) error {
	old := was.options()
	for i, o := range is.options() {
		// -env is for the caller to compare, and what -paper sets are flags too
		if slices.Contains([]string{"iters", "workers", "eval-every", "out", "json", "resume", "env", "paper"}, o.name) {
			continue
		}
		if err := unchangedFlag(o.name, old[i].String(), o.String()); err != nil {
			return err
		}
	}
	return nil
}

func unchangedFlag(name, was, is string) error {
	if was == is {
		return nil
	}
	return usagef("-%s is %s in the checkpoint and cannot become %s; leave it out, or train anew without -resume (only -iters -workers -eval-every -out -json may differ)", name, was, is)
}

// checkCheckpoint returns an error if a checkpoint to read is no file.
func checkCheckpoint(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return usagef("%s: no such file; name a checkpoint that gfn train -out wrote", path)
	case err == nil && info.IsDir():
		return usagef("%s is a directory; write %s", path, quote(filepath.Join(path, checkpointName)))
	}
	return nil
}

// prepareDir makes the directory of -out and tries whether a file can be
// written there, and those of names: before hours of training rather than after.
func prepareDir(dir string, names ...string) error {
	if dir == "" {
		return nil
	}
	err := os.MkdirAll(dir, 0o777)
	if err == nil {
		var probe *os.File // of a name that no other process has
		if probe, err = os.CreateTemp(dir, ".gfn-probe-*"); err == nil {
			err = cmp.Or(probe.Close(), os.Remove(probe.Name()))
		}
	}
	if bad, ok := errors.AsType[*fs.PathError](err); ok {
		err = bad.Err
	}
	if err != nil {
		return usagef("-out %s: %w; name a directory that can be written to", quote(dir), err)
	}
	for _, name := range names {
		if info, err := os.Lstat(filepath.Join(dir, name)); err == nil && info.IsDir() {
			return usagef("-out %s: %s, to be written there, is a directory; remove it, or name another directory", quote(dir), name)
		}
	}
	return nil
}

// train runs t and reports.
func (c *call) train(ctx context.Context, t *gfn.Trainer, a trainArgs) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	fmt.Fprintf(c.stderr, "%s on %s: %s\n", t.Config.Method, t.Spec(), sizeOf(t))
	bar, saved := newProgress(c.stderr, t), time.Now()
	err := t.Run(ctx, func(_ float64, e *gfn.Evaluation) {
		if a.json && e != nil {
			bar.clear()
			if err := printJSON(c.stdout, record("eval", t.Spec(), t.Config, pointOf(t, *e))); err != nil {
				cancel(err) // nobody reads on: stop, and keep what is learned
			}
		}
		if a.out != "" && e != nil && time.Since(saved) > saveEvery { // not much is lost where the machine fails
			if err := t.SaveFile(filepath.Join(a.out, checkpointName)); err != nil {
				bar.clear()
				fmt.Fprintf(c.stderr, "training goes on, but the checkpoint could not be written: %v\n", err)
			}
			saved = time.Now()
		}
		bar.step(t.Iteration, e)
	})
	bar.clear()
	if err != nil && ctx.Err() == nil { // such as a state where the method is not defined
		err = inFlags(err)
	}
	if err == nil {
		err = c.finish(ctx, t, a)
	}
	if err != nil && ctx.Err() != nil {
		return c.interrupted(ctx, t, a)
	}
	return err
}

// interrupted leaves a checkpoint and says how to go on from it.
func (c *call) interrupted(ctx context.Context, t *gfn.Trainer, a trainArgs) error {
	path := filepath.Join(a.out, checkpointName)
	if err := t.SaveFile(path); err != nil {
		return fmt.Errorf("stopped after %s, and the checkpoint could not be written: %w", count(t.Iteration, "iteration"), err)
	}
	again := "gfn train -resume " + quote(path)
	if a.out != "" {
		again += " -out " + quote(a.out)
	}
	if a.json {
		again += " -json"
	}
	fmt.Fprintf(c.stderr, "stopped after %d of %s; wrote %s; to continue: %s\n", t.Iteration, count(t.Config.Iterations, "iteration"), path, again)
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return fmt.Errorf("results could not be written: %v", cause)
	}
	return errInterrupted
}

// quote writes a path for a shell.
func quote(path string) string {
	if strings.ContainsAny(path, " \t\n'\"$&|;<>()*?[]`!#~\\") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}

// finish writes the files of -out and reports on a trainer that is done. The files are
// first: the last evaluation may take long, and be interrupted. It reports even if they fail.
func (c *call) finish(ctx context.Context, t *gfn.Trainer, a trainArgs) error {
	var failed error
	if a.out != "" {
		names, err := writeResults(t, a.out)
		if err != nil {
			failed = fmt.Errorf("results could not be written to %s: %w", a.out, err)
		} else {
			fmt.Fprintf(c.stderr, "wrote %s to %s\n", strings.Join(names, ", "), a.out)
		}
	}
	e, err := final(ctx, t)
	if err != nil {
		return cmp.Or(failed, err)
	}
	err = c.printFinal(t, e, a.json)
	if a.out == "" && a.resume != "" {
		fmt.Fprintln(c.stderr, "nothing was written; add -out DIR to keep the result")
	}
	return cmp.Or(failed, err)
}

// final returns the last evaluation of a trainer that is done, with samples beside it, and the trust-region steps of all evaluations.
func final(ctx context.Context, t *gfn.Trainer) (e gfn.Evaluation, err error) {
	if n := len(t.Curve); n > 0 && t.Curve[n-1].Iteration == float64(t.Iteration) {
		e = t.Curve[n-1]
	} else if e, err = t.Evaluate(ctx); err != nil { // not one iteration was asked for
		return e, err
	}
	e.Accepted, e.Rejected, e.StepFraction, e.StepKL = 0, 0, 0, 0
	for _, p := range t.Curve {
		e.Accepted, e.Rejected = e.Accepted+p.Accepted, e.Rejected+p.Rejected
		if p.Accepted > 0 { // else there are no means
			e.StepFraction += (p.StepFraction - e.StepFraction) * p.Accepted / e.Accepted
			e.StepKL += (p.StepKL - e.StepKL) * p.Accepted / e.Accepted
		}
	}
	if t.Graph != nil {
		var sampled gfn.Evaluation
		sampled, err = t.EvaluateSampled(ctx, t.Config.EvalSamples, 0)
		e.Samples = sampled.Samples
	}
	return e, err
}

// printFinal prints what training or evaluation ended with, and more figures where there are any.
func (c *call) printFinal(t *gfn.Trainer, e gfn.Evaluation, asJSON bool, more ...figure) error {
	more = append(structure(t), more...)
	if asJSON {
		object := record("final", t.Spec(), t.Config, pointOf(t, e))
		numbersOf(more).into(object)
		return printJSON(c.stdout, object)
	}
	return printReport(c.stdout, t, e, more)
}

// resultNames are the files that writeResults may write.
var resultNames = []string{checkpointName, "curves.svg", "target.png", "learned.png"}

// writeResults writes the checkpoint, the curves and, where there are any, the heat maps, and
// returns their names. Heat maps of another environment do not stay.
func writeResults(t *gfn.Trainer, dir string) (names []string, err error) {
	write := func(name string, content func(io.Writer) error) {
		names, err = append(names, name), cmp.Or(err, gfn.WriteFile(filepath.Join(dir, name), content))
	}
	write(checkpointName, t.Save)
	title := fmt.Sprintf("%s on %s", t.Config.Method, t.Spec())
	write("curves.svg", func(w io.Writer) error { return writeCharts(w, title, learningCurves(t)) })
	if target, learned, ok := gridMaps(t); ok {
		top := max(target.max(), learned.max())
		write("target.png", func(w io.Writer) error { return target.writePNG(w, top) })
		write("learned.png", func(w io.Writer) error { return learned.writePNG(w, top) })
	}
	for _, name := range resultNames {
		if !slices.Contains(names, name) {
			if stale := os.Remove(filepath.Join(dir, name)); !errors.Is(stale, fs.ErrNotExist) {
				err = cmp.Or(err, stale)
			}
		}
	}
	return names, err
}
