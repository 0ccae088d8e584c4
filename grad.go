package gfn

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// Policy-dependent rewards (Niu et al. 2024, spec §4) make keeping the flow balanced a matter of minimising a return.
// They are costs, and they depend on the policy. PG is the guide: PF, or any other forward policy. The exact quantities
// on a graph are first; [Graph.RewardF] is in gfn.go, beside [Graph.ELBO], which needs it.

// RewardB returns R_B by backward slot, for the step s' → s of a walk backwards: log PB(s|s') − log PG(s'|s).
func (g *Graph) RewardB(logPB, logPG []float64) []float64 {
	r := slices.Clone(logPB)
	for k, e := range g.Edge {
		r[k] -= logPG[e]
	}
	return r
}

// ValueB returns the value of a backward policy by row, for rewards r by backward slot:
//
//	V_B(s') = Σ_{s→s'} PB(s|s') (r(s|s') + V_B(s))    V_B(s0) = 0
func (g *Graph) ValueB(logPB, r []float64) []float64 {
	v := make([]float64, g.Len())
	for k, e := range g.Edge { // slots are grouped by s', and rows are in topological order
		v[g.Child[e]] += times(math.Exp(logPB[k]), r[k]+v[g.From[e]])
	}
	return v
}

// Advantage returns A(s→s') = r(s→s') + V(s') − V(s) by forward slot, v as from [Graph.Value].
func (g *Graph) Advantage(v, r []float64) []float64 {
	a := slices.Clone(r)
	for e, row := range g.From {
		a[e] += v[g.Child[e]] - v[row]
	}
	return a
}

// GradJF returns J_F = V_F(s0) and its gradient in the logits of PF, by forward slot:
//
//	∂J_F/∂logit(s, a) = d(s) PF(a|s) A_F(s, a)
//
// It is half the gradient of E[c(τ)²] over trajectories of PF, the law of τ held fixed.
func (g *Graph) GradJF(logPF, logPB []float64, logZ float64) (j float64, grad []float64) {
	r := g.RewardF(logPF, logPB, logZ)
	v, d := g.Value(logPF, r), g.LogVisits(logPF)
	grad = g.Advantage(v, r)
	for e, row := range g.From {
		grad[e] = times(math.Exp(d[row]+logPF[e]), grad[e])
	}
	return v[0], grad
}

// GradJB returns J_B = E_{x∼ρ}[V_B(x)] and its gradient in the logits of PB, by backward slot:
//
//	∂J_B/∂logit_B(s', e) = d_B(s') PB(e|s') A_B(s', e)    A_B(s', s'→s) = R_B(s|s') + V_B(s) − V_B(s')
//
// d_B(s) is the probability that a walk backwards from x ∼ ρ passes s: the flow of PB with ρ in place of R.
func (g *Graph) GradJB(logPB, logPG, logρ []float64) (j float64, grad []float64) {
	grad = g.RewardB(logPB, logPG)
	v, d := g.ValueB(logPB, grad), g.LogFlows(logPB, logρ)
	for k, e := range g.Edge {
		s, child := g.From[e], g.Child[e]
		grad[k] = times(math.Exp(d[child]+logPB[k]), grad[k]+v[s]-v[child])
	}
	return meanOver(logρ, v), grad
}

// The same quantities from sampled trajectories follow. A slice by step is laid out like Batch.Steps.

// RewardsF writes R_F of every step of b to dst.
func RewardsF(b *Batch, v *Flows, dst []float64) {
	for i, s := range b.Steps {
		if s.B >= 0 {
			dst[i] = v.LogPF[s.F] - v.LogPB[s.B]
		} else {
			dst[i] = v.LogPF[s.F] - b.LogR[s.Row] + v.LogZ
		}
	}
}

// RewardsB writes R_B of every ordinary step of b to dst, given log PG by step. It writes 0 for the exits, which no
// walk backwards takes.
func RewardsB(b *Batch, v *Flows, logPG, dst []float64) {
	for i, s := range b.Steps {
		dst[i] = 0
		if s.B >= 0 {
			dst[i] = v.LogPB[s.B] - logPG[i]
		}
	}
}

// Direction is the way in which a trajectory is walked: Forward from s0 to sf, or Backward from x to s0.
type Direction bool

// The directions.
const (
	Forward  Direction = true
	Backward Direction = false
)

// eachStep calls f on the steps that trajectory i of b takes in a direction, with the row that each one leaves. It
// calls f in the order of the walk, or against it. A walk backwards takes no exit, and its step t leaves the child.
func eachStep(b *Batch, way Direction, i int, against bool, f func(t int, row int32)) {
	lo, hi := int(b.Start[i]), int(b.Start[i+1])
	if way == Backward {
		hi--
	}
	for k := range hi - lo {
		t := lo + k
		if bool(way) == against {
			t = hi - 1 - k
		}
		if way == Forward {
			f(t, b.Steps[t].Row)
		} else {
			f(t, b.Steps[t+1].Row)
		}
	}
}

// Advantages writes the λ-advantages of every step to dst, for rewards r by step and a critic by row:
//
//	Â_t = Σ_{l≥0} λ^l δ_{t+l}    δ_t = r_t + V(s_{t+1}) − V(s_t)
//
// V is 0 at the end of the walk. At λ = 1 this is the reward-to-go less V(s_t): its expected gradient is exact for any
// V. For λ < 1 the expected gradient is exact if V is (Schulman et al. 2016).
func Advantages(b *Batch, way Direction, r, value []float64, λ float64, dst []float64) {
	clear(dst)
	for i := range b.Trajectories() {
		after, next := 0.0, 0.0 // Â and V behind the step
		eachStep(b, way, i, true, func(t int, row int32) {
			after = r[t] + next - value[row] + λ*after
			dst[t], next = after, value[row]
		})
	}
}

// Returns writes to every step the whole return of its trajectory. This estimator has no bias. Its variance is large
// where returns are far from 0.
func Returns(b *Batch, way Direction, r, dst []float64) {
	clear(dst)
	for i := range b.Trajectories() {
		sum := 0.0
		eachStep(b, way, i, false, func(t int, _ int32) { sum += r[t] })
		eachStep(b, way, i, false, func(t int, _ int32) { dst[t] = sum })
	}
}

// Centring says what is subtracted from advantages.
type Centring string

// CentreBatch, which the reference uses, subtracts the mean over all steps of the batch. It biases the gradient by
// O(1/K), K trajectories; for a single decision exactly by the factor 1 − 1/K. CentreOthers subtracts the mean over
// the steps of the other trajectories, which has no bias.
const (
	CentreNone   Centring = "none"
	CentreBatch  Centring = "batch"
	CentreOthers Centring = "others"
)

// Centre subtracts a mean over steps from advantages a by step.
func Centre(b *Batch, way Direction, a []float64, c Centring) {
	if c == CentreNone {
		return
	}
	total := func(i int) (sum, n float64) {
		eachStep(b, way, i, false, func(t int, _ int32) { sum, n = sum+a[t], n+1 })
		return sum, n
	}
	sum, n := 0.0, 0.0
	for i := range b.Trajectories() {
		own, k := total(i)
		sum, n = sum+own, n+k
	}
	for i := range b.Trajectories() {
		own, k := 0.0, 0.0 // left out of the mean
		if c == CentreOthers {
			own, k = total(i)
		}
		if k < n { // else there are no others
			mean := (sum - own) / (n - k)
			eachStep(b, way, i, false, func(t int, _ int32) { a[t] -= mean })
		}
	}
}

// PolicyGradient adds to d the cotangents of mean_τ Σ_t log P · Â_t with Â constant: of log PF for walks Forward,
// of log PB for walks Backward.
func PolicyGradient(b *Batch, way Direction, a []float64, d *Flows) {
	n := float64(b.Trajectories())
	for i, s := range b.Steps {
		if way == Forward {
			d.LogPF[s.F] += a[i] / n
		} else if s.B >= 0 {
			d.LogPB[s.B] += a[i] / n
		}
	}
}

// Critic returns the loss of a critic and adds its cotangents to dV. The loss is (V(s_t) − target_t)², summed over
// steps, mean over trajectories. The target V(s_t) + Â_t is held constant; with Â at λ = 1 it is the reward-to-go.
func Critic(b *Batch, way Direction, a, dV []float64) (loss float64) {
	n := float64(b.Trajectories())
	for i := range b.Trajectories() {
		eachStep(b, way, i, false, func(t int, row int32) {
			loss += a[t] * a[t] / n
			dV[row] -= 2 * a[t] / n
		})
	}
	return loss
}

// SubEB returns the loss of sub-trajectory evaluation balance (Niu et al. 2026), another loss of a critic, and adds its
// cotangents in V by row to dV, and in r by step to dR unless that is nil. The potentials of a walk are
//
//	p_k = V(s_k) + Σ_{t<k} r_t    V = 0 at the end of the walk
//
// so that p_i − p_j is V(s_i) less V(s_j) and the rewards between them. The loss is [SubTB]'s quadratic form of the
// potentials, mean over walks. Forward, with R_F, it is SubTB with −V in place of log F and log R − log Z in place
// of log R.
//
// All residuals are 0 if V(s) is the return of every trajectory from s on. This holds at the optimum, where
// V = log Z − log F*. Elsewhere V_F is not the minimiser, because the loss weighs squares, as Bellman residuals do.
// SubEB panics for λ < 0 or NaN, as SubTB does.
func SubEB(b *Batch, way Direction, r, value []float64, λ float64, dV, dR []float64) (loss float64) {
	n := float64(b.Trajectories())
	for i := range b.Trajectories() {
		p, path := b.u[:0], 0.0
		eachStep(b, way, i, false, func(t int, row int32) {
			if len(p) == 0 {
				path = -value[row] // potentials are relative to the first, as in quadratic
			}
			p = append(p, value[row]+path)
			path += r[t]
		})
		if len(p) == 0 {
			continue // the walk back from s0
		}
		p = append(p, path)
		b.u, b.du = p, resize(b.du, len(p))
		loss += geometric(λ, p, b.du) / n
		k := len(p) - 1
		after := 0.0 // Σ_{j>k} ∂L/∂p_j
		eachStep(b, way, i, true, func(t int, row int32) {
			after += b.du[k] / n
			if dR != nil {
				dR[t] += after
			}
			k--
			dV[row] += b.du[k] / n
		})
	}
	return loss
}

// residualB writes to every step the factor of ∇log PB in half the gradient of mean c(τ)², for PB's step down the
// TB loss. The factor is −c(τ) = Σ R_B + log R(x) − log PF(sf|x) − log Z. By fact 3 of spec §4 its mean is
// ∇J_B.
func residualB(b *Batch, v *Flows, r, a []float64) {
	Returns(b, Backward, r, a)
	for i := range b.Trajectories() {
		exit := b.Steps[b.Start[i+1]-1]
		eachStep(b, Backward, i, false, func(t int, _ int32) {
			a[t] += b.LogR[exit.Row] - v.LogPF[exit.F] - v.LogZ
		})
	}
}

// ---- guides ----

// Unguided is the guide PG = PF.
type Unguided struct{}

// LogPG implements [Guide].
func (Unguided) LogPG(b *Batch, logPF, _, dst []float64) {
	for t, s := range b.Steps {
		dst[t] = logPF[s.F]
	}
}

// ExitCapped is PF with the probability of the exit capped at Cap wherever log R(s) ≤ Threshold, nats. The rest of
// the row is scaled up to make a distribution again. States that can only exit are left alone. (The reference caps the
// raw logit, whose effect changes with a shift of the logits.)
type ExitCapped struct{ Cap, Threshold float64 }

// LogPG implements [Guide].
func (c ExitCapped) LogPG(b *Batch, logPF, logPB, dst []float64) {
	Unguided{}.LogPG(b, c.Policy(&b.States, logPF), logPB, dst)
}

// Policy returns log PG by forward slot.
func (c ExitCapped) Policy(st *States, logPF []float64) []float64 {
	dst := slices.Clone(logPF)
	for row := range st.Len() {
		lo, exit := int(st.FStart[row]), st.Exit(row)
		if exit <= lo || st.LogR[row] > c.Threshold || logPF[exit] <= math.Log(c.Cap) {
			continue
		}
		// log (1 − Cap)/(1 − PF(sf|s)). The denominator is summed over the other edges, because 1 − PF(sf|s) has no
		// digits left where the exit is almost sure.
		shift := math.Log1p(-c.Cap) - LogSumExp(logPF[lo:exit])
		for e := lo; e < exit; e++ {
			dst[e] += shift
		}
		dst[exit] = math.Log(c.Cap)
	}
	return dst
}

// Replayed is the guide of sequences. PG(s→s'|x) ∝ the mean reward of the replayed endpoints that are reachable
// from s', among the s' from which the step's endpoint x is reachable. A batch's endpoints are added first. If it has
// forgotten x by then, PG = PB, so that R_B = 0.
//
// It holds at most Capacity endpoints, with repetition. When it is full it forgets the older half (the reference
// forgets one by one). Its index holds every state from which an endpoint is reachable. Adding an endpoint and guiding
// a trajectory each visit every ancestor of the endpoint. A word of length L has L+1 ancestors by append, at most
// (L²+L+2)/2 at either end, and 2^L in any order. At 256 MiB the index is full too; an endpoint whose ancestors alone
// take more is an error of the batch.
type Replayed struct {
	Capacity int

	index     States
	logSum    []float64 // by row of index: log Σ R of the endpoints reachable from it
	count     []float64 // their number
	order     []int32   // endpoints, oldest first, as rows of index
	mark      []int32   // by row: the last walk that passed it
	walks     int32
	ancestors []int32
}

func (r *Replayed) add(env Env, s []int) {
	if r.index.err != nil {
		return
	}
	if len(r.order) >= max(1, r.Capacity) || r.index.size() > float64(maxGraph)/2 {
		r.forget(env)
	}
	if r.index.Env == nil {
		r.index.Reset(env)
	}
	x := r.index.Add(s)
	r.order = append(r.order, int32(x))
	for _, row := range r.above(x) {
		r.logSum[row] = LogSumExp([]float64{r.logSum[row], r.index.LogR[x]})
		r.count[row]++
	}
}

// forget builds the index anew from the newer half of the endpoints.
func (r *Replayed) forget(env Env) {
	var newer [][]int
	for _, x := range r.order[len(r.order)-len(r.order)/2:] {
		newer = append(newer, r.index.State(nil, int(x)))
	}
	*r = Replayed{Capacity: r.Capacity}
	for _, s := range newer {
		r.add(env, s)
	}
}

// above returns the rows from which row x is reachable, x first, and marks them.
func (r *Replayed) above(x int) []int32 {
	r.walks++
	rows := r.ancestors[:0]
	visit := func(row int) {
		for len(r.mark) < r.index.Len() {
			r.mark, r.logSum, r.count = append(r.mark, 0), append(r.logSum, math.Inf(-1)), append(r.count, 0)
		}
		if r.mark[row] != r.walks {
			r.mark[row] = r.walks
			rows = append(rows, int32(row))
		}
	}
	visit(x)
	for i := 0; i < len(rows); i++ {
		row := int(rows[i])
		if r.index.size() > float64(maxGraph) {
			r.index.fail("the replay guide wants at most %d MiB for the states before %s; they are more",
				maxGraph>>20, r.index.Format(x))
			break
		}
		for k := r.index.BStart[row]; k < r.index.BStart[row+1]; k++ {
			if e := r.index.retreat(row, int(k)); e >= 0 {
				visit(int(r.index.From[e]))
			}
		}
	}
	r.ancestors = rows
	return rows
}

// LogPG adds the endpoints of b, and then implements [Guide].
func (r *Replayed) LogPG(b *Batch, _, logPB, dst []float64) {
	var s []int
	for i := range b.Trajectories() {
		s = b.State(s, b.Endpoint(i))
		r.add(b.Env, s)
	}
	if b.err = cmp.Or(b.err, r.index.err); b.err != nil {
		return
	}
	for i := range b.Trajectories() {
		s = b.State(s, b.Endpoint(i))
		x := r.index.Row(s)
		known := x >= 0 && r.count[x] > 0
		if known {
			r.above(x)
		}
		eachStep(b, Forward, i, false, func(t int, row int32) {
			switch step := b.Steps[t]; {
			case step.B < 0:
				dst[t] = 0
			case known:
				s = b.State(s, int(row))
				dst[t] = r.logShare(r.index.Row(s), b.FAction[step.F])
			default:
				dst[t] = logPB[step.B]
			}
		})
	}
}

// logShare returns the log of an action's share of the mean rewards among the children of row that the last walk
// marked.
func (r *Replayed) logShare(row int, action int32) float64 {
	own, means := math.Inf(-1), []float64(nil)
	for e := r.index.FStart[row]; e < r.index.FStart[row+1]; e++ {
		c := r.index.Child[e]
		if c < 0 || r.mark[c] != r.walks {
			continue
		}
		mean := r.logSum[c] - math.Log(r.count[c])
		means = append(means, mean)
		if r.index.FAction[e] == action {
			own = mean
		}
	}
	return own - LogSumExp(means)
}

// ---- trust region ----

// TrustRegion is the step of RL-T (Schulman et al. 2015): minimise the surrogate
//
//	L = mean_τ Σ_t PF'(s_{t+1}|s_t)/PF(s_{t+1}|s_t) Â_t
//
// subject to KL(PF'‖PF) = Σ_s d(s) KL(PF'(·|s) ‖ PF(·|s)) ≤ ζ, with the visits d of PF in place of those of
// PF'. This is the KL of trajectories: the sum over the steps of a trajectory, mean over trajectories. The Fisher
// matrix and the line search both use it.
//
// Three departures from the reference are on purpose. It tests a step by the KL's mean over steps, which is smaller by
// the number of steps of a trajectory, so that nearly every first trial passes. Where no trial passes, it keeps the
// last. It stops conjugate gradients at r·r < 1e-5 whatever g is, and so finds no direction near the optimum.
type TrustRegion struct {
	KL         float64 // ζ, nats
	Damping    float64 // added to the diagonal of the Fisher matrix
	Iterations int     // of conjugate gradients, at most
	Tolerance  float64 // they stop at r·r ≤ Tolerance · min(1, |g|²), r = g − F x the residual
	Backtracks int     // steps tried, each half of the one before
	Penalised  bool    // minimise L + KL(PF'‖PF): see Step
}

// DefaultTrustRegion returns the reference's settings (spec §4), and a small damping.
func DefaultTrustRegion() TrustRegion {
	return TrustRegion{KL: 0.01, Damping: 1e-6, Iterations: 10, Tolerance: 1e-5, Backtracks: 20}
}

// TrustStep reports a trust-region step.
type TrustStep struct {
	Accepted      bool
	Fraction      float64 // of the full step; 0 if none was accepted
	KL            float64 // reached, nats
	Before, After float64 // what is minimised
}

// Step takes the step on the states of a batch or a graph. n is a policy with a [ForwardHead] that has been evaluated
// on all rows, and logPF what it gave. gain holds by slot the cotangents of log PF that [PolicyGradient] adds up, so
// that L = Σ_e PF'/PF gain_e; visits holds by row d(s), the mean number of steps of a trajectory that leave it. With g
// the gradient of L and F the Fisher matrix, Step tries θ' = θ − √(2ζ / gᵀF⁻¹g) F⁻¹g and then halves the
// step, and takes the first that lowers L and keeps to ζ. If there is none, the parameters stay as they were, bit for
// bit.
//
// L leaves out that the reward depends on the policy. By guarantee 2 of spec §5, J' − J = L' − L + KL(P'‖P) if
// the visits of P stand for those of P', so that near the optimum a step of fixed KL raises J. A penalised step counts
// that term too, and is never longer than to the minimum F⁻¹g of its quadratic model. With exact gain and visits J
// then falls at every step (a test).
func (tr TrustRegion) Step(n *Net, st *States, logPF, gain, visits []float64) TrustStep {
	objective := func(logp []float64) (sum, kl float64) {
		for e, row := range st.From {
			sum += math.Exp(logp[e]-logPF[e]) * gain[e]
			if visits[row] > 0 {
				kl += visits[row] * math.Exp(logp[e]) * (logp[e] - logPF[e])
			}
		}
		if tr.Penalised {
			sum += kl
		}
		return sum, kl
	}
	n.Backward(gain, nil)
	g := slices.Clone(n.Grad)
	clear(n.Grad)
	x := ConjugateGradients(func(v, dst []float64) {
		Fisher(n, st, logPF, visits, v, dst)
		for i, v := range v {
			dst[i] += tr.Damping * v
		}
	}, g, tr.Iterations, tr.Tolerance*min(1, dot(g, g)))

	before, _ := objective(logPF)
	scale := math.Sqrt(2 * tr.KL / dot(g, x))
	if tr.Penalised {
		scale = min(scale, 1)
	}
	if !finite(scale) { // no direction: g is 0, or rounding error
		return TrustStep{Before: before, After: before}
	}
	old, logp := slices.Clone(n.Params), make([]float64, len(logPF))
	for k := range tr.Backtracks {
		fraction := math.Pow(0.5, float64(k))
		for i := range old {
			n.Params[i] = old[i] - fraction*scale*x[i]
		}
		n.Eval(st, 0, st.Len(), logp)
		if after, kl := objective(logp); after < before && kl <= tr.KL {
			return TrustStep{true, fraction, kl, before, after}
		}
	}
	copy(n.Params, old)
	n.Eval(st, 0, st.Len(), logp) // the hidden values kept are again those of the parameters
	return TrustStep{Before: before, After: before}
}

// Visits writes by row the mean number of steps of a trajectory of b that leave it to dst, grown as needed.
func (b *Batch) Visits(dst []float64) []float64 {
	dst = zeros(dst, b.Len())
	for _, s := range b.Steps {
		dst[s.Row] += 1 / float64(b.Trajectories())
	}
	return dst
}

// Fisher writes the product of the Fisher matrix of a forward policy and v to dst. The matrix is the Hessian of
// Σ_s weight(s) KL(·‖PF) at the parameters of n, which has been evaluated on st and gave logPF. The product is
// exact for a softmax. With J the Jacobian of a state's log-probabilities, in forward mode for J v and reverse mode for
// Jᵀ,
//
//	F v = Σ_s weight(s) Jᵀ diag(p) J v
//
// which is J_yᵀ (diag(p) − p pᵀ) J_y v in terms of the outputs y.
func Fisher(n *Net, st *States, logPF, weight, v, dst []float64) {
	jv := make([]float64, len(logPF))
	n.JVP(v, jv)
	for e, row := range st.From {
		jv[e] *= weight[row] * math.Exp(logPF[e])
	}
	grad := n.Grad
	clear(dst)
	n.Grad = dst
	n.Backward(jv, nil)
	n.Grad = grad
}

// ConjugateGradients returns an approximate solution of A x = b for a symmetric positive definite A, given by its
// product with a vector, from x = 0. It stops after the given number of iterations, or when the squared residual r·r
// is at most tolerance (Hestenes & Stiefel 1952).
func ConjugateGradients(mul func(v, dst []float64), b []float64, iterations int, tolerance float64) []float64 {
	x, r, p, ap := make([]float64, len(b)), slices.Clone(b), slices.Clone(b), make([]float64, len(b))
	rr := dot(r, r)
	for range iterations {
		if rr <= tolerance {
			break
		}
		mul(p, ap)
		α, last := rr/dot(p, ap), rr
		rr = 0
		for i, v := range p {
			x[i] += α * v
			r[i] -= α * ap[i]
			rr += r[i] * r[i]
		}
		β := rr / last
		for i, v := range p {
			p[i] = r[i] + β*v
		}
	}
	return x
}

func dot(a, b []float64) (sum float64) {
	b = b[:len(a)]
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

// ---- guarantees (spec §5) ----

// Bound is a statement about two numbers, both computed: Left ≤ Right, or Left = Right where Equal is set.
type Bound struct {
	Name        string
	Left, Right float64
	Equal       bool
}

// Slack is Right − Left, or −|Right − Left| for an equality.
func (b Bound) Slack() float64 {
	if b.Equal {
		return -math.Abs(b.Right - b.Left)
	}
	return b.Right - b.Left
}

// Holds says whether both sides are finite and the slack is not below 0 by more than rounding error, 1e-9 of the larger
// side (or of 1).
func (b Bound) Holds() bool {
	return finite(b.Left) && finite(b.Right) && b.Slack() >= -1e-9*max(1, math.Abs(b.Left), math.Abs(b.Right))
}

// SamplingError is guarantee 1: what training drives down bounds what is sampled.
//
//	TV(PF⊤, R/Z*) ≤ √(½ KL(PF ‖ PB R/Z*)) = √(½ (J_F − log Z + log Z*))
func SamplingError(g *Graph, logPF, logPB []float64) Bound {
	kl := g.trajectoryKL(logPF, logPB)
	return Bound{"sampling error", TV(g.LogTerminating(logPF), g.LogTarget()), math.Sqrt(max(0, kl) / 2), false}
}

// trajectoryKL returns KL(PF ‖ PB R/Z*), which is J_F at Z = Z*.
func (g *Graph) trajectoryKL(logPF, logPB []float64) float64 {
	return g.Value(logPF, g.RewardF(logPF, logPB, g.LogZ()))[0]
}

// EvidenceBounds are ELBO ≤ log Z* and log Z* ≤ EUBO.
func EvidenceBounds(g *Graph, logPF, logPB []float64) []Bound {
	return []Bound{
		{"evidence lower bound", g.ELBO(logPF, logPB), g.LogZ(), false},
		{"evidence upper bound", g.LogZ(), g.EUBO(logPF, logPB), false},
	}
}

// MarginalGap is fact 6 of spec §4. With PB = P*B, for which the last term is 0, only the marginal gap is left:
//
//	KL(PF ‖ PB R/Z*) = KL(PF⊤ ‖ R/Z*) + E_{x∼PF⊤} KL(PF(τ|x) ‖ PB(τ|x))
func MarginalGap(g *Graph, logPF, logPB []float64) Bound {
	ρ := g.LogTerminating(logPF)
	gap := KL(ρ, g.LogTarget()) + g.pathKL(ρ, g.BackwardOf(logPF), logPB)
	return Bound{"marginal gap", g.trajectoryKL(logPF, logPB), gap, true}
}

// pathKL returns E_{x∼ρ} KL(P(τ|x) ‖ Q(τ|x)) of two backward policies.
func (g *Graph) pathKL(ρ, logp, logq []float64) float64 {
	r := make([]float64, len(logp))
	for k := range r {
		r[k] = logp[k] - logq[k]
	}
	return meanOver(ρ, g.ValueB(logp, r))
}

// Improvement returns guarantees 2 and 3 for a step from policy P to P', both positive on every edge, with the same PB
// and Z. With A the advantages of P, L = Σ_s d(s) Σ_a P'(a|s) A(s,a), ε = max_s |Σ_a P'(a|s) A(s,a)|,
// κ = max_s KL(P'(·|s) ‖ P(·|s)) and H the longest trajectory's edges:
//
//	J' − J = E_{P'}[Σ_t A(s_t→s_{t+1})] + KL(P'‖P)    the KL because the reward depends on the policy
//	J' − J ≤ L + KL(P'‖P) + 2εH·TV(P', P)
//	J' − J ≤ L + KL(P'‖P) + εH·√(2 KL(P'‖P))
//	J' − J ≤ L + Hκ + εH·√(2Hκ)
//	KL(P'‖P) ≤ Hκ
//	Σ_s |d'(s) − d(s)| ≤ 2H·TV(P', P)
//	TV(P', P) ≤ √(½ KL(P'‖P))
//	TV(P', P) ≤ Σ_s d(s) TV(P'(·|s), P(·|s))
//
// TV(P', P) compares the laws of trajectories. If there are at most limit trajectories, it is summed over all of them.
// Otherwise the bound in the last line replaces it, and the last two lines are left out.
func Improvement(g *Graph, logPF, logPB, logPF2 []float64, limit int) []Bound {
	r := g.RewardF(logPF, logPB, g.LogZ())
	v := g.Value(logPF, r)
	a := g.Advantage(v, r)
	difference := g.trajectoryKL(logPF2, logPB) - v[0]
	// by row: Σ_a P'(a|s) A(s,a), KL(P'(·|s) ‖ P(·|s)) and TV(P'(·|s), P(·|s))
	gain, rowKL, rowTV := make([]float64, g.Len()), make([]float64, g.Len()), make([]float64, g.Len())
	for e, row := range g.From {
		p, p2 := math.Exp(logPF[e]), math.Exp(logPF2[e])
		gain[row] += p2 * a[e]
		rowKL[row] += p2 * (logPF2[e] - logPF[e])
		rowTV[row] += math.Abs(p2-p) / 2
	}
	d, d2 := g.LogVisits(logPF), g.LogVisits(logPF2)
	H, ε, κ, visits := float64(g.Longest()), 0.0, 0.0, 0.0
	for row := range d {
		ε, κ = max(ε, math.Abs(gain[row])), max(κ, rowKL[row])
		visits += math.Abs(math.Exp(d2[row]) - math.Exp(d[row]))
	}
	L, kl := meanOver(d, gain), max(0, meanOver(d2, rowKL)) // not −1e-18
	tv, exact := g.trajectoryTV(logPF, logPF2, limit)
	if !exact {
		tv = meanOver(d, rowTV)
	}
	bounds := []Bound{
		{"performance difference", difference, meanOver(d2, gain) + kl, true},
		{"improvement, TV", difference, L + kl + 2*ε*H*tv, false},
		{"improvement, KL", difference, L + kl + ε*H*math.Sqrt(2*kl), false},
		{"improvement, worst state", difference, L + H*κ + ε*H*math.Sqrt(2*H*κ), false},
		{"trajectory KL", kl, H * κ, false},
		{"visits", visits, 2 * H * tv, false},
	}
	if exact {
		bounds = append(bounds, Bound{"Pinsker", tv, math.Sqrt(kl / 2), false},
			Bound{"trajectory TV", tv, meanOver(d, rowTV), false})
	}
	return bounds
}

// Longest returns H, the largest number of edges of a complete trajectory.
func (g *Graph) Longest() int {
	most, _ := g.extremes(slices.Repeat([]float64{1}, len(g.BAction))) // ordinary edges to each row
	return int(slices.Max(most)) + 1
}

// trajectoryTV returns ½ Σ_τ |P(τ) − Q(τ)| where there are at most limit trajectories, else false.
func (g *Graph) trajectoryTV(logp, logq []float64, limit int) (tv float64, ok bool) {
	if LogSumExp(g.LogTerminating(make([]float64, len(logp)))) > math.Log(float64(limit)) { // Σ_x n(x)
		return 0, false
	}
	var from func(row int, p, q float64)
	from = func(row int, p, q float64) {
		if row == g.Len() {
			tv += math.Abs(math.Exp(p)-math.Exp(q)) / 2
			return
		}
		for e := g.FStart[row]; e < g.FStart[row+1]; e++ {
			from(int(g.Child[e]), p+logp[e], q+logq[e])
		}
	}
	from(0, 0, 0)
	return tv, true
}

// Guiding returns guarantee 4. guide(x) gives log weights by forward slot for the trajectories to the terminating state
// in row x. PG(τ|x) is the product of the weights along τ, normalised over the trajectories to x. A Markov guide
// returns the same slice for every x, and then takes one pass. With ρ = PF⊤, J^G the objective whose backward policy
// is PG, J_B^G = E_{ρ,PB}[log PB(τ|x) − log PG(τ|x)] and M = max_τ |log PB(τ|x) − log PG(τ|x)|:
//
//	J^G − J = E_{PF}[log PB(τ|x) − log PG(τ|x)]
//	|J^G − J − J_B^G| ≤ M √(2 KL(PF ‖ ρPB))
//	KL(PF ‖ ρPB) ≤ KL(PF ‖ PB R/Z*)
func Guiding(g *Graph, logPF, logPB []float64, guide func(x int) []float64) []Bound {
	ρ, back := g.LogTerminating(logPF), g.BackwardOf(logPF) // PF(τ|x) is the walk of P*B from x
	var last, norm, jg, gap, jb, most, least []float64
	JG, difference, JB, M := 0.0, 0.0, 0.0, 0.0
	for x := range g.Len() {
		exit := g.Exit(x)
		if exit < 0 {
			continue
		}
		if w := guide(x); last == nil || &w[0] != &last[0] {
			last, norm = w, g.LogVisits(w)
			toB := g.RewardB(logPB, w)         // log PB − log PG, but for the norm
			toF := make([]float64, len(logPB)) // log PF − log PG, likewise
			for k, e := range g.Edge {
				toF[k] = logPF[e] - w[e]
			}
			jg, gap, jb = g.ValueB(back, toF), g.ValueB(back, toB), g.ValueB(logPB, toB)
			most, least = g.extremes(toB)
		}
		p, n := math.Exp(ρ[x]), norm[x]
		JG += p * (jg[x] + n + logPF[exit] - g.LogR[x] + g.LogZ())
		difference += p * (gap[x] + n)
		JB += p * (jb[x] + n)
		M = max(M, most[x]+n, -least[x]-n)
	}
	J, kl := g.trajectoryKL(logPF, logPB), g.pathKL(ρ, back, logPB)
	return []Bound{
		{"guided difference", JG - J, difference, true},
		{"guided coupling", math.Abs(JG - J - JB), M * math.Sqrt(2*max(0, kl)), false},
		{"coupling KL", kl, J, false},
	}
}

// extremes returns by row the largest and the smallest sum of r by backward slot over the paths from s0.
func (g *Graph) extremes(r []float64) (most, least []float64) {
	most, least = make([]float64, g.Len()), make([]float64, g.Len())
	for row := 1; row < g.Len(); row++ {
		most[row], least[row] = math.Inf(-1), math.Inf(1)
	}
	for k, e := range g.Edge {
		from, to := g.From[e], g.Child[e]
		most[to], least[to] = max(most[to], most[from]+r[k]), min(least[to], least[from]+r[k])
	}
	return most, least
}

// ResidualCertificate is guarantee 5. If a ≤ c(τ) ≤ b for all complete trajectories τ, then
//
//	TV(PF⊤, R/Z*) ≤ tanh((b − a)/4)
//
// whatever log Z is: residuals within 0.04 of each other certify a total variation below 0.01, without Z*. Two
// trajectories attain it.
func ResidualCertificate(g *Graph, logPF, logPB []float64) Bound {
	most, least := g.extremes(g.RewardB(logPB, logPF)) // of log PB(τ|x) − log PF(τ), but for the exit
	a, b := math.Inf(1), math.Inf(-1)                  // of c(τ) − log Z
	for x, logR := range g.LogR {
		if exit := g.Exit(x); exit >= 0 {
			a, b = min(a, logPF[exit]-logR-most[x]), max(b, logPF[exit]-logR-least[x])
		}
	}
	tv := TV(g.LogTerminating(logPF), g.LogTarget())
	return Bound{"residual certificate", tv, math.Tanh((b - a) / 4), false}
}

// Control returns the statements of spec §6 about maximum-entropy control at temperature α, all of them equalities.
//
// Soft value iteration: with the corrected reward V(s0) = α log Z* and π samples R/Z*; with the uncorrected one
// V(s0) = α log Σ n(x)R(x) and π samples x ∝ n(x)R(x).
//
// Residuals: for any policy and flows, each residual of control, written in Q, V, π and r, is α times a balance
// residual, up to sign. The two sides are expectations over the trajectories of PF: of the residual of the path from s0
// to sf; and of the sum of squares along it for soft Q-learning, for its policy-parametrised form where every state is
// terminating, and for a shaped reward, with R̂ = R where R is defined and 1 elsewhere.
func Control(g *Graph, logPF, logPB, logF []float64, α float64) []Bound {
	r, none := g.SoftReward(logPB, g.LogR, α), make([]float64, g.Len())
	bounds := softValues(g, r, α)
	residuals, entropic := g.RewardF(logPF, logPB, 0), slices.Clone(r)
	for e := range r {
		entropic[e] -= α * logPF[e]
	}
	path, subTB := g.Value(logPF, entropic)[0]-α*logF[0], logF[0]+g.Value(logPF, residuals)[0]
	bounds = append(bounds, Bound{"path consistency", path, -α * subTB, true})

	// squares states E[Σ δ²] = E[Σ (α DB)²]: δ is the Bellman error of V = α log F, the reward shaped by
	// α log R̂.
	squares := func(name string, logF, shape []float64) {
		logF, shape = append(slices.Clone(logF), 0), append(slices.Clone(shape), 0) // 0 at the sink
		control, balance := make([]float64, len(r)), make([]float64, len(r))
		for e, row := range g.From {
			child := g.Child[e]
			Q, V := α*(logF[row]+logPF[e]), α*logF[child]
			δ := Q - (r[e] + α*shape[child] - α*shape[row] + V)
			db := α * (logF[row] + shape[row] + residuals[e] - logF[child] - shape[child])
			control[e], balance[e] = δ*δ, db*db
		}
		bounds = append(bounds, Bound{name, g.Value(logPF, control)[0], g.Value(logPF, balance)[0], true})
	}
	squares("soft Q-learning", logF, none)
	if !slices.Contains(g.LogR, math.Inf(-1)) {
		byExit := make([]float64, g.Len())
		g.exitFlows(logPF, byExit)
		squares("π-SQL", byExit, none)
	}
	logR := slices.Clone(g.LogR)
	for row, l := range logR {
		if math.IsInf(l, -1) {
			logR[row] = 0
		}
	}
	squares("forward-looking", logF, logR)
	return bounds
}

// softValues returns Control's statements about soft value iteration, r being the corrected reward.
func softValues(g *Graph, r []float64, α float64) []Bound {
	v, π := g.SoftValue(r, α)
	v0, π0 := g.SoftValue(g.SoftReward(nil, g.LogR, α), α) // uncorrected
	nR, total := g.weighted(g.LogTrajectories())
	return []Bound{
		{"soft value", v[0], α * g.LogZ(), true},
		{"soft policy", TV(g.LogTerminating(π), g.LogTarget()), 0, true},
		{"uncorrected soft value", v0[0], α * total, true},
		{"uncorrected soft policy", TV(g.LogTerminating(π0), nR), 0, true},
	}
}

// weighted returns the log of the distribution ∝ w(x)R(x) by row, and log Σ w(x)R(x), given log w.
func (g *Graph) weighted(logw []float64) (logp []float64, total float64) {
	logp, total = slices.Clone(logw), g.logMeanReward(logw)
	for row, r := range g.LogR {
		logp[row] += r - total
	}
	return logp, total
}

// UniformValue returns the statements of spec §7 about the evaluation of the uniform policy, d being its visits. On
// any graph
//
//	V(s0) = Σ_x d(x) g(x) R(x)    PF⊤(x) = d(x) g(x) R(x)/V(s0)
//
// the first as logarithms, nats. If g does not depend on the path, PF⊤ = R/Z*, V = g F* with the flows of the uniform
// backward policy, and g = 1/d; otherwise a bound on the bias, [SamplingError], stands in place of these. Distributions
// are compared by their total variation, tables by their largest difference of logarithms; both are stated to be 0.
func UniformValue(g *Graph) []Bound {
	logV, logPF, err := g.RandomPolicyEvaluation()
	logG, _ := g.LogG(nil)
	d, uniform, sampled := g.LogVisits(g.Forward(UniformPF)), g.Backward(UniformPB), g.LogTerminating(logPF)
	dg := slices.Clone(d)
	for row := range dg {
		dg[row] += logG[row]
	}
	dgR, total := g.weighted(dg)
	bounds := []Bound{
		{"random policy value", logV[0], total, true},
		{"random policy", TV(sampled, dgR), 0, true},
	}
	if err != nil {
		bias := SamplingError(g, logPF, uniform)
		bias.Name = "random policy bias"
		return append(bounds, bias)
	}
	flows, visits := 0.0, 0.0
	for row, f := range g.LogFlows(uniform, g.LogR) {
		flows, visits = max(flows, math.Abs(logV[row]-logG[row]-f)), max(visits, math.Abs(dg[row]))
	}
	return append(bounds,
		Bound{"random policy target", TV(sampled, g.LogTarget()), 0, true},
		Bound{"random policy flows", flows, 0, true},
		Bound{"random policy visits", visits, 0, true})
}

// Editing returns the bounds of spec §8 on the edits x̂ of a seed x of length T, over the words of g, π being the
// editor's sampler. The last one is of logarithms, nats:
//
//	E[lev(x, x̂)] ≤ E[Hamming(x, x̂)]
//	E[Hamming(x, x̂)] ≤ T (1−λ)(1 − Φ(−δ/σ))
//	[(1−λ)(1 − Φ((1−δ)/σ))]^T E_π[R] ≤ E[R(x̂)]
//
// The last one is left out where its left side is 0. It is false without its exponent T. It is attained where δ = 1,
// σ > 0, x is the sampler's first choice at every letter, and R rewards one word that differs from x everywhere.
func Editing(g *Graph, e *Editor, seed []int) []Bound {
	edited, sampled := g.LogTerminating(g.Forward(e.Policy(seed))), g.LogTerminating(g.Forward(e.p))
	lev, hamming := make([]float64, g.Len()), make([]float64, g.Len())
	var x []int
	for row, l := range edited {
		if math.IsInf(l, -1) {
			continue
		}
		x = g.State(x, row)
		lev[row] = float64(Levenshtein(seed, x))
		for t := range seed {
			if x[t] != seed[t] {
				hamming[row]++
			}
		}
	}
	changed, T := meanOver(edited, hamming), float64(len(seed))
	bounds := []Bound{
		{"edit distance", meanOver(edited, lev), changed, false},
		{"edited letters", changed, T * e.redraw(-e.δ), false}, // −δ ≤ p(x_t) − δ max p ≤ 1 − δ
	}
	if share := e.redraw(1 - e.δ); share > 0 { // of p(a) in P(x̂_t = a), for any letter
		least := T*math.Log(share) + g.logMeanReward(sampled)
		bounds = append(bounds, Bound{"edited reward", least, g.logMeanReward(edited), false})
	}
	return bounds
}

// Check tries every guarantee on random policies of g and returns for each the bound with the least slack, relative to
// its size, in the order of spec §5 to §8. The policies P, P' and PB are softmaxes of normal logits; every third P'
// lies within 1 % of P, and every third P is the oracle of PB, for which all gaps close. Guides: P itself with its
// exits capped, and one drawn anew for each endpoint.
func Check(g *Graph, policies int, seed uint64) []Bound {
	var all []Bound
	note := func(bounds ...Bound) { all = worst(append(all, bounds...)) }
	for i := range policies {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		logPB := randomPolicy(rng, g.BStart)
		logPF := randomPolicy(rng, g.FStart)
		if i%3 == 2 {
			logPF = g.ForwardOf(logPB)
		}
		logPF2 := randomPolicy(rng, g.FStart)
		if i%3 == 1 {
			for e := range logPF2 {
				logPF2[e] = logPF[e] + 0.01*logPF2[e]
			}
			normalise(logPF2, g.FStart)
		}
		note(SamplingError(g, logPF, logPB))
		note(EvidenceBounds(g, logPF, logPB)...)
		note(MarginalGap(g, logPF, logPB))
		note(Improvement(g, logPF, logPB, logPF2, 100_000)...)
		capped := ExitCapped{1e-5, LogSumExp(g.LogR) - math.Log(float64(g.Len()))}.Policy(&g.States, logPF)
		note(Guiding(g, logPF, logPB, func(int) []float64 { return capped })...)
		if g.Len()*len(g.FAction) <= 10_000_000 { // a pass for each endpoint
			note(Guiding(g, logPF, logPB, func(int) []float64 { return randomPolicy(rng, g.FStart) })...)
		}
		note(ResidualCertificate(g, logPF, logPB))
		logF, α := make([]float64, g.Len()), math.Exp(rng.NormFloat64())
		for row := range logF {
			logF[row] = rng.NormFloat64()
		}
		note(Control(g, logPF, logPB, logF, α)...)
		if i == 0 { // of the uniform policy alone
			note(UniformValue(g)...)
		}
		note(randomEditing(g, rng, logPF, i%3 == 1)...)
	}
	return all
}

// randomEditing returns the bounds on a random editor with a random seed, where g has the words that are appended.
func randomEditing(g *Graph, rng *rand.Rand, logPF []float64, noiseless bool) []Bound {
	words, ok := Unwrap(g.Env).(*Sequence)
	if !ok || words.order != Append {
		return nil
	}
	σ, seed := math.Exp(rng.NormFloat64()), words.word(0)
	if noiseless {
		σ = 0
	}
	for t := range seed {
		seed[t] = rng.IntN(len(words.tokens))
	}
	e, err := NewEditor(g.Env, g.Policy(logPF), rng.Float64(), σ, rng.Float64())
	if err != nil {
		panic(err)
	}
	return Editing(g, e, seed)
}

// worst keeps of each name the last bound that fails, or else the one of least relative slack.
func worst(bounds []Bound) (kept []Bound) {
	for _, b := range bounds {
		i := slices.IndexFunc(kept, func(w Bound) bool { return w.Name == b.Name })
		if i < 0 {
			kept = append(kept, b)
		} else if !b.Holds() || relativeSlack(b) < relativeSlack(kept[i]) {
			kept[i] = b
		}
	}
	return kept
}

// relativeSlack is the slack over the larger side. It is +Inf if both sides are 0 up to rounding, because the slack
// then says nothing about the bound.
func relativeSlack(b Bound) float64 {
	size := max(math.Abs(b.Left), math.Abs(b.Right))
	if size < 1e-9 {
		return math.Inf(1)
	}
	return b.Slack() / size
}

// randomPolicy returns the softmax of standard normal logits in each row of slots, start being FStart or BStart.
func randomPolicy(rng *rand.Rand, start []int32) []float64 {
	p := make([]float64, start[len(start)-1])
	for i := range p {
		p[i] = rng.NormFloat64()
	}
	normalise(p, start)
	return p
}
