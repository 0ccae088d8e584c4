package main

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"gfn"
)

// graph adds the flags of commands on an enumerated environment, parses the arguments, and enumerates.
func (c *call) graph() (*gfn.Graph, error) {
	name := c.envFlag()
	c.jsonFlag()
	limit := c.flags.Int("limit", gfn.DefaultConfig(defaultMethod).Limit, "states to enumerate at most")
	if _, err := c.parse(0, 0); err != nil {
		return nil, err
	}
	c.begin(enumerating)
	env, err := c.parseEnv(*name)
	if err != nil {
		return nil, err
	}
	return gfn.Enumerate(env, *limit)
}

// checkpoint parses the arguments: a checkpoint, and at most as many more. It returns the trainer and these.
func (c *call) checkpoint(more int) (*gfn.Trainer, []string, error) {
	positional, err := c.parse(1, 1+more)
	if err != nil {
		return nil, nil, err
	}
	c.begin(enumerating)
	t, err := c.load(positional[0], nil)
	c.begin("evaluating or drawing")
	return t, positional[1:], err
}

func exact(c *call) error {
	g, err := c.graph()
	if err != nil {
		return err
	}
	terminating, modes := 0, none
	for row := range g.Len() {
		if g.Exit(row) >= 0 {
			terminating++
		}
	}
	if rows := g.Modes(); rows != nil {
		modes = float64(len(rows))
	}
	logPB := g.Backward(gfn.UniformPB)
	perfect := g.Metrics(g.ForwardOf(logPB), logPB, g.LogZ())
	return c.printFigures(record("exact", g.Env), gfn.TraitsOf(g.Env).Spec+"\n\n", []figure{
		{"states", "", float64(g.Len()), none},
		{"edges", "", float64(len(g.FAction)), none},
		{"terminating", "", float64(terminating), none},
		{"logz", "", g.LogZ(), none},
		{"mean_reward", "", math.Exp(perfect.LogMeanReward), none},
		{"mean_log_reward", "", perfect.MeanLogReward, none},
		{"modes", "", modes, none},
	})
}

func check(c *call) error {
	policies := c.flags.Int("policies", 30, "random policies; some are near each other, or optimal")
	seed := c.flags.Uint64("seed", 0, "seed of the policies")
	explain := c.flags.Bool("explain", false, "print what each row states, its function, section of doc.go and test")
	g, err := c.graph()
	if err != nil {
		return err
	}
	c.begin("trying random policies")
	bounds := gfn.Check(g, *policies, *seed)
	err = c.printBounds(g.Env, bounds)
	if *explain {
		err = cmp.Or(err, c.explainBounds(bounds))
	}
	return err
}

// printBounds prints guarantees. Its error names the first one that does not hold.
func (c *call) printBounds(env gfn.Env, bounds []gfn.Bound) (err error) {
	spec := gfn.TraitsOf(env).Spec
	table := spec + "\n\nguarantee\tleft\t\tright\tslack\tholds\n"
	var broken error
	for _, b := range bounds {
		relation, holds := "≤", "yes"
		if b.Equal {
			relation = "="
		}
		if !b.Holds() {
			holds = "NO"
			broken = cmp.Or(broken, fmt.Errorf("violated on %s: %s: %v %s %v", spec, b.Name, b.Left, relation, b.Right))
		}
		table += fmt.Sprintf("%s\t%.6g\t%s\t%.6g\t%.2g\t%s\n", b.Name, b.Left, relation, b.Right, b.Slack(), holds)
		if c.json {
			o := record("check", env)
			o["name"], o["equal"], o["ok"] = b.Name, b.Equal, b.Holds()
			sides := []figure{{"left", "right", b.Left, b.Right}, {"slack", "", b.Slack(), none}}
			err = cmp.Or(err, printJSON(c.stdout, o.with(sides)))
		}
	}
	if !c.json {
		err = c.print(table + "\ntolerance: 1e-9 of the larger side, or of 1\n")
	}
	return cmp.Or(err, broken)
}

// explainBounds prints what each of the bounds states.
func (c *call) explainBounds(bounds []gfn.Bound) error {
	explained, table := table("guarantees"), "\nguarantee\tstates\tfunction\tdoc.go\ttest\n"
	for _, b := range bounds {
		table += b.Name + "\t" + strings.Join(explained[b.Name], "\t") + "\n"
	}
	return c.print(table)
}

func eval(c *call) error {
	c.jsonFlag()
	n := c.flags.Int("samples", gfn.DefaultConfig(defaultMethod).EvalSamples, "samples to draw")
	seed := c.flags.Uint64("seed", 0, "seed of the samples")
	words := c.flags.String("words", "", "print a row for each word of `FILE`, one on a line, and correlations")
	file := c.flags.String("objects", "", "write such rows to `FILE`, as CSV: of the words, or of all terminating states")
	paths := c.flags.Int("paths", 100, "trajectories drawn back from a word, if the space is not enumerated")
	t, _, err := c.checkpoint(0)
	if err != nil {
		return err
	}
	if *file != "" && *words == "" && t.Graph == nil {
		return usagef("-objects: this space has too many states to enumerate; name some of them with -words")
	}
	var list []outcome
	var more []figure
	if *words != "" || *file != "" {
		if list, more, err = objectsOf(t, *words, *paths, *seed); err != nil {
			return err
		}
	}
	e, err := final(c.ctx, t, *n, *seed)
	if err != nil {
		return err
	}
	if *file != "" {
		c.keeping.Lock()
		if err := gfn.WriteFile(*file, func(w io.Writer) error { return writeObjects(w, list) }); err != nil {
			return fmt.Errorf("-objects %s: %w", *file, err)
		}
	}
	if *words != "" {
		if err := c.printObjects(t, list); err != nil {
			return err
		}
	}
	return c.printFinal(t, e, more...)
}

// outcome is an object with what the sampler and the target say of it, by [outcomeKeys]. NaN is not known.
type outcome struct {
	object  string
	figures [4]float64
}

var outcomeKeys = [4]string{"log_probability", "log_target", "log_reward", "standard_error"}

// objectsOf returns the words of a file, with figures of their correlations, or all terminating states without one.
func objectsOf(t *gfn.Trainer, file string, paths int, seed uint64) (list []outcome, more []figure, err error) {
	var objects [][]int
	if file != "" {
		q, ok := gfn.Unwrap(t.Env).(*gfn.Sequence)
		if !ok {
			return nil, nil, usagef("-words is for sequences, and this checkpoint is of %s; leave it out", t.Spec())
		}
		f, err := os.Open(file)
		if err != nil {
			return nil, nil, usagef("-words: %w", err)
		}
		defer f.Close()
		if objects, err = gfn.ReadWords(f, file, q); err != nil {
			return nil, nil, usagef("%w", err)
		}
	} else {
		for x := range t.Graph.Len() {
			if t.Graph.Exit(x) >= 0 {
				objects = append(objects, t.Graph.State(nil, x))
			}
		}
	}
	logP, se, err := t.LogTerminating(objects, paths, seed)
	if err != nil {
		return nil, nil, err
	}
	logZ, logR := none, make([]float64, len(objects))
	if t.Graph != nil {
		logZ = t.Graph.LogZ()
	}
	for i, x := range objects {
		logR[i] = t.Env.LogReward(x)
		list = append(list, outcome{gfn.Format(t.Env, x), [4]float64{logP[i], logR[i] - logZ, logR[i], se[i]}})
	}
	if file != "" {
		linear, rank := gfn.Correlation(logP, logR)
		words := float64(len(objects))
		more = []figure{{"words", "", words, none}, {"pearson", "", linear, 1}, {"spearman", "", rank, 1}}
	}
	return list, more, nil
}

// writeObjects writes CSV. What is not known is empty.
func writeObjects(w io.Writer, list []outcome) error {
	rows := [][]string{append([]string{"object"}, outcomeKeys[:]...)}
	for _, o := range list {
		cells := []string{o.object}
		for _, x := range o.figures {
			cells = append(cells, strings.Replace(fmt.Sprint(x), "NaN", "", 1))
		}
		rows = append(rows, cells)
	}
	return writeCSV(w, rows)
}

// writeCSV writes rows at once.
func writeCSV(w io.Writer, rows [][]string) error {
	var lines strings.Builder
	csv.NewWriter(&lines).WriteAll(rows)
	_, err := io.WriteString(w, lines.String())
	return err
}

// printObjects prints a line for each object, of CSV or JSON.
func (c *call) printObjects(t *gfn.Trainer, list []outcome) (err error) {
	if !c.json {
		err = writeObjects(c.stdout, list)
		fmt.Fprintln(c.stdout)
		return err
	}
	for _, o := range list {
		line := record("word", t.Env)
		line["object"] = o.object
		for i, x := range o.figures {
			line.put(outcomeKeys[i], x)
		}
		err = cmp.Or(err, printJSON(c.stdout, line))
	}
	return err
}

func sample(c *call) error {
	n := c.flags.Int("n", 10, "samples to draw")
	seed := c.flags.Uint64("seed", 0, "seed of the samples")
	t, _, err := c.checkpoint(0)
	if err != nil {
		return err
	}
	rows := [][]string{{"object", "log_reward", "log_pf", "steps"}}
	for b, err := range t.Samples(c.ctx, *n, *seed) {
		if err != nil {
			return err
		}
		for i := range b.Trajectories() {
			logPF := 0.0
			for _, s := range b.Trajectory(i) {
				logPF += b.LogPF[s.F]
			}
			x := b.Endpoint(i)
			steps := fmt.Sprint(len(b.Trajectory(i)))
			rows = append(rows, []string{b.Format(x), fmt.Sprint(b.LogR[x]), fmt.Sprint(logPF), steps})
		}
		if err := writeCSV(c.stdout, rows); err != nil {
			return err
		}
		rows = nil
	}
	return nil
}

func edit(c *call) error {
	δ := c.flags.Float64("delta", 0.5, "threshold, 0…1; with a larger one more letters change")
	σ := c.flags.Float64("sigma", 0.01, "standard deviation of the noise on it, in probabilities")
	λ := c.flags.Float64("lambda", 0.1, "probability that a letter below the threshold stays, from 0 up, below 1")
	n := c.flags.Int("n", 10, "edits of each word")
	seed := c.flags.Uint64("seed", 0, "seed of the edits; equal seeds print equal edits")
	judge := c.flags.String("judge", "", "take rewards from the environment `SPEC` of the same words")
	c.jsonFlag()
	t, args, err := c.checkpoint(math.MaxInt32)
	if err != nil {
		return err
	}
	e, err := gfn.NewEditor(t.Env, t.PF(), *δ, *σ, *λ)
	if err != nil {
		return usagef("%w", err)
	}
	q := gfn.Unwrap(t.Env).(*gfn.Sequence) // as editors want it
	var source io.Reader = strings.NewReader(strings.Join(args, "\n"))
	if len(args) == 0 {
		source = os.Stdin
		c.begin("reading words from standard input")
	}
	words, err := gfn.ReadWords(source, "words", q)
	if err != nil {
		return usagef("%w", err)
	}
	c.begin("editing")
	reward, err := judgeOf(*judge, q)
	if err != nil {
		return err
	}
	var of []object // of each word
	for i, word := range words {
		// iterations that neither training nor gfn sample reaches
		edits, err := e.Edit(word, *n, gfn.Sampling{Seed: t.Config.Seed + *seed, Iteration: 1<<62 + uint64(i)})
		if err != nil {
			return err
		}
		if err := c.printEdits(t, q, word, edits, reward); err != nil {
			return err
		}
		m := gfn.MeasureEdits(word, edits, reward)
		of = append(of, object{}.with([]figure{
			{"reward_before", "improvement", reward(word), m.Improvement},
			{"edit_percentage", "diversity", m.Percentage, m.Diversity},
		}))
	}
	means := []figure{{"words", "", float64(len(of)), none}}
	for _, key := range []string{"reward_before", "improvement", "edit_percentage", "diversity"} {
		e := meanOf(of, key)
		means = append(means, figure{key, key + "_se", e.mean, e.err})
	}
	return c.printFigures(record("final", t.Env).of(t.Config), "\n\tmean\tstandard error\n", means)
}

// printEdits prints a line for each edit of a word.
func (c *call) printEdits(
	t *gfn.Trainer, q *gfn.Sequence, word []int, edits [][]int, reward func(x []int) float64,
) error {
	for _, x := range edits {
		o := record("edit", t.Env)
		n := gfn.Levenshtein(word, x)
		o["seed"], o["edited"], o["edits"] = q.Format(word), q.Format(x), n
		line := fmt.Sprintf("%s\t%s\t%-10.4g\t%-10.4g\t%d\n", o["seed"], o["edited"], reward(word), reward(x), n)
		if err := c.printFigures(o, line, []figure{{"reward", "", reward(x), none}}); err != nil {
			return err
		}
	}
	return nil
}

// judgeOf returns the reward of words of q: that of another environment of the same words if spec names one.
func judgeOf(spec string, q *gfn.Sequence) (func(word []int) float64, error) {
	if spec == "" {
		return func(word []int) float64 { return math.Exp(q.LogReward(word)) }, nil
	}
	env, err := gfn.ParseEnv(spec)
	judge, ok := gfn.Unwrap(env).(*gfn.Sequence)
	if err == nil && !ok {
		err = errors.New("no words; name a sequence")
	}
	for token := 0; err == nil && token < q.Shape().Forward-1; token++ {
		_, err = judge.Parse(q.Format(slices.Repeat([]int{token}, q.Shape().Dim)))
	}
	if err != nil {
		return nil, usagef("-judge %s: %w", spec, err)
	}
	return func(word []int) float64 {
		x, _ := judge.Parse(q.Format(word)) // it can: all tokens were tried
		return math.Exp(judge.LogReward(x))
	}, nil
}
