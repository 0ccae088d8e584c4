// Package gfn trains GFlowNets and checks them: an executable specification of GFlowNet Training by
// Policy Gradients (Niu et al. 2024) and of the balance losses around it, in the standard library
// alone.
//
// A GFlowNet learns a policy that builds objects x step by step so that each comes out with
// probability R(x)/Z. On spaces small enough to enumerate this package computes what a policy
// really samples, and its tests compare learned distributions with exact targets. The package is
// made to be read beside the papers, run with go test, and vendored by copying its files.
//
// Sections below carry the numbers of the specification that the code cites as "spec §n".
//
// # 1 Objects and notation
//
// A pointed DAG has states s, a source s0, a sink sf, and edges s→s', which are actions: two
// actions may join the same states. A state with an exit edge, to sf, is terminating; X is the set
// of those, R(x) ≥ 0 the reward, Z* = Σ_x R(x), and R/Z* the target. τ = (s0, …, x, sf) is a
// complete trajectory.
//
//	PF(s'|s)    forward policy, over the edges leaving s, the exit among them          log PF, by forward slot
//	PB(s|s')    backward policy, over the edges entering s' ≠ s0, sf                   log PB, by backward slot
//	PF⊤(x)      terminating distribution: what the sampler samples                     by row
//	F(s), Z     state flow and total flow; F(sf) stands for R(x)                       by row
//	d(s), n(s)  visits of a policy; number of trajectories from s0
//	A(s), B(s') number of edges leaving s, exit included, and entering s'
//
// All of these are float64 slices over the rows and slots of a [States], as logarithms in nats. An
// [Env] states its moves in eight methods; [CheckEnv] tests one. [Enumerate] walks any of them into
// a [Graph], on which every exact quantity is a pass over edges; [Batch.Sample] and
// [Batch.SampleBackward] draw trajectories into a [Batch], where each distinct state stands once. A
// policy is the same slice in both, from a table ([Graph.Policy]) or from a network ([Net.Eval]). A
// tabular policy is a network without hidden layers on [Tabular] features.
//
// # 2 Exact quantities
//
//   - [Graph.LogVisits]: d(s') = Σ d(s) PF(s'|s)
//   - [Graph.LogTerminating]: PF⊤(x) = d(x) PF(sf|x)
//   - [Graph.LogTrajectories]: n(s') = Σ n(s)
//   - [Graph.LogFlows]: F*(s) = Σ F*(s') PB(s|s') + [s ∈ X] R(s)
//   - [Graph.ForwardOf]: P*F(s'|s) = F*(s') PB(s|s') / F*(s), which samples R/Z* exactly: the oracle
//   - [Graph.BackwardOf]: P*B(s|s') = d(s) PF(s'|s) / d(s')
//   - [Graph.Value]: V(s) = Σ PF(s'|s) (r(s→s') + V(s')), and [Graph.ValueB] backwards
//   - [Graph.Metrics], spec §10: [TV], [JSD], [KL], [Graph.ELBO] ≤ log Z* ≤ [Graph.EUBO]; [Graph.Empirical] of samples, beside a perfect sampler's
//
// # 3 Balance losses
//
// An [Objective] sees log-probabilities, log-flows and log-rewards ([Flows]) and returns a number
// and its cotangents. With u_i the potentials of a trajectory, all but the first are one quadratic
// form Σ w_ij (u_i − u_j)².
//
//   - [FM]: flow matching: in-flow = out-flow at every visited state
//   - [DB]: detailed balance: F(s) PF(s'|s) = F(s') PB(s|s')
//   - [TB]: trajectory balance: Z PF(τ) = R(x) PB(τ|x)
//   - [SubTB]: every sub-trajectory, weights λ^(j−i−1); λ = 0 is DB over its edges, λ = ∞ is TB
//   - [VarGrad]: TB with log Z estimated by the batch
//   - [FLDB]: forward-looking, DB with log F = log F̃ + log R̂, an intermediate reward ([Traits])
//   - [MDB]: modified DB, log F(s) = log R(s) − log PF(sf|s), where every state is terminating
//
// # 4 Policy-dependent rewards
//
// The reward R_F(s→s') = log PF − log PB, at the exit log PF − log R + log Z, depends on the
// policy; its return is the TB residual c(τ), and minimising J_F = E[c(τ)] = KL(PF ‖ PB R/Z*) + log
// Z − log Z* is keeping the flow balanced.
//
// Facts, for any PF, PB and log Z; V_F, A_F and d are the value, advantage and visits of PF, c(τ)
// the residual log Z + log PF(τ) − log R(x) − log PB(τ|x):
//
//  1. J_F = E[c(τ)] = KL(PF ‖ PB R/Z*) + log Z − log Z*, so that log Z − J_F ≤ log Z*.
//  2. V_F(s) = log Z − log F*(s) + KL(PF(·|s) ‖ P*F(·|s)) over the rest of the trajectory.
//  3. ∇J_F = ½ E[∇c(τ)²] over τ ∼ PF, and ∇J_B = ½ E[∇c(τ)²] over x ∼ ρ, τ ∼ PB, for any ρ; log Z
//     steps along mean c(τ).
//  4. ∂J_F/∂logit(s, a) = d(s) PF(a|s) A_F(s, a), and alike backwards.
//  5. λ-returns with the exact V_F have the exact gradient as their expectation for every λ; with
//     any V for λ = 1, and for λ < 1 they are biased.
//  6. Given PF, PB = P*B minimises KL(PF ‖ PB R/Z*), and leaves the marginal gap alone.
//
// In code:
//
//   - [Graph.GradJF], [Graph.GradJB]: J_F, J_B and their exact gradients in logits: half those of TB, on policy
//   - [RewardsF], [RewardsB]: the rewards of sampled steps
//   - [Advantages], [Returns]: estimators: λ-returns with or without a critic ([Critic]), whole returns; [Centre] subtracts means
//   - [SubEB]: a critic by sub-trajectory evaluation balance: SubTB with −V in place of log F, PF and PB held fixed
//   - [PolicyGradient]: their cotangents
//   - [Guide]: what PB is trained against: [Unguided] (PF), [ExitCapped], [Replayed]
//   - [TrustRegion]: natural-gradient steps within a KL: [Fisher] products and [ConjugateGradients]
//
// # 5 Guarantees
//
// Each is a function that returns both sides as a [Bound]; [Check] tries all of them on random
// policies.
//
//  1. [SamplingError]: TV(PF⊤, R/Z*) ≤ √(½ (J_F − log Z + log Z*))
//  2. [Improvement], the performance difference: J' − J = E_{P'}[Σ A] + KL(P'‖P)
//  3. [Improvement], its bounds by advantages, KL(P'‖P) and the total variation of trajectories
//  4. [Guiding]: |J^G − J − J_B^G| ≤ M √(2 KL(PF ‖ ρPB))
//
// Beside them stand [EvidenceBounds], ELBO ≤ log Z* ≤ EUBO, and [MarginalGap], fact 6.
//
// # 6 Maximum-entropy control
//
// At temperature α and with the corrected reward r(s→s') = α log PB(s|s'), r(x→sf) = α log R(x), soft
// values are flows, V = α log F and Q = α (log F + log PF), and the control objectives are balance losses
// in other units. Uncorrected, r = 0 on ordinary edges, the policy samples n(x)R(x).
//
//   - [Graph.SoftValue] of a [Graph.SoftReward]: soft value iteration; V(s0) = α log Z*
//   - [PCL]: path consistency: α² SubTB
//   - [SQL]: soft Q-learning: α² DB, but for its target network
//   - [PiSQL]: the same in the policy's parameters: α² MDB, likewise
//   - [SAC]: soft actor-critic: two critics with targets by [SoftState], the actor by their KL
//   - [Control]: all of these statements with both sides, for [Check]
//
// # 7 Random policy evaluation
//
// Let g(s0) = 1, g(s') = g(s) A(s)/B(s'). Where g does not depend on the path, as of words and on trees, V = g F* is the
// value of the uniform policy for exits worth A(x) g(x) R(x), and the policy PF(s'|s) = V(s')/(A(s) V(s)) samples R/Z*.
// Elsewhere it samples x ∝ d(x) g(x) R(x), d the visits of the uniform policy.
//
//   - [States.LogG]: log g, and an error that names two parents by which it differs; [Traits].PathIndependent: no need to look
//   - [Graph.RandomPolicyEvaluation]: V(s) = (1/A(s)) (Σ V(s') + [s ∈ X] A(s) g(s) R(s)) as a soft value, and the policy
//   - [RPE]: log V regressed on its update; [ValuePolicy]: the policy of learned values
//   - [UniformValue]: all of these statements with both sides, for [Check]
//
// # 8 Editing sequences
//
// An autoregressive sampler p over words ([Append]) edits a seed: a letter that p finds much less likely than its first
// choice is flagged and drawn anew. The law of the edits is a forward policy too.
//
//   - [Editor], [NewEditor]: P(x̂_t = a|x̂_<t) = ρ p(a|x̂_<t) + (1−ρ) 1[a = x_t], ρ = (1−λ) P(flag)
//   - [Editing]: E[lev] ≤ E[Hamming] ≤ T (1−λ)(1−Φ(−δ/σ)) and E[R(x̂)] ≥ [(1−λ)(1−Φ((1−δ)/σ))]^T E_π[R], as Bounds
//   - [MeasureEdits]: property improvement, edit percentage, diversity; what an editor is compared with: [NewMutator], letters
//     at random, and [NewTailEditor], the last letters drawn anew
//
// # 9 Environments
//
// [HyperGrid], [Sequence] (words built left to right, at either end, or in any order; rewards of
// tables, motifs, modes, factor graphs and the Ising model), [DAG] (Bayesian network structures
// with the BGe score) and [Explicit] graphs; [ParseEnv] builds them from a line of text. Words have
// an intermediate reward, [Traits].LogIntermediate, where theirs is a sum over slots. Rewards of
// zero are raised to a visible floor, so that log R is finite everywhere.
//
// # Training
//
// [NewTrainer] takes an [Env] and a [Config]; [Methods] lists the ways of training. [Trainer.Run]
// evaluates exactly wherever the space is enumerated. Networks step by [Adam], or AMSGrad ([Adam.AMSGrad]).
// [Trainer.Save] and [Load] write and read checkpoints.
//
// # Errors and determinism
//
// What a caller can get wrong with data is an error that begins with "gfn: " (behind the path, from
// [LoadFile]) and names the field, the file and line, or the state; misuse of shapes within a
// program panics. Nothing on disk is left half written ([WriteFile]). The same seed gives the same
// bits on any number of workers and after a resume: each trajectory has a random stream of its own,
// and each entry of a gradient is summed by one owner in one order. Bitwise promises are for one
// build on one machine. With GOEXPERIMENT=simd (Go 1.26, amd64) the products of a network are vector
// kernels, several times as fast, which sum in another order.
//
// # Where this departs from the reference code
//
// The trust region has one KL scale, which follows the schedule of rates, its conjugate gradients
// stop at a residual relative to the gradient where that is small, and a failed line search
// restores the parameters exactly. The replay guide forgets the older half of its memory at once.
// The exit cap of a guide applies to probabilities, not to raw logits. FM trains the exit flow of
// every visited terminating state. Log rewards have one floor, a parameter of the environment. The
// balance losses' log Z is the network's log F(s0) wherever there are state flows. Errors of soft
// Q-learning and SAC are squared, not Huber's, at any temperature (the reference has α = 1). Random policy
// evaluation learns log V by errors of logarithms, not F by errors of V.
//
// # References
//
// Niu, Wu, Fan, Qian, GFlowNet training by policy gradients, ICML 2024. Niu, Wu, Qian, Evaluating GFlowNet
// from partial episodes for stable and flexible policy-based training, ICLR 2026. Bengio et al., Flow network
// based generative models for non-iterative diverse candidate generation, NeurIPS 2021. Bengio et al.,
// GFlowNet foundations, JMLR 2023. Malkin et al., Trajectory balance: improved credit assignment in
// GFlowNets, NeurIPS 2022. Madan et al., Learning GFlowNets from partial episodes for improved convergence
// and stability, ICML 2023. Richter et al., VarGrad, NeurIPS 2020. Zhang, Rainone, Peschl, Bondesan, Robust
// scheduling with GFlowNets, ICLR 2023. Deleu et al., Bayesian structure learning with generative flow
// networks, UAI 2022. Schulman et al., Trust region policy optimization, ICML 2015, and High-dimensional
// continuous control using generalized advantage estimation, ICLR 2016. Kuipers, Moffa, Heckerman, Addendum
// on the scoring of Gaussian directed acyclic graphical models, Annals of Statistics 2014. Pan et al., Better
// training of GFlowNets with local credit and incomplete trajectories, ICML 2023. Deleu et al., Discrete
// probabilistic inference as control in multi-path environments, UAI 2024. Tiapkin et al., Generative flow
// networks as entropy-regularized RL, AISTATS 2024. Nachum et al., Bridging the gap between value and policy
// based reinforcement learning, NeurIPS 2017. Haarnoja et al., Reinforcement learning with deep energy-based
// policies, ICML 2017, and Soft actor-critic, ICML 2018. Christodoulou, Soft actor-critic for discrete action
// settings, 2019. He, Bengio, Cai, Pan, Random policy evaluation uncovers policies of generative flow
// networks, 2024. Ghari et al., GFlowNet assisted biological sequence editing, NeurIPS 2024. Kingma, Ba,
// Adam, ICLR 2015. Reddi, Kale, Kumar, On the convergence of Adam and beyond, ICLR 2018.
package gfn
