//go:build goexperiment.simd && amd64

package gfn

import (
	"math"
	"math/bits"
	"simd/archsimd"
	"sync"
)

// The products of this build are made of one kernel, y += Σ_k x_k W[k,:] over the non-zero x_k, for 32 columns of y
// and at most 96 rows of W: a panel of W that stays in a first-level cache while the rows of x go by, with y in
// registers. Each number is a sum in an order that depends on nothing but the zeros of its own row.

const panelRows, panelColumns = 96, 32

type panelRow [panelColumns]float64

// extra holds W and Wᵀ in panels: block of rows by block of rows, in each the columns from left to right, in each the
// rows. What a panel has beyond the last column is added up with the rest and goes nowhere.
type extra struct{ straight, turned []panelRow }

// terms are the non-zero entries of a row of x, or a column, in a block of rows of W: their places in the block and
// their values. There is room for eight more, where whole registers are stored and the kernels look ahead.
type terms struct {
	n int
	k [panelRows + 8]int64
	x [panelRows + 8]float64
}

// scratch is memory for some rows, or columns, of x.
type scratch struct {
	lists  [2 * block]terms
	tail   panelRow // the last columns of y, where there are fewer than 32
	panel  [panelRows]panelRow
	turned [panelColumns * panelRows]float64
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// set copies the first numbers of x to r.
func (r *panelRow) set(x []float64) {
	if len(x) < panelColumns {
		copy(r[:], x)
		return
	}
	for i := 0; i < panelColumns; i += 4 {
		load(x[i:]).Store((*[4]float64)(r[i:]))
	}
}

// panels returns the number of panels side by side in n columns.
func panels(n int) int { return (n + panelColumns - 1) / panelColumns }

// at returns the place of row k of panel p where the given number stand side by side.
func at(k, p, side int) int { return k/panelRows*panelRows*side + p*panelRows + k%panelRows }

// prepare copies W into its panels.
func (m *weights) prepare(workers int) {
	if !fast() {
		return
	}
	room := func(rows, columns int) int { return (rows + panelRows - 1) / panelRows * panelRows * panels(columns) }
	m.straight, m.turned = resize(m.straight, room(m.in, m.out)), resize(m.turned, room(m.out, m.in))
	parallel(workers, panels(m.in), 2, func(lo, hi int) { m.pack(lo*panelColumns, min(hi*panelColumns, m.in)) })
}

// pack fills in rows lo ≤ i < hi of W, the columns of Wᵀ. lo is a multiple of 32.
func (m *weights) pack(lo, hi int) {
	w := scratches.Get().(*scratch)
	defer scratches.Put(w)
	side := panels(m.out)
	for i := lo; i < hi; i++ {
		row := m.w[i*m.out:][:m.out]
		for p := range side {
			m.straight[at(i, p, side)].set(row[p*panelColumns:])
		}
	}
	side = panels(m.in)
	for ; lo < hi; lo += panelColumns {
		columns := min(panelColumns, hi-lo)
		for j := 0; j < m.out; j += panelRows {
			rows := min(panelRows, m.out-j)
			turn(w.turned[:], columns, m.w[lo*m.out+j:], m.out, columns, rows)
			for k := range rows {
				copy(m.turned[at(j+k, lo/panelColumns, side)][:], w.turned[k*columns:][:columns])
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
		for k := 0; k < in; k += panelRows {
			for r := range rows {
				w.lists[r].compact(x[r*in+k : r*in+min(k+panelRows, in)])
			}
			for p := range side {
				w.addPanel(y, rows, packed[at(k, p, side):][:panelRows], p*panelColumns, out)
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
	for ; lo < hi; lo += len(w.lists) {
		columns := min(len(w.lists), hi-lo)
		for k, rows := 0, len(x)/in; k < rows; k += panelRows {
			some := min(panelRows, rows-k)
			w.compactColumns(x[k*in+lo:], in, some, columns)
			for first := 0; first < out; first += panelColumns {
				for r := range some {
					w.panel[r].set(dy[(k+r)*out+first : (k+r+1)*out])
				}
				w.addPanel(dW[lo*out:], columns, w.panel[:], first, out)
			}
		}
	}
}

// compactColumns lists the terms of the given number of columns of x, whose rows are stride apart.
func (w *scratch) compactColumns(x []float64, stride, rows, columns int) {
	for c := 0; c < columns; c += panelColumns {
		some := min(panelColumns, columns-c)
		turn(w.turned[:], rows, x[c:], stride, rows, some)
		for i := range some {
			w.lists[c+i].compact(w.turned[i*rows:][:rows])
		}
	}
}

// append adds the terms of x, whose first place in the block is k.
func (t *terms) append(k int, x []float64) {
	n := t.n
	for i, v := range x {
		t.k[n%len(t.k)], t.x[n%len(t.x)] = int64(k+i), v
		if math.Float64bits(v) != 0 { // −0 is a term too: integers are compared without a branch
			n++
		}
	}
	t.n = n
}

// compact leaves the terms of x in t.
func (t *terms) compact(x []float64) {
	t.n = 0
	k := 0
	if archsimd.X86.AVX512() {
		var zero archsimd.Float64x8
		place, eight := archsimd.LoadInt64x8(&[8]int64{0, 1, 2, 3, 4, 5, 6, 7}), archsimd.BroadcastInt64x8(8)
		for ; k+8 <= len(x); k += 8 {
			v := archsimd.LoadFloat64x8((*[8]float64)(x[k:]))
			some := v.NotEqual(zero)
			place.Compress(some).Store((*[8]int64)(t.k[t.n:]))
			v.Compress(some).Store((*[8]float64)(t.x[t.n:]))
			t.n += bits.OnesCount8(some.ToBits())
			place = place.Add(eight)
		}
		archsimd.ClearAVXUpperBits()
	}
	t.append(k, x[k:])
}

// addPanel adds the products of the first lists of terms and a panel to 32 columns of rows of y, from column first.
func (w *scratch) addPanel(y []float64, lists int, panel []panelRow, first, out int) {
	for r := range lists {
		t, row, sum := &w.lists[r], y[r*out+first:(r+1)*out], &w.tail
		if len(row) >= panelColumns {
			sum = (*panelRow)(row)
		} else {
			w.tail = panelRow{}
		}
		if archsimd.X86.AVX512() {
			addTerms512(sum, panel, t)
		} else {
			addTerms256(sum, panel, t)
		}
		if len(row) < panelColumns {
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

// addTerms512 adds every second term to sums of their own: eight sums hide the latency of an addition. The rows of W
// are found four terms ahead: the compiler adds offsets into loads for a pointer that comes from the turn before, and
// computes each address anew for one that it has just made. The bounds check of each place stands between two terms,
// without which it would load more rows of W than it has registers for. Places past the last term are those of former
// terms, or 0.
func addTerms512(y *panelRow, w []panelRow, t *terms) {
	var a0, a1, a2, a3, b0, b1, b2, b3 archsimd.Float64x8
	p0, p1, p2, p3 := &w[t.k[0]], &w[t.k[1]], &w[t.k[2]], &w[t.k[3]]
	i, n := 0, min(t.n, panelRows)
	for ; i+4 <= n; i += 4 {
		k, x := (*[8]int64)(t.k[i:]), (*[4]float64)(t.x[i:])
		next := &w[k[4]]
		a0, a1, a2, a3 = addTerm(a0, a1, a2, a3, p0, x[0])
		p0, next = next, &w[k[5]]
		b0, b1, b2, b3 = addTerm(b0, b1, b2, b3, p1, x[1])
		p1, next = next, &w[k[6]]
		a0, a1, a2, a3 = addTerm(a0, a1, a2, a3, p2, x[2])
		p2, next = next, &w[k[7]]
		b0, b1, b2, b3 = addTerm(b0, b1, b2, b3, p3, x[3])
		p3 = next
	}
	for ; i < n; i++ {
		a0, a1, a2, a3 = addTerm(a0, a1, a2, a3, p0, t.x[i])
		p0, p1, p2 = p1, p2, p3
	}
	load512(y, 0).Add(a0.Add(b0)).Store((*[8]float64)(y[0:]))
	load512(y, 8).Add(a1.Add(b1)).Store((*[8]float64)(y[8:]))
	load512(y, 16).Add(a2.Add(b2)).Store((*[8]float64)(y[16:]))
	load512(y, 24).Add(a3.Add(b3)).Store((*[8]float64)(y[24:]))
}

// addTerm returns y + x p, 32 numbers in four registers.
func addTerm(y0, y1, y2, y3 archsimd.Float64x8, p *panelRow, x float64) (_, _, _, _ archsimd.Float64x8) {
	v := archsimd.BroadcastFloat64x8(x)
	y0, y1 = load512(p, 0).MulAdd(v, y0), load512(p, 8).MulAdd(v, y1)
	return y0, y1, load512(p, 16).MulAdd(v, y2), load512(p, 24).MulAdd(v, y3)
}

func load512(p *panelRow, i int) archsimd.Float64x8 {
	return archsimd.LoadFloat64x8((*[8]float64)(p[i:]))
}

// addTerms256 is the same with registers half as wide, eight of them for a row, found one term ahead. The bounds check
// of the next place stands in the middle of a term: the compiler moves no load across it, and so needs no more
// registers than there are.
func addTerms256(y *panelRow, w []panelRow, t *terms) {
	var a0, a1, a2, a3, a4, a5, a6, a7 archsimd.Float64x4
	p := &w[t.k[0]]
	for i := range min(t.n, panelRows) {
		v := archsimd.BroadcastFloat64x4(t.x[i])
		a0, a1 = load256(p, 0).MulAdd(v, a0), load256(p, 4).MulAdd(v, a1)
		a2, a3 = load256(p, 8).MulAdd(v, a2), load256(p, 12).MulAdd(v, a3)
		next := &w[t.k[i+1]]
		a4, a5 = load256(p, 16).MulAdd(v, a4), load256(p, 20).MulAdd(v, a5)
		a6, a7 = load256(p, 24).MulAdd(v, a6), load256(p, 28).MulAdd(v, a7)
		p = next
	}
	store256(y, 0, load256(y, 0).Add(a0), load256(y, 4).Add(a1), load256(y, 8).Add(a2), load256(y, 12).Add(a3))
	store256(y, 16, load256(y, 16).Add(a4), load256(y, 20).Add(a5), load256(y, 24).Add(a6), load256(y, 28).Add(a7))
}

func store256(p *panelRow, i int, y0, y1, y2, y3 archsimd.Float64x4) {
	y0.Store((*[4]float64)(p[i:]))
	y1.Store((*[4]float64)(p[i+4:]))
	y2.Store((*[4]float64)(p[i+8:]))
	y3.Store((*[4]float64)(p[i+12:]))
}

func load256(p *panelRow, i int) archsimd.Float64x4 {
	return archsimd.LoadFloat64x4((*[4]float64)(p[i:]))
}

// relu, mask, add and adam compute what the plain loops do, bit for bit, several numbers at a time: memory is what they
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

//go:noinline
func add(y, x []float64) {
	if fast() {
		if archsimd.X86.AVX512() {
			for ; len(x) >= panelColumns; y, x = y[panelColumns:], x[panelColumns:] {
				y, x := (*panelRow)(y), (*panelRow)(x)
				for i := 0; i < panelColumns; i += 8 {
					load512(y, i).Add(load512(x, i)).Store((*[8]float64)(y[i:]))
				}
			}
		}
		for ; len(x) >= 16; y, x = y[16:], x[16:] {
			y, x := (*[16]float64)(y), (*[16]float64)(x)
			for i := 0; i < 16; i += 4 {
				p := (*[4]float64)(y[i:])
				archsimd.LoadFloat64x4(p).Add(archsimd.LoadFloat64x4((*[4]float64)(x[i:]))).Store(p)
			}
		}
		archsimd.ClearAVXUpperBits()
	}
	addPlain(y, x)
}

// sumRows keeps 32 columns of y in registers while the rows go by.
func sumRows(y, w []float64, rows []int32) {
	n, first := len(y), 0
	for ; fast() && first+panelColumns <= n; first += panelColumns {
		p := (*panelRow)(y[first:])
		y0, y1, y2, y3 := load256(p, 0), load256(p, 4), load256(p, 8), load256(p, 12)
		y4, y5, y6, y7 := load256(p, 16), load256(p, 20), load256(p, 24), load256(p, 28)
		for _, k := range rows {
			x := (*panelRow)(w[int(k)*n+first:])
			y0, y1, y2, y3 = y0.Add(load256(x, 0)), y1.Add(load256(x, 4)), y2.Add(load256(x, 8)), y3.Add(load256(x, 12))
			y4, y5, y6, y7 = y4.Add(load256(x, 16)), y5.Add(load256(x, 20)), y6.Add(load256(x, 24)), y7.Add(load256(x, 28))
		}
		store256(p, 0, y0, y1, y2, y3)
		store256(p, 16, y4, y5, y6, y7)
	}
	if first > 0 {
		archsimd.ClearAVXUpperBits()
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
