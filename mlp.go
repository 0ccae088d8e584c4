package gfn

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
)

// MLP is a multilayer perceptron with ReLU between its layers and none after the last. It has any number of hidden
// layers, or none:
//
//	h₀ = the 0/1 features    h_l = relu(h_{l−1} W_l + b_l)    y = h_{L−1} W_L + b_L
//
// Params holds W₁ b₁ W₂ b₂ …, each W_l as Sizes[l−1] rows of Sizes[l] numbers.
type MLP struct {
	Sizes  []int // features, hidden…, outputs
	Params []float64
}

// NewMLP returns an MLP with weights and biases of layer l uniform in ±1/√Sizes[l−1], as the authors' code draws
// them.
func NewMLP(rng *rand.PCG, sizes ...int) MLP {
	m := MLP{slices.Clone(sizes), make([]float64, parameters(sizes))}
	i := 0
	for l := 1; l < len(sizes); l++ {
		for ; i < parameters(sizes[:l+1]); i++ {
			m.Params[i] = (2*uniform01(rng) - 1) / math.Sqrt(float64(sizes[l-1]))
		}
	}
	return m
}

// parameters returns the number of parameters of an MLP.
func parameters(sizes []int) (n int) {
	for l := 1; l < len(sizes); l++ {
		n += (sizes[l-1] + 1) * sizes[l]
	}
	return n
}

// layer returns W_l and b_l, or what stands in their places in p, which is laid out as Params.
func (m *MLP) layer(p []float64, l int) (w, b []float64) {
	before, in, out := parameters(m.Sizes[:l]), m.Sizes[l-1], m.Sizes[l]
	p = p[before:][:(in+1)*out]
	return p[:in*out], p[in*out:]
}

// Head says what the outputs of a [Net] mean.
type Head int

// The heads. A policy is the softmax of the outputs of a state's legal actions.
const (
	ForwardHead  Head = iota // log PF by forward slot
	BackwardHead             // log PB by backward slot
	ScalarHead               // one number a row: log F or V
	EdgeHead                 // one number a forward slot, not normalised: log F(s→s')
)

// normalised says whether the head's values are log-probabilities.
func (h Head) normalised() bool { return h == ForwardHead || h == BackwardHead }

// slot returns the first slot of a row. That of row Len is the number of all slots.
func (h Head) slot(st *States, row int) int {
	switch h {
	case ForwardHead, EdgeHead:
		return int(st.FStart[row])
	case BackwardHead:
		return int(st.BStart[row])
	}
	return row
}

var onlyOutput = []int32{0}

// outputs returns the output that each slot of a row reads: that of its action.
func (h Head) outputs(st *States, row int) []int32 {
	switch h {
	case ForwardHead, EdgeHead:
		return st.FAction[st.FStart[row]:st.FStart[row+1]]
	case BackwardHead:
		return st.BAction[st.BStart[row]:st.BStart[row+1]]
	}
	return onlyOutput
}

// sizes returns the layers of a network with this head.
func (h Head) sizes(shape Shape, hidden []int) []int {
	outputs := []int{ForwardHead: shape.Forward, BackwardHead: shape.Backward, ScalarHead: 1, EdgeHead: shape.Forward}
	return slices.Concat([]int{shape.Features}, hidden, outputs[h:h+1])
}

// Net is an [MLP] on the states of a batch or a graph, read by a head. With y_a the output that slot a reads,
// z_a = Scale · y_a and LSE = log Σ_b exp z_b over the slots of a row, the head's values are
//
//	log p_a = z_a − LSE    (ForwardHead, BackwardHead)
//	log F_a = z_a          (EdgeHead, of which LSE is the log out-flow; ScalarHead)
//
// Eval keeps what Backward and JVP need. Backward accumulates the gradient of cotangents of the values, JVP writes the
// values' derivative in a direction, and Step moves the parameters by Adam.
//
// A row's values do not depend on the rows beside it, and each entry of the gradient is summed by one worker in the
// order of the rows. So no number depends on how many workers there are.
type Net struct {
	MLP
	Adam
	Head  Head
	Scale float64   // 1; or 1/α, with which outputs are values V or Q and the head reads V/α or Q/α
	Grad  []float64 // as Params
	LSE   []float64 // by row evaluated

	workers int
	st      *States   // of the rows evaluated
	w, wDot []weights // by layer 2…L: W_l, and the part of JVP's direction that is Ẇ_l

	h, dh, hDot [][]float64 // by layer 1…L, rows × Sizes[l]: values h_l, their cotangents, their derivatives ḣ_l

	first, active, all []int32 // rows by feature, and all rows, [Net.transpose]
}

// weights is a W_l, ready for products.
type weights struct {
	in, out int
	w       []float64 // in rows of out numbers
	extra             // what the products of mlp_generic.go or mlp_simd.go keep beside w
}

// NewNet returns a network for environments of the given shape, which runs on its caller's goroutine.
func NewNet(rng *rand.PCG, shape Shape, head Head, hidden []int) *Net {
	m := NewMLP(rng, head.sizes(shape, hidden)...)
	params, layers := len(m.Params), len(m.Sizes)
	return &Net{
		MLP: m, Adam: NewAdam(params), Head: head, Scale: 1, Grad: make([]float64, params), workers: 1,
		h: make([][]float64, layers), dh: make([][]float64, layers), hDot: make([][]float64, layers),
		w: make([]weights, layers), wDot: make([]weights, layers),
	}
}

// block is the number of rows that go through all layers together, so that their values stay in the cache.
const block = 64

// room makes room in h for the given number of rows of each layer.
func (n *Net) room(h [][]float64, rows int) {
	for l := 1; l < len(h); l++ {
		h[l] = resize(h[l], rows*n.Sizes[l])
	}
}

// rows returns rows lo ≤ i < hi of layer l in h.
func (n *Net) rows(h [][]float64, l, lo, hi int) []float64 {
	return h[l][lo*n.Sizes[l] : hi*n.Sizes[l]]
}

// read readies the W_l of p, which is laid out as Params, for products.
func (n *Net) read(w []weights, p []float64) {
	for l := 2; l < len(w); l++ {
		w[l].in, w[l].out = n.Sizes[l-1], n.Sizes[l]
		w[l].w, _ = n.layer(p, l)
		w[l].prepare(n.workers)
	}
}

// Eval writes the head's values on rows lo ≤ i < hi of st to dst, by slot, and keeps what Backward and JVP need. It
// is a [Policy]. Rows are evaluated in order: lo is 0, or the former hi. The parameters must stay as they are from
// lo = 0 to the last Backward or JVP on these rows.
func (n *Net) Eval(st *States, lo, hi int, dst []float64) {
	if lo == 0 {
		n.st, n.LSE = st, n.LSE[:0]
		n.read(n.w, n.Params)
	}
	if len(n.LSE) != lo || n.st != st {
		panic(fmt.Sprintf("gfn: Net.Eval: rows from %d follow %d rows, or those of other states", lo, len(n.LSE)))
	}
	n.LSE = resize(n.LSE, hi)
	n.room(n.h, hi)
	first := n.Head.slot(st, lo)
	parallel(n.workers, hi-lo, block, func(from, to int) {
		n.forward(st, n.h, n.LSE, 0, lo+from, lo+to, dst[n.Head.slot(st, lo+from)-first:])
	})
}

// Table returns the head's values on all rows of st, by slot, and keeps nothing: for graphs of any size.
func (n *Net) Table(st *States) []float64 {
	y, _ := n.table(context.Background(), st)
	return y
}

// table is Table until ctx is done; the error is ctx's.
func (n *Net) table(ctx context.Context, st *States) ([]float64, error) {
	dst := make([]float64, n.Head.slot(st, st.Len()))
	n.read(n.w, n.Params)
	parallel(n.workers, st.Len(), 16*block, func(lo, hi int) {
		h, lse := make([][]float64, len(n.Sizes)), make([]float64, block)
		n.room(h, block)
		for ; lo < hi && ctx.Err() == nil; lo += block {
			n.forward(st, h, lse, lo, lo, min(lo+block, hi), dst[n.Head.slot(st, lo):])
		}
	})
	return dst, ctx.Err()
}

// forward evaluates rows lo ≤ i < hi of st. The first row of h and of lse is row base, and dst begins at row lo's
// slots.
func (n *Net) forward(st *States, h [][]float64, lse []float64, base, lo, hi int, dst []float64) {
	last := len(n.Sizes) - 1
	for l := 1; l <= last; l++ {
		y := n.rows(h, l, lo-base, hi-base)
		n.begin(y, st, n.Params, l, lo, hi)
		if l > 1 {
			n.w[l].mul(y, n.rows(h, l-1, lo-base, hi-base))
		}
		if l < last {
			relu(y)
		}
	}
	for row := lo; row < hi; row++ {
		y, outputs := n.rows(h, last, row-base, row-base+1), n.Head.outputs(st, row)
		values := dst[:len(outputs)]
		dst = dst[len(outputs):]
		for k, a := range outputs {
			values[k] = n.Scale * y[a]
		}
		lse[row-base] = LogSumExp(values)
		if n.Head.normalised() {
			for k := range values {
				values[k] -= lse[row-base]
			}
		}
	}
}

// begin sets rows of y to b_l and, for the first layer, adds h₀ W₁: the sum of the rows of W₁ whose features are
// active. W_l and b_l are those of p. The first row of y is row lo of st.
func (n *Net) begin(y []float64, st *States, p []float64, l, lo, hi int) {
	w, b := n.layer(p, l)
	out := len(b)
	for row := lo; row < hi; row++ {
		y := y[(row-lo)*out:][:out]
		copy(y, b)
		if l == 1 {
			sumRows(y, w, st.X[st.XStart[row]:st.XStart[row+1]])
		}
	}
}

// Backward adds to Grad the gradient of Σ dLog · (the head's values) + Σ dLSE · LSE over the rows evaluated so far.
// dLSE may be nil. From the outputs' cotangents dh_L = dy it goes back through the layers l = L, …, 1:
//
//	dW_l = h_{l−1}ᵀ dh_l    db_l = Σ_rows dh_l    dh_{l−1} = (dh_l W_lᵀ) · 1[h_{l−1} ≠ 0]
func (n *Net) Backward(dLog, dLSE []float64) {
	rows, last := len(n.LSE), len(n.Sizes)-1
	if rows == 0 {
		return
	}
	n.room(n.dh, rows)
	parallel(n.workers, rows, block, func(lo, hi int) { // dh_L … dh₁
		for row := lo; row < hi; row++ {
			n.outputCotangents(row, dLog, dLSE)
		}
		for l := last; l > 1; l-- {
			n.w[l].mulT(n.rows(n.dh, l-1, lo, hi), n.rows(n.dh, l, lo, hi), n.rows(n.h, l-1, lo, hi))
		}
	})
	n.transpose(rows)
	for l := last; l > 0; l-- {
		dW, db := n.layer(n.Grad, l)
		in, out, piece := n.Sizes[l-1], n.Sizes[l], 2*block
		if l == 1 {
			piece = 1 + in/64 // some features are active much more often than others
		}
		parallel(n.workers, in, piece, func(lo, hi int) { // rows of dW_l; db_l with the last
			if l > 1 {
				addOuter(dW, n.h[l-1], n.dh[l], in, out, lo, hi)
			}
			for x := lo; x < hi && l == 1; x++ {
				sumRows(dW[x*out:][:out], n.dh[1], n.active[n.first[x]:n.first[x+1]])
			}
			if hi == in {
				sumRows(db, n.dh[l], n.all)
			}
		})
	}
}

// transpose lists the rows by their active features: those of feature x are active[first[x]:first[x+1]], ascending, and
// all is 0, …, rows−1.
func (n *Net) transpose(rows int) {
	X, start := n.st.X, n.st.XStart
	n.first = resize(n.first, n.Sizes[0]+2)
	n.active = resize(n.active, int(start[rows]))
	clear(n.first)
	n.all = n.all[:0]
	for _, x := range X[:start[rows]] {
		n.first[x+2]++
	}
	for x := 2; x < len(n.first); x++ {
		n.first[x] += n.first[x-1]
	}
	for row := range rows {
		n.all = append(n.all, int32(row))
		for _, x := range X[start[row]:start[row+1]] {
			n.active[n.first[x+1]] = int32(row)
			n.first[x+1]++
		}
	}
}

// outputCotangents writes the cotangents of a row's outputs. With p = softmax z, that of output a is
//
//	dy_a = Scale · (dLog_a − p_a Σ_b dLog_b + p_a dLSE)    (values log p)
//	dy_a = Scale · (dLog_a + p_a dLSE)                     (values log F)
//
// and 0 if no slot reads it.
func (n *Net) outputCotangents(row int, dLog, dLSE []float64) {
	last, outputs := len(n.Sizes)-1, n.Head.outputs(n.st, row)
	y, dy := n.rows(n.h, last, row, row+1), n.rows(n.dh, last, row, row+1)
	dLog = dLog[n.Head.slot(n.st, row):][:len(outputs)]
	sum := 0.0 // Σ_b dLog_b − dLSE, or −dLSE
	if n.Head.normalised() {
		for _, d := range dLog {
			sum += d
		}
	}
	if dLSE != nil {
		sum -= dLSE[row]
	}
	clear(dy)
	for k, a := range outputs {
		p := math.Exp(n.Scale*y[a] - n.LSE[row])
		dy[a] = n.Scale * (dLog[k] - p*sum)
	}
}

// JVP writes the derivative of the head's values on the rows evaluated so far, in direction v of the parameters
// (forward mode), to dst, by slot. With Ẇ_l and ḃ_l the parts of v, ḣ₀ = 0 and
//
//	ḣ_l = (ḣ_{l−1} W_l + h_{l−1} Ẇ_l + ḃ_l) · 1[h_l ≠ 0]
//	ẏ = ḣ_{L−1} W_L + h_{L−1} Ẇ_L + ḃ_L
//
// The derivative of log p_a is Scale · (ẏ_a − Σ_b p_b ẏ_b), that of log F_a is Scale · ẏ_a.
func (n *Net) JVP(v, dst []float64) {
	rows, last := len(n.LSE), len(n.Sizes)-1
	n.room(n.hDot, rows)
	n.read(n.wDot, v)
	parallel(n.workers, rows, block, func(lo, hi int) {
		for l := 1; l <= last; l++ {
			hDot := n.rows(n.hDot, l, lo, hi)
			n.begin(hDot, n.st, v, l, lo, hi)
			if l > 1 {
				n.wDot[l].mul(hDot, n.rows(n.h, l-1, lo, hi))
				n.w[l].mul(hDot, n.rows(n.hDot, l-1, lo, hi))
			}
			if l < last {
				mask(hDot, n.rows(n.h, l, lo, hi))
			}
		}
		for row := lo; row < hi; row++ {
			n.outputDerivatives(row, dst)
		}
	})
}

// outputDerivatives turns the derivatives of a row's outputs into those of its values.
func (n *Net) outputDerivatives(row int, dst []float64) {
	last, outputs := len(n.Sizes)-1, n.Head.outputs(n.st, row)
	y, yDot := n.rows(n.h, last, row, row+1), n.rows(n.hDot, last, row, row+1)
	dst = dst[n.Head.slot(n.st, row):][:len(outputs)]
	mean := 0.0 // Σ_b p_b ẏ_b
	if n.Head.normalised() {
		for _, a := range outputs {
			mean += math.Exp(n.Scale*y[a]-n.LSE[row]) * yDot[a]
		}
	}
	for k, a := range outputs {
		dst[k] = n.Scale * (yDot[a] - mean)
	}
}

// The plain loops. Code calls mul, mulT, addOuter, relu, mask, sumRows and adam, which mlp_generic.go and
// mlp_simd.go define: they are faster and may sum in another order.

// mulPlain adds x W to y: y[r,j] += Σ_i x[r,i] W[i,j].
func (m *weights) mulPlain(y, x []float64) {
	for ; len(x) > 0; x, y = x[m.in:], y[m.out:] {
		for i := range m.in {
			for j := range m.out {
				y[j] += x[i] * m.w[i*m.out+j]
			}
		}
	}
}

// mulTPlain sets dx to dy Wᵀ where h is not 0, and to 0 elsewhere: dx[r,i] = Σ_j dy[r,j] W[i,j] · 1[h[r,i] ≠ 0].
func (m *weights) mulTPlain(dx, dy, h []float64) {
	clear(dx)
	for ; len(dx) > 0; dx, dy, h = dx[m.in:], dy[m.out:], h[m.in:] {
		for i := range m.in {
			for j := range m.out {
				if h[i] != 0 {
					dx[i] += dy[j] * m.w[i*m.out+j]
				}
			}
		}
	}
}

// addOuterPlain adds rows lo ≤ i < hi of xᵀ dy to those of dW: dW[i,j] += Σ_r x[r,i] dy[r,j]. Rows of x have in
// numbers, rows of dy have out.
func addOuterPlain(dW, x, dy []float64, in, out, lo, hi int) {
	for ; len(x) > 0; x, dy = x[in:], dy[out:] {
		for i := lo; i < hi; i++ {
			for j := range out {
				dW[i*out+j] += x[i] * dy[j]
			}
		}
	}
}

// reluPlain is the ReLU: y ← max(y, 0).
func reluPlain(y []float64) {
	for j, v := range y {
		y[j] = max(v, 0)
	}
}

// maskPlain makes t 0 where h is 0.
func maskPlain(t, h []float64) {
	for j, v := range h {
		if v == 0 {
			t[j] = 0
		}
	}
}

// add is y ← y + x.
func add(y, x []float64) {
	for j, v := range x {
		y[j] += v
	}
}

// sumRowsPlain adds some rows of w to y, which is as long as they are: y ← y + Σ_k w[k,:].
func sumRowsPlain(y, w []float64, rows []int32) {
	for _, k := range rows {
		add(y, w[int(k)*len(y):][:len(y)])
	}
}

// Adam is the optimiser of Kingma & Ba (2015), with β₁ = 0.9, β₂ = 0.999, ε = 1e-8. At step t with gradient g
//
//	m ← β₁m + (1−β₁)g    v ← β₂v + (1−β₂)g²
//	θ ← θ − lr · m/(1−β₁ᵗ) / (√(v/(1−β₂ᵗ)) + ε)
type Adam struct {
	M, V []float64
	T    int // steps so far
}

const beta1, beta2, adamEpsilon = 0.9, 0.999, 1e-8

// NewAdam returns the optimiser's state for n parameters before the first step.
func NewAdam(n int) Adam { return Adam{make([]float64, n), make([]float64, n), 0} }

// Update moves params one step down grad.
func (a *Adam) Update(params, grad []float64, lr float64) {
	a.T++
	adam(params, grad, a.M, a.V, lr, a.T)
}

// adamPlain is step t of Adam on some of the parameters p.
func adamPlain(p, g, m, v []float64, lr float64, t int) {
	correct1, correct2 := 1/(1-math.Pow(beta1, float64(t))), 1/(1-math.Pow(beta2, float64(t)))
	for i := range p {
		m[i] = beta1*m[i] + (1-beta1)*g[i]
		v[i] = beta2*v[i] + (1-beta2)*g[i]*g[i]
		p[i] -= lr * (m[i] * correct1) / (math.Sqrt(v[i]*correct2) + adamEpsilon)
	}
}

// finiteGrad says whether every entry of Grad has a finite square, which Adam takes.
func (n *Net) finiteGrad() bool {
	var broken atomic.Bool
	parallel(n.workers, len(n.Grad), 1<<14, func(lo, hi int) {
		for _, g := range n.Grad[lo:hi] {
			if !(math.Abs(g) < 1e150) {
				broken.Store(true)
			}
		}
	})
	return !broken.Load()
}

// Step scales Grad to a norm of at most clip if clip > 0, moves the parameters down it by [Adam], and clears it.
func (n *Net) Step(lr, clip float64) {
	Clip(n.Grad, clip)
	n.T++
	parallel(n.workers, len(n.Params), 1<<14, func(lo, hi int) {
		adam(n.Params[lo:hi], n.Grad[lo:hi], n.M[lo:hi], n.V[lo:hi], lr, n.T)
		clear(n.Grad[lo:hi])
	})
}

// Clip scales g to Euclidean norm c if its norm is larger; c ≤ 0 leaves it.
func Clip(g []float64, c float64) {
	if c <= 0 {
		return
	}
	if norm := math.Sqrt(dot(g, g)); norm > c {
		for i := range g {
			g[i] *= c / norm
		}
	}
}

// parallel calls f on pieces of at most size rows that cover 0 ≤ i < n, as many for each worker. The caller and up to
// workers − 1 helpers take the next piece whenever they are free. f must give the same numbers for any pieces. If f
// panics, parallel panics with the same value once all pieces are done.
func parallel(workers, n, size int, f func(lo, hi int)) {
	workers = min(workers, runtime.GOMAXPROCS(0))
	each := max(1, (n+workers*size-1)/(workers*size))
	size = (n + workers*each - 1) / (workers * each)
	if workers == 1 || size >= n {
		for lo := 0; lo < n; lo += size {
			f(lo, min(lo+size, n))
		}
		return
	}
	var taken, done atomic.Int64 // rows that someone has begun, and that are finished
	var broken atomic.Pointer[any]
	end := make(chan struct{})
	piece := func(lo, hi int) {
		defer func() {
			if p := recover(); p != nil {
				broken.Store(&p)
			}
			if done.Add(int64(hi-lo)) == int64(n) {
				close(end)
			}
		}()
		f(lo, hi)
	}
	var work func()
	work = func() {
		for {
			lo := int(taken.Add(int64(size))) - size
			hi := min(lo+size, n)
			if hi == n {
				waiting.CompareAndSwap(&work, nil) // nothing is left to take
			}
			if lo >= n {
				return
			}
			piece(lo, hi)
		}
	}
	waiting.Store(&work)
	for helpers.Load() < int64(workers-1) {
		helpers.Add(1)
		go help()
	}
	work()
	if !soon(func() bool { return done.Load() == int64(n) }) {
		<-end
	}
	if p := broken.Load(); p != nil {
		panic(*p)
	}
}

var waiting atomic.Pointer[func()] // work that has pieces to take
var helpers atomic.Int64           // goroutines that run help

// help joins in the work of whoever calls parallel, until nobody has for a while.
func help() {
	for soon(func() bool { return waiting.Load() != nil }) {
		if work := waiting.Load(); work != nil {
			(*work)()
		}
	}
	helpers.Add(-1)
}

// soon waits until ready, 200 µs at most, and says whether it is. Most calls of parallel follow each other faster than
// a goroutine wakes, or comes back when it has yielded. Waiting longer would use up this process's share of a busy
// machine.
func soon(ready func() bool) bool {
	for begin := time.Now(); !ready(); {
		if time.Since(begin) > 200*time.Microsecond {
			return false
		}
	}
	return true
}
