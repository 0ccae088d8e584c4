//go:build !goexperiment.simd || !amd64

package gfn

import (
	"math"
	"sync"
)

// The products of this build are plain loops, unrolled, that skip the zeros which the ReLU leaves. Each number is a sum
// in an order that depends on nothing but the zeros of its own row.

// extra is what products keep beside a matrix: nothing.
type extra struct{}

func (extra) prepare(workers int) {}

// chunk is the number of entries of a row that are compacted together.
const chunk = 256

// terms are the non-zero entries of a chunk: their places and their values.
type terms struct {
	k [chunk]int32
	x [chunk]float64
}

// compact sets t to the non-zero entries of x and returns them.
func (t *terms) compact(x []float64) (k []int32, v []float64) {
	n := uint(0) // signed, the remainder would cost four instructions
	for i, value := range x[:min(len(x), chunk)] {
		t.k[n%chunk], t.x[n%chunk] = int32(i), value
		if math.Float64bits(value) != 0 { // −0 is a term too: integers are compared without a branch
			n++
		}
	}
	return t.k[:n], t.x[:n]
}

func (m *weights) mul(y, x []float64) {
	var t terms
	for ; len(x) > 0; x, y = x[m.in:], y[m.out:] {
		for lo := 0; lo < m.in; lo += chunk {
			k, v := t.compact(x[lo:m.in])
			addRows(y[:m.out], m.w[lo*m.out:], k, v)
		}
	}
}

func (m *weights) mulT(dx, dy, h []float64) {
	var open, t terms
	clear(dx)
	for ; len(dx) > 0; dx, dy, h = dx[m.in:], dy[m.out:], h[m.in:] {
		for lo := 0; lo < m.out; lo += chunk {
			width := min(chunk, m.out-lo)
			j, v := t.compact(dy[lo:m.out])
			for first := 0; first < m.in; first += chunk {
				i, _ := open.compact(h[first:m.in])
				addDots(dx[first:], i, m.w[first*m.out+lo:], width, m.out, j, v)
			}
		}
	}
}

// packed are the columns of a block of rows of dy that are not all 0: many units are shut on all of them.
type packed struct {
	any     []uint64 // by column: the bits that are set in some row
	live    []int32  // by column: its place in dy
	dy, sum []float64
}

var packs = sync.Pool{New: func() any { return new(packed) }}

// pack sets p to the columns of the given rows of dy, out numbers wide.
func (p *packed) pack(dy []float64, rows, out int) {
	p.any, p.live = resize(p.any, out), p.live[:0]
	clear(p.any)
	for r := range rows {
		some := p.any[:out] // so long that the loop checks no bounds
		for j, v := range dy[r*out:][:out] {
			some[j] |= math.Float64bits(v)
		}
	}
	for j, some := range p.any {
		if some != 0 {
			p.live = append(p.live, int32(j))
		}
	}
	n := len(p.live)
	p.dy, p.sum = resize(p.dy, rows*n), resize(p.sum, n)
	for r := range rows {
		row, packed := dy[r*out:][:out], p.dy[r*n:][:n]
		for k, j := range p.live {
			packed[k] = row[j]
		}
	}
}

func addOuter(dW, x, dy []float64, in, out, lo, hi int) {
	p := packs.Get().(*packed)
	defer packs.Put(p)
	var column [block]float64
	var t terms
	for len(x) > 0 {
		rows := min(block, len(x)/in)
		p.pack(dy, rows, out)
		for i := lo; i < hi; i++ {
			for r := range rows {
				column[r] = x[r*in+i]
			}
			k, v := t.compact(column[:rows])
			clear(p.sum)
			addRows(p.sum, p.dy, k, v)
			row := dW[i*out:][:out]
			for k, j := range p.live {
				row[j] += p.sum[k]
			}
		}
		x, dy = x[rows*in:], dy[rows*out:]
	}
}

func relu(y []float64)                             { reluPlain(y) }
func mask(t, h []float64)                          { maskPlain(t, h[:len(t)]) }
func adam(p, g, m, v []float64, lr float64, t int) { adamPlain(p, g, m, v, lr, t) }

// addRows adds Σ_k x[k] W[idx[k],:] to y, eight rows of W at a time: y is then read and written an eighth as often. It
// completes a last four by the last row times 0, for which idx and x have room.
func addRows(y, w []float64, idx []int32, x []float64) {
	n := len(y)
	row := func(k int) []float64 { return w[int(idx[k])*n:][:n] }
	for len(idx)%4 > 0 { // another row might not be finite
		idx, x = append(idx, idx[len(idx)-1]), append(x, 0)
	}
	x = x[:len(idx)]
	for len(idx) >= 8 && len(x) >= 8 {
		axpy8(y, row(0), row(1), row(2), row(3), row(4), row(5), row(6), row(7),
			x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7])
		idx, x = idx[8:], x[8:]
	}
	if len(idx) >= 4 && len(x) >= 4 {
		axpy4(y, row(0), row(1), row(2), row(3), x[0], x[1], x[2], x[3])
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

// sumRows is [sumRowsPlain], eight rows of w at a time.
func sumRows(y, w []float64, rows []int32) {
	row := func(k int) []float64 { return w[int(rows[k])*len(y):][:len(y)] }
	for ; len(rows) >= 8; rows = rows[8:] {
		add8(y, row(0), row(1), row(2), row(3), row(4), row(5), row(6), row(7))
	}
	for k := range rows {
		add(y, row(k))
	}
}

func add8(y, w0, w1, w2, w3, w4, w5, w6, w7 []float64) {
	n := len(y)
	w0, w1, w2, w3, w4, w5, w6, w7 = w0[:n], w1[:n], w2[:n], w3[:n], w4[:n], w5[:n], w6[:n], w7[:n]
	for j := range y {
		y[j] += (w0[j] + w1[j]) + (w2[j] + w3[j]) + ((w4[j] + w5[j]) + (w6[j] + w7[j]))
	}
}

// addDots adds Σ_k dy[k] W[i,jdx[k]] to dx[i] for each i of idx, six rows of W at a time: more sums have no registers.
// Each row of W is width long, and the next one begins stride numbers behind it.
func addDots(dx []float64, idx []int32, w []float64, width, stride int, jdx []int32, dy []float64) {
	for len(idx) > 0 {
		var rows [6][]float64
		some := min(len(rows), len(idx))
		for r := range rows { // the last row stands for those that are not there
			rows[r] = w[int(idx[min(r, some-1)])*stride:][:width]
		}
		sums := dot6(rows, jdx, dy)
		for r, i := range idx[:some] {
			dx[i] += sums[r]
		}
		idx = idx[some:]
	}
}

func dot6(w [6][]float64, jdx []int32, dy []float64) [6]float64 {
	w0, n := w[0], len(w[0])
	w1, w2, w3, w4, w5 := w[1][:n], w[2][:n], w[3][:n], w[4][:n], w[5][:n]
	dy = dy[:len(jdx)]
	var s0, s1, s2, s3, s4, s5 float64
	for k, j := range jdx {
		v := dy[k]
		s0 += v * w0[j]
		s1 += v * w1[j]
		s2 += v * w2[j]
		s3 += v * w3[j]
		s4 += v * w4[j]
		s5 += v * w5[j]
	}
	return [6]float64{s0, s1, s2, s3, s4, s5}
}
