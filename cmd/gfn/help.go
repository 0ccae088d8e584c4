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
on a line), compare-iterations.svg and compare-seconds.svg (means over seeds,
with bands of their standard errors).
sample writes CSV with the header object,log_reward,log_pf,steps, and
eval -objects FILE with object,log_probability,log_target,log_reward.

With -json, each line is a JSON object. What cannot be computed is absent.
  train     event eval, and event final at the end; accepted, rejected,
            step_fraction and step_kl are of the trust-region steps since the
            evaluation before; tv_certified bounds tv by the residuals
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
