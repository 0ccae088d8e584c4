package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"gfn"
)

// figure is a number of a report, with the value of a perfect sampler beside
// it. One that is not finite was not computed, and is left out.
type figure struct {
	key, perfectKey string // in JSON; no perfectKey where that value is obvious
	label           string // in the table; empty: in JSON only
	value, perfect  float64
}

var none = math.NaN()

// figures lists what e says of t: first what is exact where it can be, then what is sampled.
func figures(t *gfn.Trainer, e gfn.Evaluation) []figure {
	s, mean, meanLog, ratio := e.Samples, none, none, none
	if t.Graph != nil {
		mean, meanLog, ratio = meanReward(t.Graph), meanLogReward(t.Graph), e.MeanReward
		e.MeanReward *= mean
	}
	all := []figure{
		{"loss", "", "", e.Loss, none},
		{"tv", "", "total variation", e.TV, 0},
		{"jsd", "", "Jensen–Shannon divergence", e.JSD, 0},
		{"kl", "", "KL(sampler ‖ target)", e.KL, 0},
		{"logz", "logz_exact", "log Z", e.LogZ, e.LogZExact},
		{"logz_error", "", "log Z error", e.LogZ - e.LogZExact, 0},
		{"abs_logz_error", "", "", math.Abs(e.LogZ - e.LogZExact), none},
		{"elbo", "", "ELBO ≤ log Z", e.ELBO, e.LogZExact},
		{"eubo", "", "EUBO ≥ log Z", e.EUBO, e.LogZExact},
		{"mean_reward", "mean_reward_exact", "mean reward", e.MeanReward, mean},
		{"mean_reward_ratio", "", "", ratio, none},
		{"mean_log_reward", "mean_log_reward_exact", "mean log R", e.MeanLogReward, meanLog},
	}
	if e.Accepted+e.Rejected > 0 {
		all = append(all,
			figure{"accepted", "", "trust-region steps accepted", e.Accepted, none},
			figure{"rejected", "", "  rejected", e.Rejected, none},
			figure{"step_fraction", "", "  mean part of the full step", e.StepFraction, none},
			figure{"step_kl", "", "  mean KL reached", e.StepKL, none},
		)
	}
	if isFinite(e.ModesFound) {
		all = append(all, figure{"modes_found", "", "modes found in training", e.ModesFound, none})
	}
	if s.N == 0 {
		return all
	}
	return append(all,
		figure{"samples", "", "samples", float64(s.N), none},
		figure{"sampled_tv", "sampled_tv_perfect", "  total variation", s.TV, s.TVPerfect},
		figure{"sampled_jsd", "sampled_jsd_perfect", "  Jensen–Shannon divergence", s.JSD, s.JSDPerfect},
		figure{"sampled_mean_reward", "", "  mean reward", s.MeanReward * mean, mean},
		figure{"distinct", "distinct_perfect", "  different objects", s.Distinct, s.DistinctPerfect},
		figure{"modes", "modes_perfect", "  different modes", s.Modes, s.ModesPerfect},
	)
}

// structure lists, for structure learning, how far the edge, path and Markov-blanket probabilities of what is sampled are from the
// exact posterior's: root mean square and largest difference over pairs of nodes.
func structure(t *gfn.Trainer) (all []figure) {
	d, ok := gfn.Unwrap(t.Env).(*gfn.DAG)
	if !ok || t.Graph == nil {
		return nil
	}
	logPF, _ := t.Policies()
	exact, learned := d.Marginals(t.Graph, t.Graph.LogTarget()), d.Marginals(t.Graph, t.Graph.LogTerminating(logPF))
	for _, m := range []struct {
		key, label     string
		exact, learned [][]float64
	}{{"edge", "edge probabilities", exact.Edge, learned.Edge}, {"path", "path probabilities", exact.Path, learned.Path}, {"blanket", "Markov blankets", exact.Blanket, learned.Blanket}} {
		rms, _, most := gfn.Deviation(m.exact, m.learned)
		all = append(all, figure{m.key + "_rms", "", m.label + ", rms error", rms, 0}, figure{m.key + "_most", "", "  largest error", most, 0})
	}
	return all
}

// meanReward returns E[R] of the target, Σ R²/Z*.
func meanReward(g *gfn.Graph) float64 {
	twice := make([]float64, g.Len())
	for i, r := range g.LogR {
		twice[i] = 2 * r
	}
	return math.Exp(gfn.LogSumExp(twice) - g.LogZ())
}

// meanLogReward returns E[log R] of the target, where R itself may be beyond what a float64 holds.
func meanLogReward(g *gfn.Graph) (sum float64) {
	for row, l := range g.LogTarget() {
		if p := math.Exp(l); p > 0 {
			sum += p * g.LogR[row]
		}
	}
	return sum
}

func isFinite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// numbers are figures by their key; those that were not computed are absent.
type numbers map[string]float64

func numbersOf(figures []figure) numbers {
	n := numbers{}
	for _, f := range figures {
		n.put(f.key, f.value)
		n.put(f.perfectKey, f.perfect)
	}
	return n
}

func (n numbers) put(key string, x float64) {
	if key != "" && isFinite(x) {
		n[key] = x
	}
}

// get returns NaN where key is absent.
func (n numbers) get(key string) float64 {
	if x, ok := n[key]; ok {
		return x
	}
	return none
}

// pointOf returns a point of a learning curve.
func pointOf(t *gfn.Trainer, e gfn.Evaluation) numbers {
	n := numbersOf(figures(t, e))
	n["iteration"], n["trajectories"], n["train_seconds"] = float64(e.Iteration), float64(e.Trajectories), e.TrainSeconds
	return n
}

// record is the JSON object of an event.
func record(event, env string, c gfn.Config, n numbers) map[string]any {
	object := map[string]any{"event": event, "env": env, "method": c.Method, "seed": c.Seed}
	n.into(object)
	return object
}

// into adds n to a JSON object.
func (n numbers) into(object map[string]any) {
	for key, x := range n {
		object[key] = x
	}
}

// printJSON prints an object on a line of its own.
func printJSON(w io.Writer, object any) error {
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}

// printReport prints what training or evaluation ended with.
func printReport(w io.Writer, t *gfn.Trainer, e gfn.Evaluation, more []figure) error {
	if target, learned, ok := gridMaps(t); ok {
		if err := printMaps(w, target, learned); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(w, "%s on %s\nseed %d, %s, %s, %.1f s of training\n\n",
		t.Config.Method, t.Spec(), t.Config.Seed, count(int(e.Iteration), "iteration"), count(int(e.Trajectories), "trajectory"), e.TrainSeconds); err != nil {
		return err
	}
	return printFigures(w, append(figures(t, e), more...))
}

func printFigures(w io.Writer, figures []figure) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintf(table, "\tlearned\tperfect sampler\n")
	for _, f := range figures {
		if f.label != "" && isFinite(f.value) {
			fmt.Fprintf(table, "%s\t%s\t%s\n", f.label, number(f.value), number(f.perfect))
		}
	}
	return table.Flush()
}

// count writes how many there are of something.
func count(n int, of string) string {
	if stem, ok := strings.CutSuffix(of, "y"); n != 1 && ok {
		of = stem + "ies"
	} else if n != 1 {
		of += "s"
	}
	return fmt.Sprintf("%d %s", n, of)
}

// number writes a count in full, anything else with seven digits, nothing where it is not known.
func number(x float64) string {
	switch {
	case !isFinite(x):
		return ""
	case x == math.Trunc(x) && math.Abs(x) < 1e12:
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.7g", x)
}

// sizeOf says how large the space is.
func sizeOf(t *gfn.Trainer) string {
	if t.Graph == nil {
		return fmt.Sprintf("more than %s: evaluated by samples", count(t.Config.Limit, "state"))
	}
	return fmt.Sprintf("%s, log Z* = %.6f", count(t.Graph.Len(), "state"), t.Graph.LogZ())
}
