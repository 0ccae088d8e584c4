package gfn

import (
	"fmt"
	"math"
)

// Flows holds what an objective reads about the rows of a [Batch]. Another Flows holds the cotangents of those values,
// to which the objective adds.
type Flows struct {
	LogPF []float64 // by forward slot
	LogPB []float64 // by backward slot
	LogF  []float64 // by row: log F(s), in [RPE] log V(s); nil where the objective learns log Z alone
	LogZ  float64   // log Z, where LogF is nil; elsewhere log F(s0) is in its place

	// For some objectives alone:
	LogRhat []float64    // by row: an intermediate reward log R̂(s), [FLDB]
	LogG    []float64    // by row: log g(s), [RPE]
	Next    []float64    // by row, held constant: log F of a child by a target network, [SQL], [SAC]; nil: LogF
	LogQ    [2][]float64 // by forward slot: log F(s→s') of two critics, [SAC]
}

// Reset makes d zero, with lists as long as those of v, for the cotangents of v.
func (d *Flows) Reset(v *Flows) {
	d.LogPF, d.LogPB = zeros(d.LogPF, len(v.LogPF)), zeros(d.LogPB, len(v.LogPB))
	d.LogF, d.LogZ = zeros(d.LogF, len(v.LogF)), 0
	for i, q := range v.LogQ {
		d.LogQ[i] = zeros(d.LogQ[i], len(q))
	}
}

// Objective returns the loss of a batch, the mean over its trajectories, and adds its cotangents to d, whose lists are
// as long as those of v ([Flows.Reset]). It sees log-probabilities, log-flows and log-rewards (nats), never a network.
type Objective func(b *Batch, v, d *Flows) float64

// form is a quadratic form Σ_{i<j} w_ij (u_i − u_j)² of one trajectory's potentials. It returns its value and
// writes ∂/∂u to du.
type form func(u, du []float64) float64

// quadratic is every balance loss (spec §3). With ℓ_t = log PF(s_{t+1}|s_t) − log PB(s_t|s_{t+1}) for t < n and
// ℓ_n = log PF(sf|s_n), a trajectory has the potentials
//
//	u_i = log F(s_i) − Σ_{t<i} ℓ_t for i ≤ n    u_{n+1} = log R(x) − Σ_{t≤n} ℓ_t    log F(s0) ≡ log Z
//
// so that u_i − u_j is the residual of the sub-trajectory from i to j. Cotangents: ∂u_i/∂log F(s_i) = 1,
// ∂u_i/∂ℓ_t = −[t < i]. u_0 is subtracted from all potentials, which changes no residual. At an offset of 300 a
// small loss would otherwise lose all its digits.
func quadratic(b *Batch, v, d *Flows, f form) float64 {
	loss, n := 0.0, float64(b.Trajectories())
	for i := range b.Trajectories() {
		steps := b.Trajectory(i)
		b.u, b.du = resize(b.u, len(steps)+1), resize(b.du, len(steps)+1)
		u, du := b.u, b.du
		logZ, logF := v.LogZ, 0.0
		if v.LogF != nil {
			logZ = v.LogF[steps[0].Row]
		}
		path := 0.0 // Σ_{t<i} ℓ_t
		for t, s := range steps {
			if v.LogF != nil { // else the form reads no inner potential
				logF = v.LogF[s.Row]
			}
			u[t] = logF - path - logZ
			path += v.LogPF[s.F]
			if s.B >= 0 {
				path -= v.LogPB[s.B]
			}
		}
		u[0] = 0
		last := len(steps)
		u[last] = b.LogR[steps[last-1].Row] - path - logZ

		loss += f(u, du) / n

		after := 0.0 // Σ_{i>t} ∂L/∂u_i
		for t := last - 1; t >= 0; t-- {
			s := steps[t]
			after += du[t+1] / n
			d.LogPF[s.F] -= after
			if s.B >= 0 {
				d.LogPB[s.B] += after
			}
			if v.LogF != nil {
				d.LogF[s.Row] += du[t] / n
			}
		}
		if v.LogF == nil {
			d.LogZ += du[0] / n
		}
	}
	return loss
}

// TB is trajectory balance (Malkin et al. 2022). For a trajectory τ = (s0 → … → x → sf) let
//
//	δ(τ) = log Z + Σ_t log PF(s_{t+1}|s_t) − log R(x) − Σ_t log PB(s_t|s_{t+1}) = u_0 − u_{n+1}
//
// and L the mean of δ(τ)². If δ(τ) = 0 for every complete τ, PF samples x with probability R(x)/Z.
// With g = ∂L/∂δ(τ) = 2δ(τ)/n, n trajectories:
//
//	∂L/∂log Z = Σ_τ g    ∂L/∂log PF(s_{t+1}|s_t) = g    ∂L/∂log PB(s_t|s_{t+1}) = −g
func TB(b *Batch, v, d *Flows) float64 {
	return quadratic(b, v, d, func(u, du []float64) float64 {
		δ := u[0] - u[len(u)-1]
		clear(du)
		du[0], du[len(u)-1] = 2*δ, -2*δ
		return δ * δ
	})
}

// DB is detailed balance (Bengio et al. 2023): the squared residuals of the single edges, summed
// along a trajectory,
//
//	δ_t = log F(s_t) + log PF(s_{t+1}|s_t) − log F(s_{t+1}) − log PB(s_t|s_{t+1}) = u_t − u_{t+1}
//
// with log R(x) in place of log F(sf) and PB(x|sf) = 1 on the exit edge.
func DB(b *Batch, v, d *Flows) float64 {
	return quadratic(b, v, d, func(u, du []float64) float64 {
		loss := 0.0
		du[0] = 0
		for t := range len(u) - 1 {
			δ := u[t] - u[t+1]
			du[t] += 2 * δ
			du[t+1] = -2 * δ
			loss += δ * δ
		}
		return loss
	})
}

// SubTB is sub-trajectory balance (Madan et al. 2023), all pairs i < j with geometric weights within a trajectory:
//
//	L(τ) = Σ_{i<j} λ^{j−i−1} (u_i − u_j)² / Σ_{i<j} λ^{j−i−1}    0⁰ = 1
//
// λ = 0 is DB divided by the trajectory's n+1 edges; λ = +Inf is TB. It takes O(n): with
// S_i = Σ_{j<i} λ^{i−j−1}, U_i = Σ_{j<i} λ^{i−j−1} u_j, and S', U' the same from the right,
//
//	½ ∂L/∂u_i = ((S_i + S'_i) u_i − U_i − U'_i) / Σ_i S_i    L = Σ_i u_i · ½ ∂L/∂u_i
//
// The objective panics for λ < 0 or NaN.
func SubTB(λ float64) Objective {
	return func(b *Batch, v, d *Flows) float64 {
		return quadratic(b, v, d, func(u, du []float64) float64 { return geometric(λ, u, du) })
	}
}

// geometric is the form of SubTB.
func geometric(λ float64, u, du []float64) float64 {
	if !(λ >= 0) {
		panic(fmt.Sprintf("gfn: λ = %v, want a number not below 0", λ))
	}
	clear(du)
	// sweep adds S_i u_i − U_i to du in one direction, and returns Σ_i S_i. All weights are divided by the largest,
	// max(1, λ^n), so that nothing overflows: with ν = min(λ, 1) and μ = 1/max(λ, 1),
	// U_i = μ^{n+1−i} Σ_{j<i} ν^{i−j−1} μ^j u_j, and S_i alike.
	sweep := func(at func(i int) int) (total float64) {
		S, U, scale := 0.0, 0.0, 1.0
		ν, μ := min(λ, 1), 1/max(λ, 1)
		for i := range u {
			k := at(i)
			last := math.Pow(μ, float64(len(u)-1-i))
			du[k] += last * (S*u[k] - U)
			total += last * S
			S, U, scale = ν*S+scale, ν*U+scale*u[k], μ*scale
		}
		return total
	}
	norm := sweep(func(i int) int { return i })
	sweep(func(i int) int { return len(u) - 1 - i })
	loss := 0.0
	for i := range u {
		loss += u[i] * du[i] / norm
		du[i] *= 2 / norm
	}
	return loss
}

// VarGrad is [TB] with log Z replaced by its batch estimate, the mean of log R + Σ log PB − Σ log PF (Richter et
// al. 2020; Zhang et al. 2023). It sets v.LogZ to the estimate. L is the variance (1/n) of that quantity, and 0 for a
// batch of one. The gradient through the mean vanishes identically.
func VarGrad(b *Batch, v, d *Flows) float64 {
	v.LogZ = 0
	n := float64(b.Trajectories())
	for i := range b.Trajectories() {
		v.LogZ += (b.LogR[b.Endpoint(i)] - b.logRatio(i, v.LogPF, v.LogPB)) / n
	}
	loss := TB(b, v, d)
	d.LogZ = 0 // Σ_τ δ(τ), up to rounding
	return loss
}

// FM is flow matching (Bengio et al. 2021) with learned edge flows log F(s→s') = v.LogF[s] + v.LogPF[s→s']. LogF is
// the log out-flow of a state, exit edge included, and LogPF the normalised out-flow. At every visited state s ≠ s0
//
//	δ(s) = log Σ_{p→s} F(p→s) − log Σ_{s→c} F(s→c)
//
// and at every visited terminating state, s0 included, ε(x) = log F(x→sf) − log R(x). L is the sum of δ² and
// ε² along a trajectory. The batch needs its parents ([States.AddParents]). If all δ and ε are 0, PF samples R/Z,
// log Z = LogF[s0]. The reference puts R in place of the learned exit flow in δ.
func FM(b *Batch, v, d *Flows) float64 {
	b.u = b.Visits(b.u)
	loss := 0.0
	for row, visits := range b.u {
		if visits == 0 {
			continue
		}
		if entering := b.Edge[b.BStart[row]:b.BStart[row+1]]; len(entering) > 0 {
			in := b.du[:0]
			for _, e := range entering {
				in = append(in, v.LogF[b.From[e]]+v.LogPF[e])
			}
			b.du = in
			total := LogSumExp(in)
			δ := total - v.LogF[row]
			loss += visits * δ * δ
			d.LogF[row] -= 2 * visits * δ
			for k, e := range entering {
				share := 2 * visits * δ * math.Exp(in[k]-total)
				d.LogF[b.From[e]] += share
				d.LogPF[e] += share
			}
		}
		if e := b.Exit(row); e >= 0 {
			ε := v.LogF[row] + v.LogPF[e] - b.LogR[row]
			loss += visits * ε * ε
			d.LogF[row] += 2 * visits * ε
			d.LogPF[e] += 2 * visits * ε
		}
	}
	return loss
}

// FLDB is forward-looking detailed balance (Pan et al. 2023): [DB] with
//
//	log F(s) = log F̃(s) + log R̂(s)
//
// where v.LogF is the learned log F̃ and v.LogRhat an intermediate reward, R̂(x) = R(x) where x is
// terminating. log Z = log F̃(s0) + log R̂(s0).
func FLDB(b *Batch, v, d *Flows) float64 {
	b.f = resize(b.f, b.Len())
	for row := range b.f {
		b.f[row] = v.LogF[row] + v.LogRhat[row]
	}
	whole := *v
	whole.LogF = b.f
	return DB(b, &whole, d)
}

// MDB is modified detailed balance (Deleu et al. 2022), for environments in which every state is terminating: [DB] with
// the flows that follow from an exit's balance,
//
//	log F(s) = log R(s) − log PF(sf|s)    log Z = log R(s0) − log PF(sf|s0)
//
// No flow is learned, and v.LogF is not read. The residual of the exit edge is 0. Cotangents reach log PF(sf|s) at
// every state of a trajectory.
func MDB(b *Batch, v, d *Flows) float64 { return byExits(DB, b, v, d) }

// byExits is an objective on the flows log F(s) = log R(s) − log PF(sf|s).
func byExits(o Objective, b *Batch, v, d *Flows) float64 {
	b.f, b.df = resize(b.f, b.Len()), zeros(b.df, b.Len())
	b.exitFlows(v.LogPF, b.f)
	whole, cotangents := *v, *d
	whole.LogF, cotangents.LogF = b.f, b.df
	loss := o(b, &whole, &cotangents)
	for row, df := range b.df {
		d.LogPF[b.Exit(row)] -= df
	}
	return loss
}

// exitFlows writes log F(s) = log R(s) − log PF(sf|s) to dst, by row; every state is terminating.
func (st *States) exitFlows(logPF, dst []float64) {
	for row := range dst {
		dst[row] = st.LogR[row] - logPF[st.Exit(row)]
	}
}

// Maximum-entropy control at temperature α (spec §6; Tiapkin et al. 2024, Deleu et al. 2024), with the corrected
// reward r(s→s') = α log PB(s|s'), r(x→sf) = α log R(x), is the same mathematics in other units:
//
//	V(s) = α log F(s)    Q(s→s') = α (log F(s) + log PF(s'|s))    π = PF    V(sf) = 0
//
// The objectives read log F as the others do. The networks of these methods learn V and Q.

// PCL is path consistency learning (Nachum et al. 2017): the squared inconsistencies of all parts s_i…s_j of a
// trajectory,
//
//	−V(s_i) + V(s_j) + Σ_{i≤t<j} (r_t − α log π(s_{t+1}|s_t)) = −α (u_i − u_j)
//
// with the weights of [SubTB] (the original takes all parts of one length d): α² SubTB(λ).
func PCL(λ, α float64) Objective {
	return func(b *Batch, v, d *Flows) float64 {
		return quadratic(b, v, d, func(u, du []float64) float64 {
			loss := geometric(λ, u, du)
			for i := range du {
				du[i] *= α * α
			}
			return α * α * loss
		})
	}
}

// SQL is soft Q-learning (Haarnoja et al. 2017): the squared errors of the soft Bellman equation, summed along a
// trajectory,
//
//	δ_t = Q(s_t→s_{t+1}) − (r_t + V(s_{t+1})) = α (log F(s_t) PF(s_{t+1}|s_t) − log F(s_{t+1}) PB(s_t|s_{t+1}))
//
// On an exit edge it is Q − α log R. With a target network, v.Next, r + V(s') is held constant. Without one it is
// learned too, and the loss is α² DB.
func SQL(α float64) Objective {
	return func(b *Batch, v, d *Flows) (loss float64) {
		n := float64(b.Trajectories())
		for i := range b.Trajectories() {
			steps := b.Trajectory(i)
			for t, s := range steps {
				δ := α * (v.LogF[s.Row] + v.LogPF[s.F] - v.target(b, steps, t))
				loss += δ * δ / n
				g := 2 * α * δ / n
				d.LogF[s.Row] += g
				d.LogPF[s.F] += g
				if s.B >= 0 && v.Next == nil {
					d.LogF[steps[t+1].Row] -= g
					d.LogPB[s.B] -= g
				}
			}
		}
		return loss
	}
}

// target returns (r_t + V(s_{t+1}))/α of step t of a trajectory, with V of the target network if there is one.
func (v *Flows) target(b *Batch, steps []Step, t int) float64 {
	s := steps[t]
	switch {
	case s.B < 0:
		return b.LogR[s.Row]
	case v.Next != nil:
		return v.LogPB[s.B] + v.Next[steps[t+1].Row]
	}
	return v.LogPB[s.B] + v.LogF[steps[t+1].Row]
}

// PiSQL is soft Q-learning in terms of the policy (Deleu et al. 2024, π-SQL), for environments in which every state is
// terminating: [SQL] with V(s) = r(s→sf) − α log π(sf|s). Without a target network it is α² [MDB]. It does not
// read v.LogF.
func PiSQL(α float64) Objective {
	return func(b *Batch, v, d *Flows) float64 { return byExits(SQL(α), b, v, d) }
}

// SAC is discrete soft actor-critic (Haarnoja et al. 2018; Christodoulou 2019) with two critics. It
// returns and differentiates the sum, along a trajectory, of the critics' losses and the actor's:
//
//	Σ_k (Q_k(s_t→s_{t+1}) − (r_t + V̄(s_{t+1})))² + α KL(π(·|s_t) ‖ exp(Q/α) normalised)    Q = min_k Q_k
//
// V̄, given as v.Next, is [SoftState] of target critics. r + V̄ and the Q of the actor's loss are held constant. The
// actor's loss is Σ_a π (α log π − Q) plus a constant. v.LogQ holds Q_k/α.
func SAC(α float64) Objective {
	return func(b *Batch, v, d *Flows) (loss float64) {
		n := float64(b.Trajectories())
		for i := range b.Trajectories() {
			steps := b.Trajectory(i)
			for t, s := range steps {
				for k, q := range v.LogQ {
					δ := α * (q[s.F] - v.target(b, steps, t))
					loss += δ * δ / n
					d.LogQ[k][s.F] += 2 * α * δ / n
				}
				loss += α / n * project(b, int(s.Row), α/n, v, d)
			}
		}
		return loss
	}
}

// project returns KL(π(·|s) ‖ π'), π' the softmax of the lesser critic's Q/α, and adds weight times its
// cotangents to those of log π. With x = log π/π' the KL is
// Σ π (x + e⁻ˣ − 1) = Σ π log(π/π') − Σ π + Σ π': this keeps its digits where x is small,
// and its cotangents, π x, are right also where Σ π ≠ 1.
func project(b *Batch, row int, weight float64, v, d *Flows) (kl float64) {
	lo, hi := b.FStart[row], b.FStart[row+1]
	b.u = resize(b.u, int(hi-lo))
	for k := range b.u {
		b.u[k] = v.minQ(lo + int32(k))
	}
	total := LogSumExp(b.u)
	for k, q := range b.u {
		e := lo + int32(k)
		p, log := math.Exp(v.LogPF[e]), v.LogPF[e]-(q-total)
		kl += p * (log + math.Expm1(-log))
		d.LogPF[e] += weight * p * log
	}
	return kl
}

// minQ returns the lesser critic's Q/α.
func (v *Flows) minQ(e int32) float64 { return min(v.LogQ[0][e], v.LogQ[1][e]) }

// SoftState writes the value of a policy by two critics to dst, by row, in units of α:
//
//	V(s)/α = Σ_a π(a|s) (Q(s→s')/α − log π(a|s))    Q = min_k Q_k
func SoftState(st *States, v *Flows, dst []float64) {
	clear(dst)
	for e, row := range st.From {
		dst[row] += times(math.Exp(v.LogPF[e]), v.minQ(int32(e))-v.LogPF[e])
	}
}

// RPE is random policy evaluation (He et al. 2024, spec §7). It regresses log V, V the value of the uniform policy, on
// its expected update over all children. At every visited state
//
//	δ(s) = log V(s) − log U(s)    U(s) = (1/A(s)) (Σ_{s→s'} V(s') + [s ∈ X] A(s) g(s) R(s))
//
// and L is the sum of δ² along a trajectory. ∂L/∂log V(s') is −2 δ(s) times the share of V(s') in U(s): the
// update is not held constant. Where the exit is the only edge, V = g(x) R(x) is known, and not learned. The batch
// needs its children ([States.AddChildren]), v.LogG, and v.LogF for log V, but no policy: its trajectories are the
// uniform policy's, or any that reach every state. If δ = 0 everywhere, V is that of [Graph.RandomPolicyEvaluation],
// and log Z = log V(s0).
//
// The original learns F = V/g, and squares the error of V. g varies by many orders of magnitude (10¹³ in words of 10
// of 20 letters), and then the squares are those of the states of largest g alone. In logarithms all states count
// alike.
func RPE(b *Batch, v, d *Flows) (loss float64) {
	b.u = b.Visits(b.u)
	for row, visits := range b.u {
		if visits == 0 || b.onlyExits(row) {
			continue
		}
		lo := int(b.FStart[row])
		b.du = resize(b.du, int(b.FStart[row+1])-lo)
		b.valueTerms(row, v.LogG, v.LogF, b.du)
		update := LogSumExp(b.du)
		δ := v.LogF[row] - update
		loss += visits * δ * δ
		d.LogF[row] += 2 * visits * δ
		for k, term := range b.du {
			if c := b.Child[lo+k]; lo+k != b.Exit(row) && !b.onlyExits(int(c)) {
				d.LogF[c] -= 2 * visits * δ * math.Exp(term-update)
			}
		}
	}
	return loss
}

// ValuePolicy is the policy that [Graph.RandomPolicyEvaluation] extracts from values, each row normalised. logV writes
// log V by row. ValuePolicy asks it for the children of the rows too, on states of its own: the caller's need not have
// them.
func ValuePolicy(logV Policy) Policy {
	var near States // the rows, and then their children
	var v, logG []float64
	return func(st *States, lo, hi int, dst []float64) {
		near.Reset(st.Env)
		var s []int
		for row := lo; row < hi; row++ {
			s = st.State(s, row)
			near.Add(s)
		}
		near.AddChildren()
		v = resize(v, near.Len())
		logV(&near, 0, near.Len(), v)
		logG, _ = near.LogG(logG)
		near.valuePolicy(hi-lo, logG, v, dst)
	}
}

// valuePolicy writes the policy of values log V by row to dst, by slot of the first n rows, whose children st holds.
func (st *States) valuePolicy(n int, logG, logV, dst []float64) {
	for row := range n {
		st.valueTerms(row, logG, logV, dst[st.FStart[row]:st.FStart[row+1]])
	}
	normalise(dst, st.FStart[:n+1])
}

// onlyExits says whether the exit is the only edge of a row. Then V(x) = g(x) R(x), whatever a network says.
func (st *States) onlyExits(row int) bool { return st.Exit(row) == int(st.FStart[row]) }

// logValue returns log V of a row.
func (st *States) logValue(row int, logG, logV []float64) float64 {
	if st.onlyExits(row) {
		return logG[row] + st.LogR[row]
	}
	return logV[row]
}

// valueTerms writes the logarithms of what adds up to V(s), V(s')/A(s) and g(s) R(s), to dst, by slot of a row.
func (st *States) valueTerms(row int, logG, logV, dst []float64) {
	lo, exit := int(st.FStart[row]), st.Exit(row)
	for k := range dst {
		if lo+k == exit {
			dst[k] = logG[row] + st.LogR[row]
		} else {
			dst[k] = st.logValue(int(st.Child[lo+k]), logG, logV) - math.Log(float64(len(dst)))
		}
	}
}
