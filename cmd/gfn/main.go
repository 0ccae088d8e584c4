// Command gfn trains GFlowNets and compares them with their exact targets.
// "gfn help" describes it. Results go to standard output, progress and errors
// to standard error. It exits with 0 when done, 1 when it failed while running,
// 2 for unusable arguments and 130 when interrupted.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"gfn"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

// command is something that gfn does. Its file in help describes it, with its first line in the overview.
type command struct {
	name, synopsis string
	run            func(c *call) error
}

// call is one use of a command. An interrupt ends ctx. Then a command that holds keeping returns by itself, when it has
// kept its work. Any other is left where it is, and prints no more.
type call struct {
	command
	ctx            context.Context
	args           []string
	flags          *flag.FlagSet
	json           bool // results are JSON lines
	stdout, stderr io.Writer
	keeping        sync.Mutex
	stage          string        // what the command is doing
	patience       time.Duration // how long a stage may take without a word
	slow           *time.Timer   // says so after that
}

func commands() []command {
	return []command{
		{"train", "[flags]", train},
		{"exact", "[-env SPEC] [flags]", exact},
		{"check", "[-env SPEC] [flags]", check},
		{"compare", "[-env SPEC] [-methods A,B,…] [-seeds N|FROM-TO] [flags]", compare},
		{"eval", "CHECKPOINT [flags]", eval},
		{"sample", "CHECKPOINT [flags]", sample},
		{"edit", "CHECKPOINT [flags] WORD…", edit},
		{"help", "[TOPIC]", help},
	}
}

// failure is an error with an exit status.
type failure struct {
	error
	status int
}

// usagef returns an error about arguments. It says what to write instead.
func usagef(format string, args ...any) error { return failure{fmt.Errorf(format, args...), 2} }

// run executes a command line and returns its exit status. Each error is a line that begins with the command.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		args = []string{""}
	}
	found, err := findCommand(args[0])
	name := strings.TrimSpace("gfn " + found.name)
	if err == nil {
		err = found.runUntil(ctx, args[1:], stdout, stderr)
	}
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	fmt.Fprintf(stderr, "%s: %s\n", name, plain(oneLine(err)))
	if f, ok := errors.AsType[failure](err); ok {
		return f.status
	}
	return 1
}

// hangup is SIGHUP, which package syscall does not name on every system.
const hangup = syscall.Signal(1)

// runUntil runs a command until an interrupt: SIGINT, SIGTERM or SIGHUP. A second one kills as usual. Signals that the
// program was started to ignore, as nohup does, are no interrupts.
func (found command) runUntil(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	signals := slices.DeleteFunc([]os.Signal{os.Interrupt, hangup}, signal.Ignored)
	ctx, stop := signal.NotifyContext(ctx, append(signals, syscall.SIGTERM)...)
	defer stop()
	context.AfterFunc(ctx, stop)
	results, messages := &output{w: stdout}, &output{w: stderr, plain: true}
	defer results.Lock() // for ever: what is left of the command prints no more
	defer messages.Lock()
	flags := flag.NewFlagSet(found.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	c := &call{command: found, ctx: ctx, args: args, flags: flags, stdout: results, stderr: messages, patience: patience}
	done := make(chan error, 1)
	go func() { done <- c.run(c) }()
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
		if !c.keeping.TryLock() {
			err = <-done
		}
	}
	if errors.Is(err, context.Canceled) {
		err = failure{errors.New("stopped"), 130}
	}
	return err
}

// output is a writer for several goroutines. What is written at once is written whole or, if it is locked, not at all.
type output struct {
	sync.Mutex
	w     io.Writer
	plain bool // all of it is text for people
}

func (o *output) Write(p []byte) (int, error) {
	o.Lock()
	defer o.Unlock()
	if o.plain {
		_, err := o.w.Write([]byte(plain(string(p))))
		return len(p), err
	}
	return o.w.Write(p)
}

// patience is how long a stage of a command may take without a word.
var patience = 5 * time.Second

// begin begins a stage of c, which ends when the next one begins. If it takes long, a line says so, once.
func (c *call) begin(stage string) {
	said := c.slow != nil && !c.slow.Stop()
	if said && stage == c.stage {
		return
	}
	c.stage = stage
	c.slow = time.AfterFunc(c.patience, func() { fmt.Fprintf(c.stderr, "gfn %s: still %s\n", c.name, stage) })
}

func findCommand(name string) (command, error) {
	if name == "-h" || name == "-help" || name == "--help" {
		name = "help"
	}
	var names []string
	for _, c := range commands() {
		if c.name == name {
			return c, nil
		}
		names = append(names, c.name)
	}
	return command{}, usagef("%q is no command; write one of %s", name, strings.Join(names, ", "))
}

// oneLine returns the text of an error on one line of bounded length, without the library's prefix.
func oneLine(err error) string {
	text := strings.TrimPrefix(err.Error(), "gfn: ")
	text = strings.NewReplacer("\ngfn: ", "; ", "\n", "; ", ": gfn: ", ": ").Replace(text)
	const most = 1000
	if letters := []rune(text); len(letters) > 2*most { // the place stands first, what is wanted last
		text = string(letters[:most]) + " … " + string(letters[len(letters)-most:])
	}
	return text
}

// parse reads flags, and from least to most arguments between them. For -h it prints help and returns [flag.ErrHelp].
func (c *call) parse(least, most int) (positional []string, err error) {
	for rest := c.args; ; rest = rest[1:] {
		if err := c.flags.Parse(rest); err != nil {
			return nil, c.explain(err)
		}
		if rest = c.flags.Args(); len(rest) == 0 {
			break
		}
		positional = append(positional, rest[0])
	}
	if n := len(positional); n < least || n > most {
		return nil, usagef("arguments beside flags: %d; write gfn %s %s", n, c.name, c.synopsis)
	}
	for _, name := range []string{"n", "samples", "policies", "paths"} {
		if f := c.flags.Lookup(name); f != nil && (f.Value.String() == "0" || f.Value.String()[0] == '-') {
			return nil, usagef("-%s is %s; write a number from 1", name, f.Value)
		}
	}
	return positional, nil
}

// explain prints help for -h. For another error of package flag, it says what to write instead.
func (c *call) explain(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		var usage strings.Builder
		fmt.Fprintf(&usage, "usage: gfn %s %s\n\n%s\nflags:\n", c.name, c.synopsis, text(c.name))
		c.flags.SetOutput(&usage)
		c.flags.PrintDefaults()
		return cmp.Or(c.print(strings.ReplaceAll(usage.String(), "\t", "    ")), err)
	}
	text := err.Error() // such as: invalid value "x" for flag -iters: parse error
	name, _, _ := strings.Cut(text[strings.LastIndex(text, " -")+2:], ":")
	if f := c.flags.Lookup(name); f != nil {
		arg, usage := flag.UnquoteUsage(f)
		name = strings.TrimSpace(name + " " + arg)
		return usagef("%s; write -%s: %s", text, name, strings.ReplaceAll(usage, "\n", " "))
	}
	near, least := "", 3 // letters from the flag that was meant
	c.flags.VisitAll(func(f *flag.Flag) {
		if d := gfn.Levenshtein([]rune(f.Name), []rune(name)); d < least {
			near, least = " (did you mean -"+f.Name+"?)", d
		}
	})
	return usagef(`unknown flag -%s%s; "gfn %s -h" lists the flags`, name, near, c.name)
}

func (c *call) envFlag() *string {
	return c.flags.String("env", "hypergrid", "the environment, `SPEC`; \"gfn help environments\" lists them")
}

func (c *call) jsonFlag() {
	c.flags.BoolVar(&c.json, "json", false, "print JSON lines in place of tables; see \"gfn help figures\"")
}

// parseEnv builds the environment that -env names.
func (c *call) parseEnv(spec string) (gfn.Env, error) {
	env, err := gfn.ParseEnv(spec)
	if err != nil {
		return nil, usagef("-env %s: %w", spec, err)
	}
	c.sayNote(env)
	return env, nil
}

// sayNote says what stands for rewards of env that are 0, too low or missing.
func (c *call) sayNote(env gfn.Env) {
	if note := gfn.TraitsOf(env).Note; note != "" {
		fmt.Fprintf(c.stderr, "gfn: %s\n", note)
	}
}

// training is what the flags say that train and compare share.
type training struct {
	*call
	gfn.Config
	env, out *string
	paper    *bool
}

// newTraining returns the flags that commands share.
func newTraining(c *call) *training {
	f := c.flags
	a := &training{call: c, Config: gfn.DefaultConfig(defaultMethod)}
	a.env = c.envFlag()
	f.IntVar(&a.Iterations, "iters", a.Iterations, "iterations")
	f.IntVar(&a.Batch, "batch", a.Batch, "trajectories of an iteration")
	f.Uint64Var(&a.Seed, "seed", a.Seed, "seed of everything random; equal seeds give equal numbers")
	f.IntVar(&a.Hidden, "hidden", a.Hidden, "width of the policies' hidden layers")
	f.IntVar(&a.Layers, "layers", a.Layers, "hidden layers of the policies")
	f.IntVar(&a.HiddenV, "hidden-v", a.HiddenV, "width of the hidden layers of log F, values and critics")
	f.IntVar(&a.LayersV, "layers-v", a.LayersV, "hidden layers of log F, values and critics")
	f.BoolVar(&a.Tabular, "tabular", a.Tabular, "free parameters for each state in place of networks")
	f.Float64Var(&a.LR, "lr", a.LR, "Adam's rate of the policies")
	f.Float64Var(&a.LRZ, "lr-z", a.LRZ, "rate of log Z (tb* rl* subeb*)")
	f.Float64Var(&a.LRV, "lr-v", a.LRV, "rate of log F, values and critics")
	f.StringVar(&a.Schedule, "schedule", a.Schedule, "of all rates: constant, linear or cosine decay to 0")
	f.Float64Var(&a.Clip, "clip", a.Clip, "largest norm of a network's gradient; 0 is off")
	f.Float64Var(&a.Lambda, "lambda", a.Lambda, "λ of sub-trajectories (subtb* pcl) or advantages (rl* subeb*)")
	f.Float64Var(&a.LambdaV, "lambda-v", a.LambdaV, "λ of critics' targets (rl*), or of their sub-trajectories (subeb*)")
	f.StringVar(&a.Centring, "centring", a.Centring, "of advantages: batch, others (without bias), none (rl* subeb*)")
	f.StringVar(&a.BackwardStep, "backward-step", a.BackwardStep, "of PB: pg (policy gradient), tb (rl-b rl-g subeb-b)")
	f.Float64Var(&a.KL, "kl", a.KL, "largest KL of a trust-region step, summed along a trajectory, nats (rl-t)")
	f.StringVar(&a.Guide, "guide", a.Guide, "of PB: exit (where R ≤ 1), replay, auto (env's own, or replay) (rl-g)")
	f.Float64Var(&a.LogZ, "logz", a.LogZ, "log Z to begin with (tb* rl* subeb*)")
	f.Float64Var(&a.Epsilon, "epsilon", a.Epsilon, "probability of a uniform action, at first (not rl* subeb*)")
	f.Float64Var(&a.EpsilonEnd, "epsilon-end", a.EpsilonEnd, "the same at the end; linear between")
	f.Float64Var(&a.Temperature, "temperature", a.Temperature, "sample ∝ PF^(1/temperature) (not rl* subeb*)")
	f.Float64Var(&a.Alpha, "alpha", a.Alpha, "temperature of maximum-entropy control (pcl sql pisql sac)")
	f.IntVar(&a.Replay, "replay", a.Replay, "trajectories kept to train on again (not rl* subeb*)")
	a.paper = f.Bool("paper", false, "sizes and rates of Niu et al. 2024, where no flag says otherwise")
	f.IntVar(&a.Workers, "workers", a.Workers, "goroutines; results do not depend on it")
	f.IntVar(&a.EvalEvery, "eval-every", a.EvalEvery, "iterations between evaluations; 0 evaluates at the end only")
	f.IntVar(&a.EvalSamples, "eval-samples", a.EvalSamples, "trajectories of a sampled evaluation")
	f.IntVar(&a.Limit, "limit", a.Limit, "states up to which the space is enumerated and evaluated exactly")
	a.out = f.String("out", "", "write results to `DIR`; see \"gfn help files\"")
	c.jsonFlag()
	return a
}

// defaults returns what method is trained with on env if no flag but -paper says otherwise.
func (a *training) defaults(method string, env gfn.Env) gfn.Config {
	c := gfn.DefaultConfig(method)
	c.ForEnv(env)
	if *a.paper {
		c.Paper(env)
	}
	return c
}

// override sets the configuration to c, and then what the flags say, which are parsed once more.
func (a *training) override(c gfn.Config) {
	a.Config = c
	a.flags.Parse(a.args)
}

// inFlags returns a usage error that names the flag of a [gfn.FieldError], or another error as it is.
func (a *training) inFlags(err error) error {
	wrong, ok := errors.AsType[*gfn.FieldError](err)
	if !ok {
		return err
	}
	name, field := "method", strings.Replace(wrong.Field, "Iterations", "Iters", 1)
	a.flags.VisitAll(func(f *flag.Flag) { // EvalEvery is -eval-every
		if strings.EqualFold(field, strings.ReplaceAll(f.Name, "-", "")) {
			name = f.Name
		}
	})
	return usagef("-%s is %s: %s", name, wrong.Value, wrong.Want)
}
