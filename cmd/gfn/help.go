package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"gfn"
)

const helpAbout = `Describes a command or a topic.`

const overview = `gfn trains GFlowNets: samplers that build an object step by step and draw each
one with probability proportional to its reward.

  gfn train                              learn an 8×8 grid, in about ten seconds
  gfn train -env hypergrid:dim=4,height=8 -method subtb-b -out results
  gfn exact -env hypergrid:dim=2,height=64,r0=0.001
  gfn compare -methods tb-u,rl-u,rl-g -seeds 3 -out comparison
  gfn eval results/checkpoint.gfn
  gfn sample results/checkpoint.gfn -n 100
  gfn edit words/checkpoint.gfn ACGTACGT

`

const filesHelp = `Files are text of at most 64 MiB; blank lines are skipped.

table    of sequence:reward=table,file=…   CSV with the header word,score and a line for every word
           word,score
           AAAA,0.13
motif    of sequence:reward=motif,file=…   position weights: for every slot a line with a number for every token
modes    of sequence:reward=modes,file=…   a word on every line
factors  of sequence:reward=factors,file=… a factor graph: log R is β times the sum of a weight of each line, by the tokens in its slots
           factor 0 : 0.5 -0.5
           factor 0 2 : 1 -1 -1 1
         Slots are counted from 0. Of slots i j and tokens AB the weights are those of AA AB BA BB: the last slot changes fastest.
graph    of explicit:file=…                lines in any order; a node with a reward is terminating
           edge FROM TO
           reward NODE R
         Nodes are whole numbers from 0 up. One node alone, the source, has no edge into it;
         there is no cycle, and from every node a way to one with a reward.
data     of dag:file=…                     a header line with the names of the variables, then a line with a
                                           number for each; tabs, commas, ; or blanks between them
           rain,sprinkler,wet
           0.1,2.5,1.9
In motifs, modes, factors and graphs a # begins a comment and blanks separate numbers.

Written by train -out DIR, each of them whole or not at all:
  checkpoint.gfn   everything to continue, evaluate or sample; versioned and checksummed
  curves.svg       learning curves
  target.png, learned.png   of a two-dimensional grid, on one scale: first coordinate to the right, second upwards;
                   removed where there is nothing of the kind to show

The checkpoint is written at evaluations too, where the last one is some seconds old.

Written by compare -out DIR:
  runs.jsonl                runs that are done, each a JSON object on a line (damaged lines are not used): env, checksum and config,
                            on which its numbers depend, method, seed, curve and final evaluation
  compare-iterations.svg, compare-seconds.svg   means over seeds with bands of their standard errors

Written by sample to standard output: CSV with the header object,log_reward,log_pf,steps.
Written by -json to standard output: JSON, an object on a line. What cannot be computed is absent.
  train     event eval, and at the end final; accepted, rejected, step_fraction and step_kl are of the
            trust-region steps since the evaluation before, and in final of all
  compare   event run, with the figures of train's final, and then event method, with means over seeds:
            KEY at the end, KEY_late over the last tenth of the iterations, and KEY_se, KEY_late_se
  eval      event final, with the figures of train's; with -words also words, pearson and spearman
  edit      event edit: seed (the word), edited, edits (to insert, delete or replace a letter), reward, seed_reward and their
            logs log_reward, seed_log_reward; event final: reward_before, improvement, edit_percentage, diversity, and KEY_se
  exact     env, states, edges, terminating, logz, mean_reward, and modes where there are any
  check     env, name, left, right, slack, ok, and equal where left = right is stated, not left ≤ right
`

// topics are what help describes beside the commands.
func topics() map[string]func() string {
	return map[string]func() string{
		"environments": func() string {
			return "SPEC is name:key=value,key=value. Every key may be left out.\n\n" + gfn.EnvHelp()
		},
		"methods": methodsHelp,
		"files":   func() string { return filesHelp },
	}
}

func help(c *call) error {
	positional := []string{"TOPIC"}
	if len(c.args) == 0 {
		positional = nil
	}
	positional, err := c.parse(nil, positional...)
	if err != nil {
		return err
	}
	if len(positional) == 0 {
		return c.overview()
	}
	name := positional[0]
	if text, ok := topics()[name]; ok {
		_, err := fmt.Fprint(c.stdout, text())
		return err
	}
	about, err := findCommand(name)
	if err != nil {
		known := append(commandNames(), "environments", "methods", "files")
		return usagef("no help on %q%s (topics: %s)", name, didYouMean(name, known, ""), strings.Join(known, ", "))
	}
	c.command, c.args = about, []string{"-h"}
	if about.name == "help" {
		return c.overview()
	}
	return about.run(c)
}

func (c *call) overview() error {
	w := tabwriter.NewWriter(c.stdout, 0, 0, 3, ' ', 0)
	fmt.Fprint(w, overview, "Commands; \"gfn help COMMAND\" lists the flags of one:\n\n")
	for _, command := range commands() {
		first, _, _ := strings.Cut(command.about, "\n")
		fmt.Fprintf(w, "  %s\t%s\n", command.name, first)
	}
	fmt.Fprint(w, "\nTopics: gfn help environments, gfn help methods, gfn help files\n\n",
		"Exit status: 0 done, 1 failed while running, 2 unusable arguments, 130 interrupted.\n")
	return w.Flush()
}

func methodsHelp() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	for _, m := range gfn.Methods() {
		lambda := ""
		if m.Lambda == m.Lambda { // not NaN
			lambda = fmt.Sprintf(", -lambda %v", m.Lambda)
		}
		fmt.Fprintf(w, "%s\t%s%s\n", m.Name, m.Title, lambda)
	}
	w.Flush()
	return text.String()
}
