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

// result is a run that is done, as a line of runs.jsonl holds it.
type result struct {
	job
	Curve []numbers `json:"curve"`
	Final numbers   `json:"final"`
}

// runs are those of a method, at least one.
type runs []result

// mean returns the mean over seeds of a last figure.
func (rs runs) mean(key string) estimate {
	var finals []numbers
	for _, r := range rs {
		finals = append(finals, r.Final)
	}
	return meanOf(finals, key)
}

// comparison is one use of compare.
type comparison struct {
	*training
	seeds, workers int
	target         gfn.Env
	jobs           []job // all methods of the first seed, then of the next
	bar            *progress

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
	k.workers = k.Workers
	var configs []gfn.Config
	for method := range strings.SplitSeq(*methods, ",") {
		c := k.defaults(method, k.target)
		c.EvalEvery = max(1, k.Iterations/50)
		k.override(c)
		if _, err := gfn.NewTrainer(k.target, k.Config); err != nil { // this one would fail with every seed
			return usagef("for %s: %w", method, k.inFlags(err))
		}
		k.Config.Workers = 1
		if !slices.Contains(configs, k.Config) {
			configs = append(configs, k.Config)
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
		k.flags.Set("seed", from)
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

// whole says whether r has its last figures and every point of its curve.
func (r result) whole() bool {
	points := 1
	if every := r.Config.EvalEvery; every > 0 {
		points += (r.Config.Iterations + every - 1) / every
	}
	noPoint := func(n numbers) bool { _, ok := n["iteration"]; return !ok }
	return r.Final != nil && len(r.Curve) == points && !slices.ContainsFunc(r.Curve, noPoint)
}

// keep appends a run to the file, with one write: other commands may append to it at the same time. A line that was
// torn off is ended first.
func (k *comparison) keep(r result) error {
	f, err := os.OpenFile(filepath.Join(*k.out, runsName), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	line, err := json.Marshal(r)
	line = append(line, '\n')
	last := []byte{'\n'}
	if info, failed := f.Stat(); failed == nil && info.Size() > 0 {
		f.ReadAt(last, info.Size()-1)
	}
	if last[0] != '\n' {
		line = append([]byte{'\n'}, line...)
	}
	if err == nil {
		_, err = f.Write(line)
	}
	return cmp.Or(err, f.Close())
}

// run does the jobs that have no result, as many at once as -workers says, until the context is done.
func (k *comparison) run() {
	todo := slices.DeleteFunc(slices.Clone(k.jobs), func(j job) bool { return k.results[j].Final != nil })
	fmt.Fprintf(k.stderr, "%s: %d runs found, %d to do\n", k.jobs[0].Env, len(k.results), len(todo))
	k.begin("training; a line follows on each run that is done")
	k.bar = newProgress(k.stderr, 0, len(todo)*k.Iterations)
	var all sync.WaitGroup
	busy := make(chan bool, k.workers)
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
	if err = cmp.Or(err, sound(t, e)); err != nil {
		return r, err
	}
	r = result{j, []numbers{}, numbersOf(finalFigures(t, e))}
	var late []numbers
	for _, e := range t.Curve {
		r.Curve = append(r.Curve, numbersOf(figures(t, e)))
		if e.Iteration > 0.9*float64(t.Iteration) {
			late = append(late, r.Curve[len(r.Curve)-1])
		}
	}
	keys, _ := compared(r.Final)
	for _, key := range keys {
		r.Final.put(key+"_late", meanOf(late, key).mean)
	}
	return r, nil
}

// report writes the curves and prints the results.
func (k *comparison) report() (err error) {
	var all []runs
	for _, first := range k.jobs[:len(k.jobs)/k.seeds] {
		var of runs
		for _, j := range k.jobs {
			if r, ok := k.results[j]; ok && r.Config.Method == first.Config.Method {
				of = append(of, r)
			}
		}
		if len(of) > 0 {
			all = append(all, of)
		}
	}
	if len(all) == 0 {
		return nil
	}
	title := fmt.Sprintf("%s, batch %d, mean ± standard error, seeds: %d", k.jobs[0].Env, k.Batch, k.seeds)
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
	compared, _ := compared(all[0][0].Final)
	table := func(title, suffix string, keys ...string) error {
		title += "\n"
		for _, key := range keys {
			title += "\t" + cmp.Or(label(key), key)
		}
		for _, rs := range all {
			title += "\n" + rs[0].Config.Method
			for _, key := range keys {
				title += "\t" + rs.mean(key+suffix).String()
			}
		}
		return k.printTable(title + "\n")
	}
	return cmp.Or(
		table(fmt.Sprintf("%s\n\nat the end, iterations: %d", wrapped(title), k.Iterations), "", compared...),
		table("\nmeans over the last tenth of the iterations", "_late", compared...),
		table("\ntraining", "", "trajectories", "train_seconds"))
}

// printJSON prints every run, and then every method with means over its seeds and, as KEY_se, their standard errors.
func (k *comparison) printJSON(all []runs) (err error) {
	for _, rs := range all {
		for _, r := range rs {
			err = cmp.Or(err, printJSON(k.stdout, record("run", k.target).of(r.Config).with(r.Final)))
		}
	}
	for _, rs := range all {
		n := numbers{"seeds": float64(len(rs))}
		for key := range rs[0].Final {
			n.put(key, rs.mean(key).mean)
			n.put(key+"_se", rs.mean(key).err)
		}
		o := record("method", k.target)
		o["method"] = rs[0].Config.Method
		err = cmp.Or(err, printJSON(k.stdout, o.with(n)))
	}
	return err
}
