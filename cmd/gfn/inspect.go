package main

import (
	"cmp"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"gfn"
)

const (
	exactAbout = `Enumerates an environment and prints its exact figures.
Edges include the exits; the mean reward is that of R/Z*.`

	checkAbout = `Checks the guarantees on random policies of an environment.
It prints both sides of each and their slack, in nats or probabilities, on the
policies that come nearest to breaking it. If one is broken, it exits with 1.`

	evalAbout = `Prints the metrics of a trained sampler.
They are exact if the space can be enumerated. Beside those of samples stand the
values of a perfect sampler.`

	sampleAbout = `Prints objects drawn from a trained sampler, as CSV.
Each line holds the object, its log reward, the log probability of the
trajectory that built it, and its steps, the exit included.`
)

// graph adds the flags of commands on an enumerated environment, and parses the arguments. It returns the graph, its
// canonical description, and whether output is JSON.
func (c *call) graph(flags *flag.FlagSet) (g *gfn.Graph, spec string, asJSON bool, err error) {
	name, json := envFlag(flags), jsonFlag(flags)
	limit := flags.Int("limit", gfn.DefaultConfig(defaultMethod).Limit, "states to enumerate at most")
	if _, err := c.parse(flags, 0, 0); err != nil {
		return nil, "", false, err
	}
	c.begin(enumerating)
	env, err := c.parseEnv(*name)
	if err != nil {
		return nil, "", false, err
	}
	g, err = gfn.Enumerate(env, *limit)
	if errors.Is(err, gfn.ErrLimit) {
		err = fmt.Errorf("%w; for more, write a larger -limit", err)
	}
	return g, gfn.TraitsOf(env).Spec, *json, err
}

// checkpoint parses the arguments: a checkpoint, and at most as many more. It returns the trainer and these.
func (c *call) checkpoint(flags *flag.FlagSet, more int) (*gfn.Trainer, []string, error) {
	positional, err := c.parse(flags, 1, 1+more)
	if err != nil {
		return nil, nil, err
	}
	c.begin(enumerating)
	t, err := load(positional[0], nil)
	c.begin("evaluating or drawing")
	return t, positional[1:], err
}

func exact(c *call) error {
	g, spec, asJSON, err := c.graph(c.newFlags())
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
	figures := []figure{
		{"states", "", "states", float64(g.Len()), none},
		{"edges", "", "edges, exits included", float64(len(g.FAction)), none},
		{"terminating", "", "terminating states", float64(terminating), none},
		{"logz", "", "log Z*", g.LogZ(), none},
		{"mean_reward", "", "mean reward", math.Exp(perfect.LogMeanReward), none},
		{"mean_log_reward", "", "mean log R", perfect.MeanLogReward, none},
		{"modes", "", "modes", modes, none},
	}
	return c.printFigures(asJSON, object{"env": spec}, spec+"\n\n", figures)
}

func check(c *call) error {
	flags := c.newFlags()
	policies := flags.Int("policies", 30, "random policies; some are near each other, or optimal")
	seed := flags.Uint64("seed", 0, "seed of the policies")
	explain := flags.Bool("explain", false, "print what each row states, its function, its section of doc.go and its test")
	g, spec, asJSON, err := c.graph(flags)
	if err != nil {
		return err
	}
	c.begin("trying random policies")
	bounds := gfn.Check(g, *policies, *seed)
	err = c.printBounds(spec, bounds, asJSON)
	if *explain {
		err = cmp.Or(err, c.explainBounds(bounds))
	}
	return err
}

// printBounds prints guarantees. Its error names the first one that does not hold.
func (c *call) printBounds(spec string, bounds []gfn.Bound, asJSON bool) (err error) {
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
		if asJSON {
			o := object{"env": spec, "name": b.Name, "equal": b.Equal, "ok": b.Holds()}
			sides := []figure{{"left", "right", "", b.Left, b.Right}, {"slack", "", "", b.Slack(), none}}
			err = cmp.Or(err, printJSON(c.stdout, o.with(numbersOf(sides))))
		}
	}
	if !asJSON {
		err = printTable(c.stdout, table+"\ntolerance: 1e-9 of the larger side, or of 1\n")
	}
	return cmp.Or(err, broken)
}

// explainBounds prints the lines of [explanations] on bounds.
func (c *call) explainBounds(bounds []gfn.Bound) error {
	table := "\nguarantee\tstates\tfunction\tdoc.go\ttest\n"
	for _, b := range bounds {
		for line := range strings.Lines(explanations) {
			if strings.HasPrefix(line, b.Name+" | ") {
				table += strings.ReplaceAll(line, " | ", "\t")
			}
		}
	}
	return printTable(c.stdout, table)
}

func eval(c *call) error {
	flags := c.newFlags()
	asJSON := jsonFlag(flags)
	n := flags.Int("samples", gfn.DefaultConfig(defaultMethod).EvalSamples, "samples to draw")
	seed := flags.Uint64("seed", 0, "seed of the samples")
	words := flags.String("words", "", "correlate log PF⊤ and log R over the words of `FILE`, one on a line")
	objects := flags.String("objects", "", "write the probability of each terminating state to `FILE`, as CSV")
	paths := flags.Int("paths", 100, "trajectories drawn back from a word, if the space is not enumerated")
	t, _, err := c.checkpoint(flags, 0)
	if err != nil {
		return err
	}
	var more []figure
	if *words != "" {
		if more, err = correlations(t, *words, *paths, *seed); err != nil {
			return err
		}
	}
	e, err := final(c.ctx, t, *n, *seed)
	if err = cmp.Or(err, sound(t, e)); err != nil {
		return err
	}
	if *objects != "" {
		if err := c.writeObjects(t, *objects); err != nil {
			return err
		}
	}
	return c.printFinal(t, e, *asJSON, more...)
}

// writeObjects writes each terminating state with its probabilities by the sampler and by the target.
func (c *call) writeObjects(t *gfn.Trainer, path string) error {
	if t.Graph == nil {
		return usagef("-objects is for enumerated spaces, and this one has more than %d states", t.Config.Limit)
	}
	c.keeping.Lock()
	logPF, _ := t.Policies()
	learned, target := t.Graph.LogTerminating(logPF), t.Graph.LogTarget()
	return gfn.WriteFile(path, func(w io.Writer) error {
		lines := csv.NewWriter(w)
		lines.Write([]string{"object", "log_probability", "log_target", "log_reward"})
		for x, logR := range t.Graph.LogR {
			if t.Graph.Exit(x) >= 0 {
				lines.Write([]string{t.Graph.Format(x), decimal(learned[x]), decimal(target[x]), decimal(logR)})
			}
		}
		lines.Flush()
		return lines.Error()
	})
}

// decimal returns x in as many digits as give it back.
func decimal(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

// correlations returns those of log PF⊤ and log R over the words of a file.
func correlations(t *gfn.Trainer, name string, paths int, seed uint64) ([]figure, error) {
	q, ok := gfn.Unwrap(t.Env).(*gfn.Sequence)
	if !ok {
		return nil, usagef("-words is for sequences, and this checkpoint is of %s; leave it out", t.Spec())
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, usagef("-words: %w", err)
	}
	defer f.Close()
	words, err := gfn.ReadWords(f, name, q)
	if err != nil {
		return nil, usagef("%s", oneLine(err))
	}
	logP, _, err := t.LogTerminating(words, paths, seed)
	if err != nil {
		return nil, err
	}
	var logR []float64
	for _, word := range words {
		logR = append(logR, q.LogReward(word))
	}
	linear, rank := gfn.Correlation(logP, logR)
	return []figure{
		{"words", "", "test words", float64(len(words)), none},
		{"pearson", "", "  correlation of log PF⊤ and log R", linear, 1},
		{"spearman", "", "  of their ranks", rank, 1},
	}, nil
}

func sample(c *call) error {
	flags := c.newFlags()
	n := flags.Int("n", 10, "samples to draw")
	seed := flags.Uint64("seed", 0, "seed of the samples")
	t, _, err := c.checkpoint(flags, 0)
	if err != nil {
		return err
	}
	var lines strings.Builder
	w := csv.NewWriter(&lines)
	w.Write([]string{"object", "log_reward", "log_pf", "steps"})
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
			w.Write([]string{b.Format(x), decimal(b.LogR[x]), decimal(logPF), strconv.Itoa(len(b.Trajectory(i)))})
		}
		w.Flush()
		if _, err := io.WriteString(c.stdout, lines.String()); err != nil {
			return err
		}
		lines.Reset()
	}
	return nil
}

const editAbout = `Edits words with a trained sampler, to raise their reward.
Words stand on the command line or, without any there, on standard input, one on
a line. From left to right, a letter that the sampler finds less likely than
delta times its first choice, give or take the noise sigma, is drawn anew; with
probability lambda it stays. Each line is a word, an edit, their rewards and the
number of edited letters. Then come means over words: improvement (reward after
less reward before), edits of 100 letters, and diversity (edits from one edit of
a word to another). The sampler must append: train it with -env
sequence:order=append,… Baselines are -mutate and -tail.`

func edit(c *call) error {
	flags := c.newFlags()
	δ := flags.Float64("delta", 0.5, "threshold, 0…1; with a larger one more letters change")
	σ := flags.Float64("sigma", 0.01, "standard deviation of the noise on it, in probabilities")
	λ := flags.Float64("lambda", 0.1, "probability that a letter below the threshold stays, from 0 up, below 1")
	mutate := flags.Float64("mutate", 0, "baseline: replace each letter with this probability by any other")
	tail := flags.Int("tail", 0, "baseline: draw this many last letters from the sampler")
	n := flags.Int("n", 10, "edits of each word")
	seed := flags.Uint64("seed", 0, "seed of the edits; equal seeds print equal edits")
	judge := flags.String("judge", "", "take rewards from the environment `SPEC` of the same words")
	asJSON := jsonFlag(flags)
	t, args, err := c.checkpoint(flags, math.MaxInt32)
	if err != nil {
		return err
	}
	var e *gfn.Editor
	switch {
	case *mutate != 0:
		e, err = gfn.NewMutator(t.Env, *mutate)
	case *tail != 0:
		e, err = gfn.NewTailEditor(t.Env, t.PF(), *tail)
	default:
		e, err = gfn.NewEditor(t.Env, t.PF(), *δ, *σ, *λ)
	}
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
		return usagef("%s", oneLine(err))
	}
	c.begin("editing")
	logReward, err := judgeOf(*judge, q)
	if err != nil {
		return err
	}
	p := editPrinter{call: c, json: *asJSON, words: q, logReward: logReward}
	for i, word := range words {
		// iterations that neither training nor gfn sample reaches
		edits, err := e.Edit(word, *n, gfn.Sampling{Seed: t.Config.Seed + *seed, Iteration: 1<<62 + uint64(i)})
		if err == nil {
			err = p.print(word, edits)
		}
		if err != nil {
			return err
		}
	}
	return p.printMeans(t)
}

// judgeOf returns the log reward of words of q: that of another environment of the same words if spec names one.
func judgeOf(spec string, q *gfn.Sequence) (func(word []int) float64, error) {
	if spec == "" {
		return q.LogReward, nil
	}
	env, err := gfn.ParseEnv(spec)
	judge, ok := env.(*gfn.Sequence)
	if err == nil && !ok {
		err = errors.New("no words; name a sequence")
	}
	for token := 0; err == nil && token < q.Shape().Forward-1; token++ {
		_, err = judge.Parse(q.Format(slices.Repeat([]int{token}, q.Shape().Dim)))
	}
	if err != nil {
		return nil, usagef("-judge %s: %s", spec, oneLine(err))
	}
	return func(word []int) float64 {
		x, _ := judge.Parse(q.Format(word)) // it can: all tokens were tried
		return judge.LogReward(x)
	}, nil
}

// editPrinter prints edits of words.
type editPrinter struct {
	*call
	json      bool
	words     *gfn.Sequence
	logReward func(word []int) float64
	figures   []numbers // of each word
}

// print prints the edits of a word.
func (p *editPrinter) print(word []int, edits [][]int) error {
	reward := func(x []int) float64 { return math.Exp(p.logReward(x)) }
	for _, x := range edits {
		n, text, edited := gfn.Levenshtein(word, x), p.words.Format(word), p.words.Format(x)
		err := p.printFigures(p.json, object{"event": "edit", "seed": text, "edited": edited, "edits": n},
			fmt.Sprintf("%s  %s  %-10.4g  %-10.4g  %d\n", text, edited, reward(word), reward(x), n), []figure{
				{"reward", "seed_reward", "", reward(x), reward(word)},
				{"log_reward", "seed_log_reward", "", p.logReward(x), p.logReward(word)},
			})
		if err != nil {
			return err
		}
	}
	m := gfn.MeasureEdits(word, edits, reward)
	p.figures = append(p.figures, numbersOf([]figure{
		{"reward_before", "improvement", "", reward(word), m.Improvement},
		{"edit_percentage", "diversity", "", m.Percentage, m.Diversity},
	}))
	return nil
}

// printMeans prints means over words with their standard errors.
func (p *editPrinter) printMeans(t *gfn.Trainer) error {
	mean := func(key, label string) figure {
		e := meanOf(p.figures, key)
		return figure{key, key + "_se", label, e.mean, e.err}
	}
	o := object{"event": "final", "env": t.Spec(), "method": t.Config.Method, "words": len(p.figures)}
	return p.printFigures(p.json, o, "\n\tmean\tstandard error\n", []figure{
		mean("reward_before", "reward before"),
		mean("improvement", "property improvement"),
		mean("edit_percentage", "edit percentage"),
		mean("diversity", "diversity"),
	})
}
