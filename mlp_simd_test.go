//go:build goexperiment.simd && amd64

package gfn

import (
	"math"
	"math/rand/v2"
	"simd/archsimd"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Both kernels add what the formula says, for every number of terms.
func TestAddTerms(t *testing.T) {
	if !fast() {
		t.Skip("this processor lacks the registers")
	}
	rng := rand.New(rand.NewPCG(1, 1))
	w := make([]panelRow, panelSide)
	for k := range w {
		for c := range w[k] {
			w[k][c] = rng.NormFloat64()
		}
	}
	for n := range panelSide + 1 {
		var x panelRow
		open, want := uint64(0), w[n%panelSide]
		y256, y512 := want, want
		for _, k := range rng.Perm(panelSide)[:n] {
			open |= 1 << k
			x[k] = rng.NormFloat64()
			for c := range want {
				want[c] += x[k] * w[k][c]
			}
		}
		addTerms256((*[32]float64)(y256[:]), w, 0, x[:], open)
		addTerms256((*[32]float64)(y256[32:]), w, 32, x[:], open)
		require.InDeltaSlice(t, want[:], y256[:], 1e-12)
		if archsimd.X86.AVX512() {
			addTerms512(&y512, w, x[:], open)
			require.InDeltaSlice(t, want[:], y512[:], 1e-12)
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
	of := archsimd.BroadcastFloat64x8 // of different numbers: equal ones are made one
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
