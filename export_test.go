package gfn

import (
	"math/rand/v2"
	"slices"
	"strings"
)

// What the tests see of the inside.

// Lists returns every list of floats of a checkpoint but the curve: each network's parameters and Adam's m and v, the
// parameters of target networks, and log Z with its m and v.
func (t *Trainer) Lists() (all [][]float64) {
	for _, r := range t.Method.roles() {
		all = append(all, t.net[r].Params, t.net[r].M, t.net[r].V)
	}
	for _, r := range t.Method.Target {
		all = append(all, t.target[r].Params)
	}
	return append(all, t.logZ[:], t.adamZ.M, t.adamZ.V)
}

// Replayed returns the trajectories that are replayed, oldest first, as lists of actions.
func (t *Trainer) Replayed() (all [][]int) {
	for _, actions := range t.replay {
		all = append(all, ints(actions))
	}
	return all
}

// Parallel is how work is shared.
func Parallel(workers, n, size int, f func(lo, hi int)) { parallel(workers, n, size, f) }

// ShortMemory makes a replay guide forget after 20 endpoints.
func (t *Trainer) ShortMemory() {
	if r, ok := t.guide.(*Replayed); ok {
		r.Capacity = 20
	}
}

// Guide returns the guide of rl-g.
func (t *Trainer) Guide() Guide { return t.guide }

// Nets returns the networks by name; a target network is "target " and the name of the one that it follows.
func (t *Trainer) Nets() map[string]*Net {
	all := map[string]*Net{}
	for r, name := range []string{"pf", "pb", "f", "fb", "q1", "q2"} {
		if t.net[r] != nil {
			all[name] = t.net[r]
		}
		if t.target[r] != nil {
			all["target "+name] = t.target[r]
		}
	}
	return all
}

// Slots returns the first slot of each row of the head's values, and the number of slots behind them.
func (h Head) Slots(st *States) (start []int) {
	for row := range st.Len() + 1 {
		start = append(start, h.slot(st, row))
	}
	return start
}

// MomentZ returns Adam's first moment of log Z.
func (t *Trainer) MomentZ() float64 { return t.adamZ.M[0] }

// Rate returns the factor of the learning rates at an iteration.
func (c Config) Rate(iteration int) float64 { return c.rate(iteration) }

// Batch returns the batch of the last step.
func (t *Trainer) Batch() *Batch { return &t.batch }

// PerfectTV returns the expected total variation of n samples of q.
func PerfectTV(logq []float64, n int) float64 { return perfect(tvTerm, logq, float64(n)) }

// PerfectDistinct returns the expected number of different samples among n of q.
func PerfectDistinct(logq []float64, n int) float64 {
	return perfect(seenTerm, logq, float64(n))
}

// ResidualB is the estimator of the TB-style backward step.
func ResidualB(b *Batch, v *Flows, r, a []float64) { residualB(b, v, r, a) }

// Back returns the walks back of the last step of a policy-gradient method that learns PB.
func (t *Trainer) Back() *Batch { return &t.back }

// Peak returns the speed of this build's registers in GFLOP/s, 0 where that is not measured.
var Peak = func() float64 { return 0 }

// Products are the products of a layer of out units on in, whose weights are not 0.
type Products struct {
	w  weights
	dh []float64
}

// NewProducts returns the products of a layer, ready for rows of cotangents dh.
func NewProducts(in, out int, dh []float64) *Products {
	p := &Products{weights{in: in, out: out, w: NewMLP(rand.NewPCG(1, 1), in, out).Params[:in*out]}, dh}
	p.Prepare()
	return p
}

// Prepare readies the weights for products.
func (p *Products) Prepare() { p.w.prepare(1) }

// Forward adds x W to y.
func (p *Products) Forward(y, x []float64) { p.w.mul(y, x) }

// Backward writes (dh Wᵀ) · 1[h ≠ 0] to dx.
func (p *Products) Backward(dx, h []float64) { p.w.mulT(dx, p.dh, h) }

// Weights adds xᵀ dh to dW.
func (p *Products) Weights(dW, x []float64) { addOuter(dW, x, p.dh, p.w.in, p.w.out, 0, p.w.in) }

// The plain loops that those products are tested against.
func (p *Products) ForwardPlain(y, x []float64)   { p.w.mulPlain(y, x) }
func (p *Products) BackwardPlain(dx, h []float64) { p.w.mulTPlain(dx, p.dh, h) }
func (p *Products) WeightsPlain(dW, x []float64) {
	addOuterPlain(dW, x, p.dh, p.w.in, p.w.out, 0, p.w.in)
}

// Of returns the products with some of the rows of cotangents.
func (p *Products) Of(lo, hi int) *Products { return &Products{p.w, p.dh[lo*p.w.out : hi*p.w.out]} }

// WeightsOf is Weights of rows lo ≤ i < hi of dW.
func (p *Products) WeightsOf(dW, x []float64, lo, hi int) {
	addOuter(dW, x, p.dh, p.w.in, p.w.out, lo, hi)
}

// Passes are this build's passes over numbers, each beside its plain loop.
var Passes = [][2]func(y, x []float64){
	{mask, maskPlain},
	{func(y, _ []float64) { relu(y) }, func(y, _ []float64) { reluPlain(y) }},
	{
		func(y, x []float64) {
			adam(y, x, slices.Clone(x), slices.Repeat([]float64{0.5}, len(x)), 0.1, 7)
		},
		func(y, x []float64) {
			adamPlain(y, x, slices.Clone(x), slices.Repeat([]float64{0.5}, len(x)), 0.1, 7)
		},
	},
}

// SumRows is this build's sum of rows, SumRowsPlain its plain loop.
var SumRows, SumRowsPlain = sumRows, sumRowsPlain

// Kind names the kind of a method's flow: "stateFlow".
func (m Method) Kind() string { return m.Flow.name }

// Worst is what Check keeps of bounds.
func Worst(bounds []Bound) []Bound { return worst(bounds) }

// ParseEnvText is ParseEnv where every file holds text.
func ParseEnvText(spec, text string) (Env, error) {
	return parseEnv(spec, func(name string) *source { return readSource(strings.NewReader(text), name) })
}

// Set sets a limit until restore is called.
func Set(limit *int, n int) (restore func()) {
	was := *limit
	*limit = n
	return func() { *limit = was }
}

var MaxSlots, MaxGraph = &maxSlots, &maxGraph

// Len returns the number of endpoints that r holds, and Err the error of b.
func (r *Replayed) Len() int { return len(r.order) }
func (b *Batch) Err() error  { return b.err }

// Note counts a trust-region step.
func (t *Trainer) Note(s TrustStep) { t.since.note(s) }
