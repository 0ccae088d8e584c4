package main

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"iter"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"gfn"
)

const (
	exactAbout = `Enumerates an environment and prints its exact figures.
These are the numbers of states, of edges (exits included), of terminating
states and, where there are any, of modes; log Z*, and the mean reward of R/Z*.`

	evalAbout = `Prints the metrics of a trained sampler.
They are exact where the space can be enumerated; those of samples stand beside
the values that a perfect sampler would give.`

	checkAbout = `Checks the guarantees on random policies of an enumerated environment.
For every statement it prints both sides and their slack on the policies that
come nearest to breaking it, in nats or probabilities, and exits with 1 if one
is broken. "go doc gfn" states them: Improvement, Guiding, SamplingError, …`

	sampleAbout = `Prints objects drawn from a trained sampler, as CSV.
Under a header: the object, its log reward, the log probability of the
trajectory that built it, and its steps, the exit included. Equal seeds print
equal objects.`
)

func exact(c *call) error {
	spec, limit, asJSON := defaultEnv, gfn.DefaultConfig(defaultMethod).Limit, false
	if _, err := c.parse([]option{envFlag(&spec), limitFlag(&limit), jsonFlag(&asJSON)}); err != nil {
		return err
	}
	g, spec, err := enumerate(spec, limit)
	if err != nil {
		return err
	}
	figures := exactFigures(g)
	if asJSON {
		object := map[string]any{"env": spec}
		numbersOf(figures).into(object)
		return printJSON(c.stdout, object)
	}
	w := tabwriter.NewWriter(c.stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "%s\n\n", spec)
	for _, f := range figures {
		if isFinite(f.value) {
			fmt.Fprintf(w, "%s\t%s\n", f.label, number(f.value))
		}
	}
	return w.Flush()
}

func limitFlag(at *int) option {
	return option{"limit", "N", at, "states to enumerate at most"}
}

// enumerate returns the graph of an environment, and its canonical description.
func enumerate(spec string, limit int) (*gfn.Graph, string, error) {
	if err := inRange("limit", limit); err != nil {
		return nil, "", err
	}
	env, err := parseEnv(spec)
	if err != nil {
		return nil, "", err
	}
	g, err := gfn.Enumerate(env, limit)
	if errors.Is(err, gfn.ErrLimit) {
		err = fmt.Errorf("%w; for more, write a larger -limit", err)
	}
	return g, gfn.TraitsOf(env).Spec, err
}

func check(c *call) error {
	spec, policies, seed := defaultEnv, 30, uint64(0)
	limit, asJSON := gfn.DefaultConfig(defaultMethod).Limit, false
	if _, err := c.parse([]option{
		envFlag(&spec),
		{"policies", "N", &policies, "random policies; some are near each other, or optimal"},
		{"seed", "N", &seed, "seed of the policies"},
		limitFlag(&limit),
		jsonFlag(&asJSON),
	}); err != nil {
		return err
	}
	if err := inRange("policies", policies); err != nil {
		return err
	}
	g, spec, err := enumerate(spec, limit)
	if err != nil {
		return err
	}
	return c.printBounds(spec, gfn.Check(g, policies, seed), asJSON)
}

// printBounds prints guarantees. The error names one that is violated.
func (c *call) printBounds(spec string, bounds []gfn.Bound, asJSON bool) error {
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	if !asJSON {
		fmt.Fprintf(w, "%s\n\nguarantee\tleft\t\tright\tslack\tholds\n", spec)
	}
	var violated error
	for _, b := range bounds {
		relation, holds := "≤", "yes"
		if b.Equal {
			relation = "="
		}
		if !b.Holds() {
			holds = "NO"
			violated = cmp.Or(violated, fmt.Errorf("violated on %s: %s: %v %s %v", spec, b.Name, b.Left, relation, b.Right))
		}
		if asJSON {
			object := map[string]any{"env": spec, "name": b.Name, "equal": b.Equal, "ok": b.Holds()}
			numbersOf([]figure{{"left", "right", "", b.Left, b.Right}, {"slack", "", "", b.Slack(), none}}).into(object)
			if err := printJSON(c.stdout, object); err != nil {
				return err
			}
		} else {
			fmt.Fprintf(w, "%s\t%.6g\t%s\t%.6g\t%.2g\t%s\n", b.Name, b.Left, relation, b.Right, b.Slack(), holds)
		}
	}
	return cmp.Or(w.Flush(), violated)
}

func exactFigures(g *gfn.Graph) []figure {
	terminating, modes := 0, none
	for row := range g.Len() {
		if g.Exit(row) >= 0 {
			terminating++
		}
	}
	if rows := g.Modes(); rows != nil {
		modes = float64(len(rows))
	}
	return []figure{
		{"states", "", "states", float64(g.Len()), none},
		{"edges", "", "edges, exits included", float64(len(g.FAction)), none},
		{"terminating", "", "terminating states", float64(terminating), none},
		{"logz", "", "log Z*", g.LogZ(), none},
		{"mean_reward", "", "mean reward", meanReward(g), none},
		{"mean_log_reward", "", "mean log R", meanLogReward(g), none},
		{"modes", "", "modes", modes, none},
	}
}

// inRange checks the number of a flag that counts something.
func inRange(name string, n int) error {
	const most = 1 << 24
	if n < 1 || n > most {
		return usagef("-%s is %d; write a number from 1 to %d", name, n, most)
	}
	return nil
}

// sampler reads the arguments of a command on a checkpoint, and the checkpoint.
func (c *call) sampler(count string, n *int, seed *uint64, more ...option) (*gfn.Trainer, error) {
	options := append([]option{
		{count, "N", n, "samples to draw"},
		{"seed", "N", seed, "seed of the samples"},
	}, more...)
	positional, err := c.parse(options, "CHECKPOINT")
	if err != nil {
		return nil, err
	}
	if err := inRange(count, *n); err != nil {
		return nil, err
	}
	if err := checkCheckpoint(positional[0]); err != nil {
		return nil, err
	}
	return gfn.LoadFile(positional[0], nil, nil)
}

func eval(c *call) error {
	n, seed, asJSON, words, paths := gfn.DefaultConfig(defaultMethod).EvalSamples, uint64(0), false, "", 100
	t, err := c.sampler("samples", &n, &seed, jsonFlag(&asJSON),
		option{"words", "FILE", &words, "test words of a sequence, one on a line: correlations of log PF⊤ and log R over them"},
		option{"paths", "N", &paths, "-words, where the space is not enumerated: trajectories drawn back from each word to estimate log PF⊤"})
	if err != nil {
		return err
	}
	defer t.Close()
	if err := inRange("paths", paths); err != nil {
		return err
	}
	test, err := testWords(t, words)
	if err != nil {
		return err
	}
	e, err := t.EvaluateSampled(c.ctx, n, seed)
	if samples := e.Samples; err == nil && t.Graph != nil {
		e, err = t.Evaluate(c.ctx)
		e.Samples = samples
	}
	if err != nil {
		return err
	}
	var more []figure
	if len(test) > 0 {
		linear, rank, err := t.Correlate(test, paths, seed)
		if err != nil {
			return err
		}
		more = []figure{
			{"words", "", "test words", float64(len(test)), none},
			{"pearson", "", "  correlation of log PF⊤ and log R", linear, 1},
			{"spearman", "", "  of their ranks", rank, 1},
		}
	}
	return c.printFinal(t, e, asJSON, more...)
}

// testWords reads the words of a file, none where no file is named.
func testWords(t *gfn.Trainer, name string) (words [][]int, err error) {
	if name == "" {
		return nil, nil
	}
	q, ok := gfn.Unwrap(t.Env).(*gfn.Sequence)
	if !ok {
		return nil, usagef("-words is for sequences, and this checkpoint is of %s; leave it out", t.Spec())
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, usagef("-words: %w", err)
	}
	words, err = parseWords(q, strings.Lines(string(text)), func(line int) string { return fmt.Sprintf("-words: %s:%d: ", name, line) })
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, usagef("-words: %s has no words; write one on a line", name)
	}
	return words, nil
}

// parseWords reads words, each by itself or on a line of a file, where blank ones do not count. at says where number i,
// counted from 1, stands.
func parseWords(q *gfn.Sequence, lines iter.Seq[string], at func(i int) string) (words [][]int, err error) {
	i := 0
	for text := range lines {
		if i++; strings.TrimSpace(text) == "" {
			continue
		}
		word, err := q.Parse(strings.TrimSpace(text))
		if err != nil {
			upper := strings.ToUpper(strings.TrimSpace(text))
			if _, bad := q.Parse(upper); bad == nil {
				err = fmt.Errorf("%w; write %s", err, upper)
			}
			return nil, usageError{errors.New(at(i) + oneLine(err))}
		}
		words = append(words, word)
	}
	return words, nil
}

func sample(c *call) error {
	n, seed := 10, uint64(0)
	t, err := c.sampler("n", &n, &seed)
	if err != nil {
		return err
	}
	defer t.Close()
	ctx, stop := c.interruptible()
	defer stop()
	w, done := csv.NewWriter(c.stdout), 0
	w.Write([]string{"object", "log_reward", "log_pf", "steps"})
	text := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	for b, err := range t.Samples(ctx, n, seed) {
		if err != nil && ctx.Err() != nil { // lines stay whole
			w.Flush()
			fmt.Fprintf(c.stderr, "stopped after %d of %s\n", done, count(n, "sample"))
			return cmp.Or(w.Error(), errInterrupted)
		}
		if err != nil {
			return err
		}
		done += b.Trajectories()
		for i := range b.Trajectories() {
			logPF := 0.0
			for _, s := range b.Trajectory(i) {
				logPF += b.LogPF[s.F]
			}
			x := b.Endpoint(i)
			if err := w.Write([]string{b.Format(x), text(b.LogR[x]), text(logPF), strconv.Itoa(len(b.Trajectory(i)))}); err != nil {
				return err
			}
		}
	}
	w.Flush()
	return w.Error()
}
