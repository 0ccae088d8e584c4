package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"

	"gfn"
)

const (
	defaultMethods = "tb-u,db-u,subtb-u,rl-u,rl-b,rl-g"
	runsName       = "runs.jsonl"

	compareAbout = `Trains by several methods with several seeds and compares them.
The table gives means over the seeds ± their standard errors: at the last
evaluation, and of the means over the evaluations in the last tenth of the
iterations, since a single point of a run wobbles. As many runs as there are
processors go at once, each on one; seconds are of training alone.
With -out DIR every run that is done is kept in DIR/runs.jsonl. It is not run
again when the same command, or another one that wants it, is given with that
DIR to the same build: Ctrl-C loses no more than the runs that are going. The
curves are DIR/compare-iterations.svg and DIR/compare-seconds.svg. Brackets name
the methods that read a flag: it is for those of -methods among them, and one at
least.`
)

// compareArgs are the arguments of compare.
type compareArgs struct {
	trainArgs
	methods string
	seeds   int
}

func (a *compareArgs) options() []option {
	options := []option{
		envFlag(&a.env),
		{"methods", "A,B,…", &a.methods, `what to train by; "gfn help methods" lists them`},
		{"seeds", "N", &a.seeds, "runs of each method"},
	}
	usage := map[string]string{
		"seed":       "seed of the first run of each method; the others' follow it",
		"workers":    "runs at once, by default one for each processor; results do not depend on it",
		"eval-every": "iterations between evaluations, by default a fiftieth of -iters; 0 evaluates at the end only",
		"out":        "keep the runs, and write the curves, there",
	}
	for _, o := range a.trainArgs.options() {
		if !slices.Contains([]string{"env", "method", "resume"}, o.name) {
			o.usage = cmp.Or(usage[o.name], o.usage)
			options = append(options, o)
		}
	}
	return options
}

// job says what a run depends on: equal jobs have equal results.
type job struct {
	Build    string     `json:"build"`
	Env      string     `json:"env"`
	Checksum uint32     `json:"checksum"`
	Config   gfn.Config `json:"config"` // Workers is 1
}

// build says what the last bits of a run, and its seconds, depend on besides: GOARCH, and GOEXPERIMENT where it is set.
var build = sync.OnceValue(func() string {
	text := runtime.GOARCH
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "GOEXPERIMENT" {
				text += " " + s.Value
			}
		}
	}
	return text
})

func (j job) String() string { return fmt.Sprintf("%s seed %d", j.Config.Method, j.Config.Seed) }

// result is a run that is done, as a line of runs.jsonl holds it.
type result struct {
	job
	Method string    `json:"method"`
	Seed   uint64    `json:"seed"`
	Curve  []numbers `json:"curve"`
	Final  numbers   `json:"final"`
}

// comparison is one use of compare.
type comparison struct {
	*call
	args  compareArgs
	env   gfn.Env
	jobs  []job // by method, then by seed
	board board

	mu      sync.Mutex // of the file of kept runs, and of
	results map[job]result
	failed  []error
}

func compare(c *call) error {
	k := &comparison{call: c, results: map[job]result{}}
	if err := k.read(); err != nil {
		return err
	}
	ctx, stop := c.interruptible()
	defer stop()
	if err := k.load(); err != nil {
		return err
	}
	if err := k.applies(); err != nil {
		return err
	}
	if err := prepareDir(k.args.out, runsName, "compare-iterations.svg", "compare-seconds.svg"); err != nil {
		return err
	}
	fmt.Fprintf(k.stderr, "%s: %s, %d of them found, %d to do\n", k.jobs[0].Env, count(len(k.jobs), "run"), len(k.results), len(k.jobs)-len(k.results))
	k.run(ctx)
	note := "nothing is kept without -out"
	if k.args.out != "" {
		note = fmt.Sprintf("%d of %s kept in %s", len(k.results), count(len(k.jobs), "run"), filepath.Join(k.args.out, runsName))
	}
	if ctx.Err() != nil && len(k.results)+len(k.failed) < len(k.jobs) {
		fmt.Fprintf(c.stderr, "stopped; %s\n", note)
		return errInterrupted
	}
	if err := k.report(); err != nil {
		return err
	}
	fmt.Fprintln(c.stderr, note)
	if len(k.failed) > 0 {
		return fmt.Errorf("%d of %s failed, the first with: %w", len(k.failed), count(len(k.jobs), "run"), k.failed[0])
	}
	return nil
}

// read reads the arguments: once for what all runs share, and then on top of the defaults of each method.
func (k *comparison) read() (err error) {
	fresh := func(method string) *compareArgs {
		return &compareArgs{trainArgs{config: gfn.DefaultConfig(method), env: defaultEnv}, defaultMethods, 3}
	}
	k.args = *fresh(defaultMethod)
	if _, err := k.parse(k.args.options()); err != nil {
		return err
	}
	if err := inRange("seeds", k.args.seeds); err != nil {
		return err
	}
	if k.env, err = parseEnv(k.args.env); err != nil {
		return err
	}
	named := gfn.TraitsOf(k.env)
	for method := range strings.SplitSeq(k.args.methods, ",") {
		if err := knownMethod(method, ""); err != nil {
			return err
		}
		a := fresh(method)
		a.config = defaults(k.args.trainArgs, method, k.env)
		a.config.EvalEvery = max(1, k.args.config.Iterations/50)
		if err := k.again(&a.trainArgs, a.options()); err != nil {
			return usagef("for %s: %w", method, err)
		}
		a.config.Workers = 1
		if j := (job{build(), named.Spec, named.Checksum, a.config}); slices.Contains(k.jobs, j) {
			return usagef("-methods has %s twice", method)
		}
		for range k.args.seeds {
			k.jobs = append(k.jobs, job{build(), named.Spec, named.Checksum, a.config})
			a.config.Seed++
		}
	}
	return nil
}

// applies returns an error that names a method which does not apply to the environment, before another one trains.
func (k *comparison) applies() error {
	for jobs := range slices.Chunk(k.jobs, k.args.seeds) {
		if !slices.ContainsFunc(jobs, func(j job) bool { return k.results[j].Final == nil }) {
			continue
		}
		method := jobs[0].Config.Method
		t, err := newTrainer(k.env, jobs[0].Config)
		if unusable, ok := errors.AsType[usageError](err); ok {
			return usagef("for %s: %s", method, strings.Replace(unusable.Error(), "-method is "+method+": ", "", 1))
		} else if err != nil {
			return err
		}
		t.Close()
	}
	return nil
}

// load takes those of the kept runs that are wanted. That -out is a file, [prepareDir] says.
func (k *comparison) load() error {
	if k.args.out != "" {
		path := filepath.Join(k.args.out, runsName)
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			return err
		}
		n := 0
		for line := range bytes.Lines(text) {
			var r result
			if n++; len(bytes.TrimSpace(line)) == 0 {
				continue
			} else if json.Unmarshal(line, &r) != nil || r.Final == nil {
				fmt.Fprintf(k.stderr, "line %d of %s is damaged, or no run: not used\n", n, path)
			} else if slices.Contains(k.jobs, r.job) {
				k.results[r.job] = r
			}
		}
	}
	return nil
}

// keep appends a run to the file, with one write: other commands may append to it at the same time.
// A line that is torn off, as a crash leaves it, is ended; where two commands do so, a line stays blank.
func (k *comparison) keep(r result) error {
	f, err := os.OpenFile(filepath.Join(k.args.out, runsName), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if end := []byte{'\n'}; info.Size() > 0 {
		if _, err := f.ReadAt(end, info.Size()-1); err != nil {
			return err
		}
		if end[0] != '\n' {
			text.WriteByte('\n')
		}
	}
	err = printJSON(&text, r)
	if err == nil {
		_, err = f.Write(text.Bytes())
	}
	return cmp.Or(err, f.Sync(), f.Close())
}

// run does the jobs that have no result, seed by seed and as many at once as -workers says, until ctx is done.
func (k *comparison) run(ctx context.Context) {
	var todo []job
	for i := range k.jobs {
		methods := len(k.jobs) / k.args.seeds
		j := k.jobs[i%methods*k.args.seeds+i/methods]
		if _, found := k.results[j]; !found {
			todo = append(todo, j)
		}
	}
	places := min(k.args.config.Workers, len(todo))
	k.board = board{w: k.stderr, runs: make([]*progress, places), names: make([]string, places)}
	next := make(chan job)
	var all sync.WaitGroup
	for place := range places {
		all.Go(func() {
			for j := range next {
				r, err := k.train(ctx, place, j)
				k.board.end(place)
				if err == nil || ctx.Err() == nil {
					k.finish(r, err)
				}
			}
		})
	}
	for _, j := range todo {
		if ctx.Err() == nil {
			next <- j
		}
	}
	close(next)
	all.Wait()
}

func (k *comparison) train(ctx context.Context, place int, j job) (result, error) {
	r := result{job: j, Method: j.Config.Method, Seed: j.Config.Seed}
	t, err := gfn.NewTrainer(k.env, j.Config)
	if err != nil {
		return r, inFlags(err)
	}
	defer t.Close()
	k.board.begin(place, j.String(), t)
	if err := t.Run(ctx, func(_ float64, e *gfn.Evaluation) { k.board.step(place, t.Iteration, e) }); err != nil {
		return r, err
	}
	for _, e := range t.Curve {
		r.Curve = append(r.Curve, pointOf(t, e))
	}
	e, err := final(ctx, t)
	r.Final = pointOf(t, e)
	return r, err
}

// finish keeps a run that is done, or failed.
func (k *comparison) finish(r result, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.results[r.job] = r
		text := fmt.Sprintf("%d/%d  %s  %.1f s of training", len(k.results), len(k.jobs), r.job, r.Final["train_seconds"])
		for _, c := range k.columns() {
			text += fmt.Sprintf("  %s %.3g", c.label, r.Final.get(c.key))
		}
		k.board.say(text)
		if k.args.out != "" {
			err = k.keep(r)
		}
	}
	if err != nil {
		k.failed = append(k.failed, fmt.Errorf("%s: %w", r.job, err))
		k.board.say(r.job.String() + ": " + oneLine(err))
	}
}

// column is a figure that is compared.
type column struct {
	key, label, axis string
	log              bool
}

var (
	exactColumns = []column{
		{"tv", "TV", "total variation", true},
		{"jsd", "JSD", "Jensen–Shannon divergence", true},
		{"abs_logz_error", "|log Z error|", "|log Z − log Z*|", true},
	}
	sampledColumns = []column{
		{"elbo", "ELBO", "ELBO", false},
		{"logz", "log Z", "log Z", false},
		{"mean_reward", "mean reward", "mean reward", false},
		{"mean_log_reward", "mean log R", "mean log R", false},
		{"modes", "modes", "modes", false},
	}
)

// columns returns what is compared: distances from the target where it is known, else figures of samples.
func (k *comparison) columns() []column {
	known := func(columns []column) []column {
		return slices.DeleteFunc(slices.Clone(columns), func(c column) bool {
			for _, r := range k.results {
				if isFinite(r.Final.get(c.key)) {
					return false
				}
			}
			return true
		})
	}
	if exact := known(exactColumns); len(exact) > 0 {
		return exact
	}
	return known(sampledColumns)
}

// estimate is a mean over seeds with its standard error, NaN where there are too few.
type estimate struct{ mean, err float64 }

// estimateOf leaves out what is not finite.
func estimateOf[T any](list []T, of func(T) float64) estimate {
	var xs []float64
	sum, squares := 0.0, 0.0
	for _, item := range list {
		if x := of(item); isFinite(x) {
			xs, sum = append(xs, x), sum+x
		}
	}
	n := float64(len(xs))
	for _, x := range xs {
		squares += (x - sum/n) * (x - sum/n)
	}
	return estimate{sum / n, math.Sqrt(squares / (n - 1) / n)}
}

// String writes the error with two digits, and the mean with as many decimals.
func (e estimate) String() string {
	decimals := max(0, 1-math.Floor(math.Log10(e.err)))
	switch {
	case !isFinite(e.mean):
		return "–"
	case !isFinite(e.err):
		return fmt.Sprintf("%.4g", e.mean)
	case decimals > 6: // infinite where the error is 0
		return fmt.Sprintf("%.3g ± %.2g", e.mean, e.err)
	}
	return fmt.Sprintf("%.*f ± %.*f", int(decimals), e.mean, int(decimals), e.err)
}

// summary is what the runs of a method come to.
type summary struct {
	runs  []result
	means map[string]estimate // by key; KEY_late over the last tenth of the iterations
}

func summarise(runs []result) summary {
	s := summary{runs, map[string]estimate{}}
	for _, c := range slices.Concat(exactColumns, sampledColumns) {
		get := func(n numbers) float64 { return n.get(c.key) }
		s.means[c.key] = estimateOf(runs, func(r result) float64 { return get(r.Final) })
		s.means[c.key+"_late"] = estimateOf(runs, func(r result) float64 { return estimateOf(r.late(), get).mean })
	}
	s.means["train_seconds"] = estimateOf(runs, func(r result) float64 { return r.Final["train_seconds"] })
	s.means["ms_per_iteration"] = estimateOf(runs, func(r result) float64 { return 1000 * r.Final["train_seconds"] / r.Final["iteration"] })
	return s
}

// late returns the points in the last tenth of the iterations.
func (r result) late() []numbers {
	i := slices.IndexFunc(r.Curve, func(n numbers) bool { return n["iteration"] > 0.9*float64(r.Config.Iterations) })
	if i < 0 { // not one iteration was asked for
		return []numbers{r.Final}
	}
	return r.Curve[i:]
}

// report writes the curves and prints the results.
func (k *comparison) report() (err error) {
	var all []summary
	for jobs := range slices.Chunk(k.jobs, k.args.seeds) {
		var runs []result
		for _, j := range jobs {
			if r, ok := k.results[j]; ok {
				runs = append(runs, r)
			}
		}
		if len(runs) > 0 {
			all = append(all, summarise(runs))
		}
	}
	if len(all) == 0 {
		return nil
	}
	title := fmt.Sprintf("%s, batch %d, mean ± standard error over %s", k.jobs[0].Env, k.jobs[0].Config.Batch, count(k.args.seeds, "seed"))
	draw := func(name, key, label string) {
		err = cmp.Or(err, gfn.WriteFile(filepath.Join(k.args.out, name), func(w io.Writer) error {
			return writeCharts(w, title, k.charts(all, key, label))
		}))
	}
	if k.args.out != "" {
		draw("compare-iterations.svg", "iteration", "iteration")
		draw("compare-seconds.svg", "train_seconds", "seconds of training")
	}
	if k.args.json {
		return cmp.Or(err, k.printJSON(all))
	}
	return cmp.Or(err, k.printTables(title, all))
}

// charts returns the curves of every method's mean over seeds, with bands of its standard error.
func (k *comparison) charts(all []summary, key, label string) (charts []chart) {
	for _, c := range k.columns() {
		if c.key == "jsd" { // looks as the TV does
			continue
		}
		ch := chart{across: label, label: c.axis, log: c.log}
		for _, s := range all {
			l := line{name: s.runs[0].Method}
			for i := range s.runs[0].Curve { // equal configurations are evaluated at equal iterations
				of := func(key string) estimate {
					return estimateOf(s.runs, func(r result) float64 { return r.Curve[i].get(key) })
				}
				p := point{x: of(key).mean, y: of(c.key).mean}
				if spread := of(c.key).err; isFinite(spread) {
					p.spread = spread
				}
				l.points = append(l.points, p)
			}
			ch.lines = append(ch.lines, l)
		}
		charts = append(charts, ch)
	}
	return charts
}

func (k *comparison) printTables(title string, all []summary) error {
	w := tabwriter.NewWriter(k.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\n", title)
	table := func(suffix, title string, args ...any) {
		fmt.Fprintf(w, "\n"+title+"\n", args...)
		for _, c := range k.columns() {
			fmt.Fprintf(w, "\t%s", c.label)
		}
		for _, s := range all {
			fmt.Fprintf(w, "\n%s", s.runs[0].Method)
			for _, c := range k.columns() {
				fmt.Fprintf(w, "\t%s", s.means[c.key+suffix])
			}
		}
		fmt.Fprintln(w)
	}
	table("", "at the end, after %s", count(k.jobs[0].Config.Iterations, "iteration"))
	table("_late", "means over the last tenth of the iterations, %s", count(len(all[0].runs[0].late()), "evaluation"))
	fmt.Fprint(w, "\ntraining\n\tseeds\ttrajectories\tseconds\tms/iteration\n")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%d\t%.0f\t%s\t%s\n", s.runs[0].Method, len(s.runs), s.runs[0].Final["trajectories"], s.means["train_seconds"], s.means["ms_per_iteration"])
	}
	return w.Flush()
}

// printJSON prints every run, and then every method with means over its seeds and, under KEY_se, their standard errors.
func (k *comparison) printJSON(all []summary) (err error) {
	for _, s := range all {
		for _, r := range s.runs {
			err = cmp.Or(err, printJSON(k.stdout, record("run", r.Env, r.Config, r.Final)))
		}
	}
	for _, s := range all {
		first := s.runs[0]
		n := numbers{"seeds": float64(len(s.runs)), "iteration": first.Final["iteration"], "trajectories": first.Final["trajectories"]}
		for key, e := range s.means {
			n.put(key, e.mean)
			n.put(key+"_se", e.err)
		}
		object := record("method", first.Env, first.Config, n)
		delete(object, "seed")
		err = cmp.Or(err, printJSON(k.stdout, object))
	}
	return err
}
