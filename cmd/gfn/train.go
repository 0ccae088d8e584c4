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
	"reflect"
	"regexp"
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
Brackets name the methods that read a flag, where not all do: the others refuse it.`
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
	options := []option{
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
		{"amsgrad", "", &c.AMSGrad, "divide Adam's steps by the largest mean square of a gradient so far: steps that do not grow again near the optimum"},
		{"lambda", "X", &c.Lambda, lambdaUsage()},
		{"estimator", "NAME", &c.Estimator, "of advantages, lambda or, with λ = 1, baseline; without a critic togo (reward-to-go) or return"},
		{"centring", "NAME", &c.Centring, "of advantages, by the mean of the batch, of the others (without bias) or none"},
		{"critic", "NAME", &c.Critic, "what critics learn by: lambda, their λ-returns, or subeb, sub-trajectory evaluation balance (default of subeb*)"},
		{"lambda-v", "X", &c.LambdaV, fmt.Sprintf("λ of the critics' targets (default %v), or of the weights of -critic subeb (default %v)", gfn.DefaultLambdaV("lambda"), gfn.DefaultLambdaV("subeb"))},
		{"lambda-b", "X", &c.LambdaB, "λ of the backward policy's advantages"},
		{"backward-step", "NAME", &c.BackwardStep, "step PB by its policy gradient, pg, down the squared residual of TB, tb, or down the loss of the critic by subeb"},
		{"trust", "", &c.Trust, "trust-region steps for PF; rl-t has them by default"},
		{"kl", "X", &c.KL, "trust region: largest mean KL of a step, nats"},
		{"damping", "X", &c.Damping, "trust region: added to the diagonal of the Fisher matrix"},
		{"cg", "N", &c.CG, "trust region: conjugate gradient iterations at most"},
		{"cg-tolerance", "X", &c.CGTolerance, "trust region: they stop when the squared residual is below it (times |g|² where that is below 1)"},
		{"backtracks", "N", &c.Backtracks, "trust region: steps tried, each half of the one before"},
		{"penalised", "", &c.Penalised, "trust region: count that the reward depends on the policy"},
		{"guide", "NAME", &c.Guide, "exit or replay; auto is the environment's own, or else replay"},
		{"guide-cap", "X", &c.GuideCap, "largest probability of an exit from states with log R ≤ -guide-threshold"},
		{"guide-threshold", "X", &c.GuideThreshold, "largest log R (nats) of the states at which -guide-cap holds"},
		{"guide-replay", "N", &c.GuideReplay, "objects that the replay guide keeps"},
		{"logz", "X", &c.LogZ, "log Z to begin with"},
		{"epsilon", "X", &c.Epsilon, "probability of a uniform action in sampling, at first (default 0, as rl* and subeb* need it; rpe 1)"},
		{"epsilon-end", "X", &c.EpsilonEnd, "the same at the end; linear between (default 0; rpe 1, the uniform policy throughout: below it goes where its own policy goes, too)"},
		{"temperature", "X", &c.Temperature, "sample ∝ PF^(1/X)"},
		{"alpha", "X", &c.Alpha, "temperature of maximum-entropy control"},
		{"polyak", "X", &c.Polyak, "step of target networks towards the learned ones, 0…1; 0 is without, but for sac (default 0.05)"},
		{"biased", "", &c.Biased, "train also where g (go doc gfn, §7) depends on the path: to sample something else than R/Z*, and the report says how far off"},
		{"replay", "N", &c.Replay, "objects or trajectories to keep, see -replay-of (default 0; sql pisql sac 1000)"},
		{"replay-of", "NAME", &c.ReplayOf, "best: distinct objects of highest reward, walked back from, drawn ∝ R; past: the last trajectories (default of sql pisql sac)"},
		{"replay-batch", "N", &c.ReplayBatch, "trajectories of each batch that are drawn from those kept, 0 for half of it (default 16; sql pisql sac 0)"},
		{"paper", "", &a.paper, "the sizes and rates of Niu et al. 2024, except those that other flags give"},
		{"workers", "N", &c.Workers, "goroutines, by default one for each processor; results do not depend on it"},
		{"eval-every", "N", &c.EvalEvery, "iterations between evaluations; 0 evaluates at the end only"},
		{"eval-samples", "N", &c.EvalSamples, "trajectories of a sampled evaluation"},
		{"limit", "N", &c.Limit, "states up to which the space is enumerated and evaluation exact"},
		{"out", "DIR", &a.out, "write the checkpoint, the curves and, for two-dimensional grids, heat maps there"},
		jsonFlag(&a.json),
		{"resume", "FILE", &a.resume, "continue from a checkpoint; only -iters -workers -eval-every -out -json may differ then"},
	}
	for i, o := range options {
		if readers := readersOf(o.field(c)); readers != "" {
			options[i].usage += " [" + readers + "]"
		}
	}
	return options
}

// field returns the name of the field of c that an option sets, empty for another option.
func (o option) field(c *gfn.Config) string {
	fields := reflect.ValueOf(c).Elem()
	for i := range fields.NumField() {
		if fields.Field(i).Addr().Interface() == o.at {
			return fields.Type().Field(i).Name
		}
	}
	return ""
}

// settings are those under which fields are read that by default are not.
var settings = []struct {
	flag string
	set  func(*gfn.Config)
}{
	{"", func(*gfn.Config) {}},
	{"-trust", func(c *gfn.Config) { c.Trust = c.Trust || c.Reads("Trust") }},
	{"-replay", func(c *gfn.Config) { c.Replay = 1 }},
	{"-guide exit", func(c *gfn.Config) { c.Guide = "exit" }},
}

// readersOf lists the methods that read a field of the configuration, empty if all do by default: rl*
// are all those of that stem.
func readersOf(field string) string {
	var text []string
	most := 0
	for _, s := range settings {
		var readers, others []string
		for _, m := range gfn.Methods() {
			c := gfn.DefaultConfig(m.Name)
			if s.set(&c); c.Reads(field) {
				readers = append(readers, m.Name)
			} else {
				others = append(others, m.Name)
			}
		}
		if len(readers) <= most {
			continue
		}
		most = len(readers)
		names := byStem(readers)
		if len(others) == 0 {
			names = "any"
		} else if len(others) <= 2 {
			names = "any but " + byStem(others)
		}
		switch {
		case s.flag != "":
			text = append(text, "with "+s.flag+" "+names)
		case names == "any":
			return ""
		default:
			text = append(text, names)
		}
	}
	return strings.Join(text, ", ")
}

// byStem joins names of methods, and writes stem* for all that begin with a stem.
func byStem(names []string) string {
	var text []string
	for _, name := range names {
		stem, _, _ := strings.Cut(name, "-")
		of := func(m gfn.Method) bool { s, _, _ := strings.Cut(m.Name, "-"); return s == stem && m.Name != name }
		all := !slices.ContainsFunc(gfn.Methods(), func(m gfn.Method) bool { return of(m) && !slices.Contains(names, m.Name) })
		if all && slices.ContainsFunc(gfn.Methods(), of) {
			name = stem + "*"
		}
		if !slices.Contains(text, name) {
			text = append(text, name)
		}
	}
	return strings.Join(text, " ")
}

// unread returns an error if a flag was given that none of the configurations reads: for their method,
// or beside another flag.
func (c *call) unread(configs ...gfn.Config) error {
	var a trainArgs
	options := a.options()
	idle := func(o option, configs ...gfn.Config) bool {
		field := o.field(&a.config)
		reads := func(c gfn.Config) bool { return c.Reads(field) }
		return field != "" && slices.Contains(c.given, o.name) && !slices.ContainsFunc(configs, reads)
	}
	for _, o := range options {
		if !idle(o, configs...) {
			continue
		}
		var names []string
		for _, config := range configs {
			names = append(names, config.Method)
		}
		for _, other := range options { // which, left out, would give it an effect?
			field := other.field(&a.config)
			if field == "" || field == "Method" || !slices.Contains(c.given, other.name) {
				continue
			}
			without := slices.Clone(configs)
			for i := range without {
				byDefault := gfn.DefaultConfig(without[i].Method)
				reflect.ValueOf(&without[i]).Elem().FieldByName(field).Set(reflect.ValueOf(byDefault).FieldByName(field))
			}
			if !idle(o, without...) {
				return usagef("-%s would have no effect beside -%s; leave one of them out", o.name, other.name)
			}
		}
		if slices.ContainsFunc(configs, func(c gfn.Config) bool { return !idle(o, gfn.DefaultConfig(c.Method)) }) {
			return usagef("-%s would have no effect beside the other flags; leave it out", o.name)
		}
		return usagef("-%s would have no effect with %s; leave it out (it is for %s)", o.name, strings.Join(slices.Compact(names), ", "), readersOf(o.field(&a.config)))
	}
	return nil
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
	if err := c.unread(a.config); err != nil {
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
	if err != nil && configField.MatchString(err.Error()) {
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

// again reads the arguments on top of what a, to which options write, holds. Another critic comes with its own λ.
func (c *call) again(a *trainArgs, options []option) error {
	critic := a.config.Critic
	if _, err := c.parse(options); err != nil {
		return err
	}
	if a.config.Critic != critic && !slices.Contains(c.given, "lambda-v") {
		a.config.LambdaV = gfn.DefaultLambdaV(a.config.Critic)
	}
	if err := a.config.Validate(); err != nil {
		return usageError{inFlags(err)}
	}
	return nil
}

var configField = regexp.MustCompile(`Config\.(\w+)( =)?`)

// inFlags puts the flags in the place of the configuration's fields in an error.
func inFlags(err error) error {
	var a trainArgs
	options := a.options()
	return errors.New(configField.ReplaceAllStringFunc(err.Error(), func(text string) string {
		field := configField.FindStringSubmatch(text)
		for _, o := range options {
			if o.field(&a.config) == field[1] {
				return "-" + o.name + strings.Replace(field[2], "=", "is", 1)
			}
		}
		return text
	}))
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
	if n := len(t.Curve); n > 0 && t.Curve[n-1].Iteration == int64(t.Iteration) {
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
