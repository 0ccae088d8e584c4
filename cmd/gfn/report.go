package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"

	"gfn"
)

// figure is a number of a report beside the value of a perfect sampler. A number that is not finite was not computed.
// What a key means, and the label of its row, is in help/figures.txt.
type figure struct {
	key, perfectKey string // in JSON; empty: not there
	value, perfect  float64
}

var none = math.NaN()

// figures lists what e says of t: exact figures if there are any, then those of samples.
func figures(t *gfn.Trainer, e gfn.Evaluation) []figure {
	all := []figure{
		{"iteration", "", e.Iteration, none},
		{"trajectories", "", e.Trajectories, none},
		{"train_seconds", "", e.TrainSeconds, none},
		{"loss", "", e.Loss, none},
		{"tv", "", e.TV, 0},
		{"jsd", "", e.JSD, 0},
		{"kl", "", e.KL, 0},
		{"logz", "logz_exact", e.LogZ, e.LogZExact},
		{"logz_error", "", math.Abs(e.LogZ - e.LogZExact), 0},
		{"elbo", "", e.ELBO, e.LogZExact},
		{"eubo", "", e.EUBO, e.LogZExact},
		{"mean_reward", "mean_reward_exact", math.Exp(e.LogMeanReward), math.Exp(e.LogMeanRewardExact)},
		{"mean_log_reward", "mean_log_reward_exact", e.MeanLogReward, e.MeanLogRewardExact},
		{"modes_found", "", e.ModesFound, none},
	}
	if e.Accepted+e.Rejected > 0 {
		all = append(all,
			figure{"accepted", "", e.Accepted, none},
			figure{"rejected", "", e.Rejected, none},
			figure{"step_fraction", "", e.StepFraction, none},
			figure{"step_kl", "", e.StepKL, none})
	}
	if s := e.Samples; s.N > 0 {
		if math.IsNaN(s.TV) { // without a target, mean_reward is that of the samples
			s.LogMeanReward = none
		}
		all = append(all,
			figure{"samples", "", s.N, none},
			figure{"sampled_tv", "sampled_tv_perfect", s.TV, s.TVPerfect},
			figure{"sampled_jsd", "sampled_jsd_perfect", s.JSD, s.JSDPerfect},
			figure{"sampled_mean_reward", "", math.Exp(s.LogMeanReward), math.Exp(e.LogMeanRewardExact)},
			figure{"distinct", "distinct_perfect", s.Distinct, s.DistinctPerfect},
			figure{"modes", "modes_perfect", s.Modes, s.ModesPerfect})
	}
	return all
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
	add := func(key string, exact, learned [][]float64) {
		rms, most := gfn.Deviation(exact, learned)
		all = append(all, figure{key + "_rms", "", rms, 0}, figure{key + "_most", "", most, 0})
	}
	add("edge", exact.Edge, learned.Edge)
	add("path", exact.Path, learned.Path)
	add("blanket", exact.Blanket, learned.Blanket)
	return all
}

// finalFigures lists what e says of t, and what the policies say where the space is enumerated.
func finalFigures(t *gfn.Trainer, e gfn.Evaluation) []figure {
	all := append(figures(t, e), structureFigures(t)...)
	if t.Graph != nil {
		logPF, logPB := t.Policies()
		certified := gfn.ResidualCertificate(t.Graph, logPF, logPB).Right
		tv := slices.IndexFunc(all, func(f figure) bool { return f.key == "tv" })
		all = slices.Insert(all, tv+1, figure{"tv_certified", "", certified, 0})
	}
	return all
}

func isFinite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// estimate is a mean with its standard error. Either is not finite if there are too few numbers.
type estimate struct{ mean, err float64 }

// meanOf returns the mean of a key over those of the list that have it.
func meanOf(list []object, key string) estimate {
	n, sum, squares := 0.0, 0.0, 0.0
	for _, item := range list {
		if x, ok := item[key].(float64); ok {
			n++
			sum += x
		}
	}
	for _, item := range list {
		if x, ok := item[key].(float64); ok {
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

// object is a JSON object. Figures that were not computed are absent.
type object map[string]any

func (o object) put(key string, x float64) {
	if key != "" && isFinite(x) {
		o[key] = x
	}
}

// with adds figures to o, and returns it.
func (o object) with(figures []figure) object {
	for _, f := range figures {
		o.put(f.key, f.value)
		o.put(f.perfectKey, f.perfect)
	}
	return o
}

// record returns the object of an event, without figures.
func record(event string, env gfn.Env) object {
	o := object{"event": event, "env": gfn.TraitsOf(env).Spec}
	if note := gfn.TraitsOf(env).Note; note != "" {
		o["note"] = note
	}
	return o
}

// of adds the method and the seed of a training to o, and returns it.
func (o object) of(c gfn.Config) object {
	o["method"], o["seed"] = c.Method, c.Seed
	return o
}

// evalRecord returns the object of an evaluation.
func evalRecord(t *gfn.Trainer, e gfn.Evaluation) object {
	return record("eval", t.Env).of(t.Config).with(figures(t, e))
}

// printJSON prints a value on a line.
func printJSON(w io.Writer, value any) error { return json.NewEncoder(w).Encode(value) }

// printFigures prints figures: added to o as JSON, or as rows of a table below a title.
func (c *call) printFigures(o object, title string, figures []figure) error {
	if c.json {
		return printJSON(c.stdout, o.with(figures))
	}
	for _, f := range figures {
		if label := label(f.key); label != "" && isFinite(f.value) {
			title += fmt.Sprintf("%s\t%.7g\t", label, f.value)
			if isFinite(f.perfect) {
				title += fmt.Sprintf("%.7g", f.perfect)
			}
			title += "\n"
		}
	}
	return c.print(title)
}

// printFinal prints the last figures of a trainer, and more.
func (c *call) printFinal(t *gfn.Trainer, e gfn.Evaluation, more ...figure) error {
	title := fmt.Sprintf("%s on %s\nseed %d, iterations: %.0f, trajectories: %.0f, %.1f s of training\n\n",
		t.Config.Method, t.Spec(), t.Config.Seed, e.Iteration, e.Trajectories, e.TrainSeconds)
	if target, learned, ok := gridMaps(t); ok && len(target) <= 16 { // in at most 71 columns
		title = drawMaps(target, learned) + title
	}
	all := append(finalFigures(t, e), more...)
	return c.printFigures(record("final", t.Env).of(t.Config), title+"\tlearned\tperfect sampler\n", all)
}
