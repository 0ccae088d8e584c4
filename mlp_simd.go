//go:build goexperiment.simd && amd64

package gfn

import (
	"math"
	"math/bits"
	"simd/archsimd"
	"sync"
)

// The products of this build are made of one kernel, y += Σ_k x_k W[k,:] over the non-zero x_k, for 64 columns of y,
// which it keeps in registers, and at most 64 rows of W: a panel of 32 KiB that stays in a cache while the rows of x go
// by. Each number is a sum in an order that depends on nothing but the zeros of its own row.

const panelSide = 64

type panelRow [panelSide]float64

// extra holds W and Wᵀ in panels: block of rows by block of rows, in each the columns from left to right, in each the
// rows. What a panel has beyond the last column is added up with the rest and goes nowhere.
type extra struct{ straight, turned []panelRow }

// scratch is memory for some rows, or columns, of x.
type scratch struct {
	open   [2 * block]uint64 // which of 64 entries of a row of x are not 0
	tail   panelRow          // the last columns of y, where there are fewer than 64
	panel  [panelSide]panelRow
	turned [2 * block * panelSide]float64
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// panels returns the number of panels side by side in n columns.
func panels(n int) int { return (n + panelSide - 1) / panelSide }

// at returns the place of row k of panel p where the given number stand side by side.
func at(k, p, side int) int { return k/panelSide*panelSide*side + p*panelSide + k%panelSide }

// prepare copies W into its panels.
func (m *weights) prepare(workers int) {
	if !fast() {
		return
	}
	rows := panels(m.in) * panels(m.out) * panelSide
	m.straight, m.turned = resize(m.straight, rows), resize(m.turned, rows)
	parallel(workers, panels(m.in), 2, func(lo, hi int) { m.pack(lo*panelSide, min(hi*panelSide, m.in)) })
}

// pack fills in rows lo ≤ i < hi of W, the columns of Wᵀ. lo is a multiple of 64.
func (m *weights) pack(lo, hi int) {
	w := scratches.Get().(*scratch)
	defer scratches.Put(w)
	side := panels(m.out)
	for i := lo; i < hi; i++ {
		row := m.w[i*m.out:][:m.out]
		for p := range side {
			copy(m.straight[at(i, p, side)][:], row[p*panelSide:])
		}
	}
	side = panels(m.in)
	for ; lo < hi; lo += panelSide {
		columns := min(panelSide, hi-lo)
		for j := 0; j < m.out; j += panelSide {
			rows := min(panelSide, m.out-j)
			turn(w.turned[:], columns, m.w[lo*m.out+j:], m.out, columns, rows)
			for k := range rows {
				copy(m.turned[at(j+k, lo/panelSide, side)][:], w.turned[k*columns:][:columns])
			}
		}
	}
}

// turn transposes: dst[c,r] = src[r,c] for r < rows and c < columns, lines of dst and src being toDst and toSrc numbers
// apart.
func turn(dst []float64, toDst int, src []float64, toSrc, rows, columns int) {
	r := 0
	for ; r+4 <= rows; r += 4 {
		c := 0
		for ; c+4 <= columns; c += 4 {
			from, to := src[r*toSrc+c:], dst[c*toDst+r:]
			r0, r1, r2, r3 := load(from), load(from[toSrc:]), load(from[2*toSrc:]), load(from[3*toSrc:])
			even, odd := r0.SelectFromPairGrouped(0, 2, r1), r0.SelectFromPairGrouped(1, 3, r1)
			even2, odd2 := r2.SelectFromPairGrouped(0, 2, r3), r2.SelectFromPairGrouped(1, 3, r3)
			even.Select128FromPair(0, 2, even2).Store((*[4]float64)(to))
			odd.Select128FromPair(0, 2, odd2).Store((*[4]float64)(to[toDst:]))
			even.Select128FromPair(1, 3, even2).Store((*[4]float64)(to[2*toDst:]))
			odd.Select128FromPair(1, 3, odd2).Store((*[4]float64)(to[3*toDst:]))
		}
		for ; c < columns; c++ {
			for i := r; i < r+4; i++ {
				dst[c*toDst+i] = src[i*toSrc+c]
			}
		}
	}
	archsimd.ClearAVXUpperBits()
	for ; r < rows; r++ {
		for c := range columns {
			dst[c*toDst+r] = src[r*toSrc+c]
		}
	}
}

func load(x []float64) archsimd.Float64x4 { return archsimd.LoadFloat64x4((*[4]float64)(x)) }

func (m *weights) mul(y, x []float64) {
	if !fast() {
		m.mulPlain(y, x)
		return
	}
	addProduct(y, x, m.straight, m.in, m.out)
}

func (m *weights) mulT(dx, dy, h []float64) {
	if !fast() {
		m.mulTPlain(dx, dy, h)
		return
	}
	clear(dx)
	addProduct(dx, dy, m.turned, m.out, m.in)
	mask(dx, h)
}

// addProduct adds the products of rows of x, in numbers wide, and the W of packed to those of y, out wide.
func addProduct(y, x []float64, packed []panelRow, in, out int) {
	w, side := scratches.Get().(*scratch), panels(out)
	defer scratches.Put(w)
	for len(x) > 0 {
		rows := min(block, len(x)/in)
		for k := 0; k < in; k += panelSide {
			w.findOpen(x[k:], in, rows, min(panelSide, in-k))
			for p := range side {
				w.addPanel(y, x[k:], in, rows, packed[at(k, p, side):][:panelSide], p*panelSide, out)
			}
		}
		x, y = x[rows*in:], y[rows*out:]
	}
}

func addOuter(dW, x, dy []float64, in, out, lo, hi int) {
	if !fast() {
		addOuterPlain(dW, x, dy, in, out, lo, hi)
		return
	}
	w := scratches.Get().(*scratch)
	defer scratches.Put(w)
	for ; lo < hi; lo += len(w.open) {
		columns := min(len(w.open), hi-lo)
		for k, rows := 0, len(x)/in; k < rows; k += panelSide {
			some := min(panelSide, rows-k)
			turn(w.turned[:], some, x[k*in+lo:], in, some, columns)
			w.findOpen(w.turned[:], some, columns, some)
			for first := 0; first < out; first += panelSide {
				for r := range some {
					copy(w.panel[r][:], dy[(k+r)*out+first:(k+r+1)*out])
				}
				w.addPanel(dW[lo*out:], w.turned[:], some, columns, w.panel[:], first, out)
			}
		}
	}
}

// findOpen notes which of the first n ≤ 64 entries of rows of x are not 0. The rows are stride apart.
func (w *scratch) findOpen(x []float64, stride, rows, n int) {
	w.tail = panelRow{} // zeros beside a last part
	for r := range rows {
		row := &w.tail
		if n == panelSide {
			row = (*panelRow)(x[r*stride:])
		} else {
			copy(w.tail[:], x[r*stride:][:n])
		}
		if archsimd.X86.AVX512() {
			w.open[r] = row.open512()
		} else {
			w.open[r] = row.open256()
		}
		archsimd.ClearAVXUpperBits() // or copy takes a hundred times as long
	}
}

// open512 returns a bit for each entry, set where it is not 0.
func (r *panelRow) open512() uint64 {
	var zero archsimd.Float64x8
	open := func(i int) uint64 { return uint64(load512(r, i).NotEqual(zero).ToBits()) << i }
	return open(0) | open(8) | open(16) | open(24) | open(32) | open(40) | open(48) | open(56)
}

// open256 is open512 for processors without AVX-512.
func (r *panelRow) open256() uint64 {
	var zero archsimd.Float64x4
	open := func(i int) uint64 { return uint64(load(r[i:]).NotEqual(zero).ToBits()) << i }
	return open(0) | open(4) | open(8) | open(12) | open(16) | open(20) | open(24) | open(28) |
		open(32) | open(36) | open(40) | open(44) | open(48) | open(52) | open(56) | open(60)
}

// addPanel adds the products of rows of x, which are stride apart, and a panel to 64 columns of rows of y, from column
// first.
func (w *scratch) addPanel(y, x []float64, stride, rows int, panel []panelRow, first, out int) {
	for r := range rows {
		x, row, sum := x[r*stride:], y[r*out+first:(r+1)*out], &w.tail
		if len(row) >= panelSide {
			sum = (*panelRow)(row)
		} else {
			w.tail = panelRow{}
		}
		if archsimd.X86.AVX512() {
			addTerms512(sum, panel, x, w.open[r])
		} else {
			addTerms256((*[32]float64)(sum[:]), panel, 0, x, w.open[r])
			if len(row) > panelSide/2 {
				addTerms256((*[32]float64)(sum[32:]), panel, 32, x, w.open[r])
			}
		}
		if len(row) < panelSide {
			archsimd.ClearAVXUpperBits()
			for j := range row {
				row[j] += sum[j]
			}
		}
	}
	archsimd.ClearAVXUpperBits() // scalar code, the compiler's own above all, is slower with them
}

// fast says whether the processor has what the kernels want; the plain loops do for others.
func fast() bool { return archsimd.X86.AVX2() && archsimd.X86.FMA() }

// addTerms512 adds Σ_k x[k] w[k,:] to y, over the bits k of open, which are at least those of the x[k] ≠ 0. Eight
// registers hold the sum. The next row of W is found in the middle of a term: the compiler moves no load across the
// branch and the bounds check there, and so needs no more registers than there are.
func addTerms512(y *panelRow, w []panelRow, x []float64, open uint64) {
	if open == 0 {
		return
	}
	var a0, a1, a2, a3, a4, a5, a6, a7, v archsimd.Float64x8
	k := bits.TrailingZeros64(open)
	p := &w[k]
	for {
		v = archsimd.BroadcastFloat64x8(x[k])
		a0, a1 = load512(p, 0).MulAdd(v, a0), load512(p, 8).MulAdd(v, a1)
		a2, a3 = load512(p, 16).MulAdd(v, a2), load512(p, 24).MulAdd(v, a3)
		open &= open - 1
		if open == 0 {
			break
		}
		k = bits.TrailingZeros64(open)
		next := &w[k]
		a4, a5 = load512(p, 32).MulAdd(v, a4), load512(p, 40).MulAdd(v, a5)
		a6, a7 = load512(p, 48).MulAdd(v, a6), load512(p, 56).MulAdd(v, a7)
		p = next
	}
	a4, a5 = load512(p, 32).MulAdd(v, a4), load512(p, 40).MulAdd(v, a5)
	a6, a7 = load512(p, 48).MulAdd(v, a6), load512(p, 56).MulAdd(v, a7)
	add512(y, 0, a0, a1, a2, a3)
	add512(y, 32, a4, a5, a6, a7)
}

func load512(p *panelRow, i int) archsimd.Float64x8 {
	return archsimd.LoadFloat64x8((*[8]float64)(p[i:]))
}

// add512 adds four registers to y[i:].
func add512(y *panelRow, i int, a0, a1, a2, a3 archsimd.Float64x8) {
	load512(y, i).Add(a0).Store((*[8]float64)(y[i:]))
	load512(y, i+8).Add(a1).Store((*[8]float64)(y[i+8:]))
	load512(y, i+16).Add(a2).Store((*[8]float64)(y[i+16:]))
	load512(y, i+24).Add(a3).Store((*[8]float64)(y[i+24:]))
}

// addTerms256 does the same for half of the columns, those of W from first on, in registers half as wide.
func addTerms256(y *[32]float64, w []panelRow, first int, x []float64, open uint64) {
	if open == 0 {
		return
	}
	var a0, a1, a2, a3, a4, a5, a6, a7, v archsimd.Float64x4
	k := bits.TrailingZeros64(open)
	p := (*[32]float64)(w[k][first:])
	for {
		v = archsimd.BroadcastFloat64x4(x[k])
		a0, a1 = load256(p, 0).MulAdd(v, a0), load256(p, 4).MulAdd(v, a1)
		a2, a3 = load256(p, 8).MulAdd(v, a2), load256(p, 12).MulAdd(v, a3)
		open &= open - 1
		if open == 0 {
			break
		}
		k = bits.TrailingZeros64(open)
		next := (*[32]float64)(w[k][first:])
		a4, a5 = load256(p, 16).MulAdd(v, a4), load256(p, 20).MulAdd(v, a5)
		a6, a7 = load256(p, 24).MulAdd(v, a6), load256(p, 28).MulAdd(v, a7)
		p = next
	}
	a4, a5 = load256(p, 16).MulAdd(v, a4), load256(p, 20).MulAdd(v, a5)
	a6, a7 = load256(p, 24).MulAdd(v, a6), load256(p, 28).MulAdd(v, a7)
	add256(y, 0, a0, a1, a2, a3)
	add256(y, 16, a4, a5, a6, a7)
}

// add256 adds four registers to y[i:].
func add256(y *[32]float64, i int, a0, a1, a2, a3 archsimd.Float64x4) {
	load256(y, i).Add(a0).Store((*[4]float64)(y[i:]))
	load256(y, i+4).Add(a1).Store((*[4]float64)(y[i+4:]))
	load256(y, i+8).Add(a2).Store((*[4]float64)(y[i+8:]))
	load256(y, i+12).Add(a3).Store((*[4]float64)(y[i+12:]))
}

func load256(p *[32]float64, i int) archsimd.Float64x4 {
	return archsimd.LoadFloat64x4((*[4]float64)(p[i:]))
}

// relu, mask and adam compute what the plain loops do, bit for bit, several numbers at a time: memory is what they
// wait for. They are not inlined: the compiler would move their constants out of the caller's loops, behind the last
// ClearAVXUpperBits, and scalar code (math.Exp above all) then takes three times as long.

//go:noinline
func relu(y []float64) {
	if fast() {
		var zero archsimd.Float64x4
		for ; len(y) >= 4; y = y[4:] {
			p := (*[4]float64)(y)
			zero.Max(archsimd.LoadFloat64x4(p)).Add(zero).Store(p) // Max of 0 and NaN or −0 gives the second; −0 + 0 is 0
		}
		archsimd.ClearAVXUpperBits()
	}
	reluPlain(y)
}

// sumRows keeps 64 or 32 columns of the sum in registers while the rows go by.
func sumRows(y, w []float64, rows []int32) {
	n, first := len(y), 0
	for ; archsimd.X86.AVX512() && first+panelSide <= n; first += panelSide {
		var y0, y1, y2, y3, y4, y5, y6, y7 archsimd.Float64x8
		for _, k := range rows {
			x := (*panelRow)(w[int(k)*n+first:])
			y0, y1, y2, y3 = y0.Add(load512(x, 0)), y1.Add(load512(x, 8)), y2.Add(load512(x, 16)), y3.Add(load512(x, 24))
			y4, y5, y6, y7 = y4.Add(load512(x, 32)), y5.Add(load512(x, 40)), y6.Add(load512(x, 48)), y7.Add(load512(x, 56))
		}
		add512((*panelRow)(y[first:]), 0, y0, y1, y2, y3)
		add512((*panelRow)(y[first:]), 32, y4, y5, y6, y7)
	}
	for ; fast() && first+32 <= n; first += 32 {
		var y0, y1, y2, y3, y4, y5, y6, y7 archsimd.Float64x4
		for _, k := range rows {
			x := (*[32]float64)(w[int(k)*n+first:])
			y0, y1, y2, y3 = y0.Add(load256(x, 0)), y1.Add(load256(x, 4)), y2.Add(load256(x, 8)), y3.Add(load256(x, 12))
			y4, y5, y6, y7 = y4.Add(load256(x, 16)), y5.Add(load256(x, 20)), y6.Add(load256(x, 24)), y7.Add(load256(x, 28))
		}
		add256((*[32]float64)(y[first:]), 0, y0, y1, y2, y3)
		add256((*[32]float64)(y[first:]), 16, y4, y5, y6, y7)
	}
	if fast() {
		archsimd.ClearAVXUpperBits() // whoever interrupted this goroutine may have left them in use
	}
	for _, k := range rows {
		add(y[first:], w[int(k)*n+first:][:n-first])
	}
}

//go:noinline
func mask(t, h []float64) {
	if fast() {
		var zero archsimd.Float64x4
		for ; len(h) >= 4; t, h = t[4:], h[4:] {
			p := (*[4]float64)(t)
			open := archsimd.LoadFloat64x4((*[4]float64)(h)).NotEqual(zero)
			archsimd.LoadFloat64x4(p).Masked(open).Store(p)
		}
		archsimd.ClearAVXUpperBits()
	}
	maskPlain(t, h)
}

//go:noinline
func adam(p, g, m, v []float64, lr float64, t int) {
	if fast() {
		b1, c1, b2, c2 := all(beta1), all(1-beta1), all(beta2), all(1-beta2)
		correct1, correct2 := all(1/(1-math.Pow(beta1, float64(t)))), all(1/(1-math.Pow(beta2, float64(t))))
		lr, ε := all(lr), all(adamEpsilon)
		for ; len(p) >= 4; p, g, m, v = p[4:], g[4:], m[4:], v[4:] {
			pp, pm, pv := (*[4]float64)(p), (*[4]float64)(m), (*[4]float64)(v)
			g := archsimd.LoadFloat64x4((*[4]float64)(g))
			m := b1.Mul(archsimd.LoadFloat64x4(pm)).Add(c1.Mul(g))
			v := b2.Mul(archsimd.LoadFloat64x4(pv)).Add(c2.Mul(g).Mul(g))
			m.Store(pm)
			v.Store(pv)
			step := lr.Mul(m.Mul(correct1)).Div(v.Mul(correct2).Sqrt().Add(ε))
			archsimd.LoadFloat64x4(pp).Sub(step).Store(pp)
		}
		archsimd.ClearAVXUpperBits()
	}
	adamPlain(p, g, m, v, lr, t)
}

func all(x float64) archsimd.Float64x4 { return archsimd.BroadcastFloat64x4(x) }
