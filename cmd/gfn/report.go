package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"gfn"
)

// figure is a number of a report beside the value of a perfect sampler. A number that is not finite was not computed.
type figure struct {
	key, perfectKey string // in JSON; empty: not there
	label           string // in the table; empty: not there
	value, perfect  float64
}

var none = math.NaN()

// figures lists what e says of t: exact figures if there are any, then those of samples.
func figures(t *gfn.Trainer, e gfn.Evaluation) []figure {
	mean := math.Exp(e.LogMeanRewardExact)
	all := []figure{
		{"iteration", "", "", e.Iteration, none},
		{"trajectories", "", "", e.Trajectories, none},
		{"train_seconds", "", "", e.TrainSeconds, none},
		{"loss", "", "", e.Loss, none},
		{"tv", "", "total variation", e.TV, 0},
		{"jsd", "", "Jensen–Shannon divergence", e.JSD, 0},
		{"kl", "", "KL(sampler ‖ target)", e.KL, 0},
		{"logz", "logz_exact", "log Z", e.LogZ, e.LogZExact},
		{"logz_error", "", "log Z error", e.LogZ - e.LogZExact, 0},
		{"abs_logz_error", "", "", math.Abs(e.LogZ - e.LogZExact), none},
		{"elbo", "", "ELBO ≤ log Z*", e.ELBO, e.LogZExact},
		{"eubo", "", "EUBO ≥ log Z*", e.EUBO, e.LogZExact},
		{"mean_reward", "mean_reward_exact", "mean reward", math.Exp(e.LogMeanReward), mean},
		{"mean_log_reward", "mean_log_reward_exact", "mean log R", e.MeanLogReward, e.MeanLogRewardExact},
		{"modes_found", "", "modes found in training", e.ModesFound, none},
	}
	if e.Accepted+e.Rejected > 0 {
		all = append(all,
			figure{"accepted", "", "last trust-region steps accepted", e.Accepted, none},
			figure{"rejected", "", "  rejected", e.Rejected, none},
			figure{"step_fraction", "", "  mean part of the full step", e.StepFraction, none},
			figure{"step_kl", "", "  mean KL reached", e.StepKL, none})
	}
	if s := e.Samples; s.N > 0 {
		all = append(all,
			figure{"samples", "", "samples", s.N, none},
			figure{"sampled_tv", "sampled_tv_perfect", "  total variation", s.TV, s.TVPerfect},
			figure{"sampled_jsd", "sampled_jsd_perfect", "  Jensen–Shannon divergence", s.JSD, s.JSDPerfect},
			figure{"sampled_mean_reward", "", "  mean reward", math.Exp(s.LogMeanReward), mean},
			figure{"distinct", "distinct_perfect", "  different objects", s.Distinct, s.DistinctPerfect},
			figure{"modes", "modes_perfect", "  different modes", s.Modes, s.ModesPerfect})
	}
	return all
}

// sound returns an error if a figure of e is not finite that ought to be, or if what t has learned is not.
func sound(t *gfn.Trainer, e gfn.Evaluation) error {
	sum := e.LogZ + e.ELBO + e.MeanLogReward
	if t.Graph != nil {
		sum += e.EUBO + e.TV + e.JSD + e.KL
	}
	if !isFinite(sum) {
		return fmt.Errorf("a figure is not finite after %d iterations: log Z is %v, the ELBO %v; try a smaller -lr",
			t.Iteration, e.LogZ, e.ELBO)
	}
	return t.Save(io.Discard)
}

// structureFigures compares, for structure learning, the sampler's probabilities of edges, paths and Markov blankets
// with those of the exact posterior: the root mean square of the errors over pairs of nodes, and the largest.
func structureFigures(t *gfn.Trainer) (all []figure) {
	d, ok := gfn.Unwrap(t.Env).(*gfn.DAG)
	if !ok || t.Graph == nil {
		return nil
	}
	logPF, _ := t.Policies()
	exact := d.Marginals(t.Graph, t.Graph.LogTarget())
	learned := d.Marginals(t.Graph, t.Graph.LogTerminating(logPF))
	add := func(key, label string, exact, learned [][]float64) {
		rms, _, most := gfn.Deviation(exact, learned)
		all = append(all, figure{key + "_rms", "", label + ", rms error", rms, 0},
			figure{key + "_most", "", "  largest error", most, 0})
	}
	add("edge", "edge probabilities", exact.Edge, learned.Edge)
	add("path", "path probabilities", exact.Path, learned.Path)
	add("blanket", "Markov blankets", exact.Blanket, learned.Blanket)
	return all
}

// finalFigures lists what e says of t, and what the policies say where the space is enumerated.
func finalFigures(t *gfn.Trainer, e gfn.Evaluation) []figure {
	all := append(figures(t, e), structureFigures(t)...)
	if t.Graph != nil {
		logPF, logPB := t.Policies()
		certified := gfn.ResidualCertificate(t.Graph, logPF, logPB).Right
		tv := slices.IndexFunc(all, func(f figure) bool { return f.key == "tv" })
		all = slices.Insert(all, tv+1, figure{"tv_certified", "", "  certified by its residuals", certified, 0})
	}
	return all
}

func isFinite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// numbers are figures by key. Those that were not computed are absent.
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

// estimate is a mean with its standard error. Either is not finite if there are too few numbers.
type estimate struct{ mean, err float64 }

// meanOf returns the mean of a key over those of the list that have it.
func meanOf(list []numbers, key string) estimate {
	n, sum, squares := 0.0, 0.0, 0.0
	for _, item := range list {
		if x, ok := item[key]; ok {
			n++
			sum += x
		}
	}
	for _, item := range list {
		if x, ok := item[key]; ok {
			squares += (x - sum/n) * (x - sum/n)
		}
	}
	return estimate{sum / n, math.Sqrt(squares / (n - 1) / n)}
}

func (e estimate) String() string {
	switch {
	case !isFinite(e.mean):
		return "–"
	case !isFinite(e.err):
		return fmt.Sprintf("%.4g", e.mean)
	}
	return fmt.Sprintf("%.4g ± %.2g", e.mean, e.err)
}

// object is a JSON object.
type object map[string]any

// with adds numbers to o, and returns it.
func (o object) with(n numbers) object {
	for key, x := range n {
		o[key] = x
	}
	return o
}

// record returns the object of an event, without figures.
func record(event, env string, c gfn.Config) object {
	return object{"event": event, "env": env, "method": c.Method, "seed": c.Seed}
}

// evalRecord returns the object of an evaluation.
func evalRecord(t *gfn.Trainer, e gfn.Evaluation) object {
	return record("eval", t.Spec(), t.Config).with(numbersOf(figures(t, e)))
}

// printJSON prints a value on a line.
func printJSON(w io.Writer, value any) error { return json.NewEncoder(w).Encode(value) }

// printFigures prints figures: added to o as JSON, or as rows of a table below a title.
func (c *call) printFigures(asJSON bool, o object, title string, figures []figure) error {
	if asJSON {
		return printJSON(c.stdout, o.with(numbersOf(figures)))
	}
	for _, f := range figures {
		if f.label != "" && isFinite(f.value) {
			title += fmt.Sprintf("%s\t%.7g\t", f.label, f.value)
			if isFinite(f.perfect) {
				title += fmt.Sprintf("%.7g", f.perfect)
			}
			title += "\n"
		}
	}
	return printTable(c.stdout, title)
}

// printFinal prints the last figures of a trainer, and more.
func (c *call) printFinal(t *gfn.Trainer, e gfn.Evaluation, asJSON bool, more ...figure) error {
	title := fmt.Sprintf("%s on %s\nseed %d, iterations: %.0f, trajectories: %.0f, %.1f s of training\n\n",
		t.Config.Method, t.Spec(), t.Config.Seed, e.Iteration, e.Trajectories, e.TrainSeconds)
	if target, learned, ok := gridMaps(t, 16); ok { // in at most 69 columns
		title = drawMaps(target, learned) + title
	}
	all := append(finalFigures(t, e), more...)
	return c.printFigures(asJSON, record("final", t.Spec(), t.Config), title+"\tlearned\tperfect sampler\n", all)
}

// printTable prints text whose cells end with tabs, in columns, at once.
func printTable(w io.Writer, text string) error {
	var aligned strings.Builder
	table := tabwriter.NewWriter(&aligned, 0, 0, 3, ' ', 0)
	io.WriteString(table, text)
	table.Flush()
	_, err := io.WriteString(w, aligned.String())
	return err
}
