package main

import (
	"fmt"
	"io"
	"strings"

	"gfn"
)

const overview = `gfn trains GFlowNets: samplers that build an object step by step and draw each
one with probability proportional to its reward.

  gfn train                              learn an 8×8 grid, in about ten seconds
  gfn train -env hypergrid:dim=4,height=8 -method subtb-b -out results
  gfn compare -methods tb-u,rl-u,rl-g -seeds 3 -out comparison
  gfn sample results/checkpoint.gfn -n 100

Commands; "gfn help COMMAND" lists the flags of one:

`

const filesHelp = `Environments read text; blank lines are skipped. In motifs, modes, factors and
graphs, # begins a comment and blanks separate numbers.

sequence:reward=table,file=…    CSV: the header word,score, a line for each word
sequence:reward=motif,file=…    for each slot a line of a weight for each token
sequence:reward=modes,file=…    a word on each line
sequence:reward=factors,file=…  log R is β times a sum of weights of lines,
                                by the tokens A, B in its slots, counted from 0
    factor 0 : 0.5 -0.5         for A, B in slot 0
    factor 0 2 : 1 -1 -1 1      for AA, AB, BA, BB in slots 0 and 2
explicit:file=…                 a graph, lines in any order
    edge FROM TO                nodes are whole numbers; one source, no cycle
    reward NODE R               each node leads to one with a reward
dag:file=…                      data: a line of names, then lines of numbers,
                                separated by tabs, commas, ; or blanks

train -out DIR writes each file whole or not at all:
  checkpoint.gfn            what it takes to continue, evaluate or sample; also
                            written every minute
  curve.jsonl               the evaluations, as with -json
  curves.svg                learning curves
  target.png, learned.png   heat maps of a two-dimensional grid, x to the right,
                            y upwards, on one scale from black (0) to white
compare -out DIR writes runs.jsonl (the runs that are done, each a JSON object
on a line), compare-iterations.svg and compare-seconds.svg (means over seeds,
with bands of their standard errors).
sample writes CSV with the header object,log_reward,log_pf,steps.

With -json, each line is a JSON object. What cannot be computed is absent.
  train     event eval, and event final at the end; accepted, rejected,
            step_fraction and step_kl are of the trust-region steps since the
            evaluation before
  compare   event run, with the figures of train's final, KEY_late for means
            over the last tenth of the iterations, and ms_per_iteration; then
            event method, with means over seeds, and KEY_se, standard errors
  eval      event final as of train; with -words also words, pearson, spearman
  edit      event edit: seed (the word), edited, edits (insertions, deletions
            and replacements), reward, log_reward, seed_reward, seed_log_reward;
            event final: reward_before, improvement, edit_percentage, diversity
            and their standard errors KEY_se
  exact     env, states, edges, terminating, logz, mean_reward, mean_log_reward,
            modes
  check     env, name, left, right, slack, ok, and equal if left = right is
            stated, not left ≤ right
`

// topic returns the text of a topic that is no command, empty if there is none of that name.
func topic(name string) string {
	switch name {
	case "environments":
		return "SPEC is name:key=value,key=value. Every key may be left out.\n\n" + gfn.EnvHelp()
	case "files":
		return filesHelp
	case "methods":
		var text strings.Builder
		for _, m := range gfn.Methods() {
			title := m.Title
			if isFinite(m.Lambda) {
				title += fmt.Sprintf(", -lambda %v", m.Lambda)
			}
			fmt.Fprintf(&text, "%-11s %s\n", m.Name, title)
		}
		return text.String()
	}
	return ""
}

func help(c *call) error {
	positional, err := c.parse(c.newFlags(), 0, 1)
	if err != nil {
		return err
	}
	if len(positional) == 0 {
		text := overview
		for _, command := range commands() {
			first, _, _ := strings.Cut(command.about, "\n")
			text += fmt.Sprintf("  %-9s %s\n", command.name, first)
		}
		text += "\nTopics: gfn help environments, gfn help methods, gfn help files\n\n" +
			"Exit status: 0 done, 1 failed, 2 unusable arguments, 130 interrupted.\n"
		_, err := io.WriteString(c.stdout, text)
		return err
	}
	if text := topic(positional[0]); text != "" {
		_, err := io.WriteString(c.stdout, text)
		return err
	}
	about, err := findCommand(positional[0])
	if err != nil {
		return usagef("%w; topics are environments, methods, files", err)
	}
	c.command, c.args = about, []string{"-h"}
	return about.run(c)
}
