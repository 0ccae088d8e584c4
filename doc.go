// Package gfn trains GFlowNets and checks them. It is an executable specification of GFlowNet Training by Policy
// Gradients (Niu et al. 2024) and of the balance losses around it, in the standard library alone.
//
// A GFlowNet learns a policy that builds objects x step by step, so that each x comes out with probability R(x)/Z. On a
// space small enough to enumerate, this package computes what a policy really samples, and its tests compare every
// learned distribution with the exact target. Read losses.go and grad.go after this page.
//
// Sections 1 to 10 carry the numbers that the code cites as "spec §n".
//
// # 1 Objects and notation
//
// A pointed DAG has states s, a source s0, a sink sf, and edges s→s', which are actions: two actions may join the
// same states. A state with an exit edge, to sf, is terminating. X is the set of terminating states, R(x) ≥ 0 the
// reward, Z* = Σ_x R(x), and R/Z* the target. A complete trajectory is τ = (s0, …, x, sf).
//
//	PF(s'|s)    forward policy, over the edges leaving s, exit included                by forward slot
//	PB(s|s')    backward policy, over the edges entering s' ≠ s0, sf                   by backward slot
//	PF⊤(x)      terminating distribution: what the sampler samples                     by row
//	F(s), Z     state flow and total flow; F(sf) stands for R(x)                       by row
//	d(s), n(s)  probability that PF visits s; number of trajectories from s0 to s      by row
//	A(s), B(s') number of edges leaving s, exit included, and entering s'              by row
//	c(τ)        residual log Z + log PF(τ) − log R(x) − log PB(τ|x)                    by trajectory
//
// In code they are float64 slices over the rows and slots of a [States], as logarithms in nats. An [Env] states its
// moves in eight methods, and [CheckEnv] tests one; what else it may say is in its [Traits]. [Enumerate] walks it into
// a [Graph], on which every exact quantity is one pass over the edges. [Batch.Sample] and [Batch.SampleBackward] draw
// trajectories into a [Batch], which holds each distinct state once. A policy is the same slice in both, from a table
// ([Graph.Policy]) or from a network ([Net.Eval]). A tabular policy is a network without hidden layers on [Tabular]
// features.
//
// # 2 Exact quantities
//
//   - [Graph.LogVisits]: d(s') = Σ d(s) PF(s'|s); with PF = 1 on every edge it is [Graph.LogTrajectories], n(s)
//   - [Graph.LogTerminating]: PF⊤(x) = d(x) PF(sf|x)
//   - [Graph.LogFlows]: F*(s) = Σ F*(s') PB(s|s') + R(s) if s ∈ X, so that F*(s0) = Z*
//   - [Graph.ForwardOf]: P*F(s'|s) = F*(s') PB(s|s') / F*(s), which samples R/Z* exactly: the oracle
//   - [Graph.BackwardOf]: P*B(s|s') = d(s) PF(s'|s) / d(s')
//   - [Graph.Value]: V(s) = Σ PF(s'|s) (r(s→s') + V(s')), and [Graph.ValueB] backwards
//
// # 3 Balance losses
//
// An [Objective] reads log-probabilities, log-flows and log-rewards ([Flows]) and returns a loss and its cotangents.
// With the potentials u_i of a trajectory, u_i = log F(s_i) − Σ_{t<i} (log PF − log PB), every loss but the first
// is one quadratic form Σ w_ij (u_i − u_j)².
//
//   - [FM], flow matching: in-flow = out-flow at every visited state; it is DB with PB the shares of the in-flow
//   - [DB], detailed balance: F(s) PF(s'|s) = F(s') PB(s|s')
//   - [TB], trajectory balance: Z PF(τ) = R(x) PB(τ|x)
//   - [SubTB], every sub-trajectory, with weights λ^(j−i−1): λ = 0 is DB over its number of edges, λ = ∞ is TB
//   - [VarGrad]: TB with log Z estimated from the batch
//   - [FLDB], forward-looking: DB with log F = log F̃ + log R̂, R̂ an intermediate reward
//   - [MDB], modified DB: log F(s) = log R(s) − log PF(sf|s), where every state is terminating
//
// # 4 Policy-dependent rewards
//
// The reward R_F(s→s') = log PF − log PB, with log PF − log R + log Z at the exit, depends on the policy. Its
// return is c(τ), so that minimising the expected return keeps the flow balanced. With V_F, A_F and d of PF, for any
// PF, PB and log Z:
//
//  1. J_F = E[c(τ)] = KL(PF ‖ PB R/Z*) + log Z − log Z*, so that log Z − J_F ≤ log Z*.
//  2. V_F(s) = log Z − log F*(s) + KL(PF(·|s) ‖ P*F(·|s)) over the rest of the trajectory.
//  3. ∇J_F = ½ E[∇c(τ)²] over τ ∼ PF, and ∇J_B = ½ E[∇c(τ)²] over x ∼ ρ, τ ∼ PB, for any ρ.
//     log Z steps along the mean of c(τ).
//  4. ∂J_F/∂logit(s, a) = d(s) PF(a|s) A_F(s, a), and alike backwards.
//  5. With the exact V_F, λ-returns have the exact gradient as their expectation for every λ. With any other V they
//     have it for λ = 1 and are biased for λ < 1.
//  6. Given PF, PB = P*B minimises KL(PF ‖ PB R/Z*), and then only the marginal gap KL(PF⊤ ‖ R/Z*) is left.
//
// The four methods of the paper take policy-gradient steps of PF and differ in the rest:
//
//   - RL-U: PB is uniform. Exact gradient: [Graph.GradJF]. From samples: [RewardsF], [Advantages] (or [Returns]),
//     [Centre], [PolicyGradient], with a [Critic]
//   - RL-B: PB takes policy-gradient steps of its own. Exact gradient: [Graph.GradJB]. From samples: [RewardsB], and
//     the rest as for PF
//   - RL-T: PF takes natural-gradient steps within KL(P'‖P) ≤ ζ, a [TrustRegion], by [Fisher] products and
//     [ConjugateGradients]
//   - RL-G: PB learns against a [Guide] in place of PF ([Unguided]): [ExitCapped] or [Replayed]
//
// [SubEB] trains the critic by sub-trajectory evaluation balance: SubTB with −V in place of log F, PF and PB held
// fixed.
//
// # 5 Guarantees
//
// Each is a function that returns both sides as a [Bound], and [Check] tries all of them on random policies.
//
//   - [SamplingError]: TV(PF⊤, R/Z*) ≤ √(½ (J_F − log Z + log Z*))
//   - [Improvement]: J' − J = E_{P'}[Σ A] + KL(P'‖P), and upper bounds of J' − J by advantages, KL and
//     total variation
//   - [Guiding]: |J^G − J − J_B^G| ≤ M √(2 KL(PF ‖ ρPB)), where J^G has the guide for PB
//   - [EvidenceBounds]: ELBO ≤ log Z* ≤ EUBO; [MarginalGap]: fact 6
//
// # 6 Maximum-entropy control
//
// At temperature α, with the corrected reward r(s→s') = α log PB(s|s') and r(x→sf) = α log R(x), soft values are
// flows: V = α log F and Q = α (log F + log PF). The control objectives are balance losses in other units.
// Uncorrected, with r = 0 on ordinary edges, the policy samples n(x) R(x).
//
//   - [Graph.SoftValue] of a [Graph.SoftReward]: soft value iteration; V(s0) = α log Z*
//   - [PCL], path consistency: α² SubTB
//   - [SQL], soft Q-learning: α² DB, but for its target network
//   - [PiSQL], soft Q-learning in the policy's parameters: α² MDB, but for its target network
//   - [SAC], soft actor-critic: two critics with targets by [SoftState], and the actor by their KL
//   - [Control]: these statements as Bounds
//
// Errors are squared at every temperature; the reference code has Huber's, at α = 1.
//
// # 7 Random policy evaluation
//
// Let g(s0) = 1 and g(s') = g(s) A(s)/B(s'). If g does not depend on the path, as for words and on trees, V = g F* is
// the value of the uniform policy for exits worth A(x) g(x) R(x), and PF(s'|s) = V(s')/(A(s) V(s)) samples R/Z*.
// Otherwise that policy samples x in proportion to d(x) g(x) R(x), with d of the uniform policy.
//
//   - [States.LogG]: log g, or an error that names two parents by which it differs
//   - [Graph.RandomPolicyEvaluation]: V and the policy; [ValuePolicy]: the policy of learned values
//   - [RPE]: log V regressed on its update
//   - [UniformValue]: these statements as Bounds
//
// # 8 Editing sequences
//
// An autoregressive sampler p over words edits a seed x: it draws anew each letter that p finds much less likely than
// its first choice. The law of the edits is a forward policy too.
//
//   - [Editor]: P(x̂_t = a|x̂_<t) = ρ p(a|x̂_<t) + (1−ρ) 1[a = x_t], ρ = (1−λ) P(flag);
//     [MeasureEdits] reports on edits
//   - [Editing]: as Bounds, E[lev] ≤ E[Hamming] ≤ T (1−λ)(1−Φ(−δ/σ)) and a lower bound of the mean reward
//
// # 9 Environments
//
// [HyperGrid]; [Sequence], words built left to right, at either end, or in any order, with rewards of tables, motifs,
// modes, factor graphs and the Ising model; [DAG], Bayesian network structures with the BGe score ([NewBGe]);
// [Explicit] graphs. [ParseEnv] builds them from a line of text, and [Register] adds a user's own to these. A floor of
// log R stands for R = 0.
//
// # 10 Metrics
//
// [Graph.Metrics] gives [TV], [JSD], [KL], [Graph.ELBO], [Graph.EUBO] and the mean rewards of a policy.
// [States.Empirical] gives the same figures of samples, beside those that a perfect sampler would have.
// [EstimateLogTerminating] estimates log PF⊤ where the space cannot be enumerated.
//
// # Statement, function, test
//
//	1   environments keep the rules of a pointed DAG    CheckEnv                      TestCheckEnv
//	2   exact quantities are sums over trajectories     Graph.LogVisits …             TestExactQuantities
//	3   losses and cotangents are their definitions'    DB TB SubTB FM FLDB MDB …     TestObjectives
//	3   losses and cotangents are 0 at the optimum      DB TB SubTB FM …              TestZeroAtOptimum
//	3   λ → ∞ is TB                                     SubTB                         TestObjectives
//	3   it is TB at its own estimate of log Z           VarGrad                       TestObjectives
//	4   facts 1 to 4                                    Graph.GradJF, Graph.GradJB    TestPolicyDependentRewards
//	4   fact 5                                          Advantages                    TestLambdaBothWays
//	4   sampled gradients have the exact ones as means  PolicyGradient                TestSampledGradients
//	4   centring by the batch scales by 1 − 1/K         Centre                        TestCentringBias
//	4   it is SubTB with −V in place of log F           SubEB                         TestSubEB
//	4   its minimiser is V_F at the optimum only        SubEB                         TestSubEBMinimiser
//	4   F v = Σ weight(s) Jᵀ diag(p) J v                Fisher                        TestFisher
//	4   the length of a step, by hand                   TrustRegion.Step              TestTrustRegionByHand
//	4   a step keeps to its KL, or changes nothing      TrustRegion.Step              TestTrustRegionStep
//	4   penalised steps never raise J                   TrustRegion.Step              TestMonotoneImprovement
//	4   guides are what they say                        ExitCapped, Replayed          TestExitCapped, TestReplayGuide
//	5   all guarantees hold, and fact 6                 Check                         TestGuarantees
//	5   both sides are their sums over trajectories     SamplingError, Guiding …      TestGuaranteesByDefinition
//	5   residuals within a range certify the sampler    ResidualCertificate           TestResidualCertificate
//	5   improvement bounds are nearly attained          Improvement                   TestImprovementBoundsAreTight
//	6   corrected samples R/Z*, uncorrected n(x) R(x)   Graph.SoftValue               TestSoftValue
//	6   control is α times balance                      PCL SQL PiSQL FLDB            TestObjectives
//	6   critics and actor by their definition           SAC                           TestSACByDefinition
//	7   the policy samples R/Z*, or d(x) g(x) R(x)      Graph.RandomPolicyEvaluation  TestRandomPolicyEvaluation
//	8   the law of the edits                            Editor.Policy                 TestEditorByDefinition
//	8   the bounds on edits; without T one fails        Editing                       TestEditingBounds
//	9   log Z* and modes of grids                       HyperGrid                     TestHyperGridConstants
//	9   BGe is the marginal likelihood                  NewBGe                        TestBGeIsTheMarginalLikelihood
//	10  a perfect sampler scores what is foretold       States.Empirical              TestEmpirical
//	    every method learns the exact target            Trainer.Run                   TestLearnedAgainstExact
//	    the number of workers changes no bit            Trainer.Run                   TestWorkersDoNotMatter
//	    a resumed run ends in the same bits             Trainer.Save, Load            TestResumeAtAnyIteration
//
// # Training
//
// [NewTrainer] takes an [Env] and a [Config], and [Methods] lists the ways of training. [Trainer.Run] trains and
// evaluates, exactly if the space is enumerated. Networks step by [Adam]. [Trainer.Save] and [Load] write and read
// checkpoints.
//
// # Errors and determinism
//
// Wrong data is an error that begins with "gfn: " and names the field, the file and line, or the state. Wrong shapes
// within a program panic. A file is written whole or not at all.
//
// The same seed gives the same bits on any number of workers and after a resume: each trajectory has its own random
// stream, and each entry of a gradient is summed by one owner in one order. This holds for one build on one machine.
// With GOEXPERIMENT=simd (Go 1.26, amd64) vector kernels compute the products of a network, several times as fast, and
// sum in another order.
//
// # References
//
// Niu, Wu, Fan, Qian, GFlowNet training by policy gradients, ICML 2024. Niu, Wu, Qian, Evaluating GFlowNet from partial
// episodes, ICLR 2026. Bengio et al., Flow network based generative models, NeurIPS 2021. Bengio et al., GFlowNet
// foundations, JMLR 2023. Malkin et al., Trajectory balance, NeurIPS 2022. Madan et al., Learning GFlowNets from
// partial episodes, ICML 2023. Richter et al., VarGrad, NeurIPS 2020. Zhang et al., Robust scheduling with GFlowNets,
// ICLR 2023. Deleu et al., Bayesian structure learning with generative flow networks, UAI 2022. Deleu et al., Discrete
// probabilistic inference as control in multi-path environments, UAI 2024. Pan et al., Better training of GFlowNets
// with local credit, ICML 2023. Tiapkin et al., Generative flow networks as entropy-regularized RL, AISTATS 2024. He,
// Bengio, Cai, Pan, Random policy evaluation uncovers policies of generative flow networks, 2024. Ghari et al.,
// GFlowNet assisted biological sequence editing, NeurIPS 2024. Kuipers, Moffa, Heckerman, Addendum on the scoring of
// Gaussian directed acyclic graphical models, Annals of Statistics 2014. Schulman et al., Trust region policy
// optimization, ICML 2015, and High-dimensional continuous control using generalized advantage estimation, ICLR 2016.
// Nachum et al., Bridging the gap between value and policy based reinforcement learning, NeurIPS 2017. Haarnoja et al.,
// Reinforcement learning with deep energy-based policies, ICML 2017, and Soft actor-critic, ICML 2018. Christodoulou,
// Soft actor-critic for discrete action settings, 2019. Kingma, Ba, Adam, ICLR 2015.
package gfn
