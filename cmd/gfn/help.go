package main

import (
	"fmt"
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

const filesHelp = `Environments read text in UTF-8; # begins a comment. Semicolons, commas or else
blanks separate fields, in tables and data also tabs.

sequence:reward=table,file=…    CSV: the header word,score, a line for each word
sequence:reward=motif,file=…    for each slot a line of a weight for each token;
                                JASPAR has a line for each token: transpose it
sequence:reward=modes,file=…    a word on each line
sequence:reward=factors,file=…  log R is β times a sum of weights of lines,
                                by the tokens A, B in its slots, counted from 0
    factor 0 : 0.5 -0.5         for A, B in slot 0
    factor 0 2 : 1 -1 -1 1      for AA, AB, BA, BB in slots 0 and 2
explicit:file=…                 a graph, lines in any order
    edge FROM TO                nodes are whole numbers; one source, no cycle
    reward NODE R               each node leads to one with a reward
    name NODE LABEL             how output calls it, by default its number
dag:file=…                      data: a line of names, then lines of numbers

train -out DIR writes each file whole or not at all:
  checkpoint.gfn            what it takes to continue, evaluate or sample; also
                            written every minute
  curve.jsonl               the evaluations, as with -json
  curves.svg                learning curves
  target.png, learned.png   heat maps of a two-dimensional grid, x to the right,
                            y upwards, on one scale from black (0) to white
compare -out DIR writes runs.jsonl (the runs that are done, each a JSON object
on a line) and compare.svg (means over seeds, with bands of their standard
errors). sample writes CSV with the columns object, log_reward, log_pf, steps;
eval -objects FILE with object, log_probability, log_target, log_reward,
standard_error.
`

const figuresIntro = `A line for each row of the tables and each key of the JSON lines: KEY (ROW):
meaning. With -json each line is an object, and "gfn help files" says which of
them curve.jsonl keeps. A figure that cannot be computed is absent. Beside a
figure stands that of a perfect sampler: in the table's last column, and as
KEY_exact, or KEY_perfect if it is the mean of so many samples. compare adds
KEY_late, the mean over the last tenth of the iterations. KEY_se is the standard
error of a mean: over seeds for compare, over words for edit.

`

// figuresHelp has a line for each figure: its key, its row in the tables or –, and its meaning.
const figuresHelp = `event | – | eval and, at the end, final; run and method of compare; word of eval -words; edit
env | – | the environment, with all its keys
note | – | what stands for rewards that are 0, too low or missing
method | – | what it was trained by
seed | – | of the training; of edit: the word before its edit
iteration | – | iterations done; 0 is the untrained sampler
trajectories | – | drawn in training until then
train_seconds | – | of training alone, evaluations left out
loss | – | mean over the iterations since the evaluation before
tv | total variation | ½ Σ |p − q|, where p(x) = PF⊤(x) is what the sampler samples, and q(x) = R(x)/Z* the target
tv_certified |   certified by its residuals | a bound of it from residuals alone: tanh((max c − min c)/4)
jsd | Jensen–Shannon divergence | of p and q, nats
kl | KL(sampler ‖ target) | Σ p log(p/q), nats
logz | log Z | learned; of exact: log Z*, the logarithm of the sum of all rewards
logz_error | |log Z error| | the size of learned less exact, nats
elbo | ELBO ≤ log Z* | E[log R + log PB − log PF] over the sampler's trajectories
eubo | EUBO ≥ log Z* | the same over those of the target and PB
mean_reward | mean reward | E[R] over what the sampler samples; of exact: over the target
mean_log_reward | mean log R | E[log R] over the same, finite even where R is too large for a float64
modes_found | modes found in training | different modes drawn until then
accepted | trust-region steps accepted | of those since the evaluation before (rl-t)
rejected |   rejected | the others of them
step_fraction |   mean part of the full step | of the accepted ones
step_kl |   mean KL reached | of the accepted ones, nats
samples | samples | trajectories drawn for the figures below
sampled_tv |   total variation | of the empirical distribution of the samples from q
sampled_jsd |   Jensen–Shannon divergence | of the same, nats
sampled_mean_reward |   mean reward | of the samples
distinct |   different objects | in the samples
modes | different modes | in the samples; of exact: all of them
edge_rms | edge probabilities, rms error | of structures: over pairs of nodes, learned less exact
edge_most |   largest error | of an edge
path_rms | path probabilities, rms error | that a path leads from a node to another
path_most |   largest error | of a path
blanket_rms | Markov blankets, rms error | that a node is in the Markov blanket of another
blanket_most |   largest error | of a pair in a Markov blanket
words | test words | in the file of -words, or edited
pearson |   correlation of log PF⊤ and log R | linear, over the words
spearman |   of their ranks | the same of ranks
object | object | as its environment writes it
log_probability | log PF⊤ | that the sampler samples it; beyond enumeration estimated from -paths trajectories
log_target | log R/Z* | of the target, where it is enumerated
log_reward | log R | of the object
standard_error | standard error | of log_probability; 0 if it is exact
states | states | reached from the source
edges | edges, exits included | actions in all states
terminating | terminating states | states that can be the object
seeds | – | runs of a method
edited | – | an edit of the word
edits | – | letters inserted, deleted or replaced
reward | – | of the edit
reward_before | reward before | of the words, mean
improvement | property improvement | reward of the edits less that of their word, mean
edit_percentage | edit percentage | edits of 100 letters
diversity | diversity | letters from one edit of a word to another
name | guarantee | of check; -explain says what it states
left | left | its left side, in nats or probabilities, on the policies that come nearest to breaking it
right | right | its right side
slack | slack | right less left
ok | holds | whether it holds
equal | – | whether left = right is stated, not left ≤ right
`

// labels returns the row in the tables of each figure's key.
func labels() map[string]string {
	rows := map[string]string{}
	for line := range strings.Lines(figuresHelp) {
		cells := strings.SplitN(line, " | ", 3)
		rows[cells[0]] = cells[1]
	}
	return rows
}

// explanations says of each guarantee what it states, its function, its section of doc.go and its test.
const explanations = "" +
	`sampling error | TV(PF⊤, R/Z*) ≤ √(½ KL(PF ‖ PB R/Z*)) | SamplingError | 5 | TestGuaranteesByDefinition
evidence lower bound | ELBO ≤ log Z* | EvidenceBounds | 5 | TestGuaranteesByDefinition
evidence upper bound | log Z* ≤ EUBO | EvidenceBounds | 5 | TestGuaranteesByDefinition
marginal gap | KL(PF ‖ PB R/Z*) = KL(PF⊤ ‖ R/Z*) + E_x KL(PF(τ|x) ‖ PB(τ|x)) | MarginalGap | 4 | TestGuarantees
performance difference | J' − J = E_P'[Σ A] + KL(P' ‖ P) | Improvement | 5 | TestGuaranteesByDefinition
improvement, TV | J' − J ≤ L + KL(P' ‖ P) + 2εH TV(P', P) | Improvement | 5 | TestGuaranteesByDefinition
improvement, KL | J' − J ≤ L + KL(P' ‖ P) + εH √(2 KL(P' ‖ P)) | Improvement | 5 | TestGuaranteesByDefinition
improvement, worst state | J' − J ≤ L + Hκ + εH √(2Hκ) | Improvement | 5 | TestGuaranteesByDefinition
trajectory KL | KL(P' ‖ P) ≤ Hκ | Improvement | 5 | TestGuaranteesByDefinition
visits | Σ_s |d'(s) − d(s)| ≤ 2H TV(P', P) | Improvement | 5 | TestGuaranteesByDefinition
Pinsker | TV(P', P) ≤ √(½ KL(P' ‖ P)) | Improvement | 5 | TestGuaranteesByDefinition
trajectory TV | TV(P', P) ≤ Σ_s d(s) TV(P'(·|s), P(·|s)) | Improvement | 5 | TestGuaranteesByDefinition
guided difference | J^G − J = E_PF[log PB(τ|x) − log PG(τ|x)] | Guiding | 5 | TestGuidingByDefinition
guided coupling | |J^G − J − J_B^G| ≤ M √(2 KL(PF ‖ ρPB)) | Guiding | 5 | TestGuidingByDefinition
coupling KL | KL(PF ‖ ρPB) ≤ KL(PF ‖ PB R/Z*) | Guiding | 5 | TestGuidingByDefinition
residual certificate | TV(PF⊤, R/Z*) ≤ tanh((max c − min c)/4) | ResidualCertificate | 5 | TestResidualCertificate
path consistency | E[path's control residual] = −α E[SubTB's] | Control | 6 | TestControlIsBalance
soft Q-learning | E[Σ (Q − r − V)²] = E[Σ (α DB)²] | Control | 6 | TestControlIsBalance
π-SQL | the same, with flows log R(s) − log PF(sf|s) | Control | 6 | TestControlIsBalance
forward-looking | the same, with the reward shaped by α log R̂ | Control | 6 | TestControlIsBalance
soft value | V(s0) = α log Z*, corrected reward | Control | 6 | TestSoftValue
soft policy | TV(π⊤, R/Z*) = 0, corrected reward | Control | 6 | TestSoftValue
uncorrected soft value | V(s0) = α log Σ n(x) R(x) | Control | 6 | TestSoftValue
uncorrected soft policy | TV(π⊤, n R/Σ n R) = 0 | Control | 6 | TestSoftValue
random policy value | log V(s0) = log Σ d(x) g(x) R(x) | UniformValue | 7 | TestRandomPolicyEvaluation
random policy | TV(PF⊤, d g R/V(s0)) = 0 | UniformValue | 7 | TestRandomPolicyEvaluation
random policy bias | TV(PF⊤, R/Z*) ≤ √(½ KL(PF ‖ PB R/Z*)), PB uniform | UniformValue | 7 | TestRandomPolicyEvaluation
random policy target | TV(PF⊤, R/Z*) = 0 if g is the same by every path | UniformValue | 7 | TestRandomPolicyEvaluation
random policy flows | max |log V − log g − log F*| = 0, likewise | UniformValue | 7 | TestRandomPolicyEvaluation
random policy visits | max |log d + log g| = 0, likewise | UniformValue | 7 | TestRandomPolicyEvaluation
edit distance | E[lev(x, x̂)] ≤ E[Hamming(x, x̂)] | Editing | 8 | TestEditingBounds
edited letters | E[Hamming(x, x̂)] ≤ T (1−λ)(1 − Φ(−δ/σ)) | Editing | 8 | TestEditingBounds
edited reward | [(1−λ)(1 − Φ((1−δ)/σ))]^T E_π[R] ≤ E[R(x̂)] | Editing | 8 | TestEditingBounds
`

// topic returns the text of a topic that is no command, empty if there is none of that name.
func topic(name string) string {
	switch name {
	case "environments":
		return "SPEC is name:key=value,key=value. Every key may be left out.\n\n" + gfn.EnvHelp()
	case "files":
		return filesHelp
	case "figures":
		text := figuresIntro
		for line := range strings.Lines(figuresHelp) {
			cells := strings.SplitN(line, " | ", 3)
			text += fmt.Sprintf("%s (%s): %s", cells[0], strings.TrimSpace(cells[1]), cells[2])
		}
		return strings.ReplaceAll(text, " (–)", "")
	case "methods":
		var text strings.Builder
		for _, m := range gfn.Methods() {
			title := m.Title
			if m.Lambda > 0 {
				title += fmt.Sprintf(", -lambda %v", m.Lambda)
			}
			fmt.Fprintf(&text, "%-11s %s\n", m.Name, title)
		}
		return text.String()
	}
	return ""
}

func help(c *call) error {
	positional, err := c.parse(0, 1)
	if err != nil {
		return err
	}
	if len(positional) == 0 {
		text := overview
		for _, command := range commands() {
			first, _, _ := strings.Cut(command.about, "\n")
			text += fmt.Sprintf("  %-9s %s\n", command.name, first)
		}
		text += "\nTopics: gfn help environments, gfn help methods, gfn help figures, gfn help files\n\n" +
			"Exit status: 0 done, 1 failed, 2 unusable arguments, 130 interrupted.\n"
		return c.printText(text)
	}
	if text := topic(positional[0]); text != "" {
		return c.printText(text)
	}
	about, err := findCommand(positional[0])
	if err != nil {
		return usagef("%w; topics are environments, methods, figures, files", err)
	}
	c.command, c.args = about, []string{"-h"}
	return about.run(c)
}
