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
	"runtime"
	"slices"
	"strings"
	"time"
)

// Config says how to train. [DefaultConfig] gives every field its documented default;
// [Config.Validate] reports everything that is wrong. A field that a method does not use has no effect.
type Config struct {
	Method                           string
	Iterations, Batch                int
	Seed                             uint64
	Hidden, Layers, HiddenV, LayersV int     // width and hidden layers of the policies, and of flows and critics
	Tabular                          bool    // one free row of parameters for each state in place of the networks
	LR, LRZ, LRV                     float64 // Adam's rates for policies, log Z, flows and critics
	Schedule                         string  // of all rates, and of √KL: constant, or linear or cosine decay to 0 at Iterations
	Lambda                           float64 // of SubTB, or of the advantages of the policy-gradient methods
	Epsilon, EpsilonEnd              float64 // probability of a uniform action in sampling, linear over Iterations
	Temperature                      float64 // the policy samples ∝ PF^(1/Temperature)
	Clip                             float64 // largest norm of a network's gradient; 0 is off
	LogZ                             float64 // initial log Z
	Replay                           int     // trajectories kept; half of each batch is drawn from them, uniformly
	Alpha                            float64 // temperature of the maximum-entropy methods (spec §6)
	// Of the policy-gradient methods (spec §4) alone:
	Centring     string  // of advantages: batch, as the reference, others, without bias, or none
	LambdaV      float64 // λ of the critics' targets, or of the weights of [SubEB]
	BackwardStep string  // of PB: pg, its policy gradient, or tb, down c(τ)² of the same trajectories
	KL           float64 // of the trust region, as [TrustRegion]
	Penalised    bool    // as [TrustRegion]
	Guide        string  // of rl-g: auto, the environment's own or else replay; exit, [ExitCapped]; replay, [Replayed]

	Workers                int // goroutines; results do not depend on it
	EvalEvery, EvalSamples int // iterations between evaluations, 0 only at the end; trajectories of a sampled evaluation
	Limit                  int // states up to which the space is enumerated and evaluation is exact
}

const (
	maxParameters = 1 << 27 // of a network: with gradient and moments 4 GiB
	targetStep    = 0.05    // τ of the target networks' step θ̄ ← (1−τ) θ̄ + τ θ (spec §6)
)

// DefaultConfig returns the defaults of a method; unknown methods are left to [Config.Validate].
func DefaultConfig(method string) Config {
	c := Config{
		Method: method, Iterations: 2000, Batch: 64, Hidden: 256, Layers: 2, HiddenV: 256, LayersV: 2,
		LR: 2e-3, LRZ: 0.1, LRV: 2e-3, Schedule: "cosine", Temperature: 1, Alpha: 1,
		Centring: "batch", LambdaV: 1, BackwardStep: "pg", KL: DefaultTrustRegion().KL, Guide: "auto",
		Workers: runtime.GOMAXPROCS(0), EvalEvery: 100, EvalSamples: 10000, Limit: 1 << 21,
	}
	m, err := MethodByName(method)
	if err != nil {
		return c
	}
	if !math.IsNaN(m.Lambda) {
		c.Lambda = m.Lambda
	}
	if m.Loss == nil || m.Flow == TwinFlow { // critics
		c.LRV = 5e-3
	}
	if m.SubEB {
		c.LambdaV = 0.9 // Niu et al. 2026
	}
	if m.Flow == ValueFlow { // it evaluates the uniform policy
		c.Epsilon, c.EpsilonEnd = 1, 1
	}
	if m.Target {
		c.Replay = 1000
	}
	return c
}

// Paper sets the sizes and rates of Niu et al. 2024 (spec §4) for an environment: batch 128,
// policies of 4×256 and the rest 2×256, constant rates of 1e-3, 0.1 for log Z (1 in structure
// learning), 5e-3 for the rest.
func (c *Config) Paper(env Env) {
	c.Batch, c.Hidden, c.Layers, c.HiddenV, c.LayersV = 128, 256, 4, 256, 2
	c.LR, c.LRZ, c.LRV, c.Schedule = 1e-3, 0.1, 5e-3, "constant"
	c.ForEnv(env)
}

// ForEnv sets the defaults that depend on the environment: LRZ = 1 in structure learning, as Niu et
// al. 2024 have it. Adam moves log Z by about LRZ an iteration at most, half of it on average under
// cosine decay; log Z* is of the size of log R, which there grows with the number of observations:
// hundreds or thousands of nats, out of the reach of 2,000 iterations at 0.1.
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

// must returns a [FieldError] unless ok.
func must(ok bool, field string, value any, want string) error {
	if ok {
		return nil
	}
	return &FieldError{field, fmt.Sprint(value), want}
}

func within(field string, value, least, most int) error {
	return must(value >= least && value <= most, field, value, fmt.Sprintf("must lie in %d…%d", least, most))
}

func between0And1(field string, value float64) error {
	return must(value >= 0 && value <= 1, field, value, "must lie in 0…1")
}

func positive(field string, value float64) error {
	return must(finite(value) && value > 0, field, value, "must be positive and finite")
}

func among(field, value string, list ...string) error {
	return must(slices.Contains(list, value), field, value, "must be one of "+strings.Join(list, ", "))
}

// Validate returns a [FieldError] for each field of c that is wrong, joined.
func (c Config) Validate() error {
	const most = 1 << 30
	method, unknown := MethodByName(c.Method)
	problems := []error{
		unknown,
		within("Iterations", c.Iterations, 0, most),
		within("Batch", c.Batch, 1, 1<<24),
		within("Hidden", c.Hidden, 1, 1<<16),
		within("Layers", c.Layers, 0, 64),
		within("HiddenV", c.HiddenV, 1, 1<<16),
		within("LayersV", c.LayersV, 0, 64),
		positive("LR", c.LR),
		positive("LRZ", c.LRZ),
		positive("LRV", c.LRV),
		among("Schedule", c.Schedule, "constant", "linear", "cosine"),
		must(finite(c.Lambda) && c.Lambda >= 0, "Lambda", c.Lambda, "must be at least 0 and finite"),
		between0And1("Epsilon", c.Epsilon),
		between0And1("EpsilonEnd", c.EpsilonEnd),
		positive("Temperature", c.Temperature),
		must(finite(c.Clip) && c.Clip >= 0, "Clip", c.Clip, "must be at least 0 and finite"),
		must(finite(c.LogZ), "LogZ", c.LogZ, "must be finite"),
		within("Replay", c.Replay, 0, most),
		positive("Alpha", c.Alpha),
		among("Centring", c.Centring, "batch", "others", "none"),
		between0And1("LambdaV", c.LambdaV),
		among("BackwardStep", c.BackwardStep, "pg", "tb"),
		positive("KL", c.KL),
		among("Guide", c.Guide, "auto", "exit", "replay"),
		within("Workers", c.Workers, 1, 1<<10),
		within("EvalEvery", c.EvalEvery, 0, most),
		within("EvalSamples", c.EvalSamples, 1, most),
		within("Limit", c.Limit, 0, most),
	}
	if unknown == nil && method.Flow == NoFlow {
		problems = append(problems, must(c.Batch >= 2, "Batch", c.Batch, "must be at least 2: VarGrad is the variance over a batch"))
	}
	if unknown == nil && method.Loss == nil {
		const onPolicy = ": the policy gradient needs trajectories of PF itself"
		problems = append(problems,
			between0And1("Lambda", c.Lambda),
			must(c.Epsilon == 0, "Epsilon", c.Epsilon, "must be 0"+onPolicy),
			must(c.EpsilonEnd == 0, "EpsilonEnd", c.EpsilonEnd, "must be 0"+onPolicy),
			must(c.Temperature == 1, "Temperature", c.Temperature, "must be 1"+onPolicy),
			must(c.Replay == 0, "Replay", c.Replay, "must be 0"+onPolicy))
	}
	return errors.Join(problems...)
}

// hidden returns the widths of the hidden layers of a network.
func (c Config) hidden(r role) []int {
	switch {
	case c.Tabular:
		return nil
	case r != forwardPolicy && r != backwardPolicy:
		return slices.Repeat([]int{c.HiddenV}, c.LayersV)
	}
	return slices.Repeat([]int{c.Hidden}, c.Layers)
}

// rate returns the factor of all learning rates at an iteration.
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

// Evaluation is a point of a learning curve. Figures that cannot be computed are NaN; Samples.N is 0,
// and its figures say nothing, where no samples were drawn.
type Evaluation struct {
	Iteration, Trajectories int64
	TrainSeconds            float64 // training alone
	Loss                    float64 // mean since the evaluation before
	Accepted, Rejected      float64 // trust-region steps since the evaluation before
	StepFraction, StepKL    float64 // mean over the accepted ones: of the full step, and KL reached, nats
	ModesFound              float64 // different modes sampled in training so far
	Metrics                         // exact where the space is enumerated; else LogZ, ELBO, MeanLogReward and MeanReward (of samples, not divided) only
	Samples                 Empirical
}

// Trainer trains a sampler. The fields are for reading.
type Trainer struct {
	Config       Config
	Env          Env
	Method       Method
	Graph        *Graph // nil beyond Config.Limit states
	Iteration    int
	Trajectories int
	TrainSeconds float64
	Curve        []Evaluation

	pf, pb    *Net   // nil where the method learns none, as f, fb
	extracted Policy // PF where pf is nil
	f, fb     *Net   // log F or the critic V, and the backward critic
	q         [2]*Net
	bar       []targetNet
	logZ      [1]float64
	adamZ     Adam
	past      [][]int            // trajectories to replay as lists of actions, oldest first
	mode      func(s []int) bool // nil where the environment defines none
	found     States             // the modes sampled in training
	guide     Guide              // of PB, in the policy-gradient methods that learn one
	batch     Batch
	v, d      Flows
	back      Batch     // walks backwards from the endpoints of batch
	r, a      []float64 // by step: rewards and advantages
	val, dVal []float64 // by row: the critic's values and their cotangents
	trust     trustLog
	w         Flows     // of the target networks
	u         []float64 // scratch
	pool      *pool
	lossSum   float64 // since the last evaluation
	lossCount int
}

// NewTrainer returns a trainer at iteration 0. It enumerates env where it has at most Config.Limit
// states. The error holds every problem of the configuration, or what is wrong with env.
func NewTrainer(env Env, c Config) (*Trainer, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	t := &Trainer{Config: c, Env: env, adamZ: NewAdam(1), pool: newPool(c.Workers)}
	t.Method, _ = MethodByName(c.Method)
	t.logZ[0] = c.LogZ
	var err error
	if c.Limit > 0 {
		if t.Graph, err = Enumerate(env, c.Limit); err != nil && !errors.Is(err, ErrLimit) {
			return nil, err
		}
	}
	if c.Tabular {
		if t.Graph == nil {
			return nil, must(false, "Tabular", true, fmt.Sprintf("the space must be enumerated, and has more than %d states", c.Limit))
		}
		t.Env = Tabular(t.Graph)
		if t.Graph, err = Enumerate(t.Env, c.Limit); err != nil {
			return nil, err
		}
	}
	for _, r := range t.Method.roles() {
		if n := parameters(r.head().sizes(t.Env.Shape(), c.hidden(r))); n > maxParameters {
			return nil, must(false, "Hidden", c.Hidden, fmt.Sprintf("a network of %d parameters, at most %d", n, maxParameters))
		}
		rng := stream(c.Seed, math.MaxUint64, uint64(r)) // each network has its own
		*t.net(r) = newNet(&rng, t.Env.Shape(), r.head(), c.hidden(r), t.pool)
	}
	first := new(States) // s0, where there is no more
	if t.Graph != nil {
		first = &t.Graph.States
	} else {
		first.Reset(t.Env)
		t.Env.Source(first.s)
		first.Add(first.s)
	}
	if err := t.Method.Applies(first); err != nil {
		return nil, err
	}
	if t.pf == nil {
		t.extracted = ValuePolicy(t.f.Eval)
	}
	t.guide = t.newGuide()
	t.found.Reset(t.Env)
	t.mode = TraitsOf(t.Env).Mode
	if c.Tabular { // the uniform policy and zero flows: no state's start depends on chance
		for _, n := range t.nets() {
			clear(n.Params)
		}
	}
	for _, r := range c.targets() {
		n := *t.net(r)
		rng := stream(0, 0, 0) // it starts as a copy
		bar := newNet(&rng, t.Env.Shape(), r.head(), c.hidden(r), t.pool)
		copy(bar.Params, n.Params)
		t.bar = append(t.bar, targetNet{bar, n})
	}
	return t, nil
}

// targetNet is a network that follows another one slowly.
type targetNet struct {
	*Net
	of *Net
}

// targets returns the roles of the networks that have target networks.
func (c Config) targets() []role {
	m, _ := MethodByName(c.Method)
	switch {
	case !m.Target:
		return nil
	case m.Flow == TwinFlow:
		return []role{edgeFlow, edgeFlow2}
	}
	return []role{forwardPolicy}
}

// nets returns the networks that the method learns, in the order of their roles.
func (t *Trainer) nets() (nets []*Net) {
	for _, r := range t.Method.roles() {
		nets = append(nets, *t.net(r))
	}
	return nets
}

func (t *Trainer) net(r role) **Net {
	return []**Net{&t.pf, &t.pb, &t.f, &t.fb, &t.q[0], &t.q[1]}[r]
}

// newGuide returns the guide that the configuration asks for.
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

// Close ends the trainer's worker goroutines. A later step starts them again.
func (t *Trainer) Close() { t.pool.close() }

// PF returns the forward policy learned so far. It and PB share the trainer's networks: they are for
// one goroutine, and rows are evaluated in order, one set of states at a time.
func (t *Trainer) PF() Policy {
	if t.pf == nil {
		return t.extracted
	}
	return func(st *States, lo, hi int, dst []float64) {
		t.pf.Eval(st, lo, hi, dst)
		t.temper(st.FStart[lo:hi+1], dst)
	}
}

// alpha returns the temperature of maximum-entropy control, and 1 of a method that has none.
func (t *Trainer) alpha() float64 {
	if t.Method.Soft {
		return t.Config.Alpha
	}
	return 1
}

// temper turns the softmax of the forward network into that of its outputs over α where they are Q.
func (t *Trainer) temper(start []int32, logp []float64) {
	if α := t.alpha(); t.Method.Flow == EdgeFlow && α != 1 {
		for i := range logp {
			logp[i] /= α
		}
		normalise(logp, start)
	}
}

// PB returns the backward policy: learned, or uniform over entering edges.
func (t *Trainer) PB() Policy {
	if t.pb != nil {
		return t.pb.Eval
	}
	return UniformPB
}

// Step trains on one batch and returns its loss.
func (t *Trainer) Step() (float64, error) {
	begin := time.Now()
	c, b := &t.Config, &t.batch
	x := c.progress(t.Iteration)
	o := Sampling{c.Seed, uint64(t.Iteration), c.Epsilon + x*(c.EpsilonEnd-c.Epsilon), c.Temperature}
	b.Reset(t.Env)
	again := 0 // trajectories of the past
	if len(t.past) > 0 {
		again = c.Batch / 2
	}
	pf := t.PF()
	if t.pf == nil && o.Epsilon == 1 { // then it has no say, and rpe does not read it
		pf = UniformPF
	}
	if err := b.Sample(pf, c.Batch-again, o); err != nil {
		return 0, err
	}
	fresh := b.Trajectories()
	for _, actions := range t.drawPast(again, o) {
		if err := b.Walk(actions); err != nil {
			return 0, err
		}
	}
	if t.Method.Parents {
		if err := b.AddParents(); err != nil {
			return 0, err
		}
	}
	if t.Method.Flow == ValueFlow {
		if err := b.AddChildren(); err != nil {
			return 0, err
		}
	}
	learn := t.balance
	if t.Method.Loss == nil {
		learn = t.reinforce
	}
	loss, err := learn()
	if err != nil {
		return 0, err
	}
	for i := range fresh {
		t.remember(b, i)
		t.find(b, b.Endpoint(i))
	}
	t.Iteration++
	t.Trajectories += b.Trajectories()
	t.lossSum, t.lossCount = t.lossSum+loss, t.lossCount+1
	t.TrainSeconds += time.Since(begin).Seconds()
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return loss, fmt.Errorf("gfn: loss is %v at iteration %d: try a smaller learning rate, or to clip gradients", loss, t.Iteration)
	}
	return loss, nil
}

// find notes the state in a row of b if it is a mode.
func (t *Trainer) find(b *Batch, row int) {
	if t.mode == nil {
		return
	}
	if s := b.State(t.found.s, row); t.mode(s) {
		t.found.Add(s)
	}
}

// balance evaluates the networks on the batch, the objective on their values, and steps them down
// its gradient.
func (t *Trainer) balance() (loss float64, err error) {
	c, b, v, d, α := &t.Config, &t.batch, &t.v, &t.d, t.alpha()
	if t.Graph == nil { // else it is decided
		if err := t.Method.Applies(&b.States); err != nil {
			return 0, err
		}
	}
	if t.flows(b, v); b.err != nil {
		return 0, b.err
	}
	t.next(b, v)
	d.Reset(b, v.LogF != nil)
	if t.Method.Flow == TwinFlow {
		d.ResetLogQ(b)
	}
	loss = t.Method.Loss(c.Lambda, α)(b, v, d)

	rate := c.rate(t.Iteration)
	switch {
	case t.pf == nil:
	case t.Method.Flow == EdgeFlow && α == 1:
		t.pf.Backward(d.LogPF, d.LogF)
	case t.Method.Flow == EdgeFlow:
		for e, row := range b.From { // log PF = (Q − V)/α, log F = V/α: by slot first ∂L/∂V, then ∂L/∂Q
			d.LogF[row] -= d.LogPF[e]
		}
		for e, row := range b.From {
			d.LogPF[e] += math.Exp(b.LogPF[e]) * d.LogF[row]
		}
		t.backwardQ(t.pf, b, d.LogPF)
	default:
		t.pf.Backward(d.LogPF, nil)
	}
	if t.pf != nil {
		t.pf.Step(rate*c.LR, c.Clip)
	}
	if t.pb != nil {
		t.pb.Backward(d.LogPB, nil)
		t.pb.Step(rate*c.LR, c.Clip)
	}
	switch t.Method.Flow {
	case StateFlow, ValueFlow:
		for row := range d.LogF {
			d.LogF[row] /= α
		}
		t.f.Backward(d.LogF, nil)
		t.f.Step(rate*c.LRV, c.Clip)
	case TotalFlow:
		t.adamZ.Update(t.logZ[:], []float64{d.LogZ}, rate*c.LRZ)
	case NoFlow:
		t.logZ[0] = v.LogZ // the batch's estimate
	case TwinFlow:
		for k, q := range t.q {
			t.backwardQ(q, b, d.LogQ[k])
			q.Step(rate*c.LRV, c.Clip)
		}
	}
	for _, bar := range t.bar {
		for i, θ := range bar.Params {
			bar.Params[i] = (1-targetStep)*θ + targetStep*bar.of.Params[i]
		}
	}
	return loss, nil
}

// flows evaluates the policies on b, and the networks that stand for flows, which give them in units
// of 1/α: V = α log F and Q = α log F(s→s').
func (t *Trainer) flows(b *Batch, v *Flows) {
	if t.pf != nil {
		b.Evaluate(t.PF(), t.PB())
	}
	v.LogPF, v.LogPB, v.LogZ = b.LogPF, b.LogPB, t.logZ[0]
	switch t.Method.Flow {
	case StateFlow, ValueFlow:
		v.LogF = resize(v.LogF, b.Len())
		t.f.Eval(&b.States, 0, b.Len(), v.LogF)
		for row := range v.LogF {
			v.LogF[row] /= t.alpha()
		}
		if t.Method.Flow == ValueFlow {
			v.LogG, _ = b.logG(v.LogG) // b.err says what is wrong
		}
	case EdgeFlow:
		v.LogF = append(v.LogF[:0], t.pf.LSE...) // log Σ exp Q, and Q = V + α log π
		if α := t.alpha(); α != 1 {
			for row := range v.LogF {
				t.u = t.u[:0]
				for _, l := range b.LogPF[b.FStart[row]:b.FStart[row+1]] {
					t.u = append(t.u, α*l)
				}
				v.LogF[row] = (v.LogF[row] - LogSumExp(t.u)) / α
			}
		}
	case TwinFlow:
		for k, q := range t.q {
			v.LogQ[k] = t.evalQ(q, b, v.LogQ[k])
		}
	}
	if t.Method.Shaped {
		v.LogRhat = b.LogIntermediate(v.LogRhat)
	}
}

// next leaves in v.Next what the target networks make of log F.
func (t *Trainer) next(b *Batch, v *Flows) {
	w := &t.w
	if v.Next = nil; t.bar == nil {
		return
	}
	w.LogF = resize(w.LogF, b.Len())
	v.Next, w.LogPF = w.LogF, b.LogPF
	switch t.Method.Flow {
	case TwinFlow:
		for k, bar := range t.bar {
			w.LogQ[k] = t.evalQ(bar.Net, b, w.LogQ[k])
		}
		SoftState(&b.States, w, w.LogF)
	case EdgeFlow:
		w.LogQ[0] = t.evalQ(t.bar[0].Net, b, w.LogQ[0])
		for row := range w.LogF {
			w.LogF[row] = LogSumExp(w.LogQ[0][b.FStart[row]:b.FStart[row+1]])
		}
	case ExitFlow:
		w.LogQ[0] = resize(w.LogQ[0], len(b.FAction)) // log π: its network is a policy
		t.bar[0].Eval(&b.States, 0, b.Len(), w.LogQ[0])
		b.exitFlows(w.LogQ[0], w.LogF)
	}
}

// evalQ returns by forward slot the outputs of a network, which are Q, over α.
func (t *Trainer) evalQ(n *Net, b *Batch, q []float64) []float64 {
	q = resize(q, len(b.FAction))
	n.Eval(&b.States, 0, b.Len(), q)
	for e, row := range b.From {
		q[e] = (q[e] + n.LSE[row]) / t.alpha()
	}
	return q
}

// backwardQ is [Net.Backward] for the cotangents of Q/α by forward slot.
func (t *Trainer) backwardQ(n *Net, b *Batch, dQ []float64) {
	t.u = resize(t.u, b.Len()) // by row: the cotangent of log Σ exp Q, which log PF has less
	clear(t.u)
	for e, row := range b.From {
		dQ[e] /= t.alpha()
		t.u[row] += dQ[e]
	}
	n.Backward(dQ, t.u)
}

// remember keeps trajectory i of b, and at most Config.Replay of them.
func (t *Trainer) remember(b *Batch, i int) {
	if t.Config.Replay == 0 {
		return
	}
	var actions []int
	for _, s := range b.Trajectory(i) {
		actions = append(actions, int(b.FAction[s.F]))
	}
	t.past = append(t.past, actions)
	t.past = t.past[max(0, len(t.past)-t.Config.Replay):]
}

// drawPast returns n of the kept trajectories, uniform with replacement.
func (t *Trainer) drawPast(n int, o Sampling) (all [][]int) {
	rng := stream(o.Seed, o.Iteration, math.MaxUint64)
	for range n {
		all = append(all, t.past[int(uniform01(&rng)*float64(len(t.past)))])
	}
	return all
}

// reinforce steps the critic down its loss, PF along the policy gradient of the batch and log Z along mean c(τ), and then
// PB where it is learned, on walks back of its own, with the updated PF. It returns mean c(τ), the estimate of J_F.
func (t *Trainer) reinforce() (loss float64, err error) {
	c, b, v, d := &t.Config, &t.batch, &t.v, &t.d
	b.Evaluate(t.PF(), t.PB())
	v.LogPF, v.LogPB, v.LogZ = b.LogPF, b.LogPB, t.logZ[0]
	t.r = resize(t.r, len(b.Steps))
	RewardsF(b, v, t.r)
	for _, r := range t.r {
		loss += r / float64(b.Trajectories())
	}
	t.advantages(b, Forward, t.f, c.Lambda)
	rate := c.rate(t.Iteration)
	d.Reset(b, false)
	PolicyGradient(b, Forward, t.a, d)
	if t.Method.Trust { // a step's length goes with √ζ: it follows the schedule as other steps do
		tr := DefaultTrustRegion()
		tr.KL, tr.Penalised = c.KL*rate*rate, c.Penalised
		t.trust.note(tr.Step(t.pf, &b.States, b.LogPF, d.LogPF, b.Visits()))
	} else {
		t.pf.Backward(d.LogPF, nil)
		t.pf.Step(rate*c.LR, c.Clip)
	}
	t.adamZ.Update(t.logZ[:], []float64{loss}, rate*c.LRZ)
	if t.pb != nil {
		err = t.reinforceBackward()
	}
	return loss, err
}

// advantages leaves the λ-advantages of t.r, centred, in t.a, after the critic's step on its own targets.
func (t *Trainer) advantages(b *Batch, way Direction, critic *Net, λ float64) {
	c := &t.Config
	t.a = resize(t.a, len(b.Steps))
	t.val, t.dVal = resize(t.val, b.Len()), resize(t.dVal, b.Len())
	critic.Eval(&b.States, 0, b.Len(), t.val)
	clear(t.dVal)
	if t.Method.SubEB {
		SubEB(b, way, t.r, t.val, c.LambdaV, t.dVal, nil)
	} else {
		Advantages(b, way, t.r, t.val, c.LambdaV, t.a)
		Critic(b, way, t.a, t.dVal)
	}
	critic.Backward(t.dVal, nil)
	critic.Step(c.rate(t.Iteration)*c.LRV, c.Clip)
	Advantages(b, way, t.r, t.val, λ, t.a)
	Centre(b, way, t.a, map[string]Centring{"batch": CentreBatch, "others": CentreOthers, "none": CentreNone}[c.Centring])
}

// reinforceBackward walks back once from each endpoint of the batch by PB and steps it along its
// own policy gradient, or down c(τ)², against the guide.
func (t *Trainer) reinforceBackward() error {
	c, b, d := &t.Config, &t.back, &t.d
	if err := t.guide.Observe(&t.batch); err != nil { // endpoints first
		return err
	}
	endpoints := make([][]int, t.batch.Trajectories())
	for i := range endpoints {
		endpoints[i] = t.batch.State(nil, t.batch.Endpoint(i))
	}
	b.Reset(t.Env)
	if err := b.SampleBackward(t.PB(), endpoints, Sampling{Seed: c.Seed, Iteration: uint64(t.Iteration) | 1<<63}); err != nil {
		return err
	}
	b.Evaluate(t.PF(), t.PB())
	v := &Flows{LogPF: b.LogPF, LogPB: b.LogPB, LogZ: t.logZ[0]}
	t.r = resize(t.r, len(b.Steps))
	logPG := make([]float64, len(b.Steps))
	t.guide.LogPG(b, b.LogPF, b.LogPB, logPG)
	RewardsB(b, v, logPG, t.r)
	if c.BackwardStep == "tb" {
		t.a = resize(t.a, len(b.Steps))
		residualB(b, v, t.r, t.a)
	} else {
		t.advantages(b, Backward, t.fb, 1)
	}
	d.Reset(b, false)
	PolicyGradient(b, Backward, t.a, d)
	t.pb.Backward(d.LogPB, nil)
	t.pb.Step(c.rate(t.Iteration)*c.LR, c.Clip)
	return nil
}

// trustLog sums up trust-region steps since the last evaluation.
type trustLog struct{ Accepted, Rejected, Fraction, KL float64 }

func (l *trustLog) note(s TrustStep) {
	if s.Accepted {
		l.Accepted, l.Fraction, l.KL = l.Accepted+1, l.Fraction+s.Fraction, l.KL+s.KL
	} else {
		l.Rejected++
	}
}

// Run trains until Config.Iterations, evaluating every Config.EvalEvery iterations and at the end.
// After each iteration it calls progress, where that is not nil, with the evaluation or nil. When
// ctx is done it finishes the iteration, or leaves an evaluation for the next Run, and returns
// ctx's error; the trainer can be saved and go on.
func (t *Trainer) Run(ctx context.Context, progress func(loss float64, e *Evaluation)) error {
	defer t.Close()
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
			t.lossSum, t.lossCount, t.trust = 0, 0, trustLog{}
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

// evaluationDue says whether the iteration that was done last is to be evaluated, and is not yet.
func (t *Trainer) evaluationDue() bool {
	every := t.Config.EvalEvery
	return t.lossCount > 0 && (t.Iteration == t.Config.Iterations || every > 0 && t.Iteration%every == 0)
}

// LogZ returns the learned log Z: the parameter, log F(s0), or VarGrad's last estimate.
func (t *Trainer) LogZ() float64 {
	if t.Method.Flow == TotalFlow || t.Method.Flow == NoFlow {
		return t.logZ[0]
	}
	var b Batch
	b.Reset(t.Env)
	b.Env.Source(b.s)
	b.Add(b.s)
	var v Flows
	t.flows(&b, &v)
	logF := []float64{0}
	switch {
	case t.Method.Flow == ExitFlow:
		b.exitFlows(v.LogPF, logF)
	case t.Method.Flow == TwinFlow:
		SoftState(&b.States, &v, logF)
	case t.Method.Flow == ValueFlow:
		logF[0] = b.logValue(0, v.LogG, v.LogF)
	case t.Method.Shaped:
		logF[0] = v.LogF[0] + v.LogRhat[0]
	default:
		logF[0] = v.LogF[0]
	}
	return logF[0]
}

// Policies returns log PF and log PB on every slot of the enumerated graph.
func (t *Trainer) Policies() (logPF, logPB []float64) {
	logPF, logPB, _ = t.policies(context.Background())
	return logPF, logPB
}

// policies is Policies until ctx is done; the error is ctx's, or of an environment that is broken.
func (t *Trainer) policies(ctx context.Context) (logPF, logPB []float64, err error) {
	if t.pf == nil {
		var logV []float64
		if logV, err = t.f.table(ctx, &t.Graph.States); err == nil {
			logPF = make([]float64, len(t.Graph.FAction))
			var logG []float64
			if logG, err = t.Graph.logG(nil); err == nil {
				t.Graph.valuePolicy(t.Graph.Len(), logG, logV, logPF)
			}
		}
	} else if logPF, err = t.pf.table(ctx, &t.Graph.States); err == nil {
		t.temper(t.Graph.FStart, logPF)
	}
	if err != nil {
		return nil, nil, err
	}
	if t.pb == nil {
		return logPF, t.Graph.Backward(UniformPB), nil
	}
	logPB, err = t.pb.table(ctx, &t.Graph.States)
	return logPF, logPB, err
}

// Value returns what the network of log F says (log F̃ of fldb, V = α log F of pcl, log V of rpe, which is not
// learned where there is nothing but an exit), or the critic V, by row of the enumerated graph; nil where the method
// learns none.
func (t *Trainer) Value() []float64 {
	if t.f == nil {
		return nil
	}
	return t.f.Table(&t.Graph.States)
}

// Spec returns the canonical description of the trainer's environment.
func (t *Trainer) Spec() string {
	spec, _ := specOf(t.Env)
	return spec
}

// Evaluate returns the metrics of the sampler now: exact ones where the space is enumerated, and
// from Config.EvalSamples trajectories otherwise. The error may be ctx's.
func (t *Trainer) Evaluate(ctx context.Context) (Evaluation, error) {
	if t.Graph == nil {
		return t.EvaluateSampled(ctx, t.Config.EvalSamples, 0)
	}
	e := t.evaluation()
	logPF, logPB, err := t.policies(ctx)
	if err != nil {
		return e, err
	}
	e.Metrics = t.Graph.Metrics(logPF, logPB, t.LogZ())
	return e, nil
}

// evaluation returns a point of the curve that has its training figures only.
func (t *Trainer) evaluation() Evaluation {
	found := math.NaN()
	if t.mode != nil {
		found = float64(t.found.Len())
	}
	return Evaluation{
		Iteration: int64(t.Iteration), Trajectories: int64(t.Trajectories), TrainSeconds: t.TrainSeconds,
		Loss: t.lossSum / float64(t.lossCount), ModesFound: found,
		Accepted: t.trust.Accepted, Rejected: t.trust.Rejected,
		StepFraction: t.trust.Fraction / t.trust.Accepted, StepKL: t.trust.KL / t.trust.Accepted,
	}
}

// EvaluateSampled returns the metrics of n sampled trajectories, for spaces of any size. Where there
// is a graph, Samples compares them with the exact target.
func (t *Trainer) EvaluateSampled(ctx context.Context, n int, seed uint64) (Evaluation, error) {
	e, none := t.evaluation(), math.NaN()
	e.Metrics = Metrics{TV: none, JSD: none, KL: none, LogZ: t.LogZ(), LogZExact: none, EUBO: none}
	var distinct States
	distinct.Reset(t.Env)
	var count []float64
	if t.Graph != nil {
		count = make([]float64, t.Graph.Len())
	}
	for b, err := range t.Samples(ctx, n, seed) {
		if err != nil {
			return e, err
		}
		b.Evaluate(t.PF(), t.PB())
		for i := range b.Trajectories() {
			x := b.Endpoint(i)
			e.ELBO += (b.LogR[x] - b.LogImportance(i)) / float64(n)
			e.MeanReward += math.Exp(b.LogR[x]) / float64(n)
			e.MeanLogReward += b.LogR[x] / float64(n)
			if t.Graph == nil {
				distinct.Add(b.State(nil, x))
			}
		}
		if t.Graph != nil {
			t.Graph.Count(b, count)
		}
	}
	if math.IsInf(e.MeanReward, 1) { // log R beyond 709
		e.MeanReward = none
	}
	if t.Graph != nil {
		e.Samples = t.Graph.EmpiricalOf(count)
		return e, nil
	}
	modes := none
	if t.mode != nil {
		modes = 0
		for row := range distinct.Len() {
			if t.mode(distinct.State(nil, row)) {
				modes++
			}
		}
	}
	e.Samples = Empirical{N: int64(n), TV: none, TVPerfect: none, JSD: none, JSDPerfect: none, Distinct: float64(distinct.Len()), DistinctPerfect: none,
		Modes: modes, ModesPerfect: none, MeanReward: none}
	return e, nil
}

// Correlate returns the linear and the rank correlation of log PF⊤(x) and log R(x) over test
// objects. PF⊤ is exact where the space is enumerated, and otherwise estimated from n trajectories
// drawn back from each.
func (t *Trainer) Correlate(objects [][]int, n int, seed uint64) (pearson, spearman float64, err error) {
	var logP, logR []float64
	if t.Graph != nil {
		logPF, _ := t.Policies()
		all := t.Graph.LogTerminating(logPF)
		for _, x := range objects {
			row := t.Graph.Row(x)
			if row < 0 || t.Graph.Exit(row) < 0 {
				return 0, 0, fmt.Errorf("gfn: %s is not a terminating state", Format(t.Env, x))
			}
			logP = append(logP, all[row])
		}
	} else if logP, err = EstimateLogTerminating(t.Env, t.PF(), t.PB(), objects, n, t.Config.Seed+seed); err != nil {
		return 0, 0, err
	}
	for _, x := range objects {
		logR = append(logR, t.Env.LogReward(x))
	}
	pearson, spearman = Correlation(logP, logR)
	return pearson, spearman, nil
}

// Samples draws n trajectories from PF, some at a time, from streams of their own: training is not
// disturbed, and equal seeds give equal samples. A batch is overwritten by the next one. When ctx is
// done, its error takes the place of the next.
func (t *Trainer) Samples(ctx context.Context, n int, seed uint64) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		const some = 256 // so that memory does not grow with n
		var b Batch
		for k := 0; k < n; k += some {
			b.Reset(t.Env)
			// iterations that no training reaches, so that these are not the training samples
			err := ctx.Err()
			if err == nil {
				err = b.Sample(t.PF(), min(some, n-k), Sampling{Seed: t.Config.Seed + seed, Iteration: math.MaxUint64 - 1 - uint64(k)})
			}
			if !yield(&b, err) || err != nil {
				return
			}
		}
	}
}

// A checkpoint is
//
//	"gfn checkpoint\n"   version uint32   length of the rest uint64   payload   CRC-32 (IEEE) of all before it
//
// little endian; the payload is a header in JSON and then lists, each behind its length as uint64:
// for each network PF, PB, F where the method learns it, and the critics, the parameters and Adam's m and
// v; the parameters of target networks; those of log Z, with m and v; the curve; the states of
// the guide and the modes found; the actions of the trajectories kept, exits last.
// Floats are stored bit for bit.
const (
	magic   = "gfn checkpoint\n"
	version = 6
)

// header is what a checkpoint says in JSON.
type header struct {
	Spec         string
	Checksum     uint32
	Shape        Shape
	Config       Config
	Iteration    int
	Trajectories int
	TrainSeconds float64
	LossSum      float64
	LossCount    int
	Trust        trustLog
	AdamT        []int // of the networks, and of log Z
}

// specOf describes an environment for a checkpoint: its canonical spec where it has one.
func specOf(env Env) (string, uint32) {
	if t := TraitsOf(env); t.Spec != "" {
		return t.Spec, t.Checksum
	}
	return fmt.Sprintf("%T", Unwrap(env)), 0
}

// lists returns every list of floats that a checkpoint holds.
func (t *Trainer) lists() [][]float64 {
	var all [][]float64
	for _, n := range t.nets() {
		all = append(all, n.Params, n.M, n.V)
	}
	for _, bar := range t.bar {
		all = append(all, bar.Params)
	}
	return append(all, t.logZ[:], t.adamZ.M, t.adamZ.V)
}

// Save writes a checkpoint from which [Load] continues bit for bit.
func (t *Trainer) Save(w io.Writer) error {
	h := header{Shape: t.Env.Shape(), Config: t.Config, Iteration: t.Iteration, Trajectories: t.Trajectories,
		TrainSeconds: t.TrainSeconds, LossSum: t.lossSum, LossCount: t.lossCount, Trust: t.trust}
	h.Spec, h.Checksum = specOf(t.Env)
	for _, n := range t.nets() {
		h.AdamT = append(h.AdamT, n.T)
	}
	h.AdamT = append(h.AdamT, t.adamZ.T)
	text, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("gfn: checkpoint: %w", err)
	}
	var p bytes.Buffer
	put := func(n int, list any) {
		binary.Write(&p, binary.LittleEndian, uint64(n))
		binary.Write(&p, binary.LittleEndian, list)
	}
	put(len(text), text)
	for _, list := range t.lists() {
		put(len(list), list)
	}
	put(len(t.Curve), t.Curve)
	for _, memory := range [][][]int{t.observed(), t.foundModes(), t.past} {
		var flat []int32
		for _, s := range memory {
			for _, v := range s {
				flat = append(flat, int32(v))
			}
		}
		put(len(flat), flat)
	}

	var all bytes.Buffer
	all.WriteString(magic)
	binary.Write(&all, binary.LittleEndian, uint32(version))
	binary.Write(&all, binary.LittleEndian, uint64(p.Len()))
	all.Write(p.Bytes())
	binary.Write(&all, binary.LittleEndian, crc32.ChecksumIEEE(all.Bytes()))
	_, err = w.Write(all.Bytes())
	return err
}

// SaveFile writes a checkpoint file at once: to a temporary file beside it, synced and renamed.
func (t *Trainer) SaveFile(path string) error {
	return WriteFile(path, t.Save)
}

// WriteFile writes a file that is either whole or not there: write fills a temporary file beside
// it, which is synced and renamed.
func WriteFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // once renamed it is no longer there
	err = cmp.Or(write(f), f.Chmod(0o644), f.Sync())
	if err = cmp.Or(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Load reads a checkpoint. With env nil it builds the environment from the recorded spec (a file
// that it reads must be the one of the recorded checksum); of one
// without a spec in its [Traits] type and shape are all that can be compared. change, where not nil, may alter
// Iterations, Workers and EvalEvery. The error says whether the data is foreign, newer, truncated
// or damaged, was written for another environment, or that a file which the environment reads has
// changed.
func Load(r io.Reader, env Env, change func(*Config)) (*Trainer, error) {
	return load(r, "", env, change)
}

// load is Load of a checkpoint in a directory, beside which files are looked for too.
func load(r io.Reader, dir string, env Env, change func(*Config)) (*Trainer, error) {
	bad := func(format string, args ...any) (*Trainer, error) {
		return nil, fmt.Errorf("gfn: checkpoint: "+format, args...)
	}
	front := make([]byte, len(magic)+12)
	if n, err := io.ReadFull(r, front); !bytes.HasPrefix(front, []byte(magic)) {
		if bytes.HasPrefix([]byte(magic), front[:n]) && err != nil {
			return bad("truncated after %d bytes", n)
		}
		return bad("not a gfn checkpoint")
	} else if err != nil {
		return bad("truncated after %d bytes", n)
	}
	if v := binary.LittleEndian.Uint32(front[len(magic):]); v != version {
		return bad("format version %d; this program reads %d", v, version)
	}
	size := binary.LittleEndian.Uint64(front[len(magic)+4:])
	if size > math.MaxInt64-8 {
		return bad("damaged: its length is given as %d bytes", size)
	}
	p, err := io.ReadAll(io.LimitReader(r, int64(size)+5)) // grows with what is there, whatever size claims; one byte more than it should find
	switch {
	case err != nil:
		return bad("%w", err)
	case uint64(len(p)) < size+4:
		return bad("truncated: %d bytes of %d", len(front)+len(p), uint64(len(front))+size+4)
	case uint64(len(p)) > size+4:
		return bad("damaged: data follows its end")
	}
	sum := crc32.ChecksumIEEE(append(front, p[:size]...))
	if sum != binary.LittleEndian.Uint32(p[size:]) {
		return bad("damaged: its checksum does not match")
	}
	t, err := decode(p[:size], dir, env, change)
	if err != nil {
		return bad("%w", err)
	}
	return t, nil
}

// LoadFile is [Load] from a file; the error names it. A data file of a relative name, which the
// environment reads, may also lie beside the checkpoint: its name is taken from the current
// directory or else from that of the checkpoint.
func LoadFile(path string, env Env, change func(*Config)) (*Trainer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := load(f, filepath.Dir(path), env, change)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// decode builds the trainer of a payload. No network is made whose parameters the payload does not hold.
func decode(p []byte, dir string, env Env, change func(*Config)) (*Trainer, error) {
	var h header
	text, p, err := take(p, 1)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &h); err != nil {
		return nil, err
	}
	if err := h.Config.Validate(); err != nil {
		return nil, err
	}
	if env == nil {
		if env, err = parseEnv(h.Spec, func(name string) (source, error) { return readRecorded(name, dir, h.Checksum) }); err != nil {
			return nil, err
		}
	}
	spec, checksum := specOf(env)
	shape := env.Shape()
	if h.Config.Tabular {
		shape.Features = h.Shape.Features
	}
	if spec != h.Spec || shape != h.Shape {
		return nil, fmt.Errorf("it was trained on %s, shape %+v, not on %s, %+v", h.Spec, h.Shape, spec, shape)
	}
	if checksum != h.Checksum {
		return nil, fmt.Errorf("the file that %s reads has changed since (CRC-32 %08x, was %08x)", spec, checksum, h.Checksum)
	}

	method, _ := MethodByName(h.Config.Method)
	var want []int // lengths of the lists
	for i, r := range slices.Concat(method.roles(), h.Config.targets()) {
		if shape.Features < 0 || shape.Features > len(p) {
			return nil, fmt.Errorf("%d features in %d bytes", shape.Features, len(p))
		}
		n := parameters(r.head().sizes(shape, h.Config.hidden(r)))
		if want = append(want, n); i < len(method.roles()) {
			want = append(want, n, n)
		}
	}
	want = append(want, 1, 1, 1)
	var lists [][]byte
	for _, n := range want {
		var list []byte
		if list, p, err = take(p, 8); err != nil {
			return nil, err
		}
		if len(list)/8 != n {
			return nil, fmt.Errorf("a list of %d numbers where %d belong", len(list)/8, n)
		}
		lists = append(lists, list)
	}
	if len(h.AdamT) != len(method.roles())+1 || slices.Min(h.AdamT) < 0 || min(h.Iteration, h.Trajectories, h.LossCount) < 0 {
		return nil, fmt.Errorf("counts of steps %v, of iterations %d, of trajectories %d", h.AdamT, h.Iteration, h.Trajectories)
	}

	c := h.Config
	if change != nil {
		change(&c)
	}
	same := c
	same.Iterations, same.Workers, same.EvalEvery = h.Config.Iterations, h.Config.Workers, h.Config.EvalEvery
	if same != h.Config {
		return nil, errors.New("only Iterations, Workers and EvalEvery may differ from its configuration")
	}
	t, err := NewTrainer(env, c)
	if err != nil {
		return nil, err
	}
	if t.Env.Shape() != h.Shape {
		return nil, fmt.Errorf("it was trained on shape %+v, not on %+v", h.Shape, t.Env.Shape())
	}
	for i, list := range t.lists() {
		if _, err := binary.Decode(lists[i], binary.LittleEndian, list); err != nil {
			return nil, err
		}
	}
	for i, n := range t.nets() {
		n.T = h.AdamT[i]
	}
	t.adamZ.T = h.AdamT[len(h.AdamT)-1]
	t.Iteration, t.Trajectories, t.TrainSeconds = h.Iteration, h.Trajectories, h.TrainSeconds
	t.lossSum, t.lossCount, t.trust = h.LossSum, h.LossCount, h.Trust

	curve, p, err := take(p, binary.Size(Evaluation{}))
	if err != nil {
		return nil, err
	}
	t.Curve = make([]Evaluation, len(curve)/binary.Size(Evaluation{}))
	if _, err := binary.Decode(curve, binary.LittleEndian, t.Curve); err != nil {
		return nil, err
	}
	for _, remember := range []func(b *Batch, row int){t.rememberGuide, t.find} {
		var states []byte
		if states, p, err = take(p, 4); err != nil {
			return nil, err
		}
		if err := t.refill(states, remember); err != nil {
			return nil, err
		}
	}
	past, p, err := take(p, 4)
	if err != nil {
		return nil, err
	}
	if err := t.recall(past); err != nil {
		return nil, err
	}
	if len(p) > 0 {
		return nil, fmt.Errorf("%d bytes too many", len(p))
	}
	return t, nil
}

// recall gives recorded trajectories back to the memory.
func (t *Trainer) recall(past []byte) (err error) {
	defer func() {
		if p := recover(); p != nil { // an environment may, at a state that is not its own
			err = fmt.Errorf("a recorded trajectory is not one of the environment's: %v", p)
		}
	}()
	var b Batch
	b.Reset(t.Env)
	var actions []int
	for ; len(past) > 0; past = past[4:] {
		a := int(int32(binary.LittleEndian.Uint32(past)))
		if actions = append(actions, a); a == b.Shape.Forward-1 {
			if err := b.Walk(actions); err != nil {
				return err
			}
			t.remember(&b, b.Trajectories()-1)
			actions = nil
		}
	}
	if len(actions) > 0 {
		return fmt.Errorf("a recorded trajectory of %d actions has no exit", len(actions))
	}
	return nil
}

// readRecorded returns the file with a checksum that is called name, seen from here or from dir.
func readRecorded(name, dir string, sum uint32) (source, error) {
	places := []string{name}
	if beside := filepath.Join(dir, name); dir != "" && !filepath.IsAbs(name) && beside != filepath.Clean(name) {
		places = append(places, beside)
	}
	var wrong []string
	for _, place := range places {
		file, err := readFile(place)
		switch {
		case err != nil:
			wrong = append(wrong, strings.TrimPrefix(err.Error(), "gfn: "))
		case file.sum() != sum:
			wrong = append(wrong, fmt.Sprintf("%s has changed since (CRC-32 %08x, was %08x)", place, file.sum(), sum))
		default:
			return source{name: name, text: file.text}, nil
		}
	}
	return source{}, fmt.Errorf("gfn: the file that it was trained with is looked for as %s: %s", strings.Join(places, " and "), strings.Join(wrong, "; "))
}

// refill gives recorded terminating states back to a memory. An environment may panic on a vector
// that is no state of its own; here, where the vector comes from a file, that is an error.
func (t *Trainer) refill(states []byte, remember func(b *Batch, row int)) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a recorded state is not one of the environment's: %v", p)
		}
	}()
	var b Batch
	b.Reset(t.Env)
	if len(states)%(4*len(b.s)) != 0 {
		return fmt.Errorf("%d bytes of recorded states", len(states))
	}
	for ; len(states) > 0; states = states[4*len(b.s):] {
		for i := range b.s {
			b.s[i] = int(int32(binary.LittleEndian.Uint32(states[4*i:])))
		}
		row := b.Add(b.s)
		if b.Exit(row) < 0 {
			return fmt.Errorf("recorded state %s is not terminating", b.Format(row))
		}
		remember(&b, row)
	}
	return b.err
}

func (t *Trainer) rememberGuide(b *Batch, row int) {
	if r, ok := t.guide.(*Replayed); ok {
		r.add(t.Env, b.State(nil, row))
	}
}

// foundModes returns the modes sampled so far, first found first.
func (t *Trainer) foundModes() (states [][]int) {
	for row := range t.found.Len() {
		states = append(states, t.found.State(nil, row))
	}
	return states
}

// observed returns the endpoints that a replay guide keeps, oldest first.
func (t *Trainer) observed() (states [][]int) {
	if r, ok := t.guide.(*Replayed); ok {
		for _, x := range r.order {
			states = append(states, r.index.State(nil, int(x)))
		}
	}
	return states
}

// take cuts a list of items of the given size, behind its length, off p.
func take(p []byte, size int) (list, rest []byte, err error) {
	if len(p) < 8 {
		return nil, nil, errors.New("a list has no length")
	}
	n := binary.LittleEndian.Uint64(p)
	if p = p[8:]; n > uint64(len(p)/size) {
		return nil, nil, fmt.Errorf("a list of %d items of %d bytes in the %d left", n, size, len(p))
	}
	return p[:n*uint64(size)], p[n*uint64(size):], nil
}
