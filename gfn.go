package gfn

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Shape gives an environment's sizes. Forward counts the exit, which is always action Forward-1; Backward has no exit.
// Features is the width of the input.
type Shape struct{ Dim, Forward, Backward, Features int }

// Env states the moves of a pointed DAG (spec §1) and nothing else: enumeration, exact distributions and sampling
// exist once, for every environment. A state is a vector of Shape.Dim small integers that fit an int32. Methods are
// pure and safe for concurrent use, and keep neither s nor dst. Each forward action of a state is an edge of its own,
// even where two of them lead to the same child. Step and Undo pair it with one backward action of that child.
// [CheckEnv] tests all of this.
type Env interface {
	Shape() Shape
	Source(s []int)              // writes s0
	Forward(dst, s []int) []int  // appends legal actions, ascending, exit last
	Backward(dst, s []int) []int // appends legal backward actions, ascending
	Step(s []int, a int) (b int) // applies a (not the exit) in place; Undo(s, b) restores s
	Undo(s []int, b int) (a int) // applies b in place; Step(s, a) restores s
	Features(dst, s []int) []int // appends the active input features, ascending
	LogReward(s []int) float64   // at most 1e6 in size; called only where the exit is legal
}

// Traits is what an [Env] may say beyond its moves, by a method Traits() Traits. A field that is nil or zero is not
// defined.
type Traits struct {
	Mode            func(s []int) bool    // is terminating state s a mode, an object to find?
	States          float64               // the number of states, 0 if unknown; [Enumerate] compares it with its limit
	Guide           Guide                 // for training backward policies (spec §4)
	LogIntermediate func(s []int) float64 // log R̂(s), nats, of states that are not terminating (spec §3, FL-DB)
	PathIndependent bool                  // g does not depend on the path ([States.LogG])
	Format          func(s []int) string  // a state as its users write it: "3,5", "ACGT"
	Spec            string                // canonical, of an environment of [ParseEnv]
	Note            string                // what stands for rewards that are 0, too low or missing, and how many
	Checksum        uint32                // CRC-32 (IEEE) of the file that was read
}

// TraitsOf returns the traits of env, the zero value where it has none.
func TraitsOf(env Env) Traits {
	if e, ok := env.(interface{ Traits() Traits }); ok {
		return e.Traits()
	}
	return Traits{}
}

// Format returns state s as env's users write it.
func Format(env Env, s []int) string {
	if format := TraitsOf(env).Format; format != nil {
		return format(s)
	}
	return fmt.Sprint(s)
}

// shown is a state that is formatted when it is printed.
type shown struct {
	env Env
	s   []int
}

// String returns the state as users of its environment write it.
func (v shown) String() string { return Format(v.env, v.s) }

// want returns an error unless ok.
func want(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf("gfn: "+format, args...)
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// ErrLimit is wrapped by the error of [Enumerate] when a graph is too large.
var ErrLimit = errors.New("too many states")

// maxSlots bounds the slots and the active features of a [States]. Their numbers are int32s: half of these are left for
// the states that one step adds before the error is looked at. It is a variable for tests.
var maxSlots = 1 << 30

// maxGraph bounds the bytes of the lists of a [Graph], and of the index of [Replayed]: 512 MiB. Walking it takes some
// four times that, since lists grow and rows are put in order. The grid 32⁴ has 181 MiB. It is a variable for tests.
var maxGraph = 1 << 29

// maxLogR bounds |log R|, so that sums of it keep their digits.
const maxLogR = 1e6

// States holds distinct states of an environment, one row each, with their legal actions. The forward slots of row i
// are FStart[i] ≤ e < FStart[i+1], one for each legal action, the exit last. BStart counts backward slots in the same
// way. A forward policy is a []float64 over forward slots, a backward policy one over backward slots, in a [Graph] and
// in a [Batch] alike. Slots are joined to their children and parents when they are first followed: all of them in a
// graph, those that were sampled in a batch.
type States struct {
	Env     Env
	Shape   Shape
	LogR    []float64 // by row: log R, −Inf (R = 0) where not terminating
	FStart  []int32   // by row, and one more: first forward slot
	FAction []int32   // by forward slot: its action
	From    []int32   // by forward slot: its row
	Child   []int32   // by forward slot: the row it leads to; −1 not followed
	Back    []int32   // by forward slot: the child's backward slot that undoes it; −1 not followed
	BStart  []int32   // by row, and one more: first backward slot
	BAction []int32   // by backward slot: its action
	Edge    []int32   // by backward slot: the forward slot that it undoes; −1 not followed
	XStart  []int32   // by row, and one more: first entry in X
	X       []int32   // active features of the rows, one after the other

	state []int32 // Dim entries a row
	index []int32 // open addressing: row+1, 0 where free; a power of two long
	s     []int   // scratch: a state
	list  []int   // scratch: actions or features
	err   error   // the first thing found wrong with the environment
}

// Reset empties st for states of env, keeping its memory.
func (st *States) Reset(env Env) {
	shape := env.Shape()
	st.index = resize(st.index, max(256, len(st.index)))
	clear(st.index)
	*st = States{
		Env: env, Shape: shape, LogR: st.LogR[:0],
		FStart: append(st.FStart[:0], 0), FAction: st.FAction[:0], From: st.From[:0], Child: st.Child[:0], Back: st.Back[:0],
		BStart: append(st.BStart[:0], 0), BAction: st.BAction[:0], Edge: st.Edge[:0],
		XStart: append(st.XStart[:0], 0), X: st.X[:0],
		state: st.state[:0], index: st.index, s: resize(st.s, shape.Dim), list: st.list,
	}
}

// Len returns the number of states.
func (st *States) Len() int { return len(st.LogR) }

// State writes the state of a row to dst, which is grown as needed.
func (st *States) State(dst []int, row int) []int {
	dst = resize(dst, st.Shape.Dim)
	for i, v := range st.state[row*st.Shape.Dim:][:st.Shape.Dim] {
		dst[i] = int(v)
	}
	return dst
}

// Format returns the state of a row as the environment's users write it.
func (st *States) Format(row int) string { return Format(st.Env, st.State(nil, row)) }

// Exit returns the slot of the exit edge of a row, −1 where it is not terminating.
func (st *States) Exit(row int) int {
	if e := int(st.FStart[row+1]) - 1; e >= int(st.FStart[row]) && int(st.FAction[e]) == st.Shape.Forward-1 {
		return e
	}
	return -1
}

// Row returns the row of a state, −1 where st does not hold it.
func (st *States) Row(s []int) int { return int(st.index[st.probe(s)]) - 1 }

// probe returns the place of s in the index: its own, or the free one where it belongs.
func (st *States) probe(s []int) int {
	mask := len(st.index) - 1
	for k := int(hash(s)) & mask; ; k = (k + 1) & mask {
		row := int(st.index[k]) - 1
		if row < 0 || st.equal(row, s) {
			return k
		}
	}
}

func (st *States) equal(row int, s []int) bool {
	for i, v := range st.state[row*len(s):][:len(s)] {
		if int(v) != s[i] {
			return false
		}
	}
	return true
}

func hash(s []int) uint64 {
	h := uint64(0)
	for _, v := range s {
		h = (h ^ uint64(v)) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	return h
}

// Add returns the row of state s, a new one where st does not hold it yet.
func (st *States) Add(s []int) int {
	k := st.probe(s)
	if row := int(st.index[k]) - 1; row >= 0 {
		return row
	}
	row := st.Len()
	st.index[k] = int32(row + 1)
	st.state = appendInts(st.state, s)
	st.list = st.Env.Forward(st.list[:0], s)
	n := len(st.list)
	st.FAction, st.From = appendInts(st.FAction, st.list), appendSame(st.From, int32(row), n)
	st.Child, st.Back = appendSame(st.Child, -1, n), appendSame(st.Back, -1, n)
	st.FStart = append(st.FStart, int32(len(st.FAction)))
	exit := n > 0 && st.list[n-1] == st.Shape.Forward-1
	if n == 0 {
		st.fail("state %s: no legal action: it reaches no exit", Format(st.Env, s))
	}
	st.list = st.Env.Backward(st.list[:0], s)
	st.BAction, st.Edge = appendInts(st.BAction, st.list), appendSame(st.Edge, -1, len(st.list))
	st.BStart = append(st.BStart, int32(len(st.BAction)))
	st.list = st.Env.Features(st.list[:0], s)
	st.X = appendInts(st.X, st.list)
	st.XStart = append(st.XStart, int32(len(st.X)))
	logR := math.Inf(-1)
	if exit {
		if logR = st.Env.LogReward(s); !(math.Abs(logR) <= maxLogR) {
			st.fail("state %s: log reward is %v, want a number of at most %v in size, a floor where R = 0",
				Format(st.Env, s), logR, maxLogR)
		}
	}
	st.LogR = append(st.LogR, logR)
	if max(len(st.FAction), len(st.BAction), len(st.X)) > maxSlots {
		st.fail("%d states have more than %d actions or features; smaller batches have fewer", st.Len(), maxSlots)
	}
	if 2*st.Len() > len(st.index) {
		st.grow()
	}
	return row
}

// appendInts appends the numbers of list to dst.
func appendInts(dst []int32, list []int) []int32 {
	n := len(dst)
	dst = resize(dst, n+len(list))
	for i, v := range list {
		dst[n+i] = int32(v)
	}
	return dst
}

// appendSame appends v to dst n times.
func appendSame(dst []int32, v int32, n int) []int32 {
	dst = resize(dst, len(dst)+n)
	for i := len(dst) - n; i < len(dst); i++ {
		dst[i] = v
	}
	return dst
}

func (st *States) grow() {
	st.index = make([]int32, 4*len(st.index))
	s := make([]int, st.Shape.Dim)
	for row := range st.Len() {
		st.index[st.probe(st.State(s, row))] = int32(row + 1)
	}
}

func (st *States) fail(format string, args ...any) {
	st.err = cmp.Or(st.err, want(false, format, args...))
}

// LogIntermediate writes log R̂(s) by row to dst, which is grown as needed: log R of terminating states, else what the
// environment's [Traits] say.
func (st *States) LogIntermediate(dst []float64) []float64 {
	dst, other := append(dst[:0], st.LogR...), TraitsOf(st.Env).LogIntermediate
	for row := range dst {
		if st.Exit(row) < 0 {
			st.s = st.State(st.s, row)
			dst[row] = other(st.s)
		}
	}
	return dst
}

// follow returns the child of forward slot e (not an exit), adding its row where it is new.
func (st *States) follow(e int) int {
	if c := st.Child[e]; c >= 0 {
		return int(c)
	}
	st.s = st.State(st.s, int(st.From[e]))
	b := st.Env.Step(st.s, int(st.FAction[e]))
	child := st.Add(st.s)
	if k := slot(st.BStart, st.BAction, child, b); k >= 0 {
		st.join(e, child, k)
	} else {
		st.fail("state %s: action %d leads to %s and returns %d, which is not legal there",
			st.Format(int(st.From[e])), st.FAction[e], st.Format(child), b)
	}
	return child
}

// retreat returns the forward slot that backward slot k of row undoes, adding the parent's row where it is new; −1
// where the environment breaks a rule.
func (st *States) retreat(row, k int) int {
	if e := st.Edge[k]; e >= 0 {
		return int(e)
	}
	st.s = st.State(st.s, row)
	a := st.Env.Undo(st.s, int(st.BAction[k]))
	parent := st.Add(st.s)
	e := slot(st.FStart, st.FAction, parent, a)
	if e >= 0 {
		st.join(e, row, k)
	} else {
		st.fail("state %s: backward action %d leads to %s and returns %d, which is not legal there",
			st.Format(row), st.BAction[k], st.Format(parent), a)
	}
	return e
}

// slot returns the slot of an action among those of a row, −1 where it is not legal.
func slot(start, actions []int32, row, action int) int {
	for k := start[row]; k < start[row+1]; k++ {
		if int(actions[k]) == action {
			return int(k)
		}
	}
	return -1
}

// join makes forward slot e and backward slot k of child each other's inverse.
func (st *States) join(e, child, k int) {
	if st.Edge[k] >= 0 || st.Child[e] >= 0 {
		st.fail("state %s: two edges share backward action %d, or action %d of %s",
			st.Format(child), st.BAction[k], st.FAction[e], st.Format(int(st.From[e])))
	}
	st.Child[e], st.Back[e], st.Edge[k] = int32(child), int32(k), int32(e)
}

// Policy writes the log-probabilities of the slots of rows lo ≤ i < hi to dst. Whether slots are forward or backward
// depends on where the policy is used.
type Policy func(st *States, lo, hi int, dst []float64)

// UniformPF is the [Policy] uniform over legal actions, log PF = −log A(s).
func UniformPF(st *States, lo, hi int, dst []float64) { uniform(st.FStart[lo:hi+1], dst) }

// UniformPB is the [Policy] uniform over entering edges, log PB = −log B(s').
func UniformPB(st *States, lo, hi int, dst []float64) { uniform(st.BStart[lo:hi+1], dst) }

func uniform(start []int32, dst []float64) {
	for i := range len(start) - 1 {
		n := start[i+1] - start[i]
		for k := range n {
			dst[start[i]-start[0]+k] = -math.Log(float64(n))
		}
	}
}

// Forward returns forward policy p on all rows, by forward slot.
func (st *States) Forward(p Policy) []float64 {
	dst := make([]float64, len(st.FAction))
	p(st, 0, st.Len(), dst)
	return dst
}

// Backward returns backward policy p on all rows, by backward slot.
func (st *States) Backward(p Policy) []float64 {
	dst := make([]float64, len(st.BAction))
	p(st, 0, st.Len(), dst)
	return dst
}

// Graph is an enumerated pointed DAG: every state of an environment in topological order, source s0 in row 0, every
// slot followed. Edge e is forward slot e; the sink sf is row n = Len(), so that Child[e] = n for an exit edge and a
// value by row has n+1 entries, the last one 0. Every exact quantity of spec §2 is one pass over these edges, in
// logarithms (nats), and every one of them takes a policy as log-probabilities by slot.
type Graph struct {
	States
	logZ float64
}

// Enumerate walks env from its source into a [Graph] of at most limit states. The error names the state where env
// breaks a rule of a pointed DAG. It wraps [ErrLimit] above the limit, and where the lists of the graph take more than
// 512 MiB. If the environment's [Traits] tell the number of states, this is foreseen from the first 4,096.
func Enumerate(env Env, limit int) (*Graph, error) {
	if n := TraitsOf(env).States; n > float64(limit) {
		return nil, fmt.Errorf("gfn: %w: there are %.7g, limit %d; none was walked", ErrLimit, n, limit)
	}
	st, err := walk(env, limit, nil)
	if err != nil {
		return nil, err
	}
	order, err := st.topological()
	if err != nil {
		return nil, err
	}
	if !slices.IsSorted(order) { // walk again with the rows in their places
		var sorted States
		sorted.Reset(env)
		for _, row := range order {
			sorted.Add(st.State(st.s, int(row)))
		}
		sorted.AddChildren()
		st = &sorted
	}
	g := &Graph{States: *st, logZ: LogSumExp(st.LogR)}
	for e, a := range g.FAction {
		if int(a) == g.Shape.Forward-1 {
			g.Child[e] = int32(g.Len())
		}
	}
	return g, g.err
}

// walk follows every slot from the source. With [ErrLimit] it returns what it has. check, where not nil, looks at each
// state before its actions are taken.
func walk(env Env, limit int, check func(s []int) error) (*States, error) {
	st := new(States)
	st.Reset(env)
	env.Source(st.s)
	st.Add(st.s)
	for row := 0; row < st.Len() && st.err == nil; row++ {
		if st.Len() > limit {
			edges := st.FStart[row]
			return st, fmt.Errorf("gfn: %w: %d states found, %d edges followed, limit %d", ErrLimit, st.Len(), edges, limit)
		}
		if row%4096 == 0 {
			if err := st.checkMemory(); err != nil {
				return st, err
			}
		}
		if check != nil {
			if err := check(st.State(nil, row)); err != nil {
				return st, err
			}
		}
		st.followRow(row)
	}
	return st, st.err
}

// checkMemory returns an error if the states are so many, or so large, that their lists take more than maxGraph. All
// states of the environment are taken to be as large as those that st has, once these are 4,096.
func (st *States) checkMemory() error {
	n, all := float64(st.Len()), float64(st.Len())
	if n >= 4096 {
		all = max(n, TraitsOf(st.Env).States)
	}
	size := st.size() * all / n
	const gib = 1 << 30
	return want(size <= float64(maxGraph), "%w: lists of %.7g states take %.3g GiB, and walking them some four times "+
		"that; want at most %.3g GiB", ErrLimit, all, size/gib, float64(maxGraph)/gib)
}

// size returns the bytes of the lists.
func (st *States) size() float64 {
	entries := 5*len(st.LogR) + 4*len(st.FAction) + 2*len(st.BAction) + len(st.X) + len(st.state) + len(st.index)
	return 4 * float64(entries)
}

// followRow follows every slot of a row. If the environment breaks a rule, it goes on and leaves the error in st.err.
func (st *States) followRow(row int) {
	for e := st.FStart[row]; e < st.FStart[row+1]; e++ {
		if int(st.FAction[e]) != st.Shape.Forward-1 {
			st.Child[e] = int32(st.follow(int(e)))
		}
	}
}

// AddChildren adds every child of st's states, behind their rows, and joins all edges that leave these states.
func (st *States) AddChildren() error {
	for row, n := 0, st.Len(); row < n && st.err == nil; row++ {
		st.followRow(row)
	}
	return st.err
}

// AddParents adds every parent of st's states, behind their rows, and joins all edges that enter these states.
func (st *States) AddParents() error {
	for row, n := 0, st.Len(); row < n && st.err == nil; row++ {
		for k := st.BStart[row]; k < st.BStart[row+1]; k++ {
			st.retreat(row, int(k))
		}
	}
	return st.err
}

// topological returns the rows in an order in which every edge leads onward (Kahn 1962). The error names a state that
// keeps the DAG from being pointed: a source with parents, a parent that the source does not reach, or a cycle.
func (st *States) topological() ([]int32, error) {
	if n := st.BStart[1]; n > 0 {
		return nil, fmt.Errorf("gfn: state %s: the source has %d backward actions, want none", st.Format(0), n)
	}
	waiting := make([]int32, st.Len())
	for row := range waiting {
		for k := st.BStart[row]; k < st.BStart[row+1]; k++ {
			if st.Edge[k] < 0 {
				return nil, fmt.Errorf("gfn: state %s: backward action %d undoes no edge that the source reaches",
					st.Format(row), st.BAction[k])
			}
			waiting[row]++
		}
	}
	order := append(make([]int32, 0, st.Len()), 0)
	for i := 0; i < len(order); i++ {
		for e := st.FStart[order[i]]; e < st.FStart[order[i]+1]; e++ {
			if c := st.Child[e]; c >= 0 {
				if waiting[c]--; waiting[c] == 0 {
					order = append(order, c)
				}
			}
		}
	}
	if len(order) == st.Len() {
		return order, nil
	}
	// Every waiting row has a waiting parent. So a walk back along waiting parents ends on a cycle.
	row := slices.IndexFunc(waiting, func(n int32) bool { return n > 0 })
	for range waiting {
		entering := st.Edge[st.BStart[row]:st.BStart[row+1]]
		i := slices.IndexFunc(entering, func(e int32) bool { return waiting[st.From[e]] > 0 })
		row = int(st.From[entering[i]])
	}
	return nil, fmt.Errorf("gfn: state %s is on a cycle", st.Format(row))
}

// CheckEnv tests that env keeps the rules of [Env]: methods are pure, Step and Undo are inverse, legal actions agree
// both ways and ascend, every state reaches an exit, the graph is acyclic and pointed, features are in range, rewards
// are finite. It walks up to 16,384 states exhaustively, and beyond that 64 random trajectories. The error names the
// state and the rule.
func CheckEnv(env Env) error { return checkEnv(env, 1<<14) }

// checkEnv is CheckEnv with another limit of states.
func checkEnv(env Env, limit int) error {
	shape := env.Shape()
	if shape.Dim < 1 || shape.Forward < 1 || shape.Backward < 0 || shape.Features < 1 {
		return fmt.Errorf("gfn: shape %+v: Dim, Forward and Features must be at least 1, Backward at least 0", shape)
	}
	zero, one := make([]int, shape.Dim), slices.Repeat([]int{1}, shape.Dim)
	env.Source(zero)
	env.Source(one)
	if !slices.Equal(zero, one) {
		return fmt.Errorf("gfn: Source must write every entry: it makes %v of zeros and %v of ones", zero, one)
	}
	st, err := walk(env, limit, func(s []int) error { return checkState(env, s) })
	if err == nil {
		_, err = st.topological()
	}
	if !errors.Is(err, ErrLimit) {
		return err
	}
	var b Batch
	for k := range uint64(64) {
		if err := checkTrajectory(env, &b, Sampling{Iteration: k}); err != nil {
			return err
		}
	}
	return nil
}

// checkTrajectory walks at random to an exit and at random back to the source, and checks the states on the way.
func checkTrajectory(env Env, b *Batch, o Sampling) error {
	b.Reset(env)
	if err := b.Sample(UniformPF, 1, o); err != nil {
		return err
	}
	if err := b.SampleBackward(UniformPB, [][]int{b.State(nil, b.Endpoint(0))}, o); err != nil {
		return err
	}
	for row := range b.Len() {
		if err := checkState(env, b.State(nil, row)); err != nil {
			return err
		}
	}
	first := int(b.Trajectory(1)[0].Row)
	return want(first == 0, "state %s: a walk back ends there, not at the source %s",
		shown{env, b.State(nil, first)}, shown{env, b.State(nil, 0)})
}

// checkState tests the rules that one state can show, beside those of [States.Add].
func checkState(env Env, s []int) error {
	shape := env.Shape()
	exit := shape.Forward - 1
	forward, err1 := checkList(env, s, "actions", env.Forward, shape.Forward)
	backward, err2 := checkList(env, s, "backward actions", env.Backward, shape.Backward)
	_, err3 := checkList(env, s, "features", env.Features, shape.Features)
	err := cmp.Or(err1, err2, err3)
	for _, a := range forward {
		if err == nil && a != exit {
			err = checkMove(env, s, "action", a, env.Step, env.Undo, env.Backward)
		}
	}
	for _, b := range backward {
		if err == nil {
			err = checkMove(env, s, "backward action", b, env.Undo, env.Step, env.Forward)
		}
	}
	if err == nil && slices.Contains(forward, exit) {
		before := slices.Clone(s)
		r, again := env.LogReward(s), env.LogReward(s)
		err = want(r == again && slices.Equal(s, before),
			"state %s: LogReward must be pure: it returns %v, then %v, and leaves %s",
			shown{env, before}, r, again, shown{env, s})
	}
	return err
}

// checkList returns a list of s, which must be pure, appended to dst, and ascend below limit.
func checkList(env Env, s []int, what string, list func(dst, s []int) []int, limit int) ([]int, error) {
	before := slices.Clone(s)
	first, again := list(nil, s), list([]int{-1}, s)
	ascending := len(first) == 0 || first[0] >= 0 && first[len(first)-1] < limit
	for i := range first {
		ascending = ascending && (i == 0 || first[i] > first[i-1])
	}
	return first, cmp.Or(
		want(slices.Equal(s, before), "state %s: the list of its %s changes it", shown{env, before}, what),
		want(slices.Equal(again, append([]int{-1}, first...)),
			"state %s: %s must be appended to dst, the same at every call: to nothing %v, to [-1] %v",
			shown{env, s}, what, first, again),
		want(ascending, "state %s: %s %v must ascend within 0…%d", shown{env, s}, what, first, limit-1),
	)
}

// checkMove tests that a move is undone by a legal action.
func checkMove(
	env Env, s []int, way string, a int, move, undo func([]int, int) int, legal func(dst, s []int) []int,
) error {
	next := slices.Clone(s)
	b := move(next, a)
	list := legal(nil, next)
	err := cmp.Or(
		want(!slices.Equal(next, s), "state %s: %s %d leaves it as it is", shown{env, s}, way, a),
		want(slices.Contains(list, b), "state %s: %s %d leads to %s and returns %d, which is none of its legal %v",
			shown{env, s}, way, a, shown{env, next}, b, list),
	)
	if err != nil {
		return err
	}
	back := undo(next, b)
	return want(back == a && slices.Equal(next, s), "state %s: %s %d is not undone by %d: that leads to %s and returns %d",
		shown{env, s}, way, a, b, shown{env, next}, back)
}

// maxSteps bounds walks of an environment that may break a rule.
const maxSteps = 1 << 20

// Tabular wraps an environment so that its only active feature is the row in g. An [MLP] without hidden layers on it is
// a tabular policy: one free row of parameters a state. States outside g panic.
func Tabular(g *Graph) Env { return tabular{g.Env, g} }

type tabular struct {
	Env
	g *Graph
}

// Traits are those of the environment within.
func (t tabular) Traits() Traits { return TraitsOf(t.Env) }

// Unwrap returns the environment within.
func (t tabular) Unwrap() Env { return t.Env }

// Unwrap returns the innermost environment that env wraps by a method Unwrap() Env, as [Tabular] does, or env itself.
func Unwrap(env Env) Env {
	if w, ok := env.(interface{ Unwrap() Env }); ok {
		return Unwrap(w.Unwrap())
	}
	return env
}

// Shape implements [Env]: a feature for each row.
func (t tabular) Shape() Shape {
	shape := t.Env.Shape()
	shape.Features = t.g.Len()
	return shape
}

// Features implements [Env]: the row of s.
func (t tabular) Features(dst, s []int) []int {
	row := t.g.Row(s)
	if row < 0 {
		panic("gfn: Tabular: state " + Format(t.Env, s) + " is not in the graph")
	}
	return append(dst, row)
}

// LogSumExp returns log Σ exp(x), −Inf for no terms.
func LogSumExp(x []float64) float64 {
	m := math.Inf(-1)
	for _, v := range x {
		m = max(m, v)
	}
	if math.IsInf(m, 0) {
		return m
	}
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(v - m)
	}
	return m + math.Log(sum)
}

// softmax subtracts from the numbers of a row their log-sum-exp, which it returns. If all are −Inf, they become those
// of the uniform distribution.
func softmax(row []float64) (total float64) {
	total = LogSumExp(row)
	for k := range row {
		if row[k] -= total; math.IsInf(total, -1) {
			row[k] = -math.Log(float64(len(row)))
		}
	}
	return total
}

// normalise is softmax of each row of slots, p[0] being slot start[0].
func normalise(p []float64, start []int32) {
	for i := range len(start) - 1 {
		softmax(p[start[i]-start[0] : start[i+1]-start[0]])
	}
}

// meanOver returns E_{x∼ρ}[f(x)].
func meanOver(logρ, f []float64) (sum float64) {
	for row, l := range logρ {
		sum += times(math.Exp(l), f[row])
	}
	return sum
}

// times is p·x, and 0 for p = 0 whatever x: an edge that is never taken adds nothing.
func times(p, x float64) float64 {
	if p == 0 {
		return 0
	}
	return p * x
}

// resize returns s with length n; entries that are new are not cleared.
func resize[T any](s []T, n int) []T { return slices.Grow(s, max(0, n-len(s)))[:n] }

// zeros returns s with length n and all entries 0.
func zeros(s []float64, n int) []float64 {
	s = resize(s, n)
	clear(s)
	return s
}

// LogZ returns log Z* = log Σ_x R(x).
func (g *Graph) LogZ() float64 { return g.logZ }

// LogTarget returns log R(x)/Z* by row, −Inf where not terminating.
func (g *Graph) LogTarget() []float64 {
	dst := make([]float64, g.Len())
	for i, r := range g.LogR {
		dst[i] = r - g.logZ
	}
	return dst
}

// LogVisits returns log d(s) by row, d the probability that PF passes s:
//
//	d(s0) = 1    d(s') = Σ_{s→s'} d(s) PF(s'|s)
func (g *Graph) LogVisits(logPF []float64) []float64 {
	d := make([]float64, g.Len())
	var terms []float64
	for row := 1; row < len(d); row++ {
		terms = terms[:0]
		for _, e := range g.Edge[g.BStart[row]:g.BStart[row+1]] {
			terms = append(terms, d[g.From[e]]+logPF[e])
		}
		d[row] = LogSumExp(terms)
	}
	return d
}

// LogTrajectories returns log n(s) by row, n the number of trajectories from s0 to s: the visits of the "policy" that
// is 1 on every edge.
func (g *Graph) LogTrajectories() []float64 { return g.LogVisits(make([]float64, len(g.FAction))) }

// LogTerminating returns log PF⊤(x) = log d(x) + log PF(sf|x) by row, what the sampler really samples; −Inf where
// not terminating.
func (g *Graph) LogTerminating(logPF []float64) []float64 {
	d := g.LogVisits(logPF)
	for row := range d {
		if e := g.Exit(row); e >= 0 {
			d[row] += logPF[e]
		} else {
			d[row] = math.Inf(-1)
		}
	}
	return d
}

// LogFlows returns log F*(s) by row, the flows of a backward policy for any rewards by row, such as [States.LogR]:
//
//	F*(s) = Σ_{s→s'} F*(s') PB(s|s') + [s ∈ X] R(s)    F*(s0) = Σ_x R(x)
//
// Flows are the soft values of the corrected reward at temperature 1 (spec §6).
func (g *Graph) LogFlows(logPB, logR []float64) []float64 {
	v, _ := g.SoftValue(g.SoftReward(logPB, logR, 1), 1)
	return v[:g.Len()]
}

// SoftReward returns the reward of maximum-entropy control at temperature α by forward slot (Deleu et al. 2024, spec
// §6), for any rewards by row:
//
//	r(s→s') = α log PB(s|s')    r(x→sf) = α log R(x)
//
// Uncorrected, with logPB nil, it is 0 on ordinary edges.
func (g *Graph) SoftReward(logPB, logR []float64, α float64) []float64 {
	r := make([]float64, len(g.FAction))
	for e, k := range g.Back {
		if k < 0 {
			r[e] = α * logR[g.From[e]]
		} else if logPB != nil {
			r[e] = α * logPB[k]
		}
	}
	return r
}

// SoftValue is soft value iteration at temperature α > 0 for rewards r by forward slot: the value by row, n+1 entries
// with V(sf) = 0, and the policy that attains it (uniform where V(s) = −Inf):
//
//	Q(s→s') = r(s→s') + V(s')    V(s) = α log Σ exp(Q(s→s')/α)    log π(s'|s) = (Q(s→s') − V(s))/α
//
// For the [Graph.SoftReward], π samples R/Z* and V(s0) = α log Z* whatever PB is. For the uncorrected one, π samples
// x ∝ n(x) R(x), n(x) the number of trajectories to x.
func (g *Graph) SoftValue(r []float64, α float64) (v, logPF []float64) {
	v, logPF = make([]float64, g.Len()+1), make([]float64, len(g.FAction))
	for row := g.Len() - 1; row >= 0; row-- {
		lo, hi := g.FStart[row], g.FStart[row+1]
		for e := lo; e < hi; e++ {
			logPF[e] = (r[e] + v[g.Child[e]]) / α // Q/α
		}
		v[row] = α * softmax(logPF[lo:hi])
	}
	return v, logPF
}

// ForwardOf returns log P*F, the forward policy of a backward policy. It samples R/Z* exactly. Where F*(s) = 0 it is
// uniform:
//
//	P*F(s'|s) = F*(s') PB(s|s') / F*(s)    P*F(sf|x) = R(x) / F*(x)
func (g *Graph) ForwardOf(logPB []float64) []float64 {
	_, logPF := g.SoftValue(g.SoftReward(logPB, g.LogR, 1), 1)
	return logPF
}

// BackwardOf returns log P*B, the backward policy of a forward policy, the law of its steps seen backwards. Where d(s')
// = 0 it is uniform:
//
//	P*B(s|s') = d(s) PF(s'|s) / d(s')
func (g *Graph) BackwardOf(logPF []float64) []float64 {
	d, dst := g.LogVisits(logPF), make([]float64, len(g.BAction))
	for k, e := range g.Edge {
		dst[k] = d[g.From[e]] + logPF[e]
	}
	normalise(dst, g.BStart)
	return dst
}

// LogG writes log g(s) by row to dst, which is grown as needed (He et al. 2024, spec §7):
//
//	g(s0) = 1    g(s') = g(s) A(s)/B(s')
//
// It follows the first backward action of each state. Every other path gives the same g on trees, and also if all paths
// to a state have the same length and A and B depend only on that length, as for words. Then g(s) = 1/d(s), d the
// visits of the uniform policy: over the paths to s Σ Π 1/A = Σ Π 1/B / g(s), and Σ Π 1/B = 1. Otherwise the
// error names two parents by which g differs, among the edges that are joined. It also names a state from which 2²⁰
// backward actions do not lead to s0.
func (st *States) LogG(dst []float64) ([]float64, error) {
	dst = resize(dst, st.Len())
	var s []int
	for row := range dst {
		s, dst[row] = st.State(s, row), 0
		for steps := 0; ; steps++ { // back to a row whose g is known, or to s0
			if st.list = st.Env.Backward(st.list[:0], s); len(st.list) == 0 {
				break
			}
			if steps == maxSteps {
				st.fail("state %s: %d backward actions do not lead to the source", st.Format(row), steps)
				return dst, st.err
			}
			dst[row] -= math.Log(float64(len(st.list)))
			st.Env.Undo(s, st.list[0])
			st.list = st.Env.Forward(st.list[:0], s)
			dst[row] += math.Log(float64(len(st.list)))
			if at := st.Row(s); at >= 0 && at < row {
				dst[row] += dst[at]
				break
			}
		}
	}
	return dst, st.checkLogG(dst)
}

// checkLogG compares log g by way of all parents whose edges are joined.
func (st *States) checkLogG(logG []float64) error {
	logCount := func(start []int32, row int) float64 { return math.Log(float64(start[row+1] - start[row])) }
	for row, first := range logG {
		for _, e := range st.Edge[st.BStart[row]:st.BStart[row+1]] {
			if e < 0 {
				continue
			}
			parent := int(st.From[e])
			other := logG[parent] + logCount(st.FStart, parent) - logCount(st.BStart, row)
			if math.Abs(other-first) > 1e-9*max(1, math.Abs(first)) {
				s := st.State(nil, row)
				st.Env.Undo(s, int(st.BAction[st.BStart[row]]))
				return fmt.Errorf("gfn: g depends on the path: log g of %q is %.6g by way of %q and %.6g by way of %q",
					st.Format(row), first, Format(st.Env, s), other, st.Format(parent))
			}
		}
	}
	return nil
}

// RandomPolicyEvaluation returns log V by row, V the value of the uniform policy where an exit is worth A(x) g(x) R(x),
// and log PF by forward slot of the policy that is read off it:
//
//	V(s) = (1/A(s)) (Σ_{s→s'} V(s') + [s ∈ X] A(s) g(s) R(s))
//	PF(s'|s) = V(s')/(A(s) V(s))    PF(sf|x) = g(x) R(x)/V(x)
//
// That is soft value iteration ([Graph.SoftValue]) at temperature 1 with reward −log A(s), and log g(x) R(x) at
// exits. PF samples x ∝ d(x) g(x) R(x), d the visits of the uniform policy, and V(s0) is the sum of that. If g does
// not depend on the path, d g = 1: PF samples R/Z*, and V/g are the flows of the uniform backward policy. If it does,
// the error of [States.LogG] comes with them.
func (g *Graph) RandomPolicyEvaluation() (logV, logPF []float64, err error) {
	logG, err := g.LogG(nil)
	r := g.Forward(UniformPF)
	for row, l := range g.LogR {
		if e := g.Exit(row); e >= 0 {
			r[e] = logG[row] + l
		}
	}
	logV, logPF = g.SoftValue(r, 1)
	return logV[:g.Len()], logPF, err
}

// Value returns the value of a policy by row, n+1 entries with V(sf) = 0, for rewards r by forward slot:
//
//	V(s) = Σ_{s→s'} PF(s'|s) (r(s→s') + V(s'))
//
// An edge with PF = 0 adds nothing, whatever its reward.
func (g *Graph) Value(logPF, r []float64) []float64 {
	v := make([]float64, g.Len()+1)
	for row := g.Len() - 1; row >= 0; row-- {
		for e := g.FStart[row]; e < g.FStart[row+1]; e++ {
			v[row] += times(math.Exp(logPF[e]), r[e]+v[g.Child[e]])
		}
	}
	return v
}

// RewardF returns R_F by forward slot (spec §4):
//
//	R_F(s→s') = log PF(s'|s) − log PB(s|s')    R_F(x→sf) = log PF(sf|x) − (log R(x) − log Z)
//
// The sum along a trajectory is c(τ), the TB residual. V_F is [Graph.Value] of these rewards; its first entry is
// J_F = E[c(τ)] = KL(PF ‖ PB R/Z*) + log Z − log Z*.
func (g *Graph) RewardF(logPF, logPB []float64, logZ float64) []float64 {
	r := slices.Clone(logPF)
	for e, k := range g.Back {
		if k >= 0 {
			r[e] -= logPB[k]
		} else {
			r[e] += logZ - g.LogR[g.From[e]]
		}
	}
	return r
}

// ELBO returns E_{τ∼PF}[log R(x) + log PB(τ|x) − log PF(τ)] ≤ log Z*, with equality if
// PF(τ) = PB(τ|x) R(x)/Z*.
func (g *Graph) ELBO(logPF, logPB []float64) float64 {
	return -g.Value(logPF, g.RewardF(logPF, logPB, 0))[0]
}

// EUBO returns E_{x∼R/Z*, τ∼PB}[log R(x) + log PB(τ|x) − log PF(τ)] ≥ log Z*. τ then has the law of P*F.
func (g *Graph) EUBO(logPF, logPB []float64) float64 {
	return -g.Value(g.ForwardOf(logPB), g.RewardF(logPF, logPB, 0))[0]
}

// Policy returns the policy that looks a table up by state, for states of g's environment in other rows. The table is
// log PF by forward slot or log PB by backward slot, of which g has fewer, since none undoes an exit.
func (g *Graph) Policy(table []float64) Policy {
	starts := func(st *States) []int32 { return st.FStart }
	if len(table) == len(g.BAction) {
		starts = func(st *States) []int32 { return st.BStart }
	}
	return func(st *States, lo, hi int, dst []float64) {
		from, to := starts(&g.States), starts(st)
		s := make([]int, st.Shape.Dim)
		for row := lo; row < hi; row++ {
			i := g.Row(st.State(s, row))
			if i < 0 {
				panic("gfn: Policy: state " + st.Format(row) + " is not in the graph")
			}
			copy(dst[to[row]-to[lo]:], table[from[i]:from[i+1]])
		}
	}
}

// Step is one edge of a trajectory: its row, its forward slot, and the backward slot of its child, −1 for the exit.
type Step struct{ Row, F, B int32 }

// Batch holds sampled trajectories, ragged, and each distinct state once. LogPF and LogPB are the policies by slot, of
// the rows that have been evaluated; nothing is evaluated twice.
type Batch struct {
	States
	Steps []Step  // trajectory i is Steps[Start[i]:Start[i+1]], exit last
	Start []int32 // by trajectory, and one more
	LogPF []float64
	LogPB []float64

	evalF, evalB int // rows of LogPF and LogPB so far

	// The trajectories that are being drawn.
	rngs   []rand.PCG
	paths  [][]Step // their steps so far
	rows   []int32  // where they stand
	active []int32  // those that are not at their end

	u, du []float64 // scratch of the objectives
	f, df []float64 // by row, likewise
}

// Sampling says how trajectories are drawn. Trajectory i of a batch draws from its own stream, derived from (Seed,
// Iteration, i) and nothing else.
type Sampling struct {
	Seed, Iteration uint64
	Epsilon         float64 // probability of a uniform legal action in place of the policy's, 0…1
	Temperature     float64 // the policy samples ∝ P^(1/Temperature); 0 stands for 1
}

// A Guide is the forward policy PG that a backward policy is trained against (spec §4). LogPG writes log PG(s'|s) of
// every ordinary step of b to dst, by step, given log PF and log PB by slot; it may depend on the step's endpoint, and
// on the batches before. It is called once for each batch.
type Guide interface {
	LogPG(b *Batch, logPF, logPB, dst []float64)
}

// Reset empties b for trajectories of env, keeping its memory.
func (b *Batch) Reset(env Env) {
	b.States.Reset(env)
	b.Steps, b.Start = b.Steps[:0], append(b.Start[:0], 0)
	b.LogPF, b.LogPB, b.evalF, b.evalB = b.LogPF[:0], b.LogPB[:0], 0, 0
}

// Trajectories returns their number.
func (b *Batch) Trajectories() int { return len(b.Start) - 1 }

// Trajectory returns the steps of trajectory i, the exit last.
func (b *Batch) Trajectory(i int) []Step { return b.Steps[b.Start[i]:b.Start[i+1]] }

// Endpoint returns the row of the terminating state x of trajectory i.
func (b *Batch) Endpoint(i int) int { return int(b.Steps[b.Start[i+1]-1].Row) }

// Evaluate completes LogPF and LogPB on the rows that they do not cover yet. A nil policy is left out.
func (b *Batch) Evaluate(pf, pb Policy) {
	if pf != nil {
		b.LogPF = evaluate(b, b.LogPF, &b.evalF, b.FStart, pf)
	}
	if pb != nil {
		b.LogPB = evaluate(b, b.LogPB, &b.evalB, b.BStart, pb)
	}
}

func evaluate(b *Batch, dst []float64, done *int, start []int32, p Policy) []float64 {
	lo, hi := *done, b.Len()
	if lo < hi {
		dst = resize(dst, int(start[hi]))
		p(&b.States, lo, hi, dst[start[lo]:])
		*done = hi
	}
	return dst
}

// stream returns the random stream of one trajectory.
func stream(seed, iteration, index uint64) rand.PCG {
	mix := func(z uint64) uint64 { // splitmix64 (Steele et al. 2014)
		z += 0x9e3779b97f4a7c15
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return z ^ z>>31
	}
	a := mix(seed)
	b := mix(a ^ iteration)
	c := mix(b ^ index)
	return *rand.NewPCG(c, mix(c))
}

// uniform01 returns a number in [0, 1).
func uniform01(rng *rand.PCG) float64 { return float64(rng.Uint64()>>11) / (1 << 53) }

// draw returns an index with probability (1−ε) exp(logp/T)/Σ exp(logp/T) + ε/len(logp).
func draw(logp []float64, rng *rand.PCG, o Sampling) int {
	if o.Epsilon > 0 && uniform01(rng) < o.Epsilon {
		return int(uniform01(rng) * float64(len(logp)))
	}
	u, inv := uniform01(rng), 1.0
	if o.Temperature != 0 && o.Temperature != 1 {
		inv = 1 / o.Temperature
		sum := 0.0
		for _, l := range logp {
			sum += math.Exp(l * inv)
		}
		u *= sum
	}
	last := 0
	for i, l := range logp {
		p := math.Exp(l * inv)
		if u -= p; u < 0 {
			return i
		}
		if p > 0 {
			last = i
		}
	}
	return last // u lay within the rounding error of 1
}

// begin prepares n further trajectories that stand at row(i).
func (b *Batch) begin(n int, o Sampling, row func(i int) int) {
	b.paths, b.rngs, b.rows, b.active = resize(b.paths, n), resize(b.rngs, n), b.rows[:0], b.active[:0]
	for i := range n {
		b.rngs[i] = stream(o.Seed, o.Iteration, uint64(b.Trajectories()+i))
		b.paths[i] = b.paths[i][:0]
		b.rows, b.active = append(b.rows, int32(row(i))), append(b.active, int32(i))
	}
}

// advance moves all active trajectories together, one step at a time, so that one call of a policy evaluates all states
// that are new at that step. step takes a step of trajectory i from row and returns the next row, −1 at its end.
func (b *Batch) advance(pf, pb Policy, end string, step func(i, row int32) (next int32)) {
	for steps := 0; len(b.active) > 0 && b.err == nil; steps++ {
		if steps > maxSteps {
			b.fail("state %s: no %s within %d steps", b.Format(int(b.rows[b.active[0]])), end, maxSteps)
		}
		b.Evaluate(pf, pb)
		going := b.active[:0]
		for _, i := range b.active {
			if next := step(i, b.rows[i]); next >= 0 {
				b.rows[i] = next
				going = append(going, i)
			}
		}
		b.active = going
	}
}

// Sample adds n trajectories drawn from pf. The error names a state that breaks a rule of [Env], or one that 2²⁰
// steps have led to without an exit.
func (b *Batch) Sample(pf Policy, n int, o Sampling) error {
	b.Env.Source(b.s)
	source := b.Add(b.s)
	b.begin(n, o, func(int) int { return source })
	b.advance(pf, nil, "exit", func(i, row int32) (next int32) {
		e := b.FStart[row] + int32(draw(b.LogPF[b.FStart[row]:b.FStart[row+1]], &b.rngs[i], o))
		next = -1
		if int(b.FAction[e]) != b.Shape.Forward-1 {
			next = int32(b.follow(int(e)))
		}
		b.paths[i] = append(b.paths[i], Step{row, e, b.Back[e]})
		return next
	})
	return b.finish(n)
}

// Walk adds the trajectory that takes the given actions from s0, the exit last. The error names the state where one of
// them is not legal.
func (b *Batch) Walk(actions []int) error {
	b.Env.Source(b.s)
	row, done := b.Add(b.s), len(b.Steps)
	for i, a := range actions {
		e, exit := slot(b.FStart, b.FAction, row, a), a == b.Shape.Forward-1
		if e < 0 || exit != (i == len(actions)-1) {
			b.Steps = b.Steps[:done]
			return fmt.Errorf("gfn: state %s: action %d, number %d of %d, is not legal", b.Format(row), a, i+1, len(actions))
		}
		at := row
		if !exit {
			row = b.follow(e)
		}
		b.Steps = append(b.Steps, Step{int32(at), int32(e), b.Back[e]})
	}
	if len(b.Steps) == done {
		return errors.New("gfn: a trajectory has no actions, not even the exit")
	}
	b.Start = append(b.Start, int32(len(b.Steps)))
	return b.err
}

// SampleBackward adds one trajectory for each endpoint, a terminating state, drawn backwards from it by pb. The balance
// losses train on these as on any other.
func (b *Batch) SampleBackward(pb Policy, endpoints [][]int, o Sampling) error {
	b.begin(len(endpoints), o, func(i int) int { return b.Add(endpoints[i]) })
	for i := range endpoints {
		e := b.Exit(int(b.rows[i]))
		if e < 0 {
			return fmt.Errorf("gfn: endpoint %s is not a terminating state", b.Format(int(b.rows[i])))
		}
		b.paths[i] = append(b.paths[i], Step{b.rows[i], int32(e), -1})
	}
	b.advance(nil, pb, "source", func(i, row int32) (next int32) {
		if b.BStart[row] == b.BStart[row+1] {
			return -1
		}
		k := b.BStart[row] + int32(draw(b.LogPB[b.BStart[row]:b.BStart[row+1]], &b.rngs[i], o))
		e := int32(b.retreat(int(row), int(k)))
		if e < 0 {
			return -1
		}
		b.paths[i] = append(b.paths[i], Step{b.From[e], e, k})
		return b.From[e]
	})
	for i := range endpoints {
		slices.Reverse(b.paths[i])
	}
	return b.finish(len(endpoints))
}

func (b *Batch) finish(n int) error {
	for _, path := range b.paths[:n] {
		b.Steps = append(b.Steps, path...)
		b.Start = append(b.Start, int32(len(b.Steps)))
	}
	return b.err
}

// logRatio returns log PF(τ) − log PB(τ|x) of trajectory i, exit edge included. For τ ∼ PB(·|x) the mean of its
// exponential is PF⊤(x), without bias.
func (b *Batch) logRatio(i int, logPF, logPB []float64) (sum float64) {
	for _, s := range b.Trajectory(i) {
		sum += logPF[s.F]
		if s.B >= 0 {
			sum -= logPB[s.B]
		}
	}
	return sum
}

// EstimateLogTerminating estimates log PF⊤(x) for each endpoint, for spaces that cannot be enumerated: the log of the
// mean of PF(τ)/PB(τ|x) over n ≥ 1 trajectories drawn from PB(·|x). The mean is unbiased; its log is biased low.
// The standard errors of the logs, se, are those of the means over the means, NaN if n is 1.
func EstimateLogTerminating(
	env Env, pf, pb Policy, endpoints [][]int, n int, seed uint64,
) (logP, se []float64, err error) {
	var b Batch
	terms, N := make([]float64, max(1, n)), float64(max(1, n))
	for i, x := range endpoints {
		b.Reset(env)
		o := Sampling{Seed: seed, Iteration: 1<<61 + uint64(i)} // no trajectory of training has these streams
		if err := b.SampleBackward(pb, slices.Repeat([][]int{x}, len(terms)), o); err != nil {
			return nil, nil, err
		}
		b.Evaluate(pf, pb)
		for k := range terms {
			terms[k] = b.logRatio(k, b.LogPF, b.LogPB)
		}
		mean, squares := LogSumExp(terms)-math.Log(N), 0.0
		for _, term := range terms {
			squares += math.Pow(math.Exp(term-mean)-1, 2)
		}
		logP, se = append(logP, mean), append(se, math.Sqrt(squares/(N-1)/N))
	}
	return logP, se, nil
}

// The distances below take log-probabilities, one of each for every state; other lengths panic. Each is a sum over x of
// one term of log p(x) and log q(x); terms where p = q = 0 are 0.

// TV returns the total variation ½ Σ |p − q|, in 0…1.
func TV(logp, logq []float64) float64 { return distance(tvTerm, logp, logq) }

// JSD returns the Jensen–Shannon divergence ½ KL(p‖m) + ½ KL(q‖m), m = (p+q)/2, in 0…log 2 nats.
func JSD(logp, logq []float64) float64 { return distance(jsdTerm, logp, logq) }

// KL returns Σ p (log p − log q) in nats, +Inf where q = 0 < p.
func KL(logp, logq []float64) float64 { return distance(klTerm, logp, logq) }

func tvTerm(lp, lq float64) float64 { return math.Abs(math.Exp(lp)-math.Exp(lq)) / 2 }
func klTerm(lp, lq float64) float64 { return times(math.Exp(lp), lp-lq) }
func jsdTerm(lp, lq float64) float64 {
	lm := LogSumExp([]float64{lp, lq}) - math.Ln2
	return (klTerm(lp, lm) + klTerm(lq, lm)) / 2
}

// seenTerm counts the states with at least one sample.
func seenTerm(lp, _ float64) float64 { return min(1, math.Ceil(math.Exp(lp))) }

func distance(term func(lp, lq float64) float64, logp, logq []float64) (sum float64) {
	if len(logp) != len(logq) {
		panic(fmt.Sprintf("gfn: distributions over %d and %d states", len(logp), len(logq)))
	}
	for i, lp := range logp {
		sum += term(lp, logq[i])
	}
	return sum
}

// perfect returns E[Σ_x term(log n(x)/N, log q(x))] for n ∼ Multinomial(N, q): the value that N samples of a perfect
// sampler have on average. Each n(x) is binomial, so the sum over its values is exact but for rounding.
func perfect(term func(lp, lq float64) float64, logq []float64, n float64) (sum float64) {
	last, value := math.NaN(), 0.0
	for _, lq := range slices.Sorted(slices.Values(logq)) { // many are equal: each value once
		if lq != last {
			last, value = lq, binomialMean(term, lq, n)
		}
		sum += value
	}
	return sum
}

// binomialMean returns E[term(log k/N, log q)] for k ∼ Binomial(N, q), q = exp(lq).
func binomialMean(term func(lp, lq float64) float64, lq, N float64) (sum float64) {
	q := math.Exp(lq)
	if !(q > 0 && q < 1) { // also NaN
		return term(lq, lq)
	}
	mean := N * q
	width := 9*math.Sqrt(mean*(1-q)) + 40 // standard deviations, and the Poisson tail of a small mean
	lgN, _ := math.Lgamma(N + 1)
	for k := math.Ceil(max(0, mean-width)); k <= min(N, mean+width); k++ {
		a, _ := math.Lgamma(k + 1)
		b, _ := math.Lgamma(N - k + 1)
		sum += math.Exp(lgN-a-b+k*lq+(N-k)*math.Log1p(-q)) * term(math.Log(k/N), lq)
	}
	return sum
}

// Metrics compares a sampler with the exact target on an enumerated graph (spec §10). Divergences in nats.
type Metrics struct {
	TV, JSD, KL     float64 // of PF⊤ from R/Z*; KL(PF⊤ ‖ R/Z*)
	LogZ, LogZExact float64 // learned or estimated, and log Z*
	ELBO, EUBO      float64 // ≤ log Z* ≤

	LogMeanReward, LogMeanRewardExact float64 // log E[R] over PF⊤ and over R/Z*
	MeanLogReward, MeanLogRewardExact float64 // E[log R] over the same
}

// Metrics returns the exact metrics of a sampler with the given policies and learned log Z.
func (g *Graph) Metrics(logPF, logPB []float64, logZ float64) Metrics {
	p, q := g.LogTerminating(logPF), g.LogTarget()
	return Metrics{
		TV: TV(p, q), JSD: max(0, JSD(p, q)), KL: max(0, KL(p, q)), // not −1e-17
		LogZ: logZ, LogZExact: g.logZ,
		ELBO: g.ELBO(logPF, logPB), EUBO: g.EUBO(logPF, logPB),
		LogMeanReward: g.logMeanReward(p), LogMeanRewardExact: g.logMeanReward(q),
		MeanLogReward: meanOver(p, g.LogR), MeanLogRewardExact: meanOver(q, g.LogR),
	}
}

// logMeanReward returns log E_p[R].
func (st *States) logMeanReward(logp []float64) float64 {
	terms := slices.Clone(logp)
	for row, r := range st.LogR {
		terms[row] += r
	}
	return LogSumExp(terms)
}

// Modes returns the rows of the terminating states that the environment calls modes, nil where it does not define them.
func (st *States) Modes() []int {
	mode := TraitsOf(st.Env).Mode
	if mode == nil {
		return nil
	}
	rows, s := []int{}, []int(nil)
	for row := range st.Len() {
		if s = st.State(s, row); st.Exit(row) >= 0 && mode(s) {
			rows = append(rows, row)
		}
	}
	return rows
}

// Empirical compares the endpoints of N sampled trajectories with the exact target. A perfect sampler differs from it
// too, so each figure has a second one, its expected value for N samples of a perfect sampler.
type Empirical struct {
	N                         float64
	TV, TVPerfect             float64
	JSD, JSDPerfect           float64
	Distinct, DistinctPerfect float64 // different endpoints
	Modes, ModesPerfect       float64 // different modes among them; NaN where the environment defines none
	LogMeanReward             float64 // log of the mean of R; a perfect sampler's mean is E_{R/Z*}[R]
}

// Empirical returns the metrics of samples counted by row of st. logq is the target by row ([Graph.LogTarget]). Where
// that is not known, it is nil, figures that compare with it are NaN, and st need hold no more than the samples.
func (st *States) Empirical(count, logq []float64) Empirical {
	n, none := 0.0, math.NaN()
	for _, c := range count {
		n += c
	}
	p, q := make([]float64, len(count)), logq
	for row, c := range count {
		p[row] = math.Log(c / n)
	}
	if logq == nil {
		q = slices.Repeat([]float64{none}, len(count))
	}
	m := Empirical{
		N: n, TV: TV(p, q), TVPerfect: perfect(tvTerm, q, n), JSD: JSD(p, q), JSDPerfect: perfect(jsdTerm, q, n),
		Distinct: distance(seenTerm, p, q), DistinctPerfect: perfect(seenTerm, q, n),
		Modes: none, ModesPerfect: none, LogMeanReward: st.logMeanReward(p),
	}
	if rows := st.Modes(); rows != nil {
		var pm, qm []float64
		for _, row := range rows {
			pm, qm = append(pm, p[row]), append(qm, q[row])
		}
		m.Modes = distance(seenTerm, pm, qm)
		if logq != nil { // else there may be no rows that make it NaN
			m.ModesPerfect = perfect(seenTerm, qm, n)
		}
	}
	return m
}

// Correlation returns Pearson's linear and Spearman's rank correlation of x and y; ties share their mean rank. It is
// NaN where x or y is constant.
func Correlation(x, y []float64) (pearson, spearman float64) {
	return pearsons(x, y), pearsons(ranks(x), ranks(y))
}

func pearsons(x, y []float64) float64 {
	var mx, my, xy, xx, yy float64
	for i := range x {
		mx, my = mx+x[i]/float64(len(x)), my+y[i]/float64(len(x))
	}
	for i := range x {
		dx, dy := x[i]-mx, y[i]-my
		xy, xx, yy = xy+dx*dy, xx+dx*dx, yy+dy*dy
	}
	return xy / math.Sqrt(xx*yy)
}

func ranks(v []float64) []float64 {
	sorted, r := slices.Sorted(slices.Values(v)), make([]float64, len(v))
	upTo := func(y, x float64) int { return cmp.Or(cmp.Compare(y, x), -1) } // equal numbers, and NaNs, count as less
	for i, x := range v {
		lo, _ := slices.BinarySearch(sorted, x)
		hi, _ := slices.BinarySearchFunc(sorted, x, upTo)
		r[i] = float64(lo+hi-1) / 2
	}
	return r
}
