package gfn

import "slices"

// What the tests see of the inside.

// Lists returns every float list of a checkpoint: parameters and Adam's moments.
func (t *Trainer) Lists() [][]float64 { return t.lists() }

// Replayed returns the states that the replay keeps, best first, those of the guide, the modes found, and the
// trajectories kept.
func (t *Trainer) Replayed() (states [][]int) {
	return slices.Concat(t.replay.states(), t.observed(), t.foundModes(), t.past)
}

// Rate returns the factor of the learning rates at an iteration.
func (c Config) Rate(iteration int) float64 { return c.rate(iteration) }

// Batch returns the batch of the last step.
func (t *Trainer) Batch() *Batch { return &t.batch }

// PerfectTV returns the expected total variation of n samples of q.
func PerfectTV(logq []float64, n int) float64 { return perfect(tvTerm, logq, n) }

// PerfectDistinct returns the expected number of different samples among n of q.
func PerfectDistinct(logq []float64, n int) float64 {
	return perfect(func(p, _ float64) float64 { return min(1, p*float64(n)) }, logq, n)
}

// ResidualB is the estimator of the TB-style backward step.
func ResidualB(b *Batch, v *Flows, r, a []float64) { residualB(b, v, r, a) }

// Back returns the walks back of the last step of a policy-gradient method that learns PB.
func (t *Trainer) Back() *Batch { return &t.back }
