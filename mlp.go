package gfn

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// MLP is a multilayer perceptron with ReLU between its layers and none after
// the last, any number of hidden layers including none:
//
//	h₀ = the 0/1 features    h_l = relu(h_{l−1} W_l + b_l)    y = h_{L−1} W_L + b_L
//
// Params holds W₁ b₁ W₂ b₂ …, each W_l as Sizes[l−1] rows of Sizes[l] numbers:
// one row an input, so that a product with a sparse h is a sum of few rows.
type MLP struct {
	Sizes  []int // features, hidden…, outputs
	Params []float64
}

// NewMLP returns an MLP with weights and biases of layer l uniform in
// ±1/√Sizes[l−1], the initialisation that the authors' code uses.
func NewMLP(rng *rand.PCG, sizes ...int) MLP {
	m := MLP{slices.Clone(sizes), make([]float64, parameters(sizes))}
	for l := 1; l < len(sizes); l++ {
		w, b := m.layer(m.Params, l)
		bound := 1 / math.Sqrt(float64(sizes[l-1]))
		for i := range w {
			w[i] = (2*uniform01(rng) - 1) * bound
		}
		for i := range b {
			b[i] = (2*uniform01(rng) - 1) * bound
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

// layer returns the parts of p, laid out as Params are, that belong to W_l and to b_l.
func (m *MLP) layer(p []float64, l int) (w, b []float64) {
	rows, n := m.stacked(p, l), m.Sizes[l-1]*m.Sizes[l]
	return rows[:n], rows[n:]
}

// stacked returns W_l and b_l as one: Sizes[l−1] + 1 rows of Sizes[l] numbers, b_l the last.
func (m *MLP) stacked(p []float64, l int) []float64 {
	for i := 1; i < l; i++ {
		p = p[(m.Sizes[i-1]+1)*m.Sizes[i]:]
	}
	return p[:(m.Sizes[l-1]+1)*m.Sizes[l]]
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

// slots returns the first slot of each row and the output that each slot reads; no starts for the
// scalar head.
func (h Head) slots(st *States) (start, output []int32) {
	switch h {
	case ForwardHead, EdgeHead:
		return st.FStart, st.FAction
	case BackwardHead:
		return st.BStart, st.BAction
	}
	return nil, nil
}

// sizes returns the layers of a network with this head.
func (h Head) sizes(shape Shape, hidden []int) []int {
	out := map[Head]int{ForwardHead: shape.Forward, BackwardHead: shape.Backward, ScalarHead: 1, EdgeHead: shape.Forward}[h]
	return slices.Concat([]int{shape.Features}, hidden, []int{out})
}

// Net is an [MLP] on the states of a batch or a graph, read by a head: with y the outputs, z = Scale · y,
//
//	log p_a = z_a − LSE, LSE = log Σ_b exp z_b over a state's legal actions    (ForwardHead, BackwardHead)
//	log F_a = z_a, LSE the log out-flow                                        (EdgeHead)
//	log F or V = z = LSE                                                       (ScalarHead)
//
// Eval keeps every row's hidden values; Backward accumulates the gradient of cotangents on them; Step is Adam's. A row's
// output does not depend on the rows beside it, and each entry of the gradient is summed by one owner in the order of the
// rows, so that nothing depends on the number of workers.
type Net struct {
	MLP
	Adam
	Head  Head
	Scale float64   // 1; 1/α where the outputs are values V or Q and the head reads V/α or Q/α
	Grad  []float64 // as Params
	LSE   []float64 // by row, after Eval

	pool    *pool
	st      *States
	h, d    [][]float64 // by layer 1…L, rows × Sizes[l]: values and their cotangents
	weights []operand   // by layer: W_l as products read it
	work    []scratch   // by worker

	direction, cotangents []operand // by layer, as products read them: JVP's part of W_l, and d

	// arguments of the passes that the pool runs
	layerNow int
	packing  *operand
	ctx      context.Context
	dst      []float64
	dLog     []float64
	dLSE     []float64
	v        []float64
	rate     adamRate
}

// scratch is a worker's own memory.
type scratch struct {
	idx  []int32
	val  []float64
	jdx  []int32
	dy   []float64
	h, t [][]float64 // values and tangents of a block of rows
	lse  []float64
	ones []float64
	compacted
}

// NewNet returns a network for environments of the given shape, which runs on its caller's
// goroutine.
func NewNet(rng *rand.PCG, shape Shape, head Head, hidden []int) *Net {
	return newNet(rng, shape, head, hidden, nil)
}

func newNet(rng *rand.PCG, shape Shape, head Head, hidden []int, p *pool) *Net {
	sizes := head.sizes(shape, hidden)
	n := &Net{MLP: NewMLP(rng, sizes...), Head: head, Scale: 1, pool: p}
	n.Grad = make([]float64, len(n.Params))
	n.Adam = NewAdam(len(n.Params))
	layers := len(n.Sizes)
	n.h, n.d = make([][]float64, layers), make([][]float64, layers)
	for _, w := range []*[]operand{&n.weights, &n.direction, &n.cotangents} {
		*w = make([]operand, layers)
	}
	n.work = make([]scratch, p.workers())
	return n
}

// scratch returns a worker's own memory.
func (n *Net) scratch(worker int) *scratch {
	w := &n.work[worker]
	if w.idx == nil {
		widest := max(block, slices.Max(n.Sizes[1:]))
		w.idx, w.val, w.jdx, w.dy = make([]int32, widest), make([]float64, widest), make([]int32, widest), make([]float64, widest)
		w.h, w.t, w.lse = n.rows(block), n.rows(block), make([]float64, block)
	}
	return w
}

// rows returns room for r rows of every layer's values.
func (n *Net) rows(r int) [][]float64 {
	h := make([][]float64, len(n.Sizes))
	for l := 1; l < len(h); l++ {
		h[l] = make([]float64, r*n.Sizes[l])
	}
	return h
}

// block is the number of rows that are handled together: a block of cotangents 256 wide fits a
// second-level cache.
const block = 64

// Eval writes the head's values on rows lo ≤ i < hi of st to dst, by slot (by row for the scalar
// head), and keeps what Backward needs. It is a [Policy]. Rows are evaluated in order: lo is 0, or
// the former hi, and from there to Backward the parameters stay as they are.
func (n *Net) Eval(st *States, lo, hi int, dst []float64) {
	if lo == 0 {
		n.LSE = n.LSE[:0]
		n.pack(n.weights, n.Params, false)
	}
	if len(n.LSE) != lo || lo > 0 && n.st != st {
		panic(fmt.Sprintf("gfn: Net.Eval: rows from %d follow %d rows, or those of other states", lo, len(n.LSE)))
	}
	n.st, n.dst = st, dst
	n.LSE = resize(n.LSE, hi)
	for l := 1; l < len(n.h); l++ {
		n.h[l] = resize(n.h[l], hi*n.Sizes[l])
	}
	each := (hi - lo + n.pool.workers() - 1) / n.pool.workers()
	n.pool.run(n, (*Net).evalRows, lo, hi, min(block, each)) // few rows in a piece for each worker: each piece reads all weights
}

// pack readies W_l of all layers but the first, laid out in p as Params are, for products, or its transposed.
func (n *Net) pack(w []operand, p []float64, transposed bool) {
	for l := 2; l < len(w); l++ {
		w[l].in, w[l].out = n.Sizes[l-1], n.Sizes[l]
		w[l].w, _ = n.layer(p, l)
		if !packs {
			continue
		}
		w[l].room(transposed)
		pass := (*Net).packRows
		if transposed {
			pass = (*Net).packColumns
		}
		n.packing = &w[l]
		n.pool.run(n, pass, 0, w[l].in, 64)
	}
}

func (n *Net) packRows(_, _, lo, hi int) { n.packing.pack(lo, hi) }
func (n *Net) packColumns(worker, _, lo, hi int) {
	n.packing.packT(&n.scratch(worker).compacted, lo, hi)
}

func (n *Net) evalRows(worker, first, lo, hi int) {
	w := n.scratch(worker)
	n.forward(w, n.h, lo, hi, 0)
	n.read(n.st, n.h[len(n.h)-1], n.LSE, n.dst, first, lo, hi, 0)
}

// Table returns the head's values on all rows of st and keeps nothing: for graphs of any size.
func (n *Net) Table(st *States) []float64 {
	y, _ := n.table(context.Background(), st)
	return y
}

// table is Table until ctx is done; the error is ctx's.
func (n *Net) table(ctx context.Context, st *States) ([]float64, error) {
	size := st.Len()
	if start, _ := n.Head.slots(st); start != nil {
		size = int(start[st.Len()])
	}
	defer func(st *States) { n.st = st }(n.st) // that of the rows evaluated
	n.st, n.dst, n.ctx = st, make([]float64, size), ctx
	n.pack(n.weights, n.Params, false)
	n.pool.run(n, (*Net).tableRows, 0, st.Len(), block)
	return n.dst, ctx.Err()
}

func (n *Net) tableRows(worker, _, lo, hi int) {
	w := n.scratch(worker)
	for ; lo < hi && n.ctx.Err() == nil; lo += block {
		end := min(lo+block, hi)
		n.forward(w, w.h, lo, end, lo)
		n.read(n.st, w.h[len(w.h)-1], w.lse, n.dst, 0, lo, end, lo)
	}
}

// forward computes the values of all layers for rows lo ≤ i < hi into h, whose first row is row base.
func (n *Net) forward(w *scratch, h [][]float64, lo, hi, base int) {
	last := len(n.Sizes) - 1
	for l := 1; l <= last; l++ {
		weights, bias := n.layer(n.Params, l)
		out := n.Sizes[l]
		y := h[l][(lo-base)*out : (hi-base)*out]
		for row := lo; row < hi; row++ {
			y := y[(row-lo)*out:][:out]
			copy(y, bias)
			if l == 1 {
				n.gather(y, weights, row)
			}
		}
		if l > 1 {
			in := n.Sizes[l-1]
			n.weights[l].mul(w, y, h[l-1][(lo-base)*in:(hi-base)*in])
		}
		if l < last {
			relu(y)
		}
	}
}

// gather adds the product of a row's features, which are 0 or 1, and W₁ to y: a sum of rows.
func (n *Net) gather(y, weights []float64, row int) {
	for _, x := range n.st.X[n.st.XStart[row]:n.st.XStart[row+1]] {
		add(y, weights[int(x)*len(y):][:len(y)])
	}
}

// read turns outputs into the head's values for rows lo ≤ i < hi. out and lse start at row base,
// dst at row first.
func (n *Net) read(st *States, out, lse, dst []float64, first, lo, hi, base int) {
	start, output := n.Head.slots(st)
	width := n.Sizes[len(n.Sizes)-1]
	for row := lo; row < hi; row++ {
		y := out[(row-base)*width:][:width]
		if start == nil {
			dst[row-first], lse[row-base] = n.Scale*y[0], n.Scale*y[0]
			continue
		}
		values := dst[start[row]-start[first] : start[row+1]-start[first]]
		for k, a := range output[start[row]:start[row+1]] {
			values[k] = n.Scale * y[a]
		}
		if lse[row-base] = LogSumExp(values); n.Head == EdgeHead {
			continue
		}
		for k := range values {
			values[k] -= lse[row-base]
		}
	}
}

// Backward adds to Grad the gradient of Σ dLog·(the head's values) + Σ dLSE·LSE over the rows
// evaluated so far. dLSE may be nil. With p the probabilities of a row's slots, softmax z, the cotangent of
// the output y_a = z_a/Scale of slot a is Scale times
//
//	dLog_a − p_a Σ_b dLog_b + p_a dLSE    (EdgeHead: dLog_a + p_a dLSE)
func (n *Net) Backward(dLog, dLSE []float64) {
	rows, last := len(n.LSE), len(n.Sizes)-1
	n.pack(n.weights, n.Params, true)
	for l := 1; l <= last; l++ {
		n.d[l] = resize(n.d[l], rows*n.Sizes[l])
		c := &n.cotangents[l]
		c.in, c.out, c.w = rows, n.Sizes[l], n.d[l]
		c.room(false)
	}
	n.dLog, n.dLSE = dLog, dLSE
	n.pool.run(n, (*Net).backwardRows, 0, rows, 4)
	for n.layerNow = last; n.layerNow > 1; n.layerNow-- {
		n.pool.run(n, (*Net).weightRows, 0, n.Sizes[n.layerNow-1]+1, 8)
	}
	n.pool.run(n, (*Net).columns, 0, n.Sizes[1], max(32, n.Sizes[1]/(2*n.pool.workers())))
}

// backwardRows computes the cotangents of all layers for rows lo ≤ i < hi:
//
//	dh_{l−1} = (dh_l W_lᵀ) · 1[h_{l−1} > 0]
func (n *Net) backwardRows(worker, _, lo, hi int) {
	w, last := n.scratch(worker), len(n.Sizes)-1
	for row := lo; row < hi; row++ {
		n.readBackward(row, n.d[last][row*n.Sizes[last]:][:n.Sizes[last]])
	}
	for l := last; l > 1; l-- {
		in, out := n.Sizes[l-1], n.Sizes[l]
		n.cotangents[l].pack(lo, hi)
		n.weights[l].mulT(w, n.d[l-1][lo*in:hi*in], n.d[l][lo*out:hi*out], n.h[l-1][lo*in:hi*in])
	}
}

// readBackward writes the cotangents of a row's outputs.
func (n *Net) readBackward(row int, dy []float64) {
	start, output := n.Head.slots(n.st)
	if start == nil {
		dy[0] = n.Scale * n.dLog[row]
		return
	}
	clear(dy)
	lo, hi := start[row], start[row+1]
	sum := 0.0 // Σ_b dLog_b − dLSE
	if n.Head != EdgeHead {
		for _, d := range n.dLog[lo:hi] {
			sum += d
		}
	}
	if n.dLSE != nil {
		sum -= n.dLSE[row]
	}
	y := n.h[len(n.h)-1][row*len(dy):][:len(dy)]
	for k := lo; k < hi; k++ {
		a := output[k]
		dy[a] = n.Scale * (n.dLog[k] - math.Exp(n.Scale*y[a]-n.LSE[row])*sum)
	}
}

// weightRows adds to rows lo ≤ i < hi of dW_l: dW_l[i,:] += Σ_row h_{l−1}[row,i] dh_l[row,:]. The biases are the row
// behind them, of an input that is always 1.
func (n *Net) weightRows(worker, _, lo, hi int) {
	w, l := n.scratch(worker), n.layerNow
	in, out, dh := n.Sizes[l-1], n.Sizes[l], &n.cotangents[l]
	dW := n.stacked(n.Grad, l)
	dh.mulColumns(w, dW, n.h[l-1], in, lo, min(hi, in))
	if hi > in {
		for len(w.ones) < dh.in {
			w.ones = append(w.ones, 1)
		}
		dh.mulColumns(w, dW[in*out:], w.ones, 1, 0, 1)
	}
}

// columns adds to the columns lo ≤ j < hi of the first layer's gradient, of its biases and, block by block of rows, of
// those of the active features: the biases' sums, which wait for nothing, bring a block near, half of which other
// workers wrote.
func (n *Net) columns(_, _, lo, hi int) {
	dW, db := n.layer(n.Grad, 1)
	out, st := n.Sizes[1], n.st
	dy := func(row int) []float64 { return n.d[1][row*out:][:out][lo:hi] }
	for first := 0; first < len(n.LSE); first += block {
		end := min(first+block, len(n.LSE))
		for row := first; row < end; row++ {
			add(db[lo:hi], dy(row))
		}
		for row := first; row < end; row++ {
			for _, x := range st.X[st.XStart[row]:st.XStart[row+1]] {
				add(dW[int(x)*out:][:out][lo:hi], dy(row))
			}
		}
	}
}

// JVP writes the derivative of the head's values on the rows evaluated so far, in
// direction v of the parameters (forward mode): dst is laid out as the values
// that Eval wrote. With ẏ that of the outputs and ż = Scale · ẏ, that of log p_a is ż_a − Σ_b p_b ż_b, and
// ż_a for heads that do not normalise.
func (n *Net) JVP(v, dst []float64) {
	n.dst, n.v = dst, v
	n.pack(n.weights, n.Params, false)
	n.pack(n.direction, v, false)
	n.pool.run(n, (*Net).jvpRows, 0, len(n.LSE), 4)
}

func (n *Net) jvpRows(worker, _, lo, hi int) {
	w := n.scratch(worker)
	for ; lo < hi; lo += block {
		n.jvpBlock(w, lo, min(lo+block, hi))
	}
}

func (n *Net) jvpBlock(w *scratch, lo, hi int) {
	last := len(n.Sizes) - 1
	for l := 1; l <= last; l++ {
		dWeights, dBias := n.layer(n.v, l)
		out := n.Sizes[l]
		t := w.t[l][:(hi-lo)*out]
		for row := lo; row < hi; row++ {
			t := t[(row-lo)*out:][:out]
			copy(t, dBias)
			if l == 1 {
				n.gather(t, dWeights, row)
			}
		}
		if l > 1 { // the features have no derivative
			in := n.Sizes[l-1]
			n.direction[l].mul(w, t, n.h[l-1][lo*in:hi*in])
			n.weights[l].mul(w, t, w.t[l-1][:(hi-lo)*in])
		}
		if l < last {
			mask(t, n.h[l][lo*out:hi*out])
		}
	}
	start, output := n.Head.slots(n.st)
	for row := lo; row < hi; row++ {
		width := n.Sizes[last]
		t := w.t[last][(row-lo)*width:][:width]
		if start == nil {
			n.dst[row] = n.Scale * t[0]
			continue
		}
		y := n.h[last][row*width:]
		mean := 0.0
		if n.Head != EdgeHead {
			for _, k := range output[start[row]:start[row+1]] {
				mean += math.Exp(n.Scale*y[k]-n.LSE[row]) * t[k]
			}
		}
		for k := start[row]; k < start[row+1]; k++ {
			n.dst[k] = n.Scale * (t[output[k]] - mean)
		}
	}
}

// operand is the matrix of a layer's products: W_l, or the cotangents of its values.
type operand struct {
	in, out int
	w       []float64 // W, in rows of out numbers
	packed            // what the kernels of a build keep beside it
}

// The portable kernels. A build may have faster ones, called the same without the last word; all of them
// skip the zeros of x.

// mulPortable adds the products of rows of x and W to those of y: y_r += x_r W.
func (m *operand) mulPortable(w *scratch, y, x []float64) {
	for ; len(x) > 0; x, y = x[m.in:], y[m.out:] {
		idx, val := nonZero(w.idx, w.val, x[:m.in])
		addRows(y[:m.out], m.w, idx, val)
	}
}

// mulTPortable writes the products of rows of dy and Wᵀ to those of dx where h is not 0, and 0 elsewhere:
// dx_r = (dy_r Wᵀ) · 1[h_r ≠ 0].
func (m *operand) mulTPortable(w *scratch, dx, dy, h []float64) {
	clear(dx)
	for ; len(dy) > 0; dx, dy, h = dx[m.in:], dy[m.out:], h[m.in:] {
		idx, _ := nonZero(w.idx, w.val, h[:m.in])
		jdx, y := nonZero(w.jdx, w.dy, dy[:m.out]) // where the ReLU above let nothing through, nothing comes back
		dotRows(dx[:m.in], idx, m.w, m.out, jdx, y)
	}
}

// mulColumnsPortable adds the products of columns lo ≤ i < hi of x, which is width numbers wide, and W to rows
// of y, block by block of rows: y_i += Σ_r x[r,i] W[r,:].
func (m *operand) mulColumnsPortable(w *scratch, y, x []float64, width, lo, hi int) {
	for first := 0; first < m.in; first += block {
		end := min(first+block, m.in)
		for i := lo; i < hi; i++ {
			idx, val := w.idx[:block], w.val[:block]
			k := 0
			for row := first; row < end; row++ {
				v := x[row*width+i]
				idx[k], val[k] = int32(row), v
				if math.Float64bits(v) != 0 {
					k++
				}
			}
			addRows(y[i*m.out:][:m.out], m.w, idx[:k], val[:k])
		}
	}
}

// reluPortable is the ReLU: y ← max(y, 0).
func reluPortable(y []float64) {
	for j, v := range y {
		y[j] = max(v, 0)
	}
}

// maskPortable makes t 0 where h is: dy · 1[h ≠ 0].
func maskPortable(t, h []float64) {
	t = t[:len(h)]
	for j, v := range h {
		if v == 0 {
			t[j] = 0
		}
	}
}

// addPortable is y ← y + x.
func addPortable(y, x []float64) {
	y = y[:len(x)]
	for j, v := range x {
		y[j] += v
	}
}

// nonZero compacts the non-zero entries of h: their places and their values.
func nonZero(idx []int32, val, h []float64) ([]int32, []float64) {
	idx, val = idx[:len(h)], val[:len(h)]
	k := 0
	for i, v := range h {
		idx[k], val[k] = int32(i), v
		if math.Float64bits(v) != 0 { // also −0: of two integers without a branch
			k++
		}
	}
	return idx[:k], val[:k]
}

// addRows adds Σ_k x[k] W[idx[k],:] to y, eight rows of W at a time: y is then read and written an eighth as
// often.
func addRows(y, w []float64, idx []int32, x []float64) {
	n := len(y)
	row := func(k int) []float64 { return w[int(idx[k])*n:][:n] }
	x = x[:len(idx)]
	for len(idx) >= 8 && len(x) >= 8 {
		axpy8(y, row(0), row(1), row(2), row(3), row(4), row(5), row(6), row(7), x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7])
		idx, x = idx[8:], x[8:]
	}
	if len(idx) >= 4 && len(x) >= 4 {
		axpy4(y, row(0), row(1), row(2), row(3), x[0], x[1], x[2], x[3])
		idx, x = idx[4:], x[4:]
	}
	for k := range idx {
		axpy(y, row(k), x[k])
	}
}

func axpy8(y, w0, w1, w2, w3, w4, w5, w6, w7 []float64, a0, a1, a2, a3, a4, a5, a6, a7 float64) {
	n := len(y)
	w0, w1, w2, w3, w4, w5, w6, w7 = w0[:n], w1[:n], w2[:n], w3[:n], w4[:n], w5[:n], w6[:n], w7[:n]
	for j := range y {
		y[j] += (a0*w0[j] + a1*w1[j]) + (a2*w2[j] + a3*w3[j]) + ((a4*w4[j] + a5*w5[j]) + (a6*w6[j] + a7*w7[j]))
	}
}

func axpy4(y, w0, w1, w2, w3 []float64, a0, a1, a2, a3 float64) {
	w0, w1, w2, w3 = w0[:len(y)], w1[:len(y)], w2[:len(y)], w3[:len(y)]
	for j := range y {
		y[j] += (a0*w0[j] + a1*w1[j]) + (a2*w2[j] + a3*w3[j])
	}
}

func axpy(y, w []float64, a float64) {
	w = w[:len(y)]
	for j := range y {
		y[j] += a * w[j]
	}
}

// dotRows writes the products Σ_k dy[k] W[i,jdx[k]] to dx[i] for each i of idx, four rows of W, of n
// columns, at a time.
func dotRows(dx []float64, idx []int32, w []float64, n int, jdx []int32, dy []float64) {
	for len(idx) >= 4 {
		i0, i1, i2, i3 := int(idx[0]), int(idx[1]), int(idx[2]), int(idx[3])
		dx[i0], dx[i1], dx[i2], dx[i3] = dot4(w[i0*n:][:n], w[i1*n:][:n], w[i2*n:][:n], w[i3*n:][:n], jdx, dy)
		idx = idx[4:]
	}
	for _, i := range idx {
		row, s := w[int(i)*n:][:n], 0.0
		for k, j := range jdx {
			s += dy[k] * row[j]
		}
		dx[i] = s
	}
}

func dot4(w0, w1, w2, w3 []float64, jdx []int32, dy []float64) (s0, s1, s2, s3 float64) {
	w1, w2, w3, dy = w1[:len(w0)], w2[:len(w0)], w3[:len(w0)], dy[:len(jdx)]
	for k, j := range jdx {
		v := dy[k]
		s0 += v * w0[j]
		s1 += v * w1[j]
		s2 += v * w2[j]
		s3 += v * w3[j]
	}
	return s0, s1, s2, s3
}

// Adam is the optimiser of Kingma & Ba (2015), with β₁ = 0.9, β₂ = 0.999, ε = 1e-8. At step t with
// gradient g
//
//	m ← β₁m + (1−β₁)g    v ← β₂v + (1−β₂)g²    θ ← θ − lr · m/(1−β₁ᵗ) / (√(v/(1−β₂ᵗ)) + ε)
//
// After [Adam.AMSGrad] it is AMSGrad (Reddi et al. 2018), in which the largest v so far stands in place of the last one:
// steps do not grow again where gradients vanish.
type Adam struct {
	M, V []float64
	Most []float64 // the v that divides: V itself, or its largest values
	T    int
}

const beta1, beta2, adamEpsilon = 0.9, 0.999, 1e-8

// NewAdam returns the optimiser's state for n parameters before the first step.
func NewAdam(n int) Adam {
	v := make([]float64, n)
	return Adam{make([]float64, n), v, v, 0}
}

// AMSGrad makes the optimiser AMSGrad, before its first step.
func (a *Adam) AMSGrad() { a.Most = make([]float64, len(a.V)) }

// adamRate holds what one step shares between parameters.
type adamRate struct{ lr, correct1, correct2 float64 }

// next begins a step: it counts it and returns its bias corrections.
func (a *Adam) next(lr float64) adamRate {
	a.T++
	return adamRate{lr, 1 / (1 - math.Pow(beta1, float64(a.T))), 1 / (1 - math.Pow(beta2, float64(a.T)))}
}

// Update moves params one step down grad.
func (a *Adam) Update(params, grad []float64, lr float64) {
	a.update(params, grad, a.next(lr), 0, len(params))
}

func (a *Adam) update(params, grad []float64, r adamRate, lo, hi int) {
	adam(params[lo:hi], grad[lo:hi], a.M[lo:hi], a.V[lo:hi], a.Most[lo:hi], r)
}

func adamPortable(p, g, m, v, most []float64, r adamRate) {
	g, m, v, most = g[:len(p)], m[:len(p)], v[:len(p)], most[:len(p)]
	for i := range p {
		m[i] = beta1*m[i] + (1-beta1)*g[i]
		v[i] = beta2*v[i] + (1-beta2)*g[i]*g[i]
		most[i] = max(most[i], v[i]) // v[i] itself where they are one
		p[i] -= r.lr * (m[i] * r.correct1) / (math.Sqrt(most[i]*r.correct2) + adamEpsilon)
	}
}

// Step moves the parameters down Grad by [Adam], after scaling Grad to a norm of at most clip where
// clip > 0, and clears Grad.
func (n *Net) Step(lr, clip float64) {
	Clip(n.Grad, clip)
	n.rate = n.next(lr)
	n.pool.run(n, (*Net).stepRange, 0, len(n.Params), 4096)
}

func (n *Net) stepRange(_, _, lo, hi int) {
	n.update(n.Params, n.Grad, n.rate, lo, hi)
	clear(n.Grad[lo:hi])
}

// Clip scales g to Euclidean norm c if its norm is larger; c ≤ 0 leaves it.
func Clip(g []float64, c float64) {
	if c <= 0 {
		return
	}
	sum := 0.0
	for _, v := range g {
		sum += v * v
	}
	if norm := math.Sqrt(sum); norm > c {
		for i := range g {
			g[i] *= c / norm
		}
	}
}

// pool runs passes over rows on several goroutines. Its workers wait between passes and end with
// close. A nil pool runs on the caller's goroutine alone.
type pool struct {
	n     int
	turn  atomic.Uint64 // passes so far: a worker's part begins when it changes
	left  atomic.Int64  // workers that are not done with this one
	beds  []bed         // by worker
	parts []part        // by worker
	done  sync.WaitGroup
	net   *Net
	pass  func(n *Net, worker, first, lo, hi int)
	lo    int
	grain int
	state int // idle, running or closing
}

// bed is where a worker sleeps: one that has stopped looking for a turn, or is about to, is asleep.
type bed struct {
	asleep atomic.Bool
	wake   chan struct{}
}

// part is a worker's part of the rows of a pass: what is left of it.
type part struct {
	next atomic.Int64
	end  int
}

const (
	idle = iota
	running
	closing
)

// patience is how often a goroutine looks for what it waits for before it sleeps, for some 0.2 ms: longer than between
// the passes of two steps of sampling, to which a sleeping one would come 0.1 ms late.
const patience = 2000

// newPool returns a pool of n workers, the caller among them.
func newPool(n int) *pool {
	if n <= 1 {
		return nil
	}
	p := &pool{n: n, beds: make([]bed, n), parts: make([]part, n)}
	for i := range p.beds {
		p.beds[i].wake = make(chan struct{}, 1)
	}
	return p
}

func (p *pool) workers() int {
	if p == nil {
		return 1
	}
	return p.n
}

// run calls pass on pieces of about grain rows, or of a worker's part where that is less, that cover lo ≤ i < hi, and
// waits for all of them. first is lo.
func (p *pool) run(n *Net, pass func(n *Net, worker, first, lo, hi int), lo, hi, grain int) {
	if p == nil || hi-lo <= grain {
		pass(n, 0, lo, lo, hi)
		return
	}
	if p.state == idle {
		p.start()
	}
	p.net, p.pass, p.lo = n, pass, lo
	p.grain = max(grain, (hi-lo)/(4*p.n)) // a few pieces each, so that none waits long for the last
	for i := range p.parts {
		p.parts[i].next.Store(int64(lo + (hi-lo)*i/p.n))
		p.parts[i].end = lo + (hi-lo)*(i+1)/p.n
	}
	p.begin()
	p.share(0)
	p.end()
}

// begin tells the workers that there is something to do, and end waits until all have done it.
func (p *pool) begin() {
	p.left.Store(int64(p.n - 1))
	p.done.Add(p.n - 1)
	p.turn.Add(1)
	for i := range p.beds {
		if p.beds[i].asleep.CompareAndSwap(true, false) {
			p.beds[i].wake <- struct{}{}
		}
	}
}

func (p *pool) end() {
	for i := 0; i < patience && p.left.Load() > 0; i++ {
		runtime.Gosched()
	}
	p.done.Wait()
}

// await returns when the turn is no longer the one seen.
func (p *pool) await(worker int, seen uint64) {
	bed := &p.beds[worker]
	for i := 1; p.turn.Load() == seen; i++ {
		if runtime.Gosched(); i%patience > 0 {
			continue
		}
		bed.asleep.Store(true)
		if p.turn.Load() == seen || !bed.asleep.CompareAndSwap(true, false) {
			<-bed.wake // of this turn's begin, or late from the one before
		}
	}
}

// share runs the pass on a worker's own part, whose rows its cache may hold from the pass before, and then on what is
// left of the others'.
func (p *pool) share(worker int) {
	for i := range p.n {
		part := &p.parts[(worker+i)%p.n]
		for {
			hi := int(part.next.Add(int64(p.grain)))
			lo := hi - p.grain
			if lo >= part.end {
				break
			}
			p.pass(p.net, worker, p.lo, lo, min(hi, part.end))
		}
	}
}

func (p *pool) start() {
	p.state = running
	seen := p.turn.Load()
	for worker := 1; worker < p.n; worker++ {
		go func() {
			for turn := seen; ; turn++ {
				p.await(worker, turn)
				ended := p.state == closing
				if !ended {
					p.share(worker)
				}
				p.left.Add(-1)
				p.done.Done()
				if ended {
					return
				}
			}
		}()
	}
}

// close ends the workers; the next run starts them again.
func (p *pool) close() {
	if p != nil && p.state == running {
		p.state = closing
		p.begin()
		p.end()
		p.state = idle
	}
}
