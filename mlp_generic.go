//go:build !goexperiment.simd || !amd64

package gfn

// The products of this build are the portable ones.

type packed struct{}    // of a operand
type compacted struct{} // of a worker

func (m *operand) room(transposed bool)         {}
func (m *operand) pack(lo, hi int)              {}
func (m *operand) packT(w *scratch, lo, hi int) {}

func (m *operand) mul(w *scratch, y, x []float64)       { m.mulRows(w, y, x) }
func (m *operand) mulT(w *scratch, dx, dy, h []float64) { m.mulRowsT(w, dx, dy, h) }
func (m *operand) mulColumns(w *scratch, y, x []float64, width, lo, hi int) {
	m.addColumns(w, y, x, width, lo, hi)
}

func relu(y []float64)                      { rectify(y) }
func shut(t, h []float64)                   { silence(t, h) }
func add(y, x []float64)                    { plus(y, x) }
func adam(p, g, m, v []float64, r adamRate) { r.update(p, g, m, v) }
