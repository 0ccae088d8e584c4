//go:build !goexperiment.simd || !amd64

package gfn

// The products of this build are the portable ones, and read operands as they are.

const packs = false

type packed struct{}    // of an operand
type compacted struct{} // of a worker

func (packed) room(transposed bool)           {}
func (packed) pack(lo, hi int)                {}
func (packed) packT(w *compacted, lo, hi int) {}

func (m *operand) mul(w *scratch, y, x []float64)       { m.mulPortable(w, y, x) }
func (m *operand) mulT(w *scratch, dx, dy, h []float64) { m.mulTPortable(w, dx, dy, h) }
func (m *operand) mulColumns(w *scratch, y, x []float64, width, lo, hi int) {
	m.mulColumnsPortable(w, y, x, width, lo, hi)
}

func relu(y []float64)                            { reluPortable(y) }
func mask(t, h []float64)                         { maskPortable(t, h) }
func add(y, x []float64)                          { addPortable(y, x) }
func adam(p, g, m, v, most []float64, r adamRate) { adamPortable(p, g, m, v, most, r) }
