//go:build goexperiment.simd && amd64

package gfn

import (
	"math"
	"math/rand/v2"
	"simd/archsimd"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sparse returns n normal numbers, about half of them 0, and one −0.
func sparse(rng *rand.Rand, n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = max(0, rng.NormFloat64()) * float64(1-2*rng.IntN(2))
	}
	if n > 0 {
		x[rng.IntN(n)] = math.Copysign(0, -1)
	}
	return x
}

func needs(t testing.TB, ok bool) {
	if !ok {
		t.Skip("this processor lacks the registers")
	}
}

// Both kernels add what the formula says, for every number of terms.
func TestAddTerms(t *testing.T) {
	needs(t, fast())
	rng := rand.New(rand.NewPCG(1, 1))
	w := make([]pieceRow, pieceRows)
	for k := range w {
		copy(w[k][:], sparse(rng, pieceColumns))
	}
	for n := range pieceRows + 1 {
		list := terms{n: n}
		var y pieceRow
		copy(y[:], sparse(rng, pieceColumns))
		want, y256, y512 := y, y, y
		for i := range n {
			list.k[i], list.x[i] = int64(rng.IntN(pieceRows)), rng.NormFloat64()
			for c := range want {
				want[c] += list.x[i] * w[list.k[i]][c]
			}
		}
		addTerms256(&y256, w, &list)
		require.InDeltaSlice(t, want[:], y256[:], 1e-12)
		if archsimd.X86.AVX512() {
			addTerms512(&y512, w, &list)
			require.InDeltaSlice(t, want[:], y512[:], 1e-12)
		}
	}
}

// Lists made eight numbers at a time are those made one by one, but for −0.
func TestCompact(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for n := range pieceRows + 1 {
		x := sparse(rng, n)
		var list terms
		list.compact(x)
		var k []int64
		var v []float64
		for i, x := range x {
			if x != 0 || math.Signbit(x) && i >= n/8*8 { // the last few are not compared as floats
				k, v = append(k, int64(i)), append(v, x)
			}
		}
		require.Equal(t, len(k), list.n)
		require.Equal(t, k, append([]int64(nil), list.k[:list.n]...))
		require.Equal(t, v, append([]float64(nil), list.x[:list.n]...))
	}
}

// The products are those of the portable kernels, whatever the sizes leave over; rows alone have the same bits.
func TestProductsBesidePortable(t *testing.T) {
	needs(t, fast())
	rng := rand.New(rand.NewPCG(3, 3))
	for _, size := range [][2]int{{1, 1}, {1, 33}, {33, 1}, {3, 31}, {32, 32}, {95, 65}, {96, 64}, {97, 63}, {200, 100}} {
		in, out := size[0], size[1]
		n := NewNet(rand.NewPCG(1, 1), Shape{Dim: 1, Forward: out, Features: 1}, ForwardHead, []int{in})
		n.pack(n.weights, n.Params, false)
		m, w := &n.weights[2], n.scratch(0)
		m.room(true)
		for lo := 0; lo < in; lo += 7 { // as workers share it, anyhow
			m.packT(&w.compacted, lo, min(lo+7, in))
		}
		for _, rows := range []int{1, 2, block - 1, block + 1, 2*pieceRows + 5} {
			x, dy := sparse(rng, rows*in), sparse(rng, rows*out)
			one, other := sparse(rng, rows*out), []float64(nil)
			other = slices.Clone(one)
			alone := slices.Clone(one)
			m.mul(w, one, x)
			m.mulPortable(w, other, x)
			require.InDeltaSlice(t, other, one, 1e-12)
			for r := range rows {
				m.mul(w, alone[r*out:][:out], x[r*in:][:in])
			}
			require.Equal(t, one, alone)

			reluPortable(x) // as hidden values are: no −0
			dx, dx2 := sparse(rng, rows*in), make([]float64, rows*in)
			alone = make([]float64, rows*in)
			m.mulT(w, dx, dy, x)
			m.mulTPortable(w, dx2, dy, x)
			require.InDeltaSlice(t, dx2, dx, 1e-12)
			for r := range rows {
				m.mulT(w, alone[r*in:][:in], dy[r*out:][:out], x[r*in:][:in])
			}
			require.Equal(t, dx, alone)

			c := operand{in: rows, out: out, w: dy}
			c.room(false)
			c.pack(0, rows)
			one = sparse(rng, in*out)
			other, alone = slices.Clone(one), slices.Clone(one)
			c.mulColumns(w, one, x, in, 0, in)
			c.mulColumnsPortable(w, other, x, in, 0, in)
			require.InDeltaSlice(t, other, one, 1e-12)
			for i := range in {
				c.mulColumns(w, alone, x, in, i, i+1)
			}
			require.Equal(t, one, alone)
		}
	}
}

// Number by number the kernels have the bits of the portable ones, NaN and −0 among them.
func TestElementsBesidePortable(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	bits := func(x []float64) (b []uint64) {
		for _, v := range x {
			b = append(b, math.Float64bits(v))
		}
		return b
	}
	for n := range 2*pieceColumns + 8 {
		x, y := sparse(rng, n), sparse(rng, n)
		if n > 2 {
			y[rng.IntN(n)], y[rng.IntN(n)] = math.NaN(), math.Inf(1)
		}
		for _, f := range [][2]func(y, x []float64){
			{add, addPortable}, {mask, maskPortable},
			{func(y, _ []float64) { relu(y) }, func(y, _ []float64) { reluPortable(y) }},
			{func(y, x []float64) {
				adam(y, x, slices.Clone(x), slices.Repeat([]float64{0.5}, n), slices.Repeat([]float64{0.6}, n), adamRate{0.1, 2, 3})
			},
				func(y, x []float64) {
					adamPortable(y, x, slices.Clone(x), slices.Repeat([]float64{0.5}, n), slices.Repeat([]float64{0.6}, n), adamRate{0.1, 2, 3})
				}},
		} {
			one, other := slices.Clone(y), slices.Clone(y)
			f[0](one, x)
			f[1](other, x)
			require.Equal(t, bits(other), bits(one))
		}
	}
}

// Peak is the best speed of ten independent chains of fused products in registers: what no kernel can reach.
func init() {
	Peak = func() float64 {
		if !archsimd.X86.AVX512() {
			return 0
		}
		const rounds = 100_000
		best := math.Inf(1)
		for range 50 {
			begin := time.Now()
			chains(rounds)
			best = min(best, float64(time.Since(begin).Nanoseconds()))
		}
		return rounds * 10 * 16 / best
	}
}

//go:noinline
func chains(n int) float64 {
	x, y := archsimd.BroadcastFloat64x8(0.999), archsimd.BroadcastFloat64x8(1e-9)
	of := func(k float64) archsimd.Float64x8 { return archsimd.BroadcastFloat64x8(k) } // different: equal ones are made one
	a, b, c, d, e, f, g, h, i, j := of(1), of(2), of(3), of(4), of(5), of(6), of(7), of(8), of(9), of(10)
	for range n {
		a, b, c, d, e = a.MulAdd(x, y), b.MulAdd(x, y), c.MulAdd(x, y), d.MulAdd(x, y), e.MulAdd(x, y)
		f, g, h, i, j = f.MulAdd(x, y), g.MulAdd(x, y), h.MulAdd(x, y), i.MulAdd(x, y), j.MulAdd(x, y)
	}
	var sum [8]float64
	a.Add(b).Add(c).Add(d).Add(e).Add(f).Add(g).Add(h).Add(i).Add(j).Store(&sum)
	archsimd.ClearAVXUpperBits()
	return sum[0]
}
