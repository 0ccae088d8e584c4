package gfn

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// From a method's name to a trained sampler: a row of Methods says what is learned and by which objective, its Kind how
// flows follow from what is learned, and Config how large and how fast. A Trainer holds the networks. Step is one
// iteration, Run all of them with their evaluations, and Save and Load stop and go on between any two. No formula of a
// loss is here (losses.go, grad.go).

// ---- methods ----

// Method is a way of training. A row of [Methods] says what each part of an iteration does.
type Method struct {
	Name, Title string
	Loss        func(λ, α float64) Objective // nil: the policy gradient of spec §4
	Flow        Kind                         // what is learned beside PB
	LearnPB     bool                         // else PB is uniform over entering edges
	Lambda      float64                      // default λ of SubTB or of advantages; 0: it has none
	Least       int                          // trajectories in a batch, at least
	Neighbours  func(b *Batch) error         // adds the states that the loss reads beside those visited; nil: none
	Rollout     Policy                       // the policy that samples trajectories; nil: PF

	// For maximum-entropy control (spec §6) alone: the networks whose outputs are V or Q, which are read over the
	// temperature α, and those that target networks θ̄ follow slowly. The latter give children their values, and
	// trajectories are replayed.
	Soft, Target []role

	// For the policy gradient (spec §4) alone: critics learn by [SubEB] and not by λ-returns; PF takes trust-region
	// steps; PB learns against a guide PG in place of PF.
	SubEB, Trust, Guided bool
}

// Methods returns every method, in the order in which they are listed to users.
func Methods() []Method {
	return []Method{
		// balance losses (spec §3)
		{Name: "fm", Title: "flow matching (Bengio et al. 2021)",
			Loss: plain(FM), Flow: edgeFlow(), Neighbours: (*Batch).AddParents},
		{Name: "db-u", Title: "detailed balance (Bengio et al. 2023), uniform PB", Loss: plain(DB), Flow: stateFlow()},
		{Name: "db-b", Title: "detailed balance, learned PB", Loss: plain(DB), Flow: stateFlow(), LearnPB: true},
		{Name: "tb-u", Title: "trajectory balance (Malkin et al. 2022), uniform PB", Loss: plain(TB), Flow: totalFlow()},
		{Name: "tb-b", Title: "trajectory balance, learned PB", Loss: plain(TB), Flow: totalFlow(), LearnPB: true},
		{Name: "subtb-u", Title: "sub-trajectory balance (Madan et al. 2023), uniform PB",
			Loss: byλ(SubTB), Flow: stateFlow(), Lambda: 0.9},
		{Name: "subtb-b", Title: "sub-trajectory balance, learned PB",
			Loss: byλ(SubTB), Flow: stateFlow(), LearnPB: true, Lambda: 0.9},

		// policy-dependent rewards (spec §4)
		{Name: "rl-u", Title: "policy gradient (Niu et al. 2024), uniform PB", Flow: totalFlow(), Lambda: 0.99},
		{Name: "rl-b", Title: "policy gradient, PB learned by one of its own",
			Flow: totalFlow(), LearnPB: true, Lambda: 0.99},
		{Name: "rl-t", Title: "trust-region steps, uniform PB", Flow: totalFlow(), Trust: true, Lambda: 0.99},
		{Name: "rl-g", Title: "policy gradient, PB learned against a guide",
			Flow: totalFlow(), LearnPB: true, Guided: true, Lambda: 0.99},
		{Name: "subeb", Title: "policy gradient, critic by sub-trajectory evaluation balance (Niu et al. 2026), uniform PB",
			Flow: totalFlow(), SubEB: true, Lambda: 0.99},
		{Name: "subeb-b", Title: "the same, PB learned as by rl-b",
			Flow: totalFlow(), SubEB: true, LearnPB: true, Lambda: 0.99},

		// balance losses without state flows of their own, or with an intermediate reward in them (spec §3)
		{Name: "vargrad", Title: "log-partition variance (Richter et al. 2020), uniform PB",
			Loss: plain(VarGrad), Flow: totalFlow(), Least: 2},
		{Name: "vargrad-b", Title: "log-partition variance, learned PB",
			Loss: plain(VarGrad), Flow: totalFlow(), LearnPB: true, Least: 2},
		{Name: "mdb", Title: "modified detailed balance (Deleu et al. 2022): every state terminating",
			Loss: plain(MDB), Flow: exitFlow()},
		{Name: "fldb", Title: "forward-looking DB (Pan et al. 2023): every state terminating, or an intermediate reward",
			Loss: plain(FLDB), Flow: shapedFlow()},

		// maximum-entropy control (spec §6)
		{Name: "pcl", Title: "path consistency learning (Nachum et al. 2017)",
			Loss: PCL, Flow: stateFlow(), Soft: []role{stateValue}, Lambda: 0.9},
		{Name: "sql", Title: "soft Q-learning (Haarnoja et al. 2017), target network",
			Loss: byα(SQL), Flow: edgeFlow(), Soft: []role{forwardPolicy}, Target: []role{forwardPolicy}},
		{Name: "pisql", Title: "soft Q-learning of the policy (Deleu et al. 2024): every state terminating, target network",
			Loss: byα(PiSQL), Flow: exitFlow(), Target: []role{forwardPolicy}},
		{Name: "sac", Title: "discrete soft actor-critic (Haarnoja et al. 2018), two critics, target networks",
			Loss: byα(SAC), Flow: twinFlow(),
			Soft: []role{edgeValue1, edgeValue2}, Target: []role{edgeValue1, edgeValue2}},

		// random policy evaluation (spec §7)
		{Name: "rpe", Title: "random policy evaluation (He et al. 2024): g must not depend on the path, as in words",
			Loss: plain(RPE), Flow: valueFlow(), Neighbours: (*Batch).AddChildren, Rollout: UniformPF},
	}
}

func plain(o Objective) func(λ, α float64) Objective {
	return func(_, _ float64) Objective { return o }
}

func byλ(o func(λ float64) Objective) func(λ, α float64) Objective {
	return func(λ, _ float64) Objective { return o(λ) }
}

func byα(o func(α float64) Objective) func(λ, α float64) Objective {
	return func(_, α float64) Objective { return o(α) }
}

// MethodByName returns a method. The error lists the known names.
func MethodByName(name string) (Method, error) {
	var names []string
	for _, m := range Methods() {
		if m.Name == name {
			return m, nil
		}
		names = append(names, m.Name)
	}
	return Method{}, among("Method", name, names...)
}

// Applies returns a [FieldError] if the method is not defined on the states st, or learns another target there.
func (m Method) Applies(st *States) error {
	if m.Flow.applies == nil {
		return nil
	}
	want := m.Flow.applies(st)
	return must(want == "", "Method", m.Name, want)
}

// roles returns the networks that a trainer of m learns, in the order in which checkpoints hold them.
func (m Method) roles() []role {
	roles := slices.Clone(m.Flow.roles)
	if m.LearnPB {
		roles = append(roles, backwardPolicy)
	}
	if m.Loss == nil {
		roles = append(roles, stateValue)
	}
	if m.Loss == nil && m.LearnPB {
		roles = append(roles, backwardValue)
	}
	slices.Sort(roles)
	return roles
}

// role is what one of a method's networks stands for.
type role int

const (
	forwardPolicy  role = iota // PF; also log F(s→s'), of which PF is the softmax
	backwardPolicy             // PB
	stateValue                 // log F(s), the critic V_F, or log V of [RPE]
	backwardValue              // the critic V_B
	edgeValue1                 // the critics Q of [SAC]
	edgeValue2
	numRoles
)

// head returns how the network of a role is read.
func (r role) head() Head {
	return []Head{ForwardHead, BackwardHead, ScalarHead, ScalarHead, EdgeHead, EdgeHead}[r]
}

// policy says whether a role has the size and the rate of policies.
func (r role) policy() bool { return r == forwardPolicy || r == backwardPolicy }

// of returns where f has what the network of a role gives.
func (r role) of(f *Flows) *[]float64 {
	return []*[]float64{&f.LogPF, &f.LogPB, &f.LogF, &f.LogF, &f.LogQ[0], &f.LogQ[1]}[r]
}

// ---- kinds of flow ----

// Kind is a kind of flow: what a method learns beside PB and the critics of the policy gradient, and how its objective
// reads flows from that. No other code asks which kind it is. A batch is evaluated into [Flows], where each network has
// its place ([role.of]); the objective gives cotangents for them, and each network moves down its own.
//
//	kind        networks     log F(s)                          log Z                applies where
//	totalFlow   PF           not learned                       parameter, estimate  everywhere
//	stateFlow   PF, V        V(s)/α                            log F(s0)            everywhere
//	shapedFlow  PF, log F̃    log F̃(s) + log R̂(s)               log F(s0)            R̂ is defined
//	edgeFlow    Q            log Σ_{s→s'} exp(Q(s→s')/α)       log F(s0)            everywhere
//	exitFlow    PF           log R(s) − log PF(sf|s)           log F(s0)            every state is terminating
//	twinFlow    PF, Q1, Q2   Σ_a π (min Q/α − log π)           log F(s0)            everywhere
//	valueFlow   log V        log V(s), which is log g F        log V(s0)            g does not depend on the path
type Kind struct {
	name  string
	roles []role // the networks

	// applies says what is wanted of st where the objective is not defined on it; nil: it is defined everywhere.
	applies func(st *States) (want string)

	// fill adds to f what is no network's own value; nil: nothing. nets have been evaluated on b: the trainer's networks
	// or their targets.
	fill func(nets *[numRoles]*Net, b *Batch, f *Flows)

	// logF writes log F(s) by row of a filled f to dst; nil: log Z alone is learned.
	logF func(b *Batch, f *Flows, dst []float64)
}

// totalFlow learns log Z as a free parameter, or as the estimate of the last batch ([VarGrad]).
func totalFlow() Kind { return Kind{name: "totalFlow", roles: []role{forwardPolicy}} }

// stateFlow learns a network of V(s) = α log F(s) beside PF.
func stateFlow() Kind {
	return Kind{name: "stateFlow", roles: []role{forwardPolicy, stateValue}, logF: ownLogF}
}

// ownLogF is log F(s) where a network gives it.
func ownLogF(_ *Batch, f *Flows, dst []float64) { copy(dst, f.LogF) }

// shapedFlow is for [FLDB]. The intermediate reward R̂ is R where a state is terminating. Elsewhere the environment
// has to define it.
func shapedFlow() Kind {
	return Kind{
		name: "shapedFlow", roles: []role{forwardPolicy, stateValue},
		applies: func(st *States) string {
			if TraitsOf(st.Env).LogIntermediate != nil {
				return ""
			}
			return st.allTerminating("log R̂(s) must be defined, and of %q it is not; it is for environments where every " +
				"state is terminating, such as hypergrid and dag, or with an intermediate reward, such as sequence with " +
				"order=append or any and reward=modes, motif, factors or ising")
		},
		fill: func(_ *[numRoles]*Net, b *Batch, f *Flows) { f.LogRhat = b.LogIntermediate(f.LogRhat) },
		logF: func(_ *Batch, f *Flows, dst []float64) {
			copy(dst, f.LogF)
			add(dst, f.LogRhat)
		},
	}
}

// edgeFlow learns one network, of Q(s→s') = α log F(s→s'), not normalised. Then
//
//	log PF(s'|s) = log F(s→s') − log F(s)    log F(s) = log Σ_{s→s'} F(s→s')
//
// A [ForwardHead] gives log PF, and log F(s) as its LSE. The cotangents of both go back to the one network.
func edgeFlow() Kind {
	return Kind{
		name: "edgeFlow", roles: []role{forwardPolicy}, logF: ownLogF,
		fill: func(nets *[numRoles]*Net, _ *Batch, f *Flows) { f.LogF = nets[forwardPolicy].LSE },
	}
}

// exitFlow is for [MDB]: the balance of its exit gives log F of every state. With target networks, log F of a child is
// that of the target policy.
func exitFlow() Kind {
	return Kind{
		name: "exitFlow", roles: []role{forwardPolicy},
		applies: func(st *States) string {
			return st.allTerminating("every state must be terminating, and %q is not; it is for environments such as " +
				"hypergrid and dag")
		},
		logF: func(b *Batch, f *Flows, dst []float64) { b.exitFlows(f.LogPF, dst) },
	}
}

// twinFlow learns two networks of Q(s→s') = α log F(s→s') beside PF ([SAC]). Its log F(s) is [SoftState].
func twinFlow() Kind {
	return Kind{
		name: "twinFlow", roles: []role{forwardPolicy, edgeValue1, edgeValue2},
		logF: func(b *Batch, f *Flows, dst []float64) { SoftState(&b.States, f, dst) },
	}
}

// valueFlow learns log V(s), V the value of the uniform policy (spec §7). PF is its [ValuePolicy]. An enumerated graph
// shows whether g depends on the path; elsewhere the environment has to promise that it does not.
func valueFlow() Kind {
	return Kind{
		name: "valueFlow", roles: []role{stateValue},
		applies: func(st *States) string {
			const such = "; it is for environments such as sequence"
			if !slices.Contains(st.Child, -1) { // a graph, all of its edges followed
				if _, err := st.LogG(nil); err != nil {
					return strings.TrimPrefix(err.Error(), "gfn: ") + such
				}
			} else if !TraitsOf(st.Env).PathIndependent {
				return "the space is not enumerated, and the environment does not promise that g does not depend on the path" +
					such
			}
			return ""
		},
		fill: func(_ *[numRoles]*Net, b *Batch, f *Flows) { f.LogG, _ = b.LogG(f.LogG) }, // b.err says what is wrong
		logF: func(b *Batch, f *Flows, dst []float64) {
			for row := range dst { // log V = log (g F), and g(s0) = 1
				dst[row] = b.logValue(row, f.LogG, f.LogF)
			}
		},
	}
}

// allTerminating returns what is wanted of the first state that has no exit, whose name it puts into the text.
func (st *States) allTerminating(want string) string {
	for row := range st.Len() {
		if st.Exit(row) < 0 {
			return fmt.Sprintf(want, st.Format(row))
		}
	}
	return ""
}

// ---- configuration ----

// Config says how to train. [DefaultConfig] gives every field its documented default;
// [Config.Validate] reports everything that is wrong. A field that a method does not use has no effect.
type Config struct {
	Method string // a name of [Methods]
	Running
	Batch       int    // trajectories of an iteration
	Seed        uint64 // of everything random; equal seeds give equal numbers
	EvalSamples int    // trajectories of a sampled evaluation

	// Hidden layers of the policies, of width Hidden, and of the networks of flows and critics, of width HiddenV. With
	// Tabular each state has free parameters of its own in place of networks.
	Hidden, Layers, HiddenV, LayersV int
	Tabular                          bool

	// Adam's rates for the policies, for log Z, and for flows and critics. Schedule multiplies all rates, and √KL:
	// constant is 1; linear and cosine fall from 1 to 0 at Iterations. Clip is the largest norm of a network's gradient;
	// 0: any.
	LR, LRZ, LRV float64
	Schedule     string
	Clip         float64

	LogZ   float64 // log Z to begin with
	Lambda float64 // λ of [SubTB] and [PCL], or of the advantages of PF
	Alpha  float64 // temperature α of maximum-entropy control (spec §6)

	// Exploration: an action is uniform with probability ε, which goes linearly from Epsilon to EpsilonEnd, and else is
	// drawn ∝ PF^(1/Temperature). The last Replay trajectories are kept, and half of each batch is drawn from them.
	Epsilon, EpsilonEnd, Temperature float64
	Replay                           int

	// For the policy gradient (spec §4) alone.
	Centring     string  // of advantages: a [Centring]
	LambdaV      float64 // λ of the critics' targets, or of the weights of [SubEB]
	BackwardStep string  // of PB: pg, its policy gradient; tb, down c(τ)² of the same walks
	KL           float64 // ζ of [TrustRegion], nats
	Guide        string  // of rl-g: exit, [ExitCapped] where R ≤ 1; replay, [Replayed]; auto, env's own or else replay
}

// Running is the part of a [Config] that may change when a run continues from a checkpoint.
type Running struct {
	Iterations int
	EvalEvery  int // iterations between evaluations; 0: at the end only
	Workers    int // goroutines; results do not depend on it
	Limit      int // states up to which the space is enumerated, and evaluation is exact
}

const (
	maxParameters = 1 << 27 // of all networks together: with gradients and moments 4 GiB
	maxBatch      = 1 << 34 // bytes that a batch may be expected to take
	sampled       = 256     // trajectories that evaluations hold at a time
	targetStep    = 0.05    // τ of the target networks' step θ̄ ← (1−τ) θ̄ + τ θ (spec §6)
)

// DefaultConfig returns the defaults of a method. It leaves an unknown method to [Config.Validate]. One recipe serves
// all environments but for [Config.ForEnv]. It spends 128,000 trajectories, as many as 1,000 iterations of the paper,
// and reaches about half of the total variation of [Config.Paper] or less, but for db-u on the 32×32 grid
// (testdata/FIGURES.md). Batches are small, so that there are more steps; rates are higher to begin with and decay;
// log Z, one number, moves at a hundred times the rate of the policies, and flows and critics at three times.
// Trust-region steps want larger batches, for a better Fisher matrix.
func DefaultConfig(method string) Config {
	c := Config{
		Method:  method,
		Running: Running{Iterations: 4000, EvalEvery: 100, Workers: runtime.GOMAXPROCS(0), Limit: 1 << 21},
		Batch:   32, EvalSamples: 10000, Hidden: 256, Layers: 2, HiddenV: 256, LayersV: 2,
		LR: 3e-3, LRZ: 0.3, LRV: 1e-2, Schedule: "cosine", Temperature: 1, Alpha: 1,
		Centring: "batch", LambdaV: 1, BackwardStep: "pg", KL: DefaultTrustRegion().KL, Guide: "auto",
	}
	m, err := MethodByName(method)
	if err != nil {
		return c
	}
	c.Lambda = m.Lambda
	if m.Trust {
		c.Iterations, c.Batch = 2000, 64
	}
	if m.SubEB {
		c.LambdaV = 0.9 // Niu et al. 2026
	}
	if m.Target != nil { // targets that move slowly learn from old trajectories too
		c.Replay = 1000
	}
	return c
}

// Paper sets the sizes and rates of Niu et al. 2024 (spec §4) for an environment: batch 128, policies of 4×256, the
// rest 2×256, constant rates of 1e-3, 5e-3 for the rest, and 0.1 for log Z, but 1 in structure learning.
func (c *Config) Paper(env Env) {
	c.Batch, c.Hidden, c.Layers, c.HiddenV, c.LayersV = 128, 256, 4, 256, 2
	c.LR, c.LRZ, c.LRV, c.Schedule = 1e-3, 0.1, 5e-3, "constant"
	c.ForEnv(env)
}

// ForEnv sets the default that depends on the environment: LRZ = 1 in structure learning, as Niu et al. 2024 have it.
// There log Z* grows with the number of observations, to hundreds or thousands of nats, and Adam moves log Z by at most
// about LRZ in an iteration.
func (c *Config) ForEnv(env Env) {
	if _, ok := Unwrap(env).(*DAG); ok {
		c.LRZ = 1
	}
}

// FieldError is what is wrong with a field of a [Config]: its value, and what it must be.
type FieldError struct{ Field, Value, Want string }

// Error implements error.
func (e *FieldError) Error() string {
	return fmt.Sprintf("gfn: Config.%s = %s: %s", e.Field, e.Value, e.Want)
}

// must returns a [FieldError] unless ok, and what follows does so for common kinds of fields.
func must(ok bool, field string, value any, want string) error {
	if ok {
		return nil
	}
	return &FieldError{field, fmt.Sprint(value), want}
}

func within[N int | float64](field string, value, least, most N) error {
	return must(value >= least && value <= most, field, value, fmt.Sprintf("must lie in %v…%v", least, most))
}

func positive(field string, value float64) error {
	return must(finite(value) && value > 0, field, value, "must be positive and finite")
}

func among(field, value string, list ...string) error {
	return must(slices.Contains(list, value), field, value, "must be one of "+strings.Join(list, ", "))
}

// Validate returns a [FieldError] for each field of c that is wrong, joined. A Config that was not made by
// [DefaultConfig] would have most fields wrong; that is one error.
func (c Config) Validate() error {
	if c.Schedule == "" && c.LR == 0 {
		return errors.New("gfn: Config has neither Schedule nor LR: start from DefaultConfig(method)")
	}
	const most = 1 << 30
	method, unknown := MethodByName(c.Method)
	problems := []error{
		unknown,
		within("Iterations", c.Iterations, 0, most),
		within("Batch", c.Batch, max(1, method.Least), 1<<24),
		within("Hidden", c.Hidden, 1, 1<<16),
		within("Layers", c.Layers, 0, 64),
		within("HiddenV", c.HiddenV, 1, 1<<16),
		within("LayersV", c.LayersV, 0, 64),
		positive("LR", c.LR),
		positive("LRZ", c.LRZ),
		positive("LRV", c.LRV),
		among("Schedule", c.Schedule, "constant", "linear", "cosine"),
		must(finite(c.Lambda) && c.Lambda >= 0, "Lambda", c.Lambda, "must be at least 0 and finite"),
		within("Epsilon", c.Epsilon, 0, 1),
		within("EpsilonEnd", c.EpsilonEnd, 0, 1),
		positive("Temperature", c.Temperature),
		must(finite(c.Clip) && c.Clip >= 0, "Clip", c.Clip, "must be at least 0 and finite"),
		must(finite(c.LogZ), "LogZ", c.LogZ, "must be finite"),
		within("Replay", c.Replay, 0, most),
		positive("Alpha", c.Alpha),
		among("Centring", c.Centring, "batch", "others", "none"),
		within("LambdaV", c.LambdaV, 0, 1),
		among("BackwardStep", c.BackwardStep, "pg", "tb"),
		positive("KL", c.KL),
		among("Guide", c.Guide, "auto", "exit", "replay"),
		within("Workers", c.Workers, 1, 1<<10),
		within("EvalEvery", c.EvalEvery, 0, most),
		within("EvalSamples", c.EvalSamples, 1, most),
		within("Limit", c.Limit, 0, most),
	}
	if unknown == nil && method.Loss == nil {
		const onPolicy = ": the policy gradient needs trajectories of PF itself"
		problems = append(problems,
			within("Lambda", c.Lambda, 0, 1),
			must(c.Epsilon == 0, "Epsilon", c.Epsilon, "must be 0"+onPolicy),
			must(c.EpsilonEnd == 0, "EpsilonEnd", c.EpsilonEnd, "must be 0"+onPolicy),
			must(c.Temperature == 1, "Temperature", c.Temperature, "must be 1"+onPolicy),
			must(c.Replay == 0, "Replay", c.Replay, "must be 0"+onPolicy))
	}
	return errors.Join(problems...)
}

// hidden returns the widths of the hidden layers of a network. A tabular one has none: its input is one feature for
// each state, so that each state has a row of parameters to itself.
func (c Config) hidden(r role) []int {
	switch {
	case c.Tabular:
		return nil
	case !r.policy():
		return slices.Repeat([]int{c.HiddenV}, c.LayersV)
	}
	return slices.Repeat([]int{c.Hidden}, c.Layers)
}

// rate returns the factor of all learning rates at an iteration. With x the part of Iterations that is done it is 1
// (constant), 1 − x (linear) or (1 + cos πx)/2 (cosine). Other Iterations give another x: a run that is lengthened
// is the run that was planned so long only if its schedule is constant.
func (c Config) rate(iteration int) float64 {
	x := c.progress(iteration)
	switch c.Schedule {
	case "linear":
		return 1 - x
	case "cosine":
		return (1 + math.Cos(math.Pi*x)) / 2
	}
	return 1
}

// progress returns the part of Iterations that is done, in 0…1.
func (c Config) progress(iteration int) float64 {
	return min(1, float64(iteration)/float64(max(1, c.Iterations)))
}

// ---- trainer ----

// Evaluation is a point of a learning curve. Figures that cannot be computed are NaN. Samples is zero if none were
// drawn. Metrics are exact where the space is enumerated. Elsewhere there are LogZ, and of samples ELBO, LogMeanReward
// and MeanLogReward.
type Evaluation struct {
	Iteration, Trajectories float64
	TrainSeconds            float64 // training alone
	Loss                    float64 // mean since the evaluation before
	Accepted, Rejected      float64 // trust-region steps since the evaluation before
	StepFraction, StepKL    float64 // mean over the accepted ones: of the full step, and KL reached, nats
	ModesFound              float64 // different modes sampled in training so far
	Metrics
	Samples Empirical
}

// Trainer trains a sampler. The fields are for reading. A trainer is for one goroutine at a time: Step, Run, Evaluate
// and Save return an error while another call of them goes on. Nothing needs to be closed.
type Trainer struct {
	Config       Config
	Env          Env
	Method       Method
	Graph        *Graph // nil beyond Config.Limit states
	Iteration    int
	TrainSeconds float64
	Curve        []Evaluation

	// What is learned. A network is nil where the method learns none.
	roles       []role
	net, target [numRoles]*Net
	logZ        [1]float64 // the parameter log Z, as a list for Adam
	adamZ       Adam

	// What an iteration uses: batch with its flows v, their cotangents d and those of target networks w. For the policy
	// gradient back are walks back from the endpoints of batch, r and a rewards and advantages by step, and LogF of v and
	// d a critic's.
	guide   Guide     // PG of RL-G, [Unguided] otherwise
	replay  [][]int32 // trajectories, oldest first, each one its actions: they take less room than states
	batch   Batch
	v, d, w Flows
	back    Batch
	r, a    []float64

	// What evaluations report: modes sampled so far, if the environment defines modes, and sums since the last one.
	mode  func(s []int) bool
	found States
	since Evaluation

	busy *sync.Mutex // held while a call goes on
}

var errBusy = errors.New("gfn: the trainer is in use: it is for one goroutine at a time")

// NewTrainer returns a trainer at iteration 0. It enumerates env if that has at most Config.Limit states. The error
// holds every problem of the configuration, or says what is wrong with env. An environment that is not of this package
// is first tested as by [CheckEnv], on up to 4,096 states.
func NewTrainer(env Env, c Config) (*Trainer, error) { return newTrainer(env, c, maxParameters) }

// newTrainer is NewTrainer with networks of at most some number of parameters together.
func newTrainer(env Env, c Config, most int) (*Trainer, error) {
	if v := reflect.ValueOf(env); env == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, errors.New("gfn: the environment is nil")
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	switch Unwrap(env).(type) {
	case *HyperGrid, *Sequence, *DAG, *Explicit: // the tests check these
	default: // also a type that embeds one of them: it may have methods of its own
		if err := checkEnv(env, 1<<12); err != nil {
			return nil, err
		}
	}
	t := &Trainer{Config: c, Env: env, adamZ: NewAdam(1), busy: new(sync.Mutex)}
	t.Method, _ = MethodByName(c.Method)
	t.logZ[0] = c.LogZ
	t.mode = TraitsOf(env).Mode
	if err := t.enumerate(); err != nil {
		return nil, err
	}
	states := &t.source().States
	if t.Graph != nil {
		states = &t.Graph.States
	}
	if err := t.Method.Applies(states); err != nil {
		return nil, err
	}
	t.roles = t.Method.roles()
	if err := t.fits(most); err != nil {
		return nil, err
	}
	for _, r := range t.roles {
		t.net[r] = t.network(r)
	}
	for _, r := range t.Method.Target {
		t.target[r] = t.network(r)
	}
	t.guide = t.newGuide()
	t.found.Reset(t.Env)
	return t, nil
}

// enumerate sets t.Graph where the space is small enough, and wraps the environment of a tabular trainer.
func (t *Trainer) enumerate() (err error) {
	c := &t.Config
	if t.Graph, err = Enumerate(t.Env, c.Limit); err != nil && !errors.Is(err, ErrLimit) {
		return err
	}
	if !c.Tabular {
		return nil
	}
	if t.Graph == nil {
		return &FieldError{"Tabular", "true", "the space must be enumerated, and has too many states"}
	}
	t.Env = Tabular(t.Graph)
	t.Graph, err = Enumerate(t.Env, c.Limit)
	return err
}

// source returns a batch of s0 alone.
func (t *Trainer) source() *Batch {
	b := new(Batch)
	b.Reset(t.Env)
	b.Env.Source(b.s)
	b.Add(b.s)
	return b
}

// network returns a network for a role, from a random stream of its own: no network's start depends on which others
// there are, and a target network begins as a copy. Tabular networks begin as the uniform policy and values of 0: no
// state's start depends on chance.
func (t *Trainer) network(r role) *Net {
	c, rng := &t.Config, stream(t.Config.Seed, math.MaxUint64, uint64(r))
	n := NewNet(&rng, t.Env.Shape(), r.head(), c.hidden(r))
	n.workers = c.Workers
	if c.Tabular {
		clear(n.Params)
	}
	if slices.Contains(t.Method.Soft, r) {
		n.Scale = 1 / c.Alpha // V/α or Q/α is a log flow (spec §6)
	}
	return n
}

// fits returns an error if the networks have more than most parameters, or a batch of n trajectories is foreseen to
// take more than maxBatch bytes. With A_t actions and X_t active features of the states of one trajectory of the
// uniform policy, and the units of all networks, each a value and a cotangent, it takes
//
//	n Σ_t (4 (Dim + A_t + X_t) + 16 units)
func (t *Trainer) fits(most int) error {
	c, shape := &t.Config, t.Env.Shape()
	total, units := 0, 0
	for _, r := range t.roles {
		sizes := r.head().sizes(shape, c.hidden(r))
		for l := 1; l < len(sizes); l++ {
			total, units = total+parameters(sizes[l-1:l+1]), units+sizes[l]
		}
	}
	if total > most {
		want := fmt.Sprintf("networks of %d parameters together must have at most %d", total, most)
		return &FieldError{"Hidden", fmt.Sprint(c.Hidden), want}
	}
	if t.Graph != nil {
		return nil
	}
	rng, n, bytes := stream(0, fixedStreams, 17), max(c.Batch, sampled), 0.0
	s := make([]int, shape.Dim)
	t.Env.Source(s)
	for steps := 1; steps <= maxSteps; steps++ {
		actions := t.Env.Forward(nil, s)
		bytes += float64(n * (4*(shape.Dim+len(actions)+len(t.Env.Features(nil, s))) + 16*units))
		if bytes > maxBatch {
			want := fmt.Sprintf("the first %d steps of %d trajectories would already take %.0f GiB; "+
				"shorter ones, or smaller networks, take less", steps, n, bytes/(1<<30))
			return &FieldError{"Batch", fmt.Sprint(c.Batch), want}
		}
		if len(actions) == 0 {
			return nil // [Batch.Sample] says what is wrong
		}
		a := actions[int(uniform01(&rng)*float64(len(actions)))]
		if a == shape.Forward-1 {
			return nil
		}
		t.Env.Step(s, a)
	}
	return nil
}

// newGuide returns the guide PG that the configuration asks for. The cap of 1e-5 and the capacity of 10⁶ are the
// reference's (spec §4, RL-G). Guide exit is for any environment, so its threshold is log R = 0. Environments know
// better ones: a [HyperGrid]'s is log R0.
func (t *Trainer) newGuide() Guide {
	own := TraitsOf(t.Env).Guide
	switch {
	case !t.Method.Guided:
		return Unguided{}
	case t.Config.Guide == "exit":
		return ExitCapped{1e-5, 0}
	case t.Config.Guide == "auto" && own != nil:
		return own
	}
	return &Replayed{Capacity: 1e6}
}

// PF returns the forward policy learned so far, which follows from values where no forward network is learned. PF and
// PB share the trainer's networks. Use both on one goroutine, on one set of states at a time, and evaluate its rows in
// order.
func (t *Trainer) PF() Policy {
	if pf := t.net[forwardPolicy]; pf != nil {
		return pf.Eval
	}
	return ValuePolicy(t.net[stateValue].Eval)
}

// PB returns the backward policy: learned, or uniform over entering edges.
func (t *Trainer) PB() Policy {
	if pb := t.net[backwardPolicy]; pb != nil {
		return pb.Eval
	}
	return UniformPB
}

// ---- an iteration ----

// Step is an iteration of training: it samples a batch, moves what is learned down the gradient of the batch's loss,
// and returns that loss. No network takes a step down a loss or a gradient that is not finite: that is an error, and
// Iteration stays. Data flows
//
//	networks ─ sample ─▶ trajectories ─ evaluate ─▶ log PF, log PB, log F
//	   ▲                                              │ objective
//	   Adam ◀─ finite? ◀─ ∂L/∂θ ◀─ Net.Backward ◀─ L, ∂L/∂log PF, …
func (t *Trainer) Step() (float64, error) {
	if !t.busy.TryLock() {
		return 0, errBusy
	}
	defer t.busy.Unlock()
	start := time.Now()
	fresh, err := t.sample()
	if err != nil {
		return 0, err
	}
	learn := t.balance
	if t.Method.Loss == nil {
		learn = t.policyGradient
	}
	loss, err := learn()
	if err != nil {
		return loss, err
	}
	t.remember(fresh)
	t.Iteration++
	t.since.Loss += loss
	t.TrainSeconds += time.Since(start).Seconds()
	return loss, nil
}

// remember keeps the first n trajectories of the batch for replay, and the modes among their endpoints.
func (t *Trainer) remember(n int) {
	b, x := &t.batch, []int(nil)
	for i := range n {
		if t.Config.Replay > 0 {
			var actions []int32
			for _, s := range b.Trajectory(i) {
				actions = append(actions, b.FAction[s.F])
			}
			t.replay = append(t.replay, actions)
			t.replay = t.replay[max(0, len(t.replay)-t.Config.Replay):]
		}
		if x = b.State(x, b.Endpoint(i)); t.mode != nil && t.mode(x) {
			t.found.Add(x)
		}
	}
}

// Every random number comes from a stream of its own ([stream]), so that none depends on workers, on evaluations, or on
// where a run was interrupted:
//
//	Seed, 2⁶⁴−1, role                    parameters of a network
//	Seed, iteration, trajectory          a trajectory of training
//	Seed, iteration, 2⁶⁴−1               which trajectories are replayed
//	Seed, iteration + 2⁶³, trajectory    a walk back from an endpoint
//	Seed + seed, 2⁶¹ + i, trajectory     walks back from object i, [Trainer.LogTerminating]
//	Seed + seed, 2⁶⁴−2−k, trajectory     evaluations and samples, k those before their batch
//	0, 2⁶², trajectory                   the fingerprint of rewards, with its weights, and the size of a trajectory
const fixedStreams = 1 << 62

// sample fills t.batch. Fresh trajectories are first, drawn from PF with exploration; replayed ones follow, and then
// the states that the objective reads beside those visited. Exploration and replay are off policy: balance losses read
// log PF of the learned policy on any trajectories (spec §3). The policy gradient is an expectation over PF, and
// [Config.Validate] allows it neither.
func (t *Trainer) sample() (fresh int, err error) {
	c, b := &t.Config, &t.batch

	// ε goes linearly from Epsilon to EpsilonEnd
	ε := c.Epsilon + c.progress(t.Iteration)*(c.EpsilonEnd-c.Epsilon)
	o := Sampling{c.Seed, uint64(t.Iteration), ε, c.Temperature}

	again := 0
	if len(t.replay) > 0 {
		again = c.Batch / 2
	}
	fresh = c.Batch - again
	policy := t.Method.Rollout
	if policy == nil {
		policy = t.PF()
	}
	b.Reset(t.Env)
	if err := b.Sample(policy, fresh, o); err != nil {
		return 0, err
	}
	rng := stream(c.Seed, uint64(t.Iteration), math.MaxUint64)
	for range again { // uniformly, with replacement
		if err := b.Walk(ints(t.replay[int(uniform01(&rng)*float64(len(t.replay)))])); err != nil {
			return 0, err
		}
	}
	if t.Method.Neighbours != nil {
		err = t.Method.Neighbours(b)
	}
	return fresh, err
}

// balance trains on t.batch by an objective of spec §3, §6 or §7. With θ all that is learned, and y what the
// objective reads:
//
//	y = log PF, log PB, log F, …    L = objective(y)    dy = ∂L/∂y    ∂L/∂θ = dyᵀ ∂y/∂θ
//
// The last product is [Net.Backward]'s.
func (t *Trainer) balance() (loss float64, err error) {
	b, v, d := &t.batch, &t.v, &t.d
	if t.Graph == nil { // else NewTrainer has looked at all states
		if err := t.Method.Applies(&b.States); err != nil {
			return 0, err
		}
	}

	// y
	t.evaluate(b, v)
	if t.Method.Target != nil {
		t.bootstrap(b, v)
	}
	if b.err != nil {
		return 0, b.err
	}

	// L and dy
	d.Reset(v)
	loss = t.Method.Loss(t.Config.Lambda, t.Config.Alpha)(b, v, d)

	// ∂L/∂θ, and a step. VarGrad has set v.LogZ to its estimate, and d.LogZ is 0. Other objectives leave v.LogZ, and
	// d.LogZ is 0 unless they read it
	if err := t.descend(loss, t.roles...); err != nil {
		return loss, err
	}
	t.logZ[0] = v.LogZ
	t.descendLogZ(d.LogZ)

	// θ̄ ← (1−τ) θ̄ + τ θ
	for _, r := range t.Method.Target {
		for i, θ := range t.net[r].Params {
			t.target[r].Params[i] = (1-targetStep)*t.target[r].Params[i] + targetStep*θ
		}
	}
	return loss, nil
}

// evaluate fills v with what the networks give on the rows of b. Rows that were evaluated to sample are not evaluated
// again: the network has kept what [Net.Backward] needs of them.
func (t *Trainer) evaluate(b *Batch, v *Flows) {
	v.LogZ = t.logZ[0]
	if t.net[forwardPolicy] != nil { // else the objective reads no policy
		b.Evaluate(t.PF(), t.PB())
		v.LogPF, v.LogPB = b.LogPF, b.LogPB
	}
	values := slices.DeleteFunc(slices.Clone(t.Method.Flow.roles), role.policy) // critics are read when they step
	t.read(&t.net, values, b, v)
}

// bootstrap fills v.Next with log F(s') by the target networks: an objective of spec §6 holds r + V̄(s') constant,
// and V̄ moves slowly.
func (t *Trainer) bootstrap(b *Batch, v *Flows) {
	w := &t.w
	if t.target[forwardPolicy] == nil {
		w.LogPF = v.LogPF
	}
	t.read(&t.target, t.Method.Target, b, w)
	v.Next = resize(v.Next, b.Len())
	t.Method.Flow.logF(b, w, v.Next)
}

// read fills f with what networks of some roles give on b, and completes it as the kind of flow says.
func (t *Trainer) read(nets *[numRoles]*Net, roles []role, b *Batch, f *Flows) {
	for _, r := range roles {
		dst := r.of(f)
		*dst = resize(*dst, r.head().slot(&b.States, b.Len()))
		nets[r].Eval(&b.States, 0, b.Len(), *dst)
	}
	if fill := t.Method.Flow.fill; fill != nil {
		fill(nets, b, f)
	}
}

// descend moves networks one step of Adam down the gradients of L, from the cotangents of their values in t.d. If L is
// not finite, or a gradient has no finite square, as Adam's second moment needs, none of them moves, and the error
// names the iteration.
func (t *Trainer) descend(loss float64, roles ...role) error {
	sound := finite(loss)
	for _, r := range roles {
		var dLSE []float64 // where no network gives log F, it can only be PF's out-flow, the LSE of its outputs
		if r == forwardPolicy && t.net[stateValue] == nil {
			dLSE = t.d.LogF
		}
		t.net[r].Backward(*r.of(&t.d), dLSE)
		sound = sound && t.net[r].finiteGrad()
	}
	if !sound {
		for _, r := range roles {
			clear(t.net[r].Grad)
		}
		return fmt.Errorf("gfn: iteration %d: the loss is %v, or its gradient is not finite: try a smaller learning rate, "+
			"or to clip gradients", t.Iteration+1, loss)
	}
	c := &t.Config
	for _, r := range roles {
		lr := c.LRV
		if r.policy() {
			lr = c.LR
		}
		t.net[r].Step(c.rate(t.Iteration)*lr, c.Clip)
	}
	return nil
}

// descendLogZ moves log Z one step of Adam down a gradient. A loss that is finite has a finite one: ∂L/∂log Z is a
// sum of residuals, and L one of their squares.
func (t *Trainer) descendLogZ(gradient float64) {
	t.adamZ.Update(t.logZ[:], []float64{gradient}, t.Config.rate(t.Iteration)*t.Config.LRZ)
}

// policyGradient trains on t.batch, trajectories of PF. Spec §4, Training, has these parts:
//
//	RL-U  with PB uniform: PF and its critic learn from R_F ([Trainer.reinforce]); log Z by its gradient mean_τ c(τ)
//	RL-T  the step of PF is one of [TrustRegion]
//	RL-B  as RL-U; then PB and its critic learn in the same way from R_B = log PB − log PF, by the updated PF, on walks
//	      by PB, one back from each endpoint of t.batch
//	RL-G  as RL-B, from R_B^G = log PB − log PG, with a guide PG in place of PF
//
// It returns mean c(τ), the estimate of J_F (fact 1).
func (t *Trainer) policyGradient() (loss float64, err error) {
	if loss, err = t.reinforce(&t.batch, Forward); err != nil {
		return loss, err
	}

	// ½ ∂/∂log Z mean c(τ)² = mean c(τ) (fact 3); ∂J_F/∂log Z = 1 would send log Z to −∞
	t.descendLogZ(loss)

	if !t.Method.LearnPB {
		return loss, nil
	}
	endpoints := make([][]int, t.batch.Trajectories())
	for i := range endpoints {
		endpoints[i] = t.batch.State(nil, t.batch.Endpoint(i))
	}
	t.back.Reset(t.Env)
	streams := Sampling{Seed: t.Config.Seed, Iteration: uint64(t.Iteration) | 1<<63} // no forward trajectory has them
	if err := t.back.SampleBackward(t.PB(), endpoints, streams); err != nil {
		return loss, err
	}
	_, err = t.reinforce(&t.back, Backward)
	return loss, err
}

// reinforce trains a policy P and its critic V on walks by P: PF on walks Forward, PB on walks Backward. With r the
// rewards R_F, R_B or R_B^G it returns the mean over walks of Σ_t r_t. P moves down the gradient of
//
//	mean_τ Σ_t log P(step t) Â_t
//
// where Â are λ-advantages of r by V before its step, centred. At λ = 1 the mean of the gradient is exact for any V,
// at λ < 1 if V is the value of P. Centring by the batch's own mean biases it by O(1/K), K walks (fact 5). V moves
// down the squared error to the λ-return V(s_t) + Â_t, Â at LambdaV, or down [SubEB].
//
// For PB λ is 1. With BackwardStep tb, Â = −c(τ) for PB, for half the gradient of mean c(τ)² (fact 3), and PB
// has no critic.
func (t *Trainer) reinforce(b *Batch, way Direction) (mean float64, err error) {
	c, v, d := &t.Config, &t.v, &t.d
	policy, critic, λ := forwardPolicy, stateValue, c.Lambda
	if way == Backward {
		policy, critic, λ = backwardPolicy, backwardValue, 1
	}

	// r
	t.evaluate(b, v)
	t.r, t.a = resize(t.r, len(b.Steps)), resize(t.a, len(b.Steps))
	if way == Forward {
		RewardsF(b, v, t.r)
	} else {
		t.guide.LogPG(b, b.LogPF, b.LogPB, t.a)
		RewardsB(b, v, t.a, t.r)
	}
	if b.err != nil { // of a replay guide
		return 0, b.err
	}
	for _, r := range t.r {
		mean += r / float64(b.Trajectories())
	}

	// ∂L/∂V, and Â
	var moved []role
	if way == Backward && c.BackwardStep == "tb" {
		d.Reset(v)
		residualB(b, v, t.r, t.a)
	} else {
		t.read(&t.net, []role{critic}, b, v)
		d.Reset(v)
		if t.Method.SubEB {
			SubEB(b, way, t.r, v.LogF, c.LambdaV, d.LogF, nil)
		} else {
			Advantages(b, way, t.r, v.LogF, c.LambdaV, t.a)
			Critic(b, way, t.a, d.LogF)
		}
		moved = append(moved, critic)
		Advantages(b, way, t.r, v.LogF, λ, t.a)
		Centre(b, way, t.a, Centring(c.Centring))
	}

	// ∇ mean_τ Σ_t log P Â
	PolicyGradient(b, way, t.a, d)
	if !t.Method.Trust {
		moved = append(moved, policy)
	}
	if err := t.descend(mean, moved...); err != nil {
		return mean, err
	}
	if t.Method.Trust {
		region, rate := DefaultTrustRegion(), c.rate(t.Iteration)
		region.KL = c.KL * rate * rate // a step is as long as √ζ
		t.since.note(region.Step(t.net[policy], &b.States, b.LogPF, d.LogPF, b.Visits(nil)))
	}
	return mean, nil
}

// note adds a trust-region step to the sums since the last evaluation.
func (e *Evaluation) note(s TrustStep) {
	if !s.Accepted {
		e.Rejected++
		return
	}
	e.Accepted++
	e.StepFraction += s.Fraction
	e.StepKL += s.KL
}

// ---- runs and evaluations ----

// Run trains until Config.Iterations. It evaluates every Config.EvalEvery iterations, from iteration 0 on, and at the
// end. It calls progress, unless that is nil, with the evaluation of the untrained sampler, whose loss is NaN, and
// after each iteration with the evaluation or nil. When ctx is done it finishes the iteration, or leaves an evaluation
// to the next Run, and returns ctx's error. The trainer can then be saved, and run on.
func (t *Trainer) Run(ctx context.Context, progress func(loss float64, e *Evaluation)) error {
	if progress == nil {
		progress = func(float64, *Evaluation) {}
	}
	loss := math.NaN()
	for {
		if t.evaluationDue() { // also one that was interrupted, before a resume
			e, err := t.Evaluate(ctx)
			if err != nil {
				return err
			}
			t.Curve = append(t.Curve, e)
			t.since = Evaluation{}
			progress(loss, &e)
		} else if !math.IsNaN(loss) {
			progress(loss, nil)
		}
		if t.Iteration >= t.Config.Iterations {
			return nil
		}
		err := ctx.Err()
		if err == nil {
			loss, err = t.Step()
		}
		if err != nil {
			return err
		}
	}
}

// evaluationDue says whether the last iteration is to be evaluated and has not been. The untrained sampler counts as
// iteration 0: curves begin there.
func (t *Trainer) evaluationDue() bool {
	every, last := t.Config.EvalEvery, len(t.Curve)-1
	done := last >= 0 && t.Curve[last].Iteration == float64(t.Iteration)
	return !done && (t.Iteration == t.Config.Iterations || every > 0 && t.Iteration%every == 0)
}

// LogZ returns the learned log Z: log F(s0) where a flow of states is learned, else the parameter.
func (t *Trainer) LogZ() float64 {
	logF := t.Method.Flow.logF
	if logF == nil {
		return t.logZ[0]
	}
	b, v, source := t.source(), new(Flows), make([]float64, 1)
	t.evaluate(b, v)
	logF(b, v, source)
	return source[0]
}

// Policies returns log PF and log PB on every slot of the enumerated graph.
func (t *Trainer) Policies() (logPF, logPB []float64) {
	logPF, logPB, _ = t.tables(context.Background())
	return logPF, logPB
}

// tables is [Trainer.Policies], until ctx is done. The error is ctx's.
func (t *Trainer) tables(ctx context.Context) (logPF, logPB []float64, err error) {
	g := t.Graph
	table := func(r role) (values []float64) { // nil where no network has the role
		if n := t.net[r]; n != nil && err == nil {
			values, err = n.table(ctx, &g.States)
		}
		return values
	}
	if logPB = table(backwardPolicy); logPB == nil {
		logPB = g.Backward(UniformPB)
	}
	if logPF = table(forwardPolicy); t.net[forwardPolicy] == nil {
		logG, _ := g.LogG(nil) // NewTrainer has looked at its error
		logPF = make([]float64, len(g.FAction))
		g.valuePolicy(g.Len(), logG, table(stateValue), logPF)
	}
	return logPF, logPB, err
}

// Spec returns the canonical description of the trainer's environment.
func (t *Trainer) Spec() string {
	return identify(t.Env).Spec
}

// Evaluate returns the metrics of the sampler as it is: exact ones where the space is enumerated, and elsewhere those
// of Config.EvalSamples trajectories. The error may be ctx's, or say that what is learned is not finite.
func (t *Trainer) Evaluate(ctx context.Context) (Evaluation, error) {
	if !t.busy.TryLock() {
		return Evaluation{}, errBusy
	}
	defer t.busy.Unlock()
	if err := t.usable(); err != nil {
		return Evaluation{}, err
	}
	if t.Graph == nil {
		return t.EvaluateSampled(ctx, t.Config.EvalSamples, 0)
	}
	e := t.evaluation()
	logPF, logPB, err := t.tables(ctx)
	if err != nil {
		return e, err
	}
	e.Metrics = t.Graph.Metrics(logPF, logPB, t.LogZ())
	return e, nil
}

// evaluation returns a point of the curve that has its training figures only. Means of nothing are 0/0, NaN.
func (t *Trainer) evaluation() Evaluation {
	e, before := t.since, 0.0
	if n := len(t.Curve); n > 0 {
		before = t.Curve[n-1].Iteration
	}
	e.Iteration, e.TrainSeconds = float64(t.Iteration), t.TrainSeconds
	e.Trajectories = e.Iteration * float64(t.Config.Batch) // one that is replayed counts each time
	e.Loss /= e.Iteration - before
	e.StepFraction /= e.Accepted
	e.StepKL /= e.Accepted
	e.ModesFound = math.NaN()
	if t.mode != nil {
		e.ModesFound = float64(t.found.Len())
	}
	return e
}

// EvaluateSampled returns the metrics of n trajectories τ ∼ PF with their endpoints x, for spaces of any size:
//
//	ELBO ≈ (1/n) Σ_τ (log R(x) + log PB(τ|x) − log PF(τ))
//	E[log R] ≈ (1/n) Σ_τ log R(x)    E[R] ≈ (1/n) Σ_τ R(x)
//
// With a graph, Samples compares them with the exact target.
func (t *Trainer) EvaluateSampled(ctx context.Context, n int, seed uint64) (Evaluation, error) {
	e, none := t.evaluation(), math.NaN()
	ends, target := new(States), []float64(nil)
	ends.Reset(t.Env)
	if t.Graph != nil {
		ends, target = &t.Graph.States, t.Graph.LogTarget()
	}
	e.Metrics = Metrics{TV: none, JSD: none, KL: none, LogZ: t.LogZ(), LogZExact: none, EUBO: none,
		LogMeanRewardExact: none, MeanLogRewardExact: none}
	count, s := make([]float64, ends.Len()), []int(nil)
	for b, err := range t.Samples(ctx, n, seed) {
		if err != nil {
			return e, err
		}
		b.Evaluate(t.PF(), t.PB())
		for i := range b.Trajectories() {
			x := b.Endpoint(i)
			e.ELBO += (b.LogR[x] - b.logRatio(i, b.LogPF, b.LogPB)) / float64(n)
			e.MeanLogReward += b.LogR[x] / float64(n)
			s = b.State(s, x)
			row := ends.Add(s)
			count = append(count, make([]float64, ends.Len()-len(count))...)
			count[row]++
		}
	}
	e.Samples = ends.Empirical(count, target)
	e.LogMeanReward = e.Samples.LogMeanReward
	return e, nil
}

// LogTerminating returns log PF⊤(x) of objects and its standard errors. Where the space is enumerated it is exact,
// and the errors are 0. Elsewhere it is estimated from n trajectories drawn back from each object
// ([EstimateLogTerminating]). An error names an object that is not a terminating state.
func (t *Trainer) LogTerminating(objects [][]int, n int, seed uint64) (logP, se []float64, err error) {
	if t.Graph == nil {
		return EstimateLogTerminating(t.Env, t.PF(), t.PB(), objects, n, t.Config.Seed+seed)
	}
	logPF, _ := t.Policies()
	all := t.Graph.LogTerminating(logPF)
	for _, x := range objects {
		row := t.Graph.Row(x)
		if row < 0 || t.Graph.Exit(row) < 0 {
			return nil, nil, fmt.Errorf("gfn: %s is not a terminating state", Format(t.Env, x))
		}
		logP = append(logP, all[row])
	}
	return logP, make([]float64, len(logP)), nil
}

// Samples draws n trajectories from PF, some at a time, so that memory does not grow with n. They have random streams
// of their own: training is not disturbed, and equal seeds give equal samples. Each batch overwrites the last. When ctx
// is done, the next batch comes with its error.
func (t *Trainer) Samples(ctx context.Context, n int, seed uint64) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		var b Batch
		for k := 0; k < n; k += sampled {
			b.Reset(t.Env)
			streams := Sampling{Seed: t.Config.Seed + seed, Iteration: math.MaxUint64 - 1 - uint64(k)} // beyond training's
			err := ctx.Err()
			if err == nil {
				err = b.Sample(t.PF(), min(sampled, n-k), streams)
			}
			if !yield(&b, err) || err != nil {
				return
			}
		}
	}
}

// ---- checkpoints ----

// A checkpoint is a safetensors file, which other programs read too. In Python:
//
//	with safetensors.safe_open("checkpoint.gfn", "numpy") as f:
//	    weights = f.get_tensor("pf.1.weight")
//	    trainer = json.loads(f.metadata()["trainer"])
//
// It begins with the length of its header in 8 bytes. The header is JSON text, padded with blanks. For each tensor it
// gives dtype, shape and place (data_offsets) in the bytes that follow the header. There the tensors lie row-major,
// without gaps, in the order of this list. Their numbers are little endian: float64 (F64), in the last three int32
// (I32).
//
//	NET.l.weight              [in, out]           W_l of an [MLP]; NET is pf, pb, f (log F or V), fb, q1, q2
//	NET.l.bias                [out]               b_l
//	NET.l.weight.m, .v, …                         Adam's moments of each of the two, in the same shape
//	target.NET.l.weight, …                        weights and biases of a target network
//	logz, logz.m, logz.v      [1]                 log Z and its moments
//	curve                     [evaluations, …]    a row for each [Evaluation]
//	replay                    [actions]           replayed trajectories, oldest first, each up to its exit, Forward−1
//	guide                     [endpoints, Dim]    what a replay guide keeps, oldest first
//	modes                     [modes, Dim]        the modes sampled so far
//
// __metadata__ in the header has three texts: gfn, the version of this list; trainer, the fields below in JSON; and
// crc32, the CRC-32 (IEEE) of the tensors' bytes followed by the text of trainer, in hexadecimal. The number of Adam's
// steps is Iteration.
type checkpoint struct {
	Env          identity
	Rewards      []float64 // their fingerprint
	Config       Config
	Iteration    int
	TrainSeconds float64
	Since        Evaluation // sums since the last evaluation; the curve's columns have its names, in its order

	replay, guide, modes []int32 // the tensors
}

const checkpointVersion = "12"

// identity is what a checkpoint knows an environment by, beside its rewards' fingerprint.
type identity struct {
	Spec     string // canonical, or the type's name where there is none
	Checksum uint32 // CRC-32 (IEEE) of the file that the environment reads, else 0
	Shape    Shape
}

func identify(env Env) identity {
	t := TraitsOf(env)
	env = Unwrap(env)
	return identity{cmp.Or(t.Spec, fmt.Sprintf("%T", env)), t.Checksum, env.Shape()}
}

// String returns the identity as errors print it.
func (d identity) String() string {
	return fmt.Sprintf("%q, shape %+v, file %08x", d.Spec, d.Shape, d.Checksum)
}

// rewards returns a fingerprint of the environment's rewards: Σ u log R(s), with fixed weights 0 ≤ u < 1, over the
// terminating states s of 16 fixed trajectories of the uniform policy, and log Z* if the space is enumerated.
func (t *Trainer) rewards() []float64 {
	var b Batch
	b.Reset(t.Env)
	b.Sample(UniformPF, 16, Sampling{Iteration: fixedStreams}) // if it fails, the states until there
	rng, sum := stream(0, fixedStreams, 16), 0.0
	for row, logR := range b.LogR {
		if b.Exit(row) >= 0 {
			sum += uniform01(&rng) * logR
		}
	}
	if t.Graph == nil {
		return []float64{sum}
	}
	return []float64{sum, t.Graph.LogZ()}
}

// tensor is a named part of the data of a checkpoint. Its values are []float64, []int32, or []Evaluation, a matrix of
// float64.
type tensor struct {
	name   string
	shape  []int
	values any
}

// tensors lists the numbers of the trainer and of a record. Save writes them, and Load reads them to where they are.
func (t *Trainer) tensors(c *checkpoint) (all []tensor) {
	add := func(name string, values any, shape ...int) { all = append(all, tensor{name, shape, values}) }
	network := func(r role, n *Net, params []float64, prefix, suffix string) {
		for l := 1; l < len(n.Sizes); l++ {
			w, b := n.layer(params, l)
			name := fmt.Sprintf("%s%s.%d", prefix, []string{"pf", "pb", "f", "fb", "q1", "q2"}[r], l)
			add(name+".weight"+suffix, w, n.Sizes[l-1], n.Sizes[l])
			add(name+".bias"+suffix, b, n.Sizes[l])
		}
	}
	for _, r := range t.roles {
		n := t.net[r]
		network(r, n, n.Params, "", "")
		network(r, n, n.M, "", ".m")
		network(r, n, n.V, "", ".v")
	}
	for _, r := range t.Method.Target {
		network(r, t.target[r], t.target[r].Params, "target.", "")
	}
	add("logz", t.logZ[:], 1)
	add("logz.m", t.adamZ.M, 1)
	add("logz.v", t.adamZ.V, 1)
	add("curve", t.Curve, len(t.Curve), binary.Size(Evaluation{})/8)
	dim := t.found.Shape.Dim
	add("replay", c.replay, len(c.replay))
	add("guide", c.guide, len(c.guide)/dim, dim)
	add("modes", c.modes, len(c.modes)/dim, dim)
	return all
}

// record returns what a checkpoint holds of t beside the numbers that t itself keeps as tensors.
func (t *Trainer) record() *checkpoint {
	c := &checkpoint{
		Env: identify(t.Env), Rewards: t.rewards(), Config: t.Config,
		Iteration: t.Iteration, TrainSeconds: t.TrainSeconds, Since: t.since,
		replay: slices.Concat(t.replay...), modes: t.found.state,
	}
	if r, ok := t.guide.(*Replayed); ok {
		dim := r.index.Shape.Dim
		for _, row := range r.order {
			c.guide = append(c.guide, r.index.state[int(row)*dim:][:dim]...)
		}
	}
	return c
}

// file returns the checkpoint of a record and the tensors of t. There is only one: JSON sorts the names.
func (t *Trainer) file(c *checkpoint) ([]byte, error) {
	trainer, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("gfn: checkpoint: %w", err)
	}
	var data []byte
	header := map[string]any{}
	for _, x := range t.tensors(c) {
		begin, dtype := len(data), "F64"
		if _, integers := x.values.([]int32); integers {
			dtype = "I32"
		}
		data, _ = binary.Append(data, binary.LittleEndian, x.values)
		header[x.name] = map[string]any{"dtype": dtype, "shape": x.shape, "data_offsets": []int{begin, len(data)}}
	}
	header["__metadata__"] = map[string]string{
		"gfn": checkpointVersion, "trainer": string(trainer), "crc32": checksum(data, trainer),
	}
	text, err := json.Marshal(header)
	text = append(text, strings.Repeat(" ", -len(text)&7)...)
	return slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text, data), err
}

func checksum(data, trainer []byte) string {
	return fmt.Sprintf("%08x", crc32.Update(crc32.ChecksumIEEE(data), crc32.IEEETable, trainer))
}

// usable keeps a bad state from replacing a good file, from being read and from being evaluated. It returns an error if
// a parameter or a moment of one is not finite, or log PF(s0) is not, because parameters are so large that the
// network's outputs overflow.
func (t *Trainer) usable() error {
	logPF := tensor{name: "log PF(s0)", values: t.source().Forward(t.PF())}
	for _, x := range append(t.tensors(new(checkpoint)), logPF) {
		list, _ := x.values.([]float64)
		if slices.ContainsFunc(list, func(v float64) bool { return !finite(v) }) {
			return fmt.Errorf("gfn: %s is not finite after iteration %d: "+
				"continue from an earlier checkpoint, train at smaller rates, or clip gradients", x.name, t.Iteration)
		}
	}
	return nil
}

// Save writes a checkpoint, a safetensors file of named tensors, from which [Load] continues bit for bit. It writes
// nothing if a number in it that training moves is not finite; the error names the number and the iteration.
func (t *Trainer) Save(w io.Writer) error {
	if !t.busy.TryLock() {
		return errBusy
	}
	defer t.busy.Unlock()
	if err := t.usable(); err != nil {
		return err
	}
	file, err := t.file(t.record())
	if err != nil {
		return err
	}
	_, err = w.Write(file)
	return err
}

// SaveFile is [Trainer.Save] by [WriteFile].
func (t *Trainer) SaveFile(path string) error { return WriteFile(path, t.Save) }

// WriteFile writes a file that is either whole or not there: write fills a temporary file beside it, .NAME-NUMBER,
// which is synced and renamed. It also removes such files that were last written to over an hour ago: killed programs
// have left them.
func WriteFile(path string, write func(io.Writer) error) error {
	dir, prefix := filepath.Dir(path), "."+filepath.Base(path)+"-"
	f, err := os.CreateTemp(dir, prefix+"*")
	if err != nil {
		return err
	}
	beside, _ := os.ReadDir(dir)
	for _, other := range beside {
		number, ours := strings.CutPrefix(other.Name(), prefix)
		if !ours || strings.Trim(number, "0123456789") != "" || !other.Type().IsRegular() {
			continue
		}
		if info, err := other.Info(); err == nil && time.Since(info.ModTime()) > time.Hour {
			os.Remove(filepath.Join(dir, other.Name()))
		}
	}
	defer os.Remove(f.Name()) // once renamed it is no longer there
	err = cmp.Or(write(f), f.Chmod(0o644), f.Sync())
	if err = cmp.Or(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// LoadFile is [Load] from a file and its directory; the error names the file.
func LoadFile(path string, env Env, change func(*Running)) (*Trainer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := Load(f, filepath.Dir(path), env, change)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// Load reads a checkpoint. If env is nil, it builds the environment from the recorded spec. A file that the environment
// reads must have the recorded checksum; it is looked for in the current directory and then in dir.
//
// The environment must have the recorded spec, or type if its [Traits] have none, shape and rewards. Rewards are
// compared by log Z*, if the space is enumerated, and by log R on fixed trajectories, to nine digits.
//
// change may alter what is [Running]; nil leaves it. The recorded Workers and Limit count up to those of
// [DefaultConfig], and networks must fit in the file. So a file decides on no more memory than its reader would spend
// by default, or than is in proportion to its size.
//
// The error says whether the data is not a whole checkpoint, or of another version, or of another environment.
func Load(r io.Reader, dir string, env Env, change func(*Running)) (*Trainer, error) {
	file, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	c, data, err := readCheckpoint(file)
	if err != nil {
		return nil, err
	}
	if env == nil {
		name, _, _ := strings.Cut(c.Env.Spec, ":")
		if _, err := findEnvironment(name, nil); err != nil {
			return nil, fmt.Errorf("gfn: checkpoint: its environment, %q, is not part of this program: "+
				"build it with the file that registers the environment (Register)", c.Env.Spec)
		}
		find := func(name string) *source { return readRecorded(name, dir, c.Env.Checksum) }
		if env, err = parseEnv(c.Env.Spec, find); err != nil {
			return nil, err
		}
	}
	if is := identify(env); is != c.Env {
		return nil, fmt.Errorf("gfn: checkpoint: it was trained on %v, not on %v", c.Env, is)
	}
	if err := c.Config.Validate(); err != nil {
		return nil, fmt.Errorf("gfn: checkpoint: its configuration: %q", err.Error())
	}
	config, own := c.Config, DefaultConfig("")
	config.Workers, config.Limit = min(config.Workers, own.Workers), min(config.Limit, own.Limit)
	if change != nil {
		change(&config.Running)
	}
	t, err := newTrainer(env, config, len(data)/8)
	if err == nil {
		err = t.restore(c, file, data)
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// readCheckpoint returns the record of a file and the bytes of its tensors, of the right checksum. What the file claims
// may still be wrong.
func readCheckpoint(file []byte) (c *checkpoint, data []byte, err error) {
	broken := errors.New("gfn: checkpoint: not a gfn checkpoint, or truncated or damaged")
	if len(file) < 8 || binary.LittleEndian.Uint64(file) > uint64(len(file)-8) {
		return nil, nil, broken
	}
	end := 8 + binary.LittleEndian.Uint64(file)
	data = file[end:]
	var h struct {
		Metadata struct{ GFN, Trainer, CRC32 string } `json:"__metadata__"`
	}
	if json.Unmarshal(file[8:end], &h) != nil || h.Metadata.GFN == "" {
		return nil, nil, broken
	}
	if v := h.Metadata.GFN; v != checkpointVersion {
		return nil, nil, fmt.Errorf("gfn: checkpoint: format version %q; this program reads %q", v, checkpointVersion)
	}
	trainer := []byte(h.Metadata.Trainer)
	if h.Metadata.CRC32 != checksum(data, trainer) || json.Unmarshal(trainer, &c) != nil || c == nil {
		return nil, nil, broken
	}
	return c, data, nil
}

// restore gives t the numbers of a file. A file may claim anything, also with a right checksum. So it must be the file
// that t, with these numbers, would write for its record: then every tensor has its place and its size, and none is
// missing or left over.
func (t *Trainer) restore(c *checkpoint, file, data []byte) error {
	misfit := errors.New("gfn: checkpoint: its tensors do not fit its configuration: damaged, or of another version")
	var header map[string]struct {
		Place [2]int `json:"data_offsets"`
	}
	json.Unmarshal(file[8:len(file)-len(data)], &header)
	rows := func(name string, size int) int { // of a tensor, no more than data can hold
		within := func(offset int) int { return min(max(offset, 0), len(data)) }
		place := header[name].Place
		return max(0, within(place[1])-within(place[0])) / size
	}
	dim := t.found.Shape.Dim
	t.Curve = make([]Evaluation, rows("curve", binary.Size(Evaluation{})))
	c.replay = make([]int32, rows("replay", 4))
	c.guide = make([]int32, dim*rows("guide", 4*dim))
	c.modes = make([]int32, dim*rows("modes", 4*dim))
	for _, x := range t.tensors(c) {
		n, err := binary.Decode(data, binary.LittleEndian, x.values)
		if err != nil {
			return misfit
		}
		data = data[n:]
	}
	own, err := t.file(c)
	if err != nil || !bytes.Equal(own, file) || c.Iteration < 0 {
		return misfit
	}
	is, was := t.rewards(), c.Rewards
	near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(b)) }
	if n := min(len(is), len(was)); !slices.EqualFunc(is[:n], was[:n], near) { // a reader may enumerate less
		const other = "gfn: checkpoint: it was trained on other rewards: Σ u log R and log Z* are %v, and were %v"
		return fmt.Errorf(other, is, was)
	}
	t.Iteration, t.TrainSeconds, t.since = c.Iteration, c.TrainSeconds, c.Since
	for _, r := range t.roles { // Adam's steps, one in each iteration
		t.net[r].T = t.Iteration
	}
	t.adamZ.T = t.Iteration
	return cmp.Or(t.usable(), t.recall(c))
}

// readRecorded returns the file of a name and a checksum from the current directory or else from dir. It opens regular
// files only: another may never end, or never begin.
func readRecorded(name, dir string, sum uint32) *source {
	for _, place := range []string{name, filepath.Join(dir, name)} {
		if info, err := os.Stat(place); err != nil || !info.Mode().IsRegular() {
			continue
		}
		if file := readFile(place); file.err == nil && file.sum() == sum {
			file.name = name
			return file
		}
	}
	return &source{err: fmt.Errorf("gfn: checkpoint: its data, a file %q with CRC-32 %08x, is neither here nor in %q",
		name, sum, dir)}
}

// recall fills t's memories in the order in which training filled them, so that what follows is the same bit for bit.
// An environment may panic at a state that is not its own. Here, where states come from a file, that is an error.
func (t *Trainer) recall(c *checkpoint) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("gfn: checkpoint: damaged: a recorded state is not the environment's: %v", p)
		}
	}()
	var b Batch
	for rest := c.replay; len(rest) > 0; {
		n := 1 + slices.Index(rest, int32(t.found.Shape.Forward-1)) // 0, which Walk refuses, without an exit
		b.Reset(t.Env)
		if err := b.Walk(ints(rest[:n])); err != nil {
			return err
		}
		t.replay, rest = append(t.replay, rest[:n]), rest[n:]
	}
	dim := t.found.Shape.Dim
	for s := range slices.Chunk(c.modes, dim) {
		t.found.Add(ints(s))
	}
	if r, ok := t.guide.(*Replayed); ok {
		for s := range slices.Chunk(c.guide, dim) {
			r.add(t.Env, ints(s))
		}
		err = r.index.err
	}
	return cmp.Or(t.found.err, err)
}

func ints(list []int32) (all []int) {
	for _, v := range list {
		all = append(all, int(v))
	}
	return all
}
