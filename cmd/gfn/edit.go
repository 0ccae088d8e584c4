package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"gfn"
)

const editAbout = `Edits words with a trained sampler, to raise their reward by few letters.
Words stand on the command line or, without any there, on standard input, one on
a line. From left to right, a letter that the sampler finds less likely than
delta times its first choice, give or take the noise sigma, is flagged and drawn
anew; with probability lambda it stays. Every edit is printed below its word,
changed letters marked, both with their rewards. At the end stand means over
words: property improvement (reward after less reward before), edit percentage
(edits of 100 letters) and diversity (edits from one edit of a word to another),
± their standard errors. Equal seeds print equal edits. The sampler must append:
train it with -env sequence:order=append,… Baselines are -mutate and -tail.`

// editArgs are the settings of edit.
type editArgs struct {
	delta, sigma, lambda float64
	n                    int
	seed                 uint64
	mutate               float64
	tail                 int
	judge                string
	json                 bool
}

// mostEdits bounds the edits of a word, all pairs of which are compared.
const mostEdits = 1000

func edit(c *call) error {
	a := editArgs{delta: 0.5, sigma: 0.01, lambda: 0.1, n: 10}
	positional, err := c.parse([]option{
		{"delta", "X", &a.delta, "threshold of a flag, 0…1: the larger, the more letters change"},
		{"sigma", "X", &a.sigma, "standard deviation of the noise on it, in probabilities"},
		{"lambda", "X", &a.lambda, "probability that a flagged letter stays, from 0 up, below 1"},
		{"n", "N", &a.n, "edits of each word"},
		{"seed", "N", &a.seed, "seed of the edits"},
		{"mutate", "X", &a.mutate, "baseline: replace each letter with probability X by any other, in place of editing"},
		{"tail", "N", &a.tail, "baseline: draw the last N letters from the sampler, in place of editing"},
		{"judge", "SPEC", &a.judge, "take rewards from this environment of the same words (default the checkpoint's own)"},
		jsonFlag(&a.json),
	}, "CHECKPOINT", "WORD…")
	if err != nil {
		return err
	}
	if a.n < 1 || a.n > mostEdits {
		return usagef("-n is %d; write a number from 1 to %d", a.n, mostEdits)
	}
	if err := checkCheckpoint(positional[0]); err != nil {
		return err
	}
	t, err := gfn.LoadFile(positional[0], nil, nil)
	if err != nil {
		return err
	}
	defer t.Close()
	q, err := appended(t, positional[0])
	if err != nil {
		return err
	}
	e, how, err := c.editor(t, a)
	if err != nil {
		return err
	}
	logR, err := judge(q, a.judge)
	if err != nil {
		return err
	}
	words, err := wordsToEdit(q, positional[1:])
	if err != nil {
		return err
	}
	return c.edit(t, q, e, how, a, logR, words)
}

// appended returns the environment of a trainer whose words can be edited.
func appended(t *gfn.Trainer, path string) (*gfn.Sequence, error) {
	q, ok := gfn.Unwrap(t.Env).(*gfn.Sequence)
	spec := "sequence:order=append"
	switch {
	case !ok:
		return nil, usagef("%s is of %s, which has no words to edit; train a sampler of words: gfn train -env %s", path, t.Spec(), spec)
	case q.Order() != gfn.Append:
		spec = strings.Replace(t.Spec(), fmt.Sprintf("order=%s", q.Order()), "order=append", 1)
		return nil, usagef("%s builds words by order=%s, and an edit goes from left to right; train with order=append: gfn train -env %s", path, q.Order(), quote(spec))
	}
	return q, nil
}

// editor returns what the flags ask for, and says what it is.
func (c *call) editor(t *gfn.Trainer, a editArgs) (e *gfn.Editor, how string, err error) {
	baseline := ""
	for _, name := range []string{"mutate", "tail"} {
		if slices.Contains(c.given, name) {
			if baseline != "" {
				return nil, "", usagef("-mutate and -tail are two baselines; write one of them")
			}
			baseline = name
		}
	}
	for _, name := range []string{"delta", "sigma", "lambda"} {
		if baseline != "" && slices.Contains(c.given, name) {
			return nil, "", usagef("-%s would have no effect with -%s; leave it out", name, baseline)
		}
	}
	switch baseline {
	case "mutate":
		e, err = gfn.NewMutator(t.Env, a.mutate)
		how = fmt.Sprintf("letters replaced with probability %v", a.mutate)
	case "tail":
		e, err = gfn.NewTailEditor(t.Env, t.PF(), a.tail)
		how = fmt.Sprintf("last %s drawn anew", count(a.tail, "letter"))
	default:
		e, err = gfn.NewEditor(t.Env, t.PF(), a.delta, a.sigma, a.lambda)
		how = fmt.Sprintf("delta %v, sigma %v, lambda %v", a.delta, a.sigma, a.lambda)
	}
	if err != nil {
		err = usagef("%s", strings.NewReplacer("editor: rate", "-mutate", "editor: ", "-").Replace(oneLine(err)))
	}
	return e, how, err
}

// judge returns the log reward of q's words, by another environment of the same words where spec names one.
func judge(q *gfn.Sequence, spec string) (func(word []int) float64, error) {
	if spec == "" {
		return q.LogReward, nil
	}
	env, err := gfn.ParseEnv(spec)
	if err != nil {
		return nil, usagef("-judge %s: %s", spec, oneLine(err))
	}
	other, ok := env.(*gfn.Sequence)
	if !ok {
		return nil, usagef("-judge %s: no words; name a sequence", spec)
	}
	shape := q.Shape()
	for token := range shape.Forward - 1 { // can all of q's words be read?
		if _, err := other.Parse(q.Format(slices.Repeat([]int{token}, shape.Dim))); err != nil {
			return nil, usagef("-judge %s: %s; name an environment of the checkpoint's words", spec, oneLine(err))
		}
	}
	return func(word []int) float64 {
		x, err := other.Parse(q.Format(word))
		if err != nil {
			panic(err)
		}
		return other.LogReward(x)
	}, nil
}

// wordsToEdit returns those of the command line or, without any, those of standard input.
func wordsToEdit(q *gfn.Sequence, args []string) (words [][]int, err error) {
	if len(args) > 0 {
		words, err = parseWords(q, slices.Values(args), func(int) string { return "" })
	} else if terminal(os.Stdin) == nil {
		var text []byte
		if text, err = io.ReadAll(os.Stdin); err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		words, err = parseWords(q, strings.Lines(string(text)), func(line int) string { return fmt.Sprintf("standard input:%d: ", line) })
	}
	if err == nil && len(words) == 0 {
		err = usagef("no words; write them behind the checkpoint, or pipe them in, one on a line")
	}
	return words, err
}

// edit prints the edits of all words, and their figures.
func (c *call) edit(t *gfn.Trainer, q *gfn.Sequence, e *gfn.Editor, how string, a editArgs, logR func(word []int) float64, words [][]int) error {
	ctx, stop := c.interruptible()
	defer stop()
	reward := func(word []int) float64 { return math.Exp(logR(word)) }
	var all []gfn.EditFigures
	for i, seed := range words {
		if ctx.Err() != nil {
			fmt.Fprintf(c.stderr, "stopped after %d of %s\n", i, count(len(words), "word"))
			return errInterrupted
		}
		// iterations that neither training nor gfn sample reaches
		edits, err := e.Edit(seed, a.n, gfn.Sampling{Seed: t.Config.Seed + a.seed, Iteration: 1<<62 + uint64(i)})
		if err != nil {
			return err
		}
		for _, x := range edits {
			d := difference{q.Format(seed), q.Format(x), gfn.Levenshtein(seed, x), logR(seed), logR(x)}
			print := d.print
			if a.json {
				print = d.printJSON
			}
			if err := print(c.stdout); err != nil {
				return err
			}
		}
		all = append(all, gfn.MeasureEdits(seed, edits, reward))
	}
	before := estimateOf(words, reward)
	improvement := estimateOf(all, func(m gfn.EditFigures) float64 { return m.Improvement })
	percentage := estimateOf(all, func(m gfn.EditFigures) float64 { return m.Percentage })
	diversity := estimateOf(all, func(m gfn.EditFigures) float64 { return m.Diversity })
	if a.json {
		object := map[string]any{"event": "final", "env": t.Spec(), "method": t.Config.Method, "editor": how, "words": len(words), "edits_each": a.n}
		numbersOf([]figure{
			{"reward_before", "reward_before_se", "", before.mean, before.err},
			{"improvement", "improvement_se", "", improvement.mean, improvement.err},
			{"edit_percentage", "edit_percentage_se", "", percentage.mean, percentage.err},
			{"diversity", "diversity_se", "", diversity.mean, diversity.err},
		}).into(object)
		return printJSON(c.stdout, object)
	}
	w := tabwriter.NewWriter(c.stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "%s, %s of each: %s\n\n", count(len(words), "word"), count(a.n, "edit"), how)
	for _, row := range []struct {
		label string
		estimate
	}{{"reward before", before}, {"property improvement", improvement}, {"edit percentage", percentage}, {"diversity", diversity}} {
		if isFinite(row.mean) {
			fmt.Fprintf(w, "%s\t%s\n", row.label, row.estimate)
		}
	}
	return w.Flush()
}

// difference is an edit beside its word.
type difference struct {
	seed, edited string
	edits        int
	logR, after  float64
}

// print writes the word, the edit below it and marks below what changed, in pieces as wide as w.
func (d difference) print(w io.Writer) error {
	const figures = 24 // columns
	seed, edited := []rune(d.seed), []rune(d.edited)
	for width := max(8, columns(w)-figures); len(seed) > 0; {
		n := min(width, len(seed))
		marks, before, after := strings.Repeat(" ", n), "", ""
		for i := range n {
			if seed[i] != edited[i] {
				marks = marks[:i] + "^" + marks[i+1:]
			}
		}
		if n == len(seed) { // the last piece
			before = fmt.Sprintf("  %.4g", math.Exp(d.logR))
			after = fmt.Sprintf("  %-10.4g %s", math.Exp(d.after), count(d.edits, "edit"))
		}
		if marks = strings.TrimRight(marks, " "); marks != "" {
			marks += "\n"
		}
		if _, err := fmt.Fprintf(w, "%s%s\n%s%s\n%s\n", string(seed[:n]), before, string(edited[:n]), after, marks); err != nil {
			return err
		}
		seed, edited = seed[n:], edited[n:]
	}
	return nil
}

func (d difference) printJSON(w io.Writer) error {
	object := map[string]any{"event": "edit", "seed": d.seed, "edited": d.edited, "edits": d.edits}
	numbersOf([]figure{
		{"seed_reward", "reward", "", math.Exp(d.logR), math.Exp(d.after)},
		{"seed_log_reward", "log_reward", "", d.logR, d.after},
	}).into(object)
	return printJSON(w, object)
}
