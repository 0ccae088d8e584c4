package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"gfn"
)

const runsName = "runs.jsonl"

// job says what a run depends on: equal jobs have equal results.
type job struct {
	Build    string     `json:"build"` // what the last bits depend on
	Env      string     `json:"env"`
	Checksum uint32     `json:"checksum"`
	Config   gfn.Config `json:"config"` // Workers is 1
}

func (j job) String() string { return fmt.Sprintf("%s seed %d", j.Config.Method, j.Config.Seed) }

// result is a run that is done, as a line of runs.jsonl holds it: the figures of each evaluation. The last point of the
// curve has those of the end too.
type result struct {
	job
	Curve []object `json:"curve"`
}

// runs are those of a method, at least one. All are evaluated at the same iterations.
type runs []result

func (rs runs) last() int { return len(rs[0].Curve) - 1 }

// mean returns the mean over seeds of a figure at a point of the curve.
func (rs runs) mean(at int, key string) estimate {
	var points []object
	for _, r := range rs {
		points = append(points, r.Curve[at])
	}
	return meanOf(points, key)
}

// comparison is one use of compare.
type comparison struct {
	*training
	seeds  int
	from   string // the first, "" for -seed
	target gfn.Env
	jobs   []job // all methods of the first seed, then of the next
	bar    *progress

	mu      sync.Mutex // of the file of runs, and of
	results map[job]result
	failed  []error
}

func compare(c *call) error {
	k := &comparison{training: newTraining(c), results: map[job]result{}}
	if err := k.read(); err != nil {
		return err
	}
	if err := cmp.Or(prepareDir(*k.out), k.load()); err != nil {
		return err
	}
	c.keeping.Lock()
	k.run()
	note := "nothing was kept; -out DIR keeps the runs and curves there"
	if *k.out != "" {
		note = fmt.Sprintf("%d of %d runs kept in %s", len(k.results), len(k.jobs), filepath.Join(*k.out, runsName))
	}
	if c.ctx.Err() != nil && len(k.results)+len(k.failed) < len(k.jobs) {
		return failure{errors.New("stopped; " + note), 130}
	}
	fmt.Fprintln(c.stderr, note)
	err := k.report()
	if len(k.failed) > 0 {
		err = fmt.Errorf("%d of %d runs failed, the first with: %w", len(k.failed), len(k.jobs), k.failed[0])
	}
	return err
}

// read reads the arguments and lists the jobs. The flags override the defaults of each method.
func (k *comparison) read() (err error) {
	methods := k.flags.String("methods", "tb-u,db-u,subtb-u,rl-u,rl-b,rl-g", "what to train by, `A,B,…`")
	seeds := k.flags.String("seeds", "3", "runs of each method, `N`, their seeds counted up from -seed; or FROM-TO")
	k.flags.Lookup("workers").Usage = "runs at once; results do not depend on it"
	k.flags.Lookup("eval-every").DefValue = "a fiftieth of -iters"
	if _, err := k.parse(0, 0); err != nil {
		return err
	}
	if err := k.readSeeds(*seeds); err != nil {
		return err
	}
	k.begin(enumerating)
	if k.target, err = k.parseEnv(*k.env); err != nil {
		return err
	}
	var configs []gfn.Config
	for method := range strings.SplitSeq(*methods, ",") {
		c := k.defaults(method, k.target)
		k.override(c)
		c.EvalEvery = max(1, k.Iterations/50)
		k.override(c)
		if k.from != "" {
			k.flags.Set("seed", k.from)
		}
		if _, err := gfn.NewTrainer(k.target, k.Config); err != nil { // this one would fail with every seed
			return usagef("for %s: %w", method, k.inFlags(err))
		}
		c = k.Config
		c.Workers = 1
		if !slices.Contains(configs, c) {
			configs = append(configs, c)
		}
	}
	traits, build := gfn.TraitsOf(k.target), build()
	for range k.seeds {
		for i := range configs {
			k.jobs = append(k.jobs, job{build, traits.Spec, traits.Checksum, configs[i]})
			configs[i].Seed++
		}
	}
	return nil
}

// readSeeds reads -seeds. FROM takes the place of -seed.
func (k *comparison) readSeeds(text string) error {
	const most = 1000
	from, to, isRange := strings.Cut(text, "-")
	n, err := strconv.ParseUint(from, 10, 64)
	if isRange && err == nil {
		k.from = from
		first := n
		n, err = strconv.ParseUint(to, 10, 64)
		n = n - first + 1
	}
	if err != nil || n < 1 || n > most {
		return usagef("-seeds is %s; write a number from 1 to %d, or FROM-TO for so many", text, most)
	}
	k.seeds = int(n)
	return nil
}

// build names this program by its compiler, processor and content.
func build() string {
	path, _ := os.Executable()
	content, _ := os.ReadFile(path)
	return fmt.Sprintf("%s %s %x", runtime.Version(), runtime.GOARCH, sha256.Sum256(content))
}

// load finds the runs in the file that are wanted. It does not use lines that are not whole, and says how many.
func (k *comparison) load() error {
	if *k.out == "" {
		return nil
	}
	path := filepath.Join(*k.out, runsName)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	found, damaged := readRuns(text)
	for _, r := range found {
		if slices.Contains(k.jobs, r.job) {
			k.results[r.job] = r
		}
	}
	if damaged > 0 {
		fmt.Fprintf(k.stderr, "%s: lines that are not whole runs, and not used: %d\n", path, damaged)
	}
	return nil
}

// readRuns returns the runs of a file, and how many lines are damaged.
func readRuns(text []byte) (found []result, damaged int) {
	for line := range bytes.Lines(text) {
		var r result
		switch {
		case len(bytes.TrimSpace(line)) == 0:
		case json.Unmarshal(line, &r) != nil || !r.whole():
			damaged++
		default:
			found = append(found, r)
		}
	}
	return found, damaged
}

// whole says whether r has every point of its curve.
func (r result) whole() bool {
	points := 1 // at the end
	if every := r.Config.EvalEvery; every > 0 {
		points += (r.Config.Iterations + every - 1) / every
	}
	noPoint := func(o object) bool {
		for _, x := range o {
			if _, number := x.(float64); !number {
				return true
			}
		}
		return o["iteration"] == nil
	}
	return len(r.Curve) == points && !slices.ContainsFunc(r.Curve, noPoint)
}

// keep appends a run to the file, with one write: other commands may append to it at the same time. A line that was
// torn off is ended first.
func (k *comparison) keep(r result) error {
	f, err := os.OpenFile(filepath.Join(*k.out, runsName), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	last := []byte{'\n'} // so it stays if there is none
	f.Seek(-1, io.SeekEnd)
	f.Read(last)
	var line bytes.Buffer
	if last[0] != '\n' {
		line.WriteByte('\n')
	}
	err = printJSON(&line, r)
	_, failed := f.Write(line.Bytes())
	return cmp.Or(err, failed, f.Close())
}

// run does the jobs that have no result, as many at once as -workers says, until the context is done.
func (k *comparison) run() {
	todo, iterations := []job(nil), 0
	for _, j := range k.jobs {
		if _, done := k.results[j]; !done {
			todo = append(todo, j)
			iterations += j.Config.Iterations
		}
	}
	fmt.Fprintf(k.stderr, "%s: %d runs found, %d to do\n", k.jobs[0].Env, len(k.results), len(todo))
	k.begin("training; a line follows on each run that is done")
	k.bar = newProgress(k.stderr, 0, iterations)
	var all sync.WaitGroup
	busy := make(chan bool, k.Workers)
	for _, j := range todo {
		busy <- true
		all.Go(func() {
			k.do(j)
			<-busy
		})
	}
	all.Wait()
	k.bar.clear()
}

// do does a job and keeps the result. An interrupt is no failure.
func (k *comparison) do(j job) {
	r, err := k.train(j)
	if err != nil && k.ctx.Err() != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.results[j] = r
		if *k.out != "" {
			err = k.keep(r)
		}
	}
	if err != nil {
		k.failed = append(k.failed, fmt.Errorf("%s: %w", j, err))
	}
}

// train does a job. Beside the last figures it puts, as KEY_late, their means over the last tenth of the iterations.
func (k *comparison) train(j job) (r result, err error) {
	if err := k.ctx.Err(); err != nil {
		return r, err
	}
	t, err := gfn.NewTrainer(k.target, j.Config)
	if err != nil {
		return r, err
	}
	err = t.Run(k.ctx, func(loss float64, e *gfn.Evaluation) {
		text := ""
		if e != nil && e.Iteration == float64(j.Config.Iterations) {
			text = fmt.Sprintf("%s  %s", j, evaluationLine(e))
		}
		k.bar.step(loss, text)
	})
	if err != nil {
		return r, err
	}
	e, err := final(k.ctx, t, j.Config.EvalSamples, 0)
	if err != nil {
		return r, err
	}
	r.job = j
	last, late := object{}.with(finalFigures(t, e)), []object(nil)
	for _, e := range t.Curve {
		point := object{}.with(figures(t, e))
		r.Curve = append(r.Curve, point)
		if e.Iteration > 0.9*float64(t.Iteration) {
			late = append(late, point)
		}
	}
	keys, _ := compared(r.Curve)
	for _, key := range keys {
		last.put(key+"_late", meanOf(late, key).mean)
	}
	r.Curve[len(r.Curve)-1] = last
	return r, nil
}

// report writes the curves and prints the results.
func (k *comparison) report() (err error) {
	all := make([]runs, len(k.jobs)/k.seeds) // of each method
	for i, j := range k.jobs {
		if r, done := k.results[j]; done {
			all[i%len(all)] = append(all[i%len(all)], r)
		}
	}
	all = slices.DeleteFunc(all, func(rs runs) bool { return len(rs) == 0 })
	if len(all) == 0 {
		return nil
	}
	title := fmt.Sprintf("%s, mean ± standard error, seeds: %d", k.jobs[0].Env, k.seeds)
	if *k.out != "" {
		picture := func(w io.Writer) error { return writeCharts(w, title, all) }
		err = gfn.WriteFile(filepath.Join(*k.out, "compare.svg"), picture)
	}
	if k.json {
		return cmp.Or(err, k.printJSON(all))
	}
	return cmp.Or(err, k.printTables(title, all))
}

func (k *comparison) printTables(title string, all []runs) error {
	compared, _ := compared(all[0][0].Curve)
	table := func(title, suffix string, keys ...string) error {
		title += "\n"
		for _, key := range keys {
			title += "\t" + cmp.Or(label(key), key)
		}
		for _, rs := range all {
			title += "\n" + rs[0].Config.Method
			for _, key := range keys {
				title += "\t" + rs.mean(rs.last(), key+suffix).String()
			}
		}
		return k.print(title + "\n")
	}
	return cmp.Or(
		table(title+"\n\nat the end", "", compared...),
		table("\nmeans over the last tenth of the iterations", "_late", compared...),
		table("\ntraining", "", "iteration", "trajectories", "train_seconds"))
}

// printJSON prints every run, and then every method with means over its seeds and, as KEY_se, their standard errors.
func (k *comparison) printJSON(all []runs) (err error) {
	for _, rs := range all {
		for _, r := range rs {
			o := record("run", k.target).of(r.Config)
			maps.Copy(o, r.Curve[rs.last()])
			err = cmp.Or(err, printJSON(k.stdout, o))
		}
	}
	for _, rs := range all {
		o := record("method", k.target)
		o["method"], o["seeds"] = rs[0].Config.Method, len(rs)
		for key := range rs[0].Curve[rs.last()] {
			e := rs.mean(rs.last(), key)
			o.put(key, e.mean)
			o.put(key+"_se", e.err)
		}
		err = cmp.Or(err, printJSON(k.stdout, o))
	}
	return err
}
