//go:build ignore

// Mutants shows that the tests notice wrong mathematics. It makes each change of the list below to a copy of the
// package, one at a time, and runs the tests on that copy. From the top of the repository:
//
//	go run .ci/mutants.go                  all of them
//	go run .ci/mutants.go -only 'SubTB|FM' those whose place or description matches
//
// A test kills a mutant by failing or by not ending in time. The exit status is 1 if a mutant survives, or if an entry
// does not fit the code: its old text must occur exactly once in its function, and the mutant must compile.
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// mutant is a wrong change: what it is, and the edits that make it, as old, new, old, new, …
type mutant struct {
	what  string
	edits []string
}

func m(what string, edits ...string) mutant { return mutant{what, edits} }

// place is a function (or Type.Method; "" for the whole file) and its mutants.
type place struct {
	file, function string
	mutants        []mutant
}

// list leaves out changes that no test could notice: u ≤ 0 for u < 0 in draw, VarGrad's d.LogZ = 0 (the sum is 0 but
// for rounding), the early return of TrustRegion.Step (without it no NaN is accepted either), ranks in descending order
// (both signs change), exits among the children of RPE (in a batch they have no row), and 0 for the left side of a
// statement that is 0 = 0.
var list = []place{
	{"losses.go", "Flows.Reset", []mutant{
		m("cotangents of log PF kept from the batch before", "zeros(d.LogPF,", "resize(d.LogPF,"),
		m("cotangents of log PB kept", "zeros(d.LogPB,", "resize(d.LogPB,"),
		m("cotangents of log F kept", "zeros(d.LogF,", "resize(d.LogF,"),
		m("cotangents of log F(s→s') kept", "zeros(d.LogQ[i],", "resize(d.LogQ[i],"),
		m("cotangents of the second critic forgotten", "range v.LogQ {", "range v.LogQ[:1] {"),
		m("cotangent of log Z kept", "len(v.LogF)), 0", "len(v.LogF)), d.LogZ"),
	}},
	{"losses.go", "quadratic", []mutant{
		m("sum over trajectories, not mean, in loss and cotangents", "float64(b.Trajectories())", "1.0"),
		m("the path added to the inner potentials", "logF - path", "logF + path"),
		m("no inner flows", "logF - path - logZ", "0*logF - path - logZ"),
		m("inner potentials not relative to u_0", "logF - path - logZ", "logF - path"),
		m("the first ℓ counted one potential too early",
			"u[t] = logF - path - logZ", "",
			"path += v.LogPF[s.F]", "path += v.LogPF[s.F]; u[t] = logF - path - logZ"),
		m("sign of log PF", "path += v.LogPF[s.F]", "path -= v.LogPF[s.F]"),
		m("no log PF", "path += v.LogPF[s.F]", ""),
		m("sign of log PB", "path -= v.LogPB[s.B]", "path += v.LogPB[s.B]"),
		m("no log PB", "path -= v.LogPB[s.B]", ""),
		m("PF for PB", "path -= v.LogPB[s.B]", "path -= v.LogPF[s.F]"),
		m("PF and PB swapped, values and cotangents alike",
			"path += v.LogPF[s.F]", "path -= v.LogPF[s.F]",
			"path -= v.LogPB[s.B]", "path += v.LogPB[s.B]",
			"d.LogPF[s.F] -= after", "d.LogPF[s.F] += after", "d.LogPB[s.B] += after", "d.LogPB[s.B] -= after"),
		m("u_0 not 0", "u[0] = 0", ""),
		m("potentials at their full offset",
			"path := 0.0", "offset := logZ; logZ = 0; path := 0.0",
			"u[0] = 0", "u[0] = offset"),
		m("sign of log R", "u[last] = b.LogR", "u[last] = -b.LogR"),
		m("no log R", "b.LogR[steps[last-1].Row] - path - logZ", "-path - logZ"),
		m("log R of the source", "b.LogR[steps[last-1].Row]", "b.LogR[steps[0].Row]"),
		m("the last potential adds the path", "b.LogR[steps[last-1].Row] - path", "b.LogR[steps[last-1].Row] + path"),
		m("the last potential without log Z", "b.LogR[steps[last-1].Row] - path - logZ", "b.LogR[steps[last-1].Row] - path"),
		m("sign of log Z in the last potential",
			"b.LogR[steps[last-1].Row] - path - logZ",
			"b.LogR[steps[last-1].Row] - path + logZ"),
		m("loss not divided by n", "f(u, du) / n", "f(u, du)"),
		m("loss of the last trajectory only", "loss += f(u, du)", "loss = f(u, du)"),
		m("loss doubled", "f(u, du) / n", "2 * f(u, du) / n"),
		m("loss and gradient doubled",
			"f(u, du) / n", "2 * f(u, du) / n",
			"after := 0.0", "for k := range du { du[k] *= 2 }; after := 0.0"),
		m("suffix sum off by one", "after += du[t+1] / n", "after += du[t] / n"),
		m("suffix sum not divided by n", "after += du[t+1] / n", "after += du[t+1]"),
		m("no suffix sum", "after += du[t+1] / n", "after = du[t+1] / n"),
		m("the exit has no cotangent", "t := last - 1; t >= 0", "t := last - 2; t >= 0"),
		m("sign of the cotangent of log PF", "d.LogPF[s.F] -= after", "d.LogPF[s.F] += after"),
		m("cotangent of log PF not accumulated", "d.LogPF[s.F] -= after", "d.LogPF[s.F] = -after"),
		m("no cotangent of log PF", "d.LogPF[s.F] -= after", ""),
		m("sign of the cotangent of log PB", "d.LogPB[s.B] += after", "d.LogPB[s.B] -= after"),
		m("cotangent of log PB not accumulated", "d.LogPB[s.B] += after", "d.LogPB[s.B] = after"),
		m("no cotangent of log PB", "d.LogPB[s.B] += after", ""),
		m("log Z in place of log F(s0)", "logZ = v.LogF[steps[0].Row]", ""),
		m("the flow of the first row", "logF = v.LogF[s.Row]", "logF = v.LogF[0]"),
		m("no cotangent of the second state's flow",
			"d.LogF[s.Row] += du[t] / n", "if t != 1 { d.LogF[s.Row] += du[t] / n }"),
		m("sign of the inner flows' cotangent", "d.LogF[s.Row] += du[t] / n", "d.LogF[s.Row] -= du[t] / n"),
		m("inner flows' cotangent not accumulated", "d.LogF[s.Row] += du[t] / n", "d.LogF[s.Row] = du[t] / n"),
		m("inner flows' cotangent not divided by n", "d.LogF[s.Row] += du[t] / n", "d.LogF[s.Row] += du[t]"),
		m("no cotangent of the source's flow",
			"d.LogF[s.Row] += du[t] / n", "if t > 0 { d.LogF[s.Row] += du[t] / n }"),
		m("sign of the cotangent of log Z", "d.LogZ += du[0] / n", "d.LogZ -= du[0] / n"),
		m("cotangent of log Z doubled", "d.LogZ += du[0] / n", "d.LogZ += 2 * du[0] / n"),
		m("no cotangent of log Z", "d.LogZ += du[0] / n", ""),
	}},
	{"losses.go", "MDB", []mutant{m("all parts of a trajectory", "byExits(DB, b, v, d)", "byExits(SubTB(1), b, v, d)")}},
	{"losses.go", "States.onlyExits", []mutant{m("any exit", "== int(st.FStart[row])", ">= int(st.FStart[row])")}},
	{"losses.go", "TB", []mutant{
		m("δ from the second potential", "u[0] - u[len(u)-1]", "u[1] - u[len(u)-1]"),
		m("exit residual forgotten", "u[0] - u[len(u)-1]", "u[0] - u[len(u)-2]"),
		m("cotangents kept from the trajectory before", "clear(du)", ""),
		m("sign of the gradient", "2*δ, -2*δ", "-2*δ, 2*δ"),
		m("half the gradient", "2*δ, -2*δ", "δ, -δ"),
		m("½δ² and its gradient", "2*δ, -2*δ", "δ, -δ", "return δ * δ", "return δ * δ / 2"),
		m("|δ| for δ²", "return δ * δ", "return math.Abs(δ)"),
		m("|δ| for δ², and its gradient",
			"2*δ, -2*δ", "math.Copysign(1, δ), math.Copysign(1, -δ)",
			"return δ * δ", "return math.Abs(δ)"),
	}},
	{"losses.go", "DB", []mutant{
		m("cotangents kept from the trajectory before", "du[0] = 0", ""),
		m("exit edge forgotten", "range len(u) - 1", "range len(u) - 2"),
		m("sub-trajectories of length two",
			"range len(u) - 1", "range len(u) - 2",
			"u[t] - u[t+1]", "u[t] - u[t+2]",
			"du[t+1] = -2", "du[t+1] += 0; du[t+2] = -2"),
		m("cotangent of the edge before overwritten", "du[t] += 2 * δ", "du[t] = 2 * δ"),
		m("no cotangent of the child", "du[t+1] = -2 * δ", "du[t+1] = 0"),
		m("half the gradient", "du[t] += 2 * δ", "du[t] += δ", "-2 * δ", "-δ"),
		m("loss and gradient doubled",
			"du[t] += 2", "du[t] += 4",
			"= -2 * δ", "= -4 * δ",
			"loss += δ * δ", "loss += 2 * δ * δ"),
		m("mean over edges, not sum",
			"loss += δ * δ", "loss += δ * δ / float64(len(u)-1)",
			"du[t] += 2 * δ", "du[t] += 2 * δ / float64(len(u)-1)",
			"-2 * δ", "-2 * δ / float64(len(u)-1)"),
	}},
	{"losses.go", "geometric", []mutant{
		m("negative λ accepted", "!(λ >= 0)", "false"),
		m("NaN accepted", "!(λ >= 0)", "λ < 0"),
		m("λ = 0 refused", "!(λ >= 0)", "!(λ > 0)"),
		m("cotangents kept from the trajectory before", "clear(du)", ""),
		m("no U", "(S*u[k] - U)", "(S * u[k])"),
		m("weights λ^(j−i), not the normaliser", "total += last * S", "total += last * S * ν"),
		m("λ² for λ", "ν*S+scale, ν*U", "ν*ν*S+scale, ν*ν*U"),
		m("no last factor in the gradient", "last * (S*u[k] - U)", "S*u[k] - U"),
		m("S's scale forgotten", "ν*S+scale,", "ν*S+1,"),
		m("the scale stands still", "μ*scale", "scale"),
		m("normaliser twice as large", "norm := sweep(", "norm := 2 * sweep("),
	}},
	{"losses.go", "VarGrad", []mutant{
		m("the estimate starts from the old one", "v.LogZ = 0", ""),
		m("no log R in the estimate", "b.LogR[b.Endpoint(i)] -", "-"),
		m("sign of log R in the estimate", "(b.LogR[b.Endpoint(i)] -", "(-b.LogR[b.Endpoint(i)] -"),
		m("not divided by n", "v.LogPB)) / n", "v.LogPB)) / (0*n + 1)"),
		m("sign of the paths in the estimate", "] - b.logRatio", "] + b.logRatio"),
		m("the batch's policies, not the given ones", "b.logRatio(i, v.LogPF, v.LogPB)", "b.logRatio(i, b.LogPF, b.LogPB)"),
		m("the source's log R", "b.LogR[b.Endpoint(i)]", "b.LogR[b.Trajectory(i)[0].Row]"),
	}},
	{"losses.go", "FM", []mutant{
		m("unvisited parents balanced too", "if visits == 0", "if false"),
		m("in-flows without the edge's share", "v.LogF[b.From[e]]+v.LogPF[e]", "v.LogF[b.From[e]]"),
		m("sign of the out-flow", "total - v.LogF[row]", "total + v.LogF[row]"),
		m("sign of the out-flow's cotangent", "d.LogF[row] -= 2 * visits * δ", "d.LogF[row] += 2 * visits * δ"),
		m("no cotangent of the edges", "d.LogPF[e] += share", ""),
		m("the source's exit forgotten", "e := b.Exit(row); e >= 0", "e := b.Exit(row); e >= 0 && row > 0"),
		m("exit flow without the exit's share", "v.LogF[row] + v.LogPF[e] - b.LogR", "v.LogF[row] - b.LogR"),
		m("ε² not weighted by visits", "loss += visits * ε * ε", "loss += ε * ε"),
	}},
	{"losses.go", "FLDB", []mutant{
		m("no R̂", "v.LogF[row] + v.LogRhat[row]", "v.LogF[row]"),
		m("sign of log R̂", "v.LogF[row] + v.LogRhat[row]", "v.LogF[row] - v.LogRhat[row]"),
	}},
	{"losses.go", "byExits", []mutant{
		m("cotangents kept from the batch before", "zeros(b.df,", "resize(b.df,"),
		m("sign of the exits' cotangents", "d.LogPF[b.Exit(row)] -= df", "d.LogPF[b.Exit(row)] += df"),
		m("no cotangents of the exits", "d.LogPF[b.Exit(row)] -= df", "_, _ = row, df"),
	}},
	{"losses.go", "States.exitFlows", []mutant{
		m("no log R", "st.LogR[row] - logPF[st.Exit(row)]", "-logPF[st.Exit(row)]"),
		m("sign of the exit's log PF", "st.LogR[row] - logPF", "st.LogR[row] + logPF"),
		m("another slot's log PF", "st.Exit(row)", "int(st.FStart[row])"),
	}},
	{"losses.go", "PCL", []mutant{
		m("α for α², loss", "return α * α * loss", "return α * loss"),
		m("α for α², cotangents", "du[i] *= α * α", "du[i] *= α"),
	}},
	{"losses.go", "SQL", []mutant{
		m("sum over trajectories, not mean", "float64(b.Trajectories())", "1.0"),
		m("no temperature", "δ := α * (", "δ := 1 * ("),
		m("cotangents without temperature", "2 * α * δ / n", "2 * δ / n"),
		m("no state flow", "v.LogF[s.Row] + v.LogPF[s.F]", "v.LogPF[s.F]"),
		m("no cotangent of the flow", "d.LogF[s.Row] += g", ""),
		m("no cotangent of the policy", "d.LogPF[s.F] += g", ""),
		m("the child learned through its target", "s.B >= 0 && v.Next == nil", "s.B >= 0"),
		m("the child never learned", "s.B >= 0 && v.Next == nil", "false"),
	}},
	{"losses.go", "Flows.target", []mutant{
		m("no reward at the exit", "return b.LogR[s.Row]", "return 0"),
		m("uncorrected", "return v.LogPB[s.B] + v.Next[", "return v.Next["),
		m("the target of the state itself", "v.Next[steps[t+1].Row]", "v.Next[s.Row]"),
		m("no child's flow", "return v.LogPB[s.B] + v.LogF[steps[t+1].Row]", "return v.LogPB[s.B]"),
		m("no target network", "v.Next != nil", "v.Next != nil && v.LogF == nil"),
	}},
	{"losses.go", "PiSQL", []mutant{
		m("another temperature", "SQL(α)", "SQL(2 * α)"),
	}},
	{"losses.go", "SAC", []mutant{
		m("one critic", "k, q := range v.LogQ", "k, q := range v.LogQ[:1]"),
		m("critic without temperature", "δ := α * (", "δ := 1 * ("),
		m("sign of the critics' cotangents", "d.LogQ[k][s.F] += 2", "d.LogQ[k][s.F] -= 2"),
		m("no actor", "loss += α / n * project(b, int(s.Row), α/n, v, d)", ""),
		m("the actor's cotangents not divided by n", "int(s.Row), α/n, v", "int(s.Row), α, v"),
		m("the actor's loss not divided by n", "loss += α / n *", "loss += α *"),
		m("the actor without temperature",
			"α / n * project(b, int(s.Row), α/n, v, d)",
			"1 / n * project(b, int(s.Row), 1/n, v, d)"),
	}},
	{"losses.go", "project", []mutant{
		m("not normalised", "v.LogPF[e]-(q-total)", "v.LogPF[e]-(q-0*total)"),
		m("KL the other way round", "p, log := math.Exp(v.LogPF[e])", "p, log := math.Exp(q-total)"),
		m("sign of the cotangents", "+= weight * p * log", "-= weight * p * log"),
		m("cotangents not weighted by π", "weight * p * log", "weight * log"),
		m("no π' − π", "p * (log + math.Expm1(-log))", "p * log"),
	}},
	{"losses.go", "Flows.minQ", []mutant{
		m("the larger critic", "min(", "max("),
		m("the first critic", "min(v.LogQ[0][e], v.LogQ[1][e])", "v.LogQ[0][e]"),
	}},
	{"losses.go", "SoftState", []mutant{
		m("values kept from the batch before", "clear(dst)", ""),
		m("no entropy", "v.minQ(int32(e))-v.LogPF[e]", "v.minQ(int32(e))"),
		m("sign of the entropy", "v.minQ(int32(e))-v.LogPF[e]", "v.minQ(int32(e))+v.LogPF[e]"),
	}},
	{"losses.go", "RPE", []mutant{
		m("states that are not visited learned", "visits == 0 || ", ""),
		m("what is known learned", "visits == 0 || b.onlyExits(row)", "visits == 0"),
		m("loss of the last state only", "loss += visits * δ * δ", "loss = visits * δ * δ"),
		m("each state once", "loss += visits * δ * δ", "loss += δ * δ"),
		m("cotangents not accumulated", "d.LogF[row] += 2 * visits * δ", "d.LogF[row] = 2 * visits * δ"),
		m("the update held constant", "d.LogF[c] -= 2 * visits * δ * math.Exp(term-update)", "_ = term"),
		m("children alike", "math.Exp(term-update)", "math.Exp(0*term)"),
		m("known children have a gradient", " && !b.onlyExits(int(c))", ""),
	}},

	{"mlp.go", "NewMLP", []mutant{
		m("weights initially positive", "2*uniform01(rng) - 1", "uniform01(rng)"),
		m("the last layer's parameters 0", "i < parameters(sizes[:l+1])", "i < parameters(sizes[:l+1]) && l < len(sizes)-1"),
		m("bound 1/n for 1/√n", "math.Sqrt(float64(sizes[l-1]))", "float64(sizes[l-1])"),
		m("bound by the outputs", "math.Sqrt(float64(sizes[l-1]))", "math.Sqrt(float64(sizes[l]))"),
	}},
	{"mlp.go", "Head.slot", []mutant{
		m("edge flows by row", "ForwardHead, EdgeHead", "ForwardHead"),
		m("edge flows by backward slot",
			"ForwardHead, EdgeHead", "ForwardHead",
			"case BackwardHead", "case BackwardHead, EdgeHead"),
	}},
	{"mlp.go", "Head.outputs", []mutant{
		m("edge flows of the first action", "ForwardHead, EdgeHead", "ForwardHead"),
		m("edge flows of backward actions",
			"ForwardHead, EdgeHead", "ForwardHead",
			"case BackwardHead", "case BackwardHead, EdgeHead"),
	}},
	{"mlp.go", "Head.normalised", []mutant{
		m("PB not normalised", " || h == BackwardHead", ""),
		m("edge flows normalised", "h == BackwardHead", "h != ScalarHead"),
		m("scalars normalised", "h == BackwardHead", "h != EdgeHead"),
	}},
	{"mlp.go", "Net.read", []mutant{
		m("the second layer's weights for all", "n.layer(p, l)", "n.layer(p, min(l, 2))"),
	}},
	{"mlp.go", "Net.Eval", []mutant{
		m("weights of the pass before",
			"n.read(n.w, n.Params)",
			"if n.w[len(n.w)-1].w == nil { n.read(n.w, slices.Clone(n.Params)) }"),
		m("values written from the first slot of all",
			"dst[n.Head.slot(st, lo+from)-first:]",
			"dst[n.Head.slot(st, lo)-first:]"),
		m("the first rows for those that follow", "n.LSE, 0, lo+from, lo+to,", "n.LSE, 0, from, to,"),
		m("rows of other states accepted", "n.st != st", "false"),
	}},
	{"mlp.go", "Net.table", []mutant{
		m("Backward on the states of a table", "dst := make(", "n.st = st; dst := make("),
		m("deaf to interrupts", " && ctx.Err() == nil", ""),
		m("every other block of rows", "lo += block", "lo += 2 * block"),
	}},
	{"mlp.go", "Net.forward", []mutant{
		m("no ReLU", "relu(y)", ""),
		m("ReLU on the outputs", "if l < last", "if l <= last"),
		m("softmax over all actions, legal or not", "LogSumExp(values)", "LogSumExp(y)"),
		m("not normalised", "values[k] -= lse[row-base]", "values[k] -= 0"),
	}},
	{"mlp.go", "Net.begin", []mutant{
		m("no bias", "copy(y, b)", "clear(y)"),
		m("no features", "sumRows(y, w, st.X[st.XStart[row]:st.XStart[row+1]])", "_ = w"),
		m("the bias twice", "copy(y, b)", "copy(y, b); add(y, b)"),
		m("the last feature forgotten", "st.XStart[row+1]]", "st.XStart[row+1]-1]"),
	}},
	{"mlp.go", "Net.Backward", []mutant{
		m("no gradient of the second layer's weights",
			"for l := last; l > 0; l-- {\n\t\tdW",
			"for l := last; l > 0; l -= 2 {\n\t\tdW"),
		m("no gradient of the first layer's weights", "x < hi && l == 1", "x < hi && l == 2"),
		m("the second layer passes nothing back",
			"for l := last; l > 1; l-- {\n\t\t\tn.w",
			"for l := last; l > 2; l-- {\n\t\t\tn.w"),
		m("no gradient of the biases", "sumRows(db, n.dh[l], n.all)", "_ = db"),
		m("the last row forgotten", "parallel(n.workers, rows, block", "parallel(n.workers, rows-1, block"),
	}},
	{"mlp.go", "Net.transpose", []mutant{
		m("rows of the feature before", "n.first[x+2]++", "n.first[x+1]++"),
		m("features of the batch before kept", "clear(n.first)", ""),
		m("the first row alone", "= int32(row)", "= int32(0 * row)"),
		m("the biases of the batch before", "n.all = n.all[:0]", ""),
	}},
	{"mlp.go", "sumRowsPlain", []mutant{m("not a sum", "add(y,", "copy(y,")}},
	{"mlp.go", "Net.outputCotangents", []mutant{
		m("cotangents doubled", "dy[a] = n.Scale *", "dy[a] = 2 * n.Scale *"),
		m("no sum of the row's cotangents", "sum += d", "_ = d"),
		m("policies not normalised", "n.Head.normalised()", "false"),
		m("probabilities of the outputs, not scaled", "n.Scale*y[a] - ", "y[a] - "),
	}},
	{"mlp.go", "Net.JVP", []mutant{
		m("no derivative of the first layer",
			"n.begin(hDot, n.st, v, l, lo, hi)",
			"if clear(hDot); l > 1 { n.begin(hDot, n.st, v, l, lo, hi) }"),
		m("no derivative of the biases",
			"n.begin(hDot, n.st, v, l, lo, hi)",
			"if clear(hDot); l == 1 { n.begin(hDot, n.st, v, l, lo, hi) }"),
		m("no derivative of the layer below", "n.w[l].mul(hDot, n.rows(n.hDot, l-1, lo, hi))", ""),
		m("no derivative through the third layer", "if l > 1", "if l > 1 && l != 3"),
	}},
	{"mlp.go", "Net.outputDerivatives", []mutant{
		m("no softmax term", "yDot[a] - mean", "yDot[a]"),
		m("sign of the softmax term", "yDot[a] - mean", "yDot[a] + mean"),
		m("scale of the derivatives forgotten", "dst[k] = n.Scale * ", "dst[k] = "),
		m("probabilities of the outputs, not scaled", "math.Exp(n.Scale*y[a]-", "math.Exp(y[a]-"),
	}},
	{"mlp.go", "weights.mulPlain", []mutant{
		m("W transposed", "m.w[i*m.out+j]", "m.w[j*m.in+i]"),
		m("not accumulated", "y[j] +=", "y[j] ="),
		m("the first row only", "len(x) > 0", "len(x) > 0 && len(x) > len(y)+1<<20"),
	}},
	{"mlp.go", "weights.mulTPlain", []mutant{
		m("no ReLU mask", "h[i] != 0", "true"),
		m("cotangents of shut units kept from the batch before", "clear(dx)", ""),
		m("W transposed", "m.w[i*m.out+j]", "m.w[j*m.in+i]"),
		m("not a sum", "dx[i] +=", "dx[i] ="),
	}},
	{"mlp.go", "addOuterPlain", []mutant{
		m("the first row only", "len(x) > 0", "len(x) > 0 && len(x) > len(dW)+1<<20"),
		m("inputs not weighted", "x[i] * dy[j]", "min(1, x[i]) * dy[j]"),
		m("not accumulated", "dW[i*out+j] +=", "dW[i*out+j] ="),
	}},
	{"mlp.go", "reluPlain", []mutant{
		m("no ReLU", "max(v, 0)", "v"),
	}},
	{"mlp.go", "maskPlain", []mutant{
		m("no ReLU mask", "if v == 0", "if v < 0"),
		m("ReLU mask turned round", "if v == 0", "if v != 0"),
	}},
	{"mlp.go", "add", []mutant{
		m("not a sum", "y[j] += v", "y[j] = v"),
	}},
	{"mlp.go", "Adam.Update", []mutant{
		m("steps not counted", "a.T++", "a.T = 1"),
		m("one step too many", "a.T++", "a.T += 2"),
	}},
	{"mlp.go", "adamPlain", []mutant{
		m("no bias correction of the first moment", "1/(1-math.Pow(beta1, float64(t)))", "1.0"),
		m("corrections of one step later", "correct1, correct2 :=", "t++; correct1, correct2 :="),
		m("momentum lost", "m[i] = beta1*m[i] + (1-beta1)*g[i]", "m[i] = (1 - beta1) * g[i]"),
		m("second moment not averaged", "(1-beta2)*g[i]*g[i]", "g[i]*g[i]"),
	}},
	{"mlp.go", "Net.Step", []mutant{
		m("not clipped", "Clip(n.Grad, clip)", ""),
		m("gradient kept", "clear(n.Grad[lo:hi])", ""),
		m("steps not counted", "n.T++", ""),
	}},
	{"mlp.go", "Clip", []mutant{
		m("small gradients scaled up", "norm > c", "norm > 0"),
		m("clipped where off", "c <= 0", "c < 0"),
		m("the norm not squared", "math.Sqrt(dot(g, g))", "dot(g, g)"),
		m("scaled to norm 1", "c / norm", "1 / norm"),
	}},
	{"mlp.go", "parallel", []mutant{
		m("the last piece forgotten", "if lo >= n", "if hi >= n"),
		m("panics swallowed", "panic(*p)", "_ = p"),
		m("one worker alone forgets the last piece", "lo < n; lo += size", "lo+size < n; lo += size"),
	}},

	{"mlp_generic.go", "terms.compact", []mutant{
		m("negative inputs dropped", "math.Float64bits(value) != 0", "value > 0"),
	}},
	{"mlp_generic.go", "weights.mul", []mutant{
		m("the first chunk only", "lo += chunk", "lo += 1 << 20"),
		m("the first row only", "len(x) > 0", "len(x) > 0 && len(x) > len(y)+1<<20"),
		m("the second chunk by the first rows of W", "m.w[lo*m.out:]", "m.w[0*lo:]"),
	}},
	{"mlp_generic.go", "weights.mulT", []mutant{
		m("no ReLU mask", "open.compact(h[first:m.in])", "open.compact(m.w[first:m.in])"),
		m("cotangents of shut units kept from the batch before", "clear(dx)", ""),
		m("the first chunk of outputs only", "lo += chunk", "lo += 1 << 20"),
		m("the first chunk of inputs only", "first += chunk", "first += 1 << 20"),
	}},
	{"mlp_generic.go", "packed.pack", []mutant{
		m("columns of the first row alone", "range rows {\n\t\tsome", "range min(rows, 1) {\n\t\tsome"),
		m("columns of the last row alone", "|=", "="),
		m("the first columns", "row[j]", "row[k]; _ = j"),
		m("columns of the block before kept", "p.live[:0]", "p.live"),
	}},
	{"mlp_generic.go", "addOuter", []mutant{
		m("every other block of rows",
			"x[rows*in:], dy[rows*out:]",
			"x[min(len(x), 2*rows*in):], dy[min(len(dy), 2*rows*out):]"),
		m("the last row of a block forgotten", "column[:rows]", "column[:rows-1]"),
		m("sums of the row before kept", "clear(p.sum)", ""),
		m("not accumulated", "row[j] += p.sum[k]", "row[j] = p.sum[k]"),
	}},
	{"mlp_generic.go", "addRows", []mutant{
		m("the last four not completed", "for len(idx)%4 > 0 {", "for len(idx)%4 > 3 {"),
		m("completed by ones", "append(x, 0)", "append(x, 1)"),
		m("the rows of four forgotten", "axpy4(y,", "axpy4(make([]float64, n),"),
		m("a row twice", "axpy4(y, row(0), row(1)", "axpy4(y, row(0), row(0)"),
		m("coefficients in another order", "row(3), x[0], x[1], x[2], x[3])", "row(3), x[1], x[0], x[2], x[3])"),
	}},
	{"mlp_generic.go", "axpy8", []mutant{
		m("a coefficient of its neighbour", "a5*w5[j]", "a4*w5[j]"),
		m("sign of a term", "+ a7*w7[j]", "- a7*w7[j]"),
		m("not accumulated", "y[j] +=", "y[j] ="),
	}},
	{"mlp_generic.go", "axpy4", []mutant{
		m("a coefficient of its neighbour", "a1*w1[j]", "a0*w1[j]"),
		m("sign of a term", "+ a3*w3[j]", "- a3*w3[j]"),
		m("not accumulated", "y[j] +=", "y[j] ="),
	}},
	{"mlp_generic.go", "sumRows", []mutant{
		m("the rows beyond a multiple of eight forgotten", "range rows {", "range rows[:0] {"),
		m("a row twice", "row(0), row(1)", "row(0), row(0)"),
	}},
	{"mlp_generic.go", "add8", []mutant{
		m("sign of a term", "+ w7[j]", "- w7[j]"),
		m("not accumulated", "y[j] +=", "y[j] ="),
	}},
	{"mlp_generic.go", "addDots", []mutant{
		m("not accumulated", "dx[i] +=", "dx[i] ="),
		m("the rows beyond a multiple of six forgotten", "len(idx) > 0 {", "len(idx) > 5 {"),
		m("a last row in place of the first", "min(r, some-1)", "some-1"),
	}},
	{"mlp_generic.go", "dot6", []mutant{
		m("a row twice", "w[1][:n]", "w[0][:n]"),
		m("compacted places taken for places", "s2 += v * w2[j]", "s2 += v * w2[k]"),
		m("not a sum", "s3 += v * w3[j]", "s3 = v * w3[j]"),
	}},

	{"gfn.go", "appendInts", []mutant{m("over those before", "dst[n+i]", "dst[i]")}},
	{"gfn.go", "appendSame", []mutant{m("all but the first", "len(dst) - n;", "len(dst) - n + 1;")}},
	{"gfn.go", "UniformPF", []mutant{m("by the entering edges", "st.FStart[lo:hi+1]", "st.BStart[lo:hi+1]")}},
	{"gfn.go", "UniformPB", []mutant{m("by the leaving edges", "st.BStart[lo:hi+1]", "st.FStart[lo:hi+1]")}},
	{"gfn.go", "meanOver", []mutant{m("by the logarithm", "math.Exp(l)", "l")}},
	{"gfn.go", "Graph.LogZ", []mutant{m("log R of the last row", "g.logZ", "g.LogR[len(g.LogR)-1]")}},
	{"gfn.go", "Graph.LogFlows", []mutant{m("at temperature 2", "1), 1)", "1), 2)")}},
	{"gfn.go", "Graph.ForwardOf", []mutant{m("PB left out", "logPB, ", "nil, ")}},
	{"gfn.go", "Batch.Endpoint", []mutant{m("the state before", "b.Start[i+1]-1", "max(b.Start[i], b.Start[i+1]-2)")}},
	{"gfn.go", "Batch.Evaluate", []mutant{m("as many rows of PB as of PF", "&b.evalB, b.BStart", "&b.evalF, b.BStart")}},
	{"gfn.go", "Batch.advance", []mutant{m("one trajectory", "range b.active {", "range b.active[:1] {")}},
	{"gfn.go", "Batch.finish", []mutant{m("the last one left out", "b.paths[:n]", "b.paths[:max(1, n-1)]")}},
	{"gfn.go", "TV", []mutant{m("JSD", "tvTerm", "jsdTerm")}},
	{"gfn.go", "JSD", []mutant{m("TV", "jsdTerm", "tvTerm")}},
	{"gfn.go", "Correlation", []mutant{m("the rank of x alone", "pearsons(ranks(x), ranks(y))", "pearsons(ranks(x), y)")}},
	{"gfn.go", "States.probe", []mutant{
		m("the last place of the index is anyone's",
			"row < 0 || st.equal(row, s)", "row < 0 || st.equal(row, s) || k == mask"),
	}},
	{"gfn.go", "States.grow", []mutant{m("rows one too low", "int32(row + 1)", "int32(row)")}},
	{"gfn.go", "States.State", []mutant{
		m("of the row before",
			"st.state[row*st.Shape.Dim:]", "st.state[max(0, row-1)*st.Shape.Dim:]"),
	}},
	{"gfn.go", "States.Reset", []mutant{m("index kept", "clear(st.index)", "")}},
	{"gfn.go", "tabular.Features", []mutant{m("one feature for all", "append(dst, row)", "append(dst, 0*row)")}},
	{"mlp.go", "parameters", []mutant{m("no biases", "sizes[l-1] + 1", "sizes[l-1]")}},
	{"mlp.go", "Head.sizes", []mutant{
		m("edges as many as backward actions",
			"EdgeHead: shape.Forward", "EdgeHead: shape.Backward"),
	}},
	{"mlp.go", "NewNet", []mutant{m("scale 2", "Scale: 1", "Scale: 2")}},
	{"mlp.go", "Net.Table", []mutant{m("twice the values", "return y", "add(y, y)\n\treturn y")}},
	{"grad.go", "dot", []mutant{m("the last entry left out", "range a {", "range a[:max(0, len(a)-1)] {")}},
	{"envs.go", "DAG.Marginals", []mutant{m("log-probabilities", "math.Exp(logp[row])", "logp[row]")}},
	{"gfn.go", "States.Exit", []mutant{
		m("the last slot taken for an exit", "&& int(st.FAction[e]) == st.Shape.Forward-1", ""),
	}},
	{"gfn.go", "States.Add", []mutant{
		m("no test of log-rewards", "!(math.Abs(logR) <= maxLogR)", "false"),
		m("log-rewards of any size", "!(math.Abs(logR) <= maxLogR)", "!finite(logR)"),
		m("NaN accepted", "!(math.Abs(logR) <= maxLogR)", "math.Abs(logR) > maxLogR"),
		m("states held twice", "row >= 0", "row >= 1<<30"),
		m("any number of slots", "> maxSlots", "> 1<<62"),
		m("any number of features", ", len(st.X))", ")"),
	}},
	{"gfn.go", "slot", []mutant{
		m("any slot of the row", "int(actions[k]) == action", "int(actions[k]) <= max(action, 1<<20)"),
	}},
	{"gfn.go", "States.retreat", []mutant{
		m("joined to the wrong forward slot", "slot(st.FStart, st.FAction, parent, a)", "int(st.FStart[parent])"),
	}},
	{"gfn.go", "States.follow", []mutant{
		m("joined to the wrong backward slot", "slot(st.BStart, st.BAction, child, b)", "int(st.BStart[child])"),
	}},
	{"gfn.go", "uniform", []mutant{
		m("sign of log A", "-math.Log(float64(n))", "math.Log(float64(n))"),
		m("not normalised", "-math.Log(float64(n))", "0"),
	}},
	{"gfn.go", "Enumerate", []mutant{
		m("rows as found, not in topological order", "!slices.IsSorted(order)", "false"),
		m("exits do not lead to the sink", "g.Child[e] = int32(g.Len())", "g.Child[e] = -1"),
	}},
	{"gfn.go", "walk", []mutant{
		m("one state too few", "st.Len() > limit", "st.Len() >= limit"),
		m("no limit", "st.Len() > limit", "false"),
	}},
	{"gfn.go", "States.topological", []mutant{
		m("sources with parents accepted", "n > 0 {", "n > 1<<30 {"),
		m("parents off the source's reach accepted", "st.Edge[k] < 0", "false"),
		m("cycles accepted", "len(order) == st.Len()", "true"),
	}},
	{"gfn.go", "checkState", []mutant{
		m("backward actions not tested", "range backward", "range backward[:0]"),
		m("rewards need not be pure", "r == again && ", ""),
	}},
	{"gfn.go", "checkList", []mutant{
		m("order of lists not tested", "first[i] > first[i-1]", "true"),
		m("range of lists not tested", "first[0] >= 0 && first[len(first)-1] < limit", "true"),
		m("negative entries accepted", "first[0] >= 0 && ", ""),
		m("lists may write to the state", "slices.Equal(s, before)", "true"),
	}},
	{"gfn.go", "checkMove", []mutant{
		m("moves that stay accepted", "!slices.Equal(next, s)", "true"),
		m("inverse actions need not be legal", "slices.Contains(list, b)", "true"),
		m("inverse need not lead back", "back == a && slices.Equal(next, s)", "back == a"),
		m("inverse need not name the action", "back == a && slices.Equal(next, s)", "slices.Equal(next, s)"),
	}},
	{"gfn.go", "checkTrajectory", []mutant{
		m("a walk back may end anywhere", "first == 0", "true"),
		m("states on the way not tested", "range b.Len()", "range 0"),
	}},
	{"gfn.go", "Tabular", []mutant{
		m("the environment itself", "return tabular{g.Env, g}", "return g.Env"),
	}},
	{"gfn.go", "LogSumExp", []mutant{
		m("not relative to the maximum", "math.Exp(v - m)", "math.Exp(v)", "m + math.Log(sum)", "math.Log(sum)"),
		m("maximum not added", "m + math.Log(sum)", "math.Log(sum)"),
		m("all terms −Inf not foreseen", "math.IsInf(m, 0)", "false"),
	}},
	{"gfn.go", "States.LogIntermediate", []mutant{
		m("of terminating states too", "st.Exit(row) < 0", "other != nil"),
		m("none of others", "dst[row] = other(st.s)", "dst[row] = 0*other(st.s)"),
		m("of the state before", "st.s = st.State(st.s, row)", "st.s = st.State(st.s, max(0, row-1))"),
	}},
	{"gfn.go", "Batch.Walk", []mutant{
		m("actions after an exit", "exit != (i == len(actions)-1)", "exit && i > len(actions)"),
		m("illegal actions", "e < 0 ||", "e < -1 ||"),
		m("half a trajectory left behind", "b.Steps = b.Steps[:done]", ""),
		m("no actions", "len(b.Steps) == done", "false"),
	}},
	{"gfn.go", "Graph.LogTarget", []mutant{
		m("not normalised", "r - g.logZ", "r"),
	}},
	{"gfn.go", "Graph.LogVisits", []mutant{
		m("parents' visits forgotten", "d[g.From[e]]+logPF[e]", "logPF[e]"),
		m("policy forgotten", "d[g.From[e]]+logPF[e]", "d[g.From[e]]"),
		m("one edge between two states", "LogSumExp(terms)", "slices.Max(terms)"),
	}},
	{"gfn.go", "Graph.LogTrajectories", []mutant{
		m("uniform policy in place of 1", "make([]float64, len(g.FAction))", "g.Forward(UniformPF)"),
	}},
	{"gfn.go", "Graph.LogTerminating", []mutant{
		m("exit's probability forgotten", "d[row] += logPF[e]", ""),
		m("states that do not terminate keep their visits", "d[row] = math.Inf(-1)", "_ = row"),
	}},
	{"gfn.go", "Graph.SoftReward", []mutant{
		m("no rewards of inner states",
			"α * logR[g.From[e]]",
			"map[bool]float64{true: α * logR[g.From[e]], false: math.Inf(-1)}[g.FStart[g.From[e]+1]-g.FStart[g.From[e]] == 1]"),
		m("PB forgotten", "α * logPB[k]", "0"),
		m("log PB without temperature", "α * logPB[k]", "logPB[k]"),
		m("log R without temperature", "α * logR[g.From[e]]", "logR[g.From[e]]"),
	}},
	{"gfn.go", "Graph.SoftValue", []mutant{
		m("children's values forgotten", "(r[e] + v[g.Child[e]]) / α", "r[e] / α"),
		m("rewards forgotten", "(r[e] + v[g.Child[e]]) / α", "v[g.Child[e]] / α"),
		m("the value without temperature", "α * softmax", "softmax"),
	}},
	{"gfn.go", "States.LogG", []mutant{
		m("g upside down",
			"dst[row] -= math.Log", "dst[row] += math.Log",
			"dst[row] += math.Log(float64(len(st.list)))\n\t\t\tif at",
			"dst[row] -= math.Log(float64(len(st.list)))\n\t\t\tif at"),
		m("an endless walk", "steps++", "", "steps == maxSteps", "steps < 0"),
		m("not beyond the last row known", "dst[row] += dst[at]", ""),
		m("the last backward action of more than one",
			"st.Env.Undo(s, st.list[0])",
			"st.Env.Undo(s, st.list[len(st.list)-1])"),
	}},
	{"gfn.go", "States.checkLogG", []mutant{
		m("differences accepted", "> 1e-9*max(1, math.Abs(first))", "> 1e9"),
		m("rounding errors refused", "> 1e-9*max(1, math.Abs(first))", "> 0"),
		m("the first parent named twice", "other, st.Format(parent))", "other, Format(st.Env, s))"),
		m("edges that are not joined followed", "if e < 0 {\n\t\t\t\tcontinue", "if false {\n\t\t\t\tcontinue"),
	}},
	{"gfn.go", "Graph.RandomPolicyEvaluation", []mutant{
		m("no g", "logG[row] + l", "0*logG[row] + l"),
		m("no reward", "logG[row] + l", "logG[row] + 0*l"),
		m("rewards multiplied by A", "logG[row] + l", "logG[row] + l - r[e]"),
		m("another policy than the uniform one", "g.Forward(UniformPF)", "make([]float64, len(g.FAction))"),
	}},
	{"losses.go", "ValuePolicy", []mutant{
		m("rows of the start of st", "row := lo; row < hi; row++", "row := 0; row < hi-lo; row++"),
	}},
	{"gfn.go", "States.AddChildren", []mutant{
		m("all but the last row", "0, st.Len()", "0, st.Len()-1"),
		m("without bound", " && st.err == nil", ""),
	}},
	{"losses.go", "States.valuePolicy", []mutant{
		m("not normalised", "normalise(dst, st.FStart[:n+1])", ""),
	}},
	{"losses.go", "States.logValue", []mutant{
		m("asked for what is known", "st.onlyExits(row)", "false"),
		m("taken for known where there are other edges", "st.onlyExits(row)", "st.Exit(row) >= 0"),
		m("R without g", "logG[row] + st.LogR[row]", "st.LogR[row]"),
	}},
	{"losses.go", "States.valueTerms", []mutant{
		m("no A", "- math.Log(float64(len(dst)))", ""),
		m("an exit shared among A", "= logG[row] + st.LogR[row]", "= logG[row] + st.LogR[row] - math.Log(float64(len(dst)))"),
		m("an exit without g", "= logG[row] + st.LogR[row]", "= st.LogR[row]"),
	}},
	{"gfn.go", "Graph.BackwardOf", []mutant{
		m("not divided by d(s')", "normalise(dst, g.BStart)", ""),
		m("PF forgotten", "d[g.From[e]] + logPF[e]", "d[g.From[e]]"),
		m("parents' visits forgotten", "d[g.From[e]] + logPF[e]", "logPF[e] + 0*float64(len(d))"),
	}},
	{"gfn.go", "Graph.Value", []mutant{
		m("children's values forgotten", "r[e]+v[g.Child[e]]", "r[e]"),
		m("rewards forgotten", "r[e]+v[g.Child[e]]", "v[g.Child[e]]"),
		m("not weighted by PF", "times(math.Exp(logPF[e]), r[e]+v[g.Child[e]])", "r[e]+v[g.Child[e]]"),
		m("edges without probability not foreseen",
			"times(math.Exp(logPF[e]), r[e]+v[g.Child[e]])",
			"math.Exp(logPF[e]) * (r[e]+v[g.Child[e]])"),
	}},
	{"gfn.go", "Graph.RewardF", []mutant{
		m("sign of log PB", "r[e] -= logPB[k]", "r[e] += logPB[k]"),
		m("no log PB", "r[e] -= logPB[k]", ""),
		m("sign of log R", "logZ - g.LogR", "logZ + g.LogR"),
		m("no log R", "logZ - g.LogR[g.From[e]]", "logZ"),
		m("no log Z", "logZ - g.LogR", "0*logZ - g.LogR"),
		m("sign of log Z", "logZ - g.LogR", "-logZ - g.LogR"),
	}},
	{"gfn.go", "Graph.ELBO", []mutant{
		m("sign", "return -g.Value", "return g.Value"),
		m("over the trajectories of P*F", "g.Value(logPF,", "g.Value(g.ForwardOf(logPB),"),
	}},
	{"gfn.go", "Graph.EUBO", []mutant{
		m("sign", "return -g.Value", "return g.Value"),
		m("over the trajectories of PF", "g.ForwardOf(logPB)", "logPF"),
	}},
	{"gfn.go", "Graph.Policy", []mutant{
		m("always of forward slots", "return st.BStart", "return st.FStart"),
		m("always of backward slots", "return st.FStart", "return st.BStart"),
		m("the row of the batch, not the graph's", "table[from[i]:from[i+1]]", "table[from[row]:from[row+1]]"),
	}},
	{"gfn.go", "stream", []mutant{
		m("the seed does not matter", "mix(seed)", "mix(0 * seed)"),
		m("the iteration does not matter", "mix(a ^ iteration)", "mix(a)"),
		m("all trajectories draw the same", "mix(b ^ index)", "mix(b)"),
	}},
	{"gfn.go", "uniform01", []mutant{
		m("0…½ only", "/ (1 << 53)", "/ (1 << 54)"),
	}},
	{"gfn.go", "draw", []mutant{
		m("no exploration", "uniform01(rng) < o.Epsilon", "false"),
		m("1−ε for ε", "uniform01(rng) < o.Epsilon", "uniform01(rng) > o.Epsilon"),
		m("T for 1/T", "inv = 1 / o.Temperature", "inv = o.Temperature"),
		m("tempered policy not normalised", "u *= sum", ""),
	}},
	{"gfn.go", "Batch.begin", []mutant{
		m("a second sample repeats the streams of the first", "uint64(b.Trajectories()+i)", "uint64(i)"),
		m("trajectories keep steps from before", "b.paths[i] = b.paths[i][:0]", ""),
	}},
	{"gfn.go", "Batch.advance", []mutant{
		m("a walk without end", "steps > maxSteps", "false"),
	}},
	{"gfn.go", "Batch.Sample", []mutant{
		m("the child's row in the step", "next = int32(b.follow(int(e)))", "next = int32(b.follow(int(e))); row = next"),
	}},
	{"gfn.go", "Batch.SampleBackward", []mutant{
		m("any state accepted as endpoint", "e < 0 {\n\t\t\treturn fmt", "false {\n\t\t\treturn fmt"),
		m("trajectories from end to source", "slices.Reverse(b.paths[i])", "_ = i"),
		m("one stream for all", "&b.rngs[i]", "&b.rngs[0]"),
	}},
	{"gfn.go", "Batch.logRatio", []mutant{
		m("sign of log PB", "sum -= logPB[s.B]", "sum += logPB[s.B]"),
		m("no log PF", "sum += logPF[s.F]", ""),
		m("no exit", "sum += logPF[s.F]\n", "if s.B >= 0 { sum += logPF[s.F] }\n"),
	}},
	{"gfn.go", "EstimateLogTerminating", []mutant{
		m("walks back from the streams of training", "1<<61 + uint64(i)", "uint64(i)"),
		m("the same stream for every object", "1<<61 + uint64(i)", "1<<61 + 0*uint64(i)"),
		m("standard error not over √n", "squares/(N-1)/N", "squares/(N-1)"),
		m("standard error of the sum", "math.Exp(term-mean)-1", "math.Exp(term)-math.Exp(mean)"),
	}},
	{"gfn.go", "tvTerm", []mutant{
		m("L1 for TV", "math.Exp(lq)) / 2", "math.Exp(lq))"),
		m("squares", "math.Abs(math.Exp(lp)-math.Exp(lq)) / 2", "math.Pow(math.Exp(lp)-math.Exp(lq), 2) / 2"),
	}},
	{"gfn.go", "jsdTerm", []mutant{
		m("sum, not mean, of the two", "klTerm(lq, lm)) / 2", "klTerm(lq, lm))"),
		m("p + q for the mean", " - math.Ln2", ""),
		m("one half only", "klTerm(lp, lm) + klTerm(lq, lm)", "2 * klTerm(lp, lm)"),
	}},
	{"gfn.go", "klTerm", []mutant{
		m("sign", "lp-lq", "lq-lp"),
		m("weighted by q", "math.Exp(lp)", "math.Exp(lq)"),
		m("logarithm of a quotient of exponentials", "lp-lq", "math.Log(math.Exp(lp)/math.Exp(lq))"),
		m("0·∞ not foreseen", "times(math.Exp(lp), lp-lq)", "math.Exp(lp) * (lp - lq)"),
	}},
	{"gfn.go", "distance", []mutant{
		m("arguments swapped", "term(lp, logq[i])", "term(logq[i], lp)"),
		m("the last term only", "sum += term", "sum = term"),
		m("lengths not compared", "len(logp) != len(logq)", "len(logp) > len(logq)"),
	}},
	{"gfn.go", "seenTerm", []mutant{
		m("frequencies summed where states are counted", "min(1, math.Ceil(math.Exp(lp)))", "math.Exp(lp)"),
	}},
	{"gfn.go", "perfect", []mutant{
		m("states of equal probability counted once", "sum += value", "", "lq, n)\n", "lq, n); sum += value\n"),
	}},
	{"gfn.go", "binomialMean", []mutant{
		m("q = 0 and 1 not foreseen", "!(q > 0 && q < 1)", "false"),
		m("no binomial coefficient", "lgN-a-b+k*lq", "0*(lgN-a-b)+k*lq"),
		m("k in place of k/N", "math.Log(k/N)", "math.Log(k)"),
		m("up to N−1", "min(N, mean+width)", "min(N-1, mean+width)"),
	}},
	{"gfn.go", "Graph.Metrics", []mutant{
		m("KL the other way", "KL(p, q))", "KL(q, p))"),
		m("TV for JSD", "JSD(p, q))", "TV(p, q))"),
		m("the target's mean reward for the sampler's",
			"LogMeanReward: g.logMeanReward(p)",
			"LogMeanReward: g.logMeanReward(q)"),
		m("the sampler's mean log reward for the target's",
			"MeanLogRewardExact: meanOver(q",
			"MeanLogRewardExact: meanOver(p"),
	}},
	{"gfn.go", "States.logMeanReward", []mutant{
		m("reward forgotten", "terms[row] += r", "terms[row] += 0 * r"),
		m("policy forgotten", "terms[row] += r", "terms[row] = r"),
	}},
	{"gfn.go", "States.Modes", []mutant{
		m("every terminating state", "&& mode(s)", "&& (mode(s) || true)"),
	}},
	{"gfn.go", "States.Empirical", []mutant{
		m("counts, not frequencies", "math.Log(c / n)", "math.Log(c)"),
		m("perfect TV is 0", "TVPerfect: perfect(tvTerm, q, n)", "TVPerfect: 0"),
		m("perfect modes of one sample", "perfect(seenTerm, qm, n)", "perfect(seenTerm, qm, 1)"),
		m("all states counted as modes", "distance(seenTerm, pm, qm)", "distance(seenTerm, p, q)"),
		m("a perfect sampler has no modes of no target", "if logq != nil", "if n > 0"),
	}},
	{"gfn.go", "pearsons", []mutant{
		m("not centred", "x[i]-mx, y[i]-my", "x[i]-0*mx, y[i]-0*my"),
		m("not divided by both deviations", "math.Sqrt(xx*yy)", "xx"),
	}},
	{"gfn.go", "ranks", []mutant{
		m("ties do not share their rank", "cmp.Or(cmp.Compare(y, x), -1)", "cmp.Compare(y, x)"),
		m("ties share their first rank", "float64(lo+hi-1) / 2", "float64(lo + 0*hi)"),
	}},

	{"trainer.go", "Methods", []mutant{
		m("π-SQL without target network", "Flow: exitFlow(), Target: []role{forwardPolicy}", "Flow: exitFlow()"),
		m("V of PCL without α", "Soft: []role{stateValue}, ", ""),
		m("Q of SQL without α", "Soft: []role{forwardPolicy}, ", ""),
		m("Q of SAC without α", "Soft: []role{edgeValue1, edgeValue2}, ", ""),
		m("targets of one critic", "Target: []role{edgeValue1, edgeValue2}", "Target: []role{edgeValue1, edgeValue1}"),
		m("FL-DB without its reward", "Flow: shapedFlow()", "Flow: stateFlow()"),
		m("db-u trains by TB", "plain(DB), Flow: stateFlow()}", "plain(TB), Flow: stateFlow()}"),
		m("FM without parents", ", Neighbours: (*Batch).AddParents", ""),
	}},
	{"trainer.go", "Method.Applies", []mutant{
		m("everywhere", `want == ""`, "true"),
	}},

	{"trainer.go", "role.of", []mutant{
		m("the critics of SAC are one", "&f.LogQ[0], &f.LogQ[1]", "&f.LogQ[0], &f.LogQ[0]"),
		m("PB learns from PF's cotangents", "&f.LogPB, &f.LogF", "&f.LogPF, &f.LogF"),
	}},
	{"trainer.go", "edgeFlow", []mutant{
		m("log F is 0", "nets[forwardPolicy].LSE", "make([]float64, len(nets[forwardPolicy].LSE))"),
	}},
	{"trainer.go", "Trainer.evaluate", []mutant{
		m("no log Z", "v.LogZ = t.logZ[0]", ""),
		m("kinds of flow not asked",
			"t.read(&t.net, values, b, v)",
			"if v.LogRhat == nil && v.LogG == nil && v.LogF == nil { t.read(&t.net, values, b, v) }"),
	}},
	{"trainer.go", "Trainer.bootstrap", []mutant{
		m("targets of the networks themselves", "t.read(&t.target,", "t.read(&t.net,"),
		m("no targets", "t.Method.Flow.logF(b, w, v.Next)", "v.Next = nil"),
	}},
	{"trainer.go", "Trainer.read", []mutant{
		m("SQL's targets of the network itself", "fill(nets, b, f)", "fill(&t.net, b, f)"),
	}},
	{"trainer.go", "Trainer.LogZ", []mutant{
		m("log Z where it is not learned", "logF == nil", "true"),
	}},
	{"trainer.go", "Trainer.tables", []mutant{
		m("deaf to interrupts", "n.table(ctx", "n.table(context.Background()"),
		m("PB uniform always", "logPB == nil", "true"),
	}},
	{"trainer.go", "shapedFlow", []mutant{
		m("without log R̂", "add(dst, f.LogRhat)", "add(dst, make([]float64, len(f.LogRhat)))"),
		m("nowhere an intermediate reward", "TraitsOf(st.Env).LogIntermediate != nil", "false"),
		m("any intermediate reward", "TraitsOf(st.Env).LogIntermediate != nil", "true"),
	}},
	{"trainer.go", "exitFlow", []mutant{
		m("MDB's is 0", "{ b.exitFlows(f.LogPF, dst) }", "{ clear(dst) }"),
		m("MDB everywhere", "return st.allTerminating(", `return ""; return st.allTerminating(`),
	}},
	{"trainer.go", "twinFlow", []mutant{
		m("SAC's is 0", "SoftState(&b.States, f, dst)", "_ = f"),
	}},
	{"trainer.go", "valueFlow", []mutant{
		m("the LogG of the batch before", "f.LogG, _ = b.LogG(f.LogG)", "f.LogG = resize(f.LogG, b.Len())"),
		m("log V of a source that only exits learned", "b.logValue(row, f.LogG, f.LogF)", "f.LogF[row]"),
		m("promises count where the space is enumerated", "!slices.Contains(st.Child, -1)", "false"),
		m("no promises", "!slices.Contains(st.Child, -1)", "true"),
	}},
	{"trainer.go", "States.allTerminating", []mutant{m("the source alone", "range st.Len()", "range 1")}},
	{"trainer.go", "Config.Validate", []mutant{
		m("VarGrad of a batch of one", "max(1, method.Least)", "1"),
		m("no method on policy only", "method.Loss == nil", "method.Name == \"\""),
		m("a tempered policy gradient", "c.Temperature == 1", "true"),
		m("replayed trajectories in a policy gradient", "c.Replay == 0", "true"),
	}},
	{"trainer.go", "Trainer.network", []mutant{
		m("one stream for all networks", "uint64(r))", "0)"),
		m("α for its inverse", "1 / c.Alpha", "c.Alpha"),
		m("a temperature of every method", "slices.Contains(t.Method.Soft, r)", "true"),
		m("tabular networks begin at random", "c.Tabular", "false"),
	}},
	{"trainer.go", "Trainer.remember", []mutant{
		m("without limit", "[max(0, len(t.replay)-t.Config.Replay):]", ""),
		m("the first ones kept", "[max(0, len(t.replay)-t.Config.Replay):]", "[:min(len(t.replay), t.Config.Replay)]"),
		m("what is replayed remembered again", "range n", "range max(n, b.Trajectories())"),
		m("the modes of all states", " && t.mode(x)", ""),
	}},
	{"trainer.go", "Trainer.sample", []mutant{
		m("nothing replayed", "len(t.replay) > 0", "false"),
		m("all replayed", "again = c.Batch / 2", "again = c.Batch - 1"),
		m("no exploration", "Sampling{c.Seed, uint64(t.Iteration), ε,", "Sampling{c.Seed, uint64(t.Iteration), 0 * ε,"),
		m("exploration does not end", "c.progress(t.Iteration)*", "0*"),
		m("the newest half replayed",
			"int(uniform01(&rng)*float64(len(t.replay)))",
			"len(t.replay)/2+int(uniform01(&rng)*float64(len(t.replay)-len(t.replay)/2))"),
	}},
	{"trainer.go", "Trainer.balance", []mutant{
		m("targets stand still", "(1-targetStep)*t.target[r].Params[i] + targetStep*θ", "t.target[r].Params[i] + 0*θ"),
		m("targets are the networks", "(1-targetStep)*t.target[r].Params[i] + targetStep*θ", "θ"),
		m("broken environments not noticed", "b.err != nil", "false"),
		m("targets of no method", "t.Method.Target != nil", "false"),
	}},
	{"trainer.go", "Trainer.descend", []mutant{
		m("an out-flow beside a network of log F", " && t.net[stateValue] == nil", ""),
		m("up the gradient", "c.rate(t.Iteration)*lr", "-c.rate(t.Iteration)*lr"),
		m("no schedule", "c.rate(t.Iteration)*lr", "lr"),
		m("any gradient", "sound && t.net[r].finiteGrad()", "sound && t.net[r] != nil"),
		m("a gradient that is not finite kept", "clear(t.net[r].Grad)", "_ = r"),
	}},
	{"mlp.go", "Net.finiteGrad", []mutant{
		m("gradients whose squares overflow", "< 1e150", "< math.Inf(1)"),
	}},
	{"mlp.go", "MLP.layer", []mutant{
		m("biases first", "return p[:in*out], p[in*out:]", "return p[out:], p[:out]"),
	}},
	{"trainer.go", "Trainer.tensors", []mutant{
		m("the moments swapped", `n.M, "", ".m"`, `n.V, "", ".m"`, `n.V, "", ".v"`, `n.M, "", ".v"`),
		m("the weights for those of the target", "t.target[r].Params", "t.net[r].Params"),
		m("the guide for the modes", "c.modes, len(c.modes)", "c.guide, len(c.guide)"),
		m("weights as [out, in]", "w, n.Sizes[l-1], n.Sizes[l])", "w, n.Sizes[l], n.Sizes[l-1])"),
	}},
	{"trainer.go", "Trainer.file", []mutant{
		m("offsets one byte late", "[]int{begin, len(data)}", "[]int{begin + 1, len(data) + 1}"),
		m("integers called floats", `"I32"`, `"F64"`),
	}},
	{"trainer.go", "checksum", []mutant{
		m("of the record alone", "crc32.ChecksumIEEE(data)", "0"),
		m("of the tensors alone", "crc32.IEEETable, trainer)", "crc32.IEEETable, nil)"),
	}},
	{"trainer.go", "Load", []mutant{
		m("of any environment", "is != c.Env", "is != is"),
		m("the checkpoint's limit", "min(config.Limit, own.Limit)", "config.Limit"),
		m("networks that the file cannot hold", "len(data)/8", "maxParameters"),
	}},
	{"trainer.go", "readCheckpoint", []mutant{
		m("any checksum", "h.Metadata.CRC32 != checksum(data, trainer)", `h.Metadata.CRC32 == ""`),
		m("any version", "v != checkpointVersion", "false"),
	}},
	{"trainer.go", "Trainer.usable", []mutant{
		m("infinite numbers", "!finite(v)", "math.IsNaN(v)"),
		m("outputs that overflow", "t.source().Forward(t.PF())", "[]float64{0}"),
	}},
	{"trainer.go", "WriteFile", []mutant{
		m("files of other programs that run", "> time.Hour", "> time.Minute"),
	}},
	{"trainer.go", "Trainer.rewards", []mutant{
		m("without log Z*", "[]float64{sum, t.Graph.LogZ()}", "[]float64{sum}"),
		m("trajectories without rewards", "uniform01(&rng) * logR", "0 * uniform01(&rng) * logR"),
		m("the streams of training", "Sampling{Iteration: fixedStreams}", "Sampling{}"),
	}},
	{"trainer.go", "Trainer.restore", []mutant{
		m("counts below 0", "c.Iteration < 0", "false"),
		m("counts of 0", "c.Iteration < 0", "c.Iteration < 1"),
		m("room for any number of states", "min(max(offset, 0), len(data))", "max(offset, 0)"),
		m("room for fewer than none", "max(0, within(place[1])-within(place[0]))", "(within(place[1]) - within(place[0]))"),
		m("room from before the data", "max(offset, 0)", "offset"),
		m("half a mode", "dim*rows(\"modes\", 4*dim)", "rows(\"modes\", 4)"),
		m("bytes that are no tensor's", "!bytes.Equal(own, file)", "len(own) == 0"),
	}},
	{"trainer.go", "Trainer.record", []mutant{
		m("the sums forgotten", ", Since: t.since", ""),
		m("the guide's newest endpoints first", "range r.order", "range slices.Backward(r.order)"),
	}},
	{"trainer.go", "Trainer.recall", []mutant{
		m("trajectories of any actions", "b.Walk(ints(rest[:n])); err", "b.Walk(ints(rest[:n])); n == 0 && err"),
		m("no trajectory", "append(t.replay, rest[:n])", "nil"),
		m("the modes forgotten", "t.found.Add(ints(s))", "_ = s"),
		m("the guide's endpoints forgotten", "r.add(t.Env, ints(s))", "_ = s"),
	}},
	{"grad.go", "Graph.RewardB", []mutant{
		m("sign of log PG", "r[k] -= logPG[e]", "r[k] += logPG[e]"),
	}},
	{"grad.go", "Graph.ValueB", []mutant{
		m("parents' values forgotten", "r[k]+v[g.From[e]]", "r[k]"),
		m("rewards forgotten", "r[k]+v[g.From[e]]", "v[g.From[e]]"),
		m("edges without probability not foreseen",
			"times(math.Exp(logPB[k]), r[k]+v[g.From[e]])",
			"math.Exp(logPB[k]) * (r[k] + v[g.From[e]])"),
	}},
	{"grad.go", "Graph.Advantage", []mutant{
		m("no baseline", "v[g.Child[e]] - v[row]", "v[g.Child[e]] - 0*v[row]"),
		m("sign", "+= v[g.Child[e]] - v[row]", "-= v[g.Child[e]] - v[row]"),
	}},
	{"grad.go", "Graph.GradJF", []mutant{
		m("visits forgotten", "d[row]+logPF[e]", "logPF[e]+0*d[row]"),
		m("PF forgotten", "d[row]+logPF[e]", "d[row]"),
		m("values in place of advantages", "g.Advantage(v, r)", "r"),
	}},
	{"grad.go", "Graph.GradJB", []mutant{
		m("visits forgotten", "d[child]+logPB[k]", "logPB[k]+0*d[child]"),
		m("PB forgotten", "d[child]+logPB[k]", "d[child]"),
		m("walks from R", "g.LogFlows(logPB, logρ)", "g.LogFlows(logPB, g.LogR)"),
		m("visits of the parent", "d[child]+logPB[k]", "d[s]+logPB[k]"),
		m("no baseline", "grad[k]+v[s]-v[child]", "grad[k]+v[s]-0*v[child]"),
		m("rewards alone", "grad[k]+v[s]-v[child]", "grad[k]+v[s]-v[s]"),
		m("J_B not weighted by ρ", "meanOver(logρ, v)", "meanOver(make([]float64, len(v)), v)"),
	}},
	{"grad.go", "RewardsF", []mutant{
		m("sign of log PB", "- v.LogPB[s.B]", "+ v.LogPB[s.B]"),
		m("sign of log R", "- b.LogR[s.Row]", "+ b.LogR[s.Row]"),
		m("no log Z", "+ v.LogZ", ""),
	}},
	{"grad.go", "RewardsB", []mutant{
		m("sign of log PG", "- logPG[i]", "+ logPG[i]"),
		m("sign", "v.LogPB[s.B] - logPG[i]", "logPG[i] - v.LogPB[s.B]"),
		m("exits keep what was there", "dst[i] = 0", ""),
	}},
	{"grad.go", "eachStep", []mutant{
		m("walks backwards take the exit", "hi--", ""),
		m("against the walk is along it", "bool(way) == against", "bool(way) != against"),
		m("the row of the step, not of its child, backwards", "b.Steps[t+1].Row", "b.Steps[t].Row"),
	}},
	{"grad.go", "Advantages", []mutant{
		m("no baseline", "r[t] + next - value[row]", "r[t] + next - 0*value[row]"),
		m("no bootstrap", "r[t] + next - value[row]", "r[t] + 0*next - value[row]"),
		m("sign of the values", "r[t] + next - value[row]", "r[t] - next + value[row]"),
		m("λ = 1", "λ*after", "after"),
		m("λ = 0", "λ*after", "0*after"),
		m("λ²", "λ*after", "λ*λ*after"),
		m("carried over from the trajectory before",
			"after, next := 0.0, 0.0", "",
			"clear(dst)", "clear(dst); after, next := 0.0, 0.0"),
	}},
	{"grad.go", "Returns", []mutant{
		m("reward-to-come only",
			"sum += r[t] })\n", "sum += r[t]; dst[t] = sum })\n",
			"func(t int, _ int32) { dst[t] = sum }", "func(int, int32) {}"),
		m("carried over from the trajectory before", "sum := 0.0", "", "clear(dst)", "clear(dst); sum := 0.0"),
	}},
	{"grad.go", "Centre", []mutant{
		m("sum, not mean", "(sum - own) / (n - k)", "(sum - own)"),
		m("own trajectory not left out", "(sum - own) / (n - k)", "(sum - 0*own) / (n - 0*k)"),
		m("others' sum over all steps", "(sum - own) / (n - k)", "(sum - own) / n"),
		m("sign", "a[t] -= mean", "a[t] += mean"),
		m("a single trajectory not foreseen", "k < n", "true"),
		m("the batch's mean for the others'", "c == CentreOthers", `c == "no"`),
	}},
	{"grad.go", "PolicyGradient", []mutant{
		m("sign of log PF", "d.LogPF[s.F] += a[i] / n", "d.LogPF[s.F] -= a[i] / n"),
		m("PF: sum, not mean", "d.LogPF[s.F] += a[i] / n", "d.LogPF[s.F] += a[i]"),
		m("PF: not accumulated", "d.LogPF[s.F] += a[i] / n", "d.LogPF[s.F] = a[i] / n"),
		m("sign of log PB", "d.LogPB[s.B] += a[i] / n", "d.LogPB[s.B] -= a[i] / n"),
		m("PB: sum, not mean", "d.LogPB[s.B] += a[i] / n", "d.LogPB[s.B] += a[i]"),
	}},
	{"grad.go", "Critic", []mutant{
		m("sign of the gradient", "dV[row] -= 2", "dV[row] += 2"),
		m("gradient halved", "dV[row] -= 2 * a[t]", "dV[row] -= a[t]"),
		m("loss and gradient not divided by n", "float64(b.Trajectories())", "1.0"),
		m("loss and gradient doubled", "a[t] * a[t] / n", "2 * a[t] * a[t] / n", "2 * a[t] / n\n", "4 * a[t] / n\n"),
	}},
	{"grad.go", "SubEB", []mutant{
		m("loss and gradient not divided by n", "float64(b.Trajectories())", "1.0"),
		m("potentials at their full offset", "path = -value[row]", "path = 0"),
		m("no values", "append(p, value[row]+path)", "append(p, path)"),
		m("the last reward missed", "p = append(p, path)", ""),
		m("the loss of the last walk only", "loss += geometric", "loss = geometric"),
		m("values' cotangents one late", "k--\n\t\t\tdV[row] += b.du[k] / n", "dV[row] += b.du[k] / n; k--"),
	}},
	{"grad.go", "residualB", []mutant{
		m("no log R", "b.LogR[exit.Row] - v.LogPF[exit.F]", "-v.LogPF[exit.F]"),
		m("sign of the exit's log PF", "- v.LogPF[exit.F]", "+ v.LogPF[exit.F]"),
		m("no log Z", "- v.LogZ", ""),
	}},
	{"grad.go", "ExitCapped.Policy", []mutant{
		m("the rest not scaled up", "dst[e] += shift", "_ = shift"),
		m("the exit not capped", "dst[exit] = math.Log(c.Cap)", ""),
		m("states that only exit not foreseen", "exit <= lo", "exit < 0"),
		m("capped above the threshold", "st.LogR[row] > c.Threshold", "st.LogR[row] < c.Threshold"),
		m("capped whatever the reward", "st.LogR[row] > c.Threshold", "false"),
		m("small exits raised", "logPF[exit] <= math.Log(c.Cap)", "false"),
		m("the cap not taken off", "math.Log1p(-c.Cap)", "0"),
		m("exit counted among the rest", "logPF[lo:exit]", "logPF[lo:exit+1]"),
	}},
	{"grad.go", "ExitCapped.LogPG", []mutant{
		m("not capped", "c.Policy(&b.States, logPF)", "logPF"),
	}},
	{"gfn.go", "times", []mutant{
		m("0·∞ not foreseen", "p == 0", "false"),
	}},
	{"grad.go", "Unguided.LogPG", []mutant{
		m("PB for PF", "logPF, _, dst", "_, logPF, dst", "dst[t] = logPF[s.F]", "dst[t] = logPF[max(0, s.B)]"),
	}},
	{"grad.go", "Replayed.above", []mutant{
		m("parents alone", "i < len(rows); i++", "i < 1; i++"),
		m("every walk marks the same", "r.walks++", ""),
		m("one endpoint takes any memory", "r.index.size() > float64(maxGraph)", "false"),
		m("x is not among them",
			"visit(x)",
			"visit(x); if rows = rows[:0]; true { rows = append(rows, r.index.From[max(0, r.index.Edge[r.index.BStart[x]])]) }"),
	}},
	{"grad.go", "Replayed.add", []mutant{
		m("R for log R", "r.index.LogR[x]})", "math.Exp(r.index.LogR[x])})"),
		m("the last endpoint's reward only", "LogSumExp([]float64{r.logSum[row], r.index.LogR[x]})", "r.index.LogR[x]"),
		m("endpoints not counted", "r.count[row]++", "r.count[row] = 1"),
		m("nothing forgotten", "r.forget(env)", ""),
		m("no bound of memory", "r.index.size() > float64(maxGraph)/2", "false"),
	}},
	{"grad.go", "Replayed.forget", []mutant{
		m("the newer half forgotten", "r.order[len(r.order)-len(r.order)/2:]", "r.order[:len(r.order)/2]"),
	}},
	{"grad.go", "Replayed.LogPG", []mutant{
		m("the first endpoint missed", "r.add(b.Env, s)", "if i > 0 { r.add(b.Env, s) }"),
		m("its endpoints last", "r.add(b.Env, s)", "defer r.add(b.Env, b.State(nil, b.Endpoint(i)))"),
		m("ignorance is uniform", "dst[t] = logPB[step.B]", "dst[t] = 0"),
		m("another endpoint's walk", "r.above(x)", "r.above(0)"),
	}},
	{"grad.go", "Replayed.logShare", []mutant{
		m("sum, not mean, reward", "r.logSum[c] - math.Log(r.count[c])", "r.logSum[c]"),
		m("children from which x is out of reach counted", "c < 0 || r.mark[c] != r.walks", "c < 0"),
		m("not normalised", "own - LogSumExp(means)", "own - 0*LogSumExp(means)"),
	}},
	{"grad.go", "TrustRegion.Step", []mutant{
		m("up the gradient", "old[i] - fraction", "old[i] + fraction"),
		m("half the step", "math.Sqrt(2 * tr.KL", "math.Sqrt(0.5 * tr.KL"),
		m("any KL accepted", "&& kl <= tr.KL", ""),
		m("the last trial kept", "copy(n.Params, old)", ""),
		m("three trials at most", "range tr.Backtracks", "range min(3, tr.Backtracks)"),
		m("Fisher matrix averaged over steps",
			"Fisher(n, st, logPF, visits, v, dst)",
			"N, share := 0.0, slices.Clone(visits)\nfor _, d := range visits {\nN += d\n"+
				"}\nfor i := range share {\nshare[i] /= N\n}\nFisher(n, st, logPF, share, v, dst)"),
		m("no damping", "tr.Damping * v", "0 * v"),
		m("gradient kept", "clear(n.Grad)", ""),
	}},
	{"grad.go", "DefaultTrustRegion", []mutant{
		m("half the iterations", "Iterations: 10", "Iterations: 5"),
		m("tolerance 1e-2", "Tolerance: 1e-5", "Tolerance: 1e-2"),
		m("half the trials", "Backtracks: 20", "Backtracks: 10"),
	}},
	{"grad.go", "Batch.Visits", []mutant{
		m("not divided by n", "1 / float64(b.Trajectories())", "1"),
		m("a state counted once, however often visited", "dst[s.Row] += ", "dst[s.Row] = "),
		m("kept from the batch before", "zeros(dst,", "resize(dst,"),
	}},
	{"grad.go", "Fisher", []mutant{
		m("no weights", "weight[row] * math.Exp", "math.Exp(0*weight[row]) * math.Exp"),
		m("no probabilities", "math.Exp(logPF[e])", "math.Exp(0 * logPF[e])"),
		m("added to what was there", "clear(dst)", ""),
		m("the network's own gradient lost", "n.Grad = grad", "_ = grad"),
	}},
	{"grad.go", "ConjugateGradients", []mutant{
		m("sign of the residual's step", "r[i] -= α", "r[i] += α"),
		m("steepest descent", "r[i] + β*v", "r[i] + 0*β*v"),
		m("β turned round", "rr / last", "last / rr"),
		m("no tolerance", "rr <= tolerance", "rr <= 0*tolerance"),
		m("tolerance of |r|", "rr <= tolerance", "math.Sqrt(rr) <= tolerance"),
		m("one iteration fewer", "range iterations", "range iterations - 1"),
		m("r·p for p·Ap", "dot(p, ap)", "dot(p, p)"),
	}},
	{"grad.go", "Bound.Slack", []mutant{
		m("equalities always hold", "return -math.Abs(b.Right - b.Left)", "return math.Abs(b.Right - b.Left)"),
		m("the other way", "return b.Right - b.Left\n", "return b.Left - b.Right\n"),
	}},
	{"grad.go", "Bound.Holds", []mutant{
		m("tolerance 1e-3", "1e-9*max", "1e-3*max"),
		m("an infinite left side holds", "finite(b.Left) && ", ""),
		m("an infinite right side holds", "finite(b.Right) && ", ""),
		m("tolerance of 1 alone", "max(1, math.Abs(b.Left), math.Abs(b.Right))", "1"),
		m("tolerance of the sides alone", "max(1, math.Abs(b.Left)", "max(0, math.Abs(b.Left)"),
	}},
	{"grad.go", "Graph.Longest", []mutant{
		m("exit not counted", "int(slices.Max(most)) + 1", "int(slices.Max(most))"),
		m("the shortest", "most, _ :=", "_, most :="),
	}},
	{"grad.go", "SamplingError", []mutant{
		m("factor of Pinsker's inequality", "max(0, kl) / 2", "max(0, kl) * 2"),
		m("KL for its root", "math.Sqrt(max(0, kl) / 2)", "max(0, kl) / 2"),
	}},
	{"grad.go", "Graph.trajectoryKL", []mutant{
		m("log Z of 0", "g.LogZ()", "0"),
	}},
	{"grad.go", "MarginalGap", []mutant{
		m("conditional gap forgotten", "KL(ρ, g.LogTarget()) + g.pathKL", "KL(ρ, g.LogTarget()) + 0*g.pathKL"),
		m("marginal gap forgotten", "KL(ρ, g.LogTarget()) + g.pathKL", "g.pathKL"),
	}},
	{"grad.go", "Improvement", []mutant{
		m("difference without the KL", "meanOver(d2, gain) + kl", "meanOver(d2, gain) + 0*kl"),
		m("the old policy's visits", "meanOver(d2, gain) + kl", "meanOver(d, gain) + kl"),
		m("KL of the old policy's visits", "meanOver(d2, rowKL)", "meanOver(d, rowKL)"),
		m("KL with its sign turned", "p2 * (logPF2[e] - logPF[e])", "p2 * (logPF[e] - logPF2[e])"),
		m("the rows' TV under the new visits, beside the exact one",
			"Bound{\"trajectory TV\", tv, meanOver(d, rowTV)",
			"Bound{\"trajectory TV\", tv, meanOver(d2, rowTV)"),
		m("TV bound without 2", "2*ε*H*tv", "ε*H*tv"),
		m("KL bound without L", "L + kl + ε*H*math.Sqrt(2*kl)", "kl + ε*H*math.Sqrt(2*kl)"),
		m("half the KL in the last term of the worst state", "math.Sqrt(2*H*κ)", "math.Sqrt(H*κ)"),
	}},
	{"grad.go", "Graph.extremes", []mutant{
		m("sums of one edge", "most[from]+r[k]", "r[k]"),
		m("least and most exchanged", "return most, least", "return least, most"),
		m("paths of 0 among them", "math.Inf(-1), math.Inf(1)", "0, 0"),
	}},
	{"grad.go", "ResidualCertificate", []mutant{
		m("exits left out", "min(a, logPF[exit]-logR-most[x])", "min(a, -logR-most[x])"),
		m("rewards left out", "max(b, logPF[exit]-logR-least[x])", "max(b, logPF[exit]-least[x])"),
		m("half for a quarter", "(b - a) / 4", "(b - a) / 2"),
		m("an exit from the source alone left out", "exit >= 0", "exit > 0"),
		m("the spread itself", "math.Tanh((b - a) / 4)", "(b - a) / 4"),
	}},
	{"grad.go", "EvidenceBounds", []mutant{
		m("EUBO of P*B", "g.EUBO(logPF, logPB)", "g.EUBO(logPF, g.BackwardOf(logPF))"),
		m("ELBO of P*B", "g.ELBO(logPF, logPB)", "g.ELBO(logPF, g.BackwardOf(logPF))"),
	}},
	{"grad.go", "Graph.pathKL", []mutant{
		m("sign", "logp[k] - logq[k]", "logq[k] - logp[k]"),
		m("walks of Q", "g.ValueB(logp, r)", "g.ValueB(logq, r)"),
	}},
	{"grad.go", "Check", []mutant{
		m("no certificate", "note(ResidualCertificate(g, logPF, logPB))", ""),
		m("no marginal gap", "note(MarginalGap(g, logPF, logPB))", ""),
		m("no editing", "note(randomEditing(g, rng, logPF, i%3 == 1)...)", ""),
		m("the seed is not used", "rand.NewPCG(seed, uint64(i))", "rand.NewPCG(0, uint64(i))"),
		m("the same policies over and over", "rand.NewPCG(seed, uint64(i))", "rand.NewPCG(seed, 0)"),
		m("oracle of another PB", "logPF = g.ForwardOf(logPB)", "logPF = g.ForwardOf(g.Backward(UniformPB))"),
		m("near steps not near", "0.01*logPF2[e]", "1*logPF2[e]"),
	}},
	{"grad.go", "randomPolicy", []mutant{
		m("not normalised", "normalise(p, start)", ""),
		m("the same policy for every seed", "p[i] = rng.NormFloat64()", "p[i] = float64(i)"),
	}},
	{"grad.go", "randomEditing", []mutant{
		m("words built in any order", "words.order != Append", "false"),
	}},
	{"grad.go", "relativeSlack", []mutant{
		m("absolute", "b.Slack() / size", "b.Slack()"),
		m("relative to the smaller side", "max(math.Abs(b.Left)", "min(math.Abs(b.Left)"),
		m("rounding error is the worst case", "size < 1e-9", "false"),
	}},
	{"grad.go", "worst", []mutant{
		m("the most slack kept", "relativeSlack(b) < relativeSlack(kept[i])", "relativeSlack(b) > relativeSlack(kept[i])"),
		m("NaN forgotten", "!b.Holds() || ", ""),
		m("the first kept", "!b.Holds() || relativeSlack(b) < relativeSlack(kept[i])", "false"),
	}},
	{"grad.go", "Control", []mutant{
		m("no entropy", "entropic[e] -= α * logPF[e]", "entropic[e] -= 0 * logPF[e]"),
		m("DB without the child's flow", "- logF[child] - shape[child]", "- shape[child]"),
		m("DB's residual without α", "α * (logF[row] + shape[row]", "1 * (logF[row] + shape[row]"),
		m("values without α", "α*logF[child]", "logF[child]"),
		m("no shaping of the child", "α*shape[child] - α*shape[row]", "-α*shape[row]"),
		m("no R̂ in the flows", "logF[row] + shape[row] + residuals[e]", "logF[row] + residuals[e]"),
		m("the policy's form with learned flows", "byExit, none", "logF, none"),
		m("R̂ = e where R is not defined", "logR[row] = 0", "logR[row] = 1"),
	}},
	{"grad.go", "softValues", []mutant{
		m("the corrected reward without correction", "g.SoftValue(r, α)", "g.SoftValue(g.SoftReward(nil, g.LogR, α), α)"),
		m("α log Z* without α", "α * g.LogZ()", "g.LogZ()"),
		m("n not counted", "g.LogTrajectories()", "make([]float64, g.Len())"),
	}},
	{"grad.go", "Graph.weighted", []mutant{
		m("not normalised", "r - total", "r"),
	}},
	{"grad.go", "UniformValue", []mutant{
		m("d n for d g", "dg[row] += logG[row]", "dg[row] -= logG[row]"),
		m("a bound on the bias where there is none", "err != nil", "err == nil || true"),
		m("none where there is one", "err != nil", "err != nil && false"),
		m("F* of V", "math.Abs(logV[row]-logG[row]-f)", "math.Abs(logV[row]-f)"),
		m("g = d", "math.Abs(dg[row])", "math.Abs(logG[row]-d[row])"),
	}},
	{"grad.go", "Graph.trajectoryTV", []mutant{
		m("L1 for TV", "math.Abs(math.Exp(p)-math.Exp(q)) / 2", "math.Abs(math.Exp(p) - math.Exp(q))"),
		m("never exact", "> math.Log(float64(limit))", "> math.Inf(-1)"),
		m("limit of states",
			"LogSumExp(g.LogTerminating(make([]float64, len(logp)))) > math.Log(float64(limit))",
			"g.Len() > limit"),
	}},
	{"grad.go", "Guiding", []mutant{
		m("norm of the guide forgotten", "p, n := math.Exp(ρ[x]), norm[x]", "p, n := math.Exp(ρ[x]), 0*norm[x]"),
		m("the first endpoint's guide for all", "last == nil || &w[0] != &last[0]", "last == nil"),
		m("M of one side", "max(M, most[x]+n, -least[x]-n)", "max(M, most[x]+n, 0*least[x])"),
		m("J^G without the exits", "+ logPF[exit] - g.LogR[x] + g.LogZ()", "+ 0*logPF[exit]"),
		m("J_B of the walks of P*B", "g.ValueB(logPB, toB)", "g.ValueB(back, toB)"),
		m("bound without M", "M * math.Sqrt", "math.Sqrt"),
	}},
	{"gfn.go", "softmax", []mutant{
		m("not normalised", "row[k] -= total", "row[k] -= 0 * total"),
		m("the greatest for the log-sum-exp", "LogSumExp(row)", "slices.Max(row)"),
		m("rows of −Inf not foreseen", "math.IsInf(total, -1)", "false"),
		m("rows of −Inf not normalised", "-math.Log(float64(len(row)))", "0"),
	}},
	{"envs.go", "NewEditor", []mutant{
		m("λ = 1 accepted", "λ < 1", "λ <= 1"),
		m("any order", "ok && words.order == Append", "ok"),
	}},
	{"envs.go", "Editor.redraw", []mutant{
		m("flagged draws keep the seed's letter too seldom", "(1 - e.λ) * math.Erfc", "math.Erfc"),
		m("flag by the other side", "math.Erfc(y/", "math.Erfc(-y/"),
		m("variance for deviation", "y/e.σ/math.Sqrt2", "y/e.σ/e.σ/math.Sqrt2"),
		m("not halved", "math.Sqrt2) / 2", "math.Sqrt2)"),
	}},
	{"envs.go", "Editor.Policy", []mutant{
		m("always drawn anew", "math.Log(ρ)", "0"),
		m("threshold without the largest probability", "e.δ*math.Exp(slices.Max(logp))", "e.δ"),
		m("the seed's letter is never drawn", "ρ*px + (1 - ρ)", "1 - ρ"),
		m("a letter that is not flagged does not stay", "ρ*px + (1 - ρ)", "ρ * px"),
	}},
	{"envs.go", "MeasureEdits", []mutant{
		m("sum of improvements", "(property(x) - before) / n", "property(x) - before"),
		m("improvement not taken from before", "property(x) - before", "property(x) - 0*before"),
		m("a fraction, not a percentage", "100 * float64(Levenshtein(seed, x))", "float64(Levenshtein(seed, x))"),
		m("percentage of one edit", "float64(len(seed)) / n", "float64(len(seed))"),
	}},
	{"envs.go", "NewBGe", []mutant{
		m("α_w one less", "float64(n + 2)", "float64(n + 1)"),
		m("t without α_μ + 1", "/ (αμ + 1)", "/ αμ"),
		m("no normaliser", "- N/2*math.Log(math.Pi)", ""),
		m("l counted once in the power of t", "(c+l+1)/2*math.Log(t)", "(c+1)/2*math.Log(t)"),
	}},
	{"envs.go", "triangular", []mutant{
		m("rows as they come", "math.Abs(column[i]) > math.Abs(column[p])", "false"),
		m("cancellation in the reflection", "-math.Copysign", "math.Copysign"),
		m("projection for reflection", "2 * dot(v, a[k:])", "dot(v, a[k:])"),
	}},
	{"envs.go", "logDets", []mutant{
		m("log of the diagonal, not its square", "2*math.Log", "math.Log"),
		m("parents alone", "logYY, logYX = logYX, logYX+", "logYY, logYX = 0, logYX+"),
	}},
	{"envs.go", "Data.column", []mutant{
		m("rounding of the mean left in", "append(column, x[j]-mean-left)", "append(column, x[j]-mean)"),
		m("a constant column is not 0", "mean = d.Rows[0][j]", "mean = 0"),
		m("N for N − 1", "math.Sqrt(N-1)", "math.Sqrt(N)"),
		m("constant columns not foreseen", "&& norm > 0", ""),
	}},
	{"envs.go", "Simulate", []mutant{
		m("no noise in the children",
			"x[v] = noise * rng.NormFloat64()",
			"x[v] = noise * float64(1 - min(1, i)) * rng.NormFloat64()"),
		m("parents subtracted", "x[v] += weight", "x[v] -= weight"),
		m("every edge", "rng.Float64() < edges/pairs", "true || rng.Float64() < edges/pairs"),
		m("weights drawn from [0, 1)", "weight[u][v] = rng.NormFloat64()", "weight[u][v] = rng.Float64()"),
	}},
	{"envs.go", "Marginals.add", []mutant{
		m("no parents of children in the blanket", "(parents | 1<<v)", "(1 << v)"),
		m("a node in its own blanket", "blanket[u] &^= 1 << u", ""),
		m("edges turned round", "s[v]>>u&1", "s[u]>>v&1"),
		m("paths turned round", "anc[v]>>u&1", "anc[u]>>v&1"),
	}},
	{"envs.go", "Deviation", []mutant{
		m("over all pairs, u = v too", "len(a)*(len(a)-1)", "len(a)*len(a)"),
		m("squares' mean without its root", "math.Sqrt(rms / ", "(rms / "),
	}},
	{"envs.go", "DAG.term", []mutant{
		m("log R is not 0 at the empty graph", " - d.score(v, 0)", ""),
		m("nothing kept", "place.Store(t)", ""),
		m("terms of other parents", " || t.parents != parents", ""),
		m("one place for all nodes", "int(parents)*d.shape.Dim+v", "int(parents)*d.shape.Dim"),
	}},
	{"envs.go", "Levenshtein", []mutant{
		m("letters replaced at twice the price", "replaced++", "replaced += 2"),
		m("no insertions", "min(replaced, row[j]+1, row[j+1]+1)", "min(replaced, row[j+1]+1)"),
	}},
	{"grad.go", "Editing", []mutant{
		m("exponent forgotten", "T*math.Log(share)", "min(1, T)*math.Log(share)"),
		m("exponent T−1", "T*math.Log", "(T-1)*math.Log"),
		m("the sampler's reward forgotten", " + g.logMeanReward(sampled)", " + 0*g.logMeanReward(sampled)"),
		m("the sampler's own words", "g.Forward(e.Policy(seed))", "g.Forward(e.p)"),
		m("Hamming for Levenshtein", "float64(Levenshtein(seed, x))", "0"),
		m("of one letter", "T * e.redraw(-e.δ)", "e.redraw(-e.δ)"),
		m("most flags of δ = 1", "e.redraw(-e.δ)", "e.redraw(-1)"),
		m("most flags as least", "e.redraw(-e.δ)", "e.redraw(1 - e.δ)"),
		m("least flag of δ = 0", "e.redraw(1 - e.δ)", "e.redraw(1)"),
		m("least flag as most", "e.redraw(1 - e.δ)", "e.redraw(-e.δ)"),
	}},

	{"trainer.go", "Trainer.policyGradient", []mutant{
		m("log Z by J_F's own gradient, 1", "t.descendLogZ(loss)", "t.descendLogZ(1)"),
		m("log Z stands still", "t.descendLogZ(loss)", ""),
		m("PB stands still", "t.reinforce(&t.back, Backward)", "0, error(nil)"),
		m("walks back of the forward streams", "| 1<<63", ""),
	}},
	{"trainer.go", "Trainer.reinforce", []mutant{
		m("the policy stands still", "moved = append(moved, policy)", ""),
		m("the critic stands still", "moved = append(moved, critic)", ""),
		m("one λ for both policies", "backwardPolicy, backwardValue, 1", "backwardPolicy, backwardValue, c.Lambda"),
		m("the forward critic", "backwardPolicy, backwardValue, 1", "backwardPolicy, stateValue, 1"),
		m("guided by PF", "t.guide.LogPG", "Unguided{}.LogPG"),
		m("never by c(τ)²", `c.BackwardStep == "tb"`, "false"),
		m("PF by c(τ)² too", "way == Backward && c", "c"),
		m("the critic's cotangents kept", "b, v)\n\t\td.Reset(v)",
			"b, v)\nwas := slices.Clone(d.LogF); d.Reset(v); for i := range min(len(was), b.Len()) { d.LogF[i] += was[i] }"),
		m("the critic has no gradient", "Critic(b, way, t.a, d.LogF)", ""),
		m("the critic's target by the advantages' λ", "Advantages(b, way, t.r, v.LogF, c.LambdaV, t.a)",
			"Advantages(b, way, t.r, v.LogF, λ, t.a)"),
		m("the critic by its returns always", "t.Method.SubEB", "false"),
		m("rewards-to-go", "v.LogF, λ", "nil, λ"),
		m("not centred", "Centre(b, way, t.a, Centring(c.Centring))", ""),
		m("the region's radius does not follow the schedule", "c.KL * rate * rate", "c.KL+0*rate"),
		m("the radius falls with the rate, not its square", "c.KL * rate * rate", "c.KL*rate"),
		m("the square root of ζ by the square of the rate", "c.KL * rate * rate", "c.KL * rate * rate * rate * rate"),
	}},
	{"trainer.go", "newTrainer", []mutant{
		m("a broken environment", "err := checkEnv(env, 1<<12)", "err := error(nil)"),
		m("words checked", "*Sequence, ", ""),
		m("nil", "env == nil || ", ""),
		m("a pointer that is nil", "v.IsNil()", "v.IsNil() && false"),
	}},
	{"trainer.go", "Trainer.Step", []mutant{
		m("in use for ever", "defer t.busy.Unlock()", ""),
	}},
	{"trainer.go", "Trainer.Save", []mutant{
		m("left in use", "defer t.busy.Unlock()", ""),
	}},
	{"trainer.go", "Trainer.Evaluate", []mutant{
		m("left in use", "defer t.busy.Unlock()", ""),
		m("what overflows evaluated", "err := t.usable()", "err := error(nil)"),
	}},
	{"trainer.go", "Trainer.fits", []mutant{
		m("networks one by one", "total, units = total+", "total, units = "),
		m("enumerated spaces too", "t.Graph != nil", "false"),
	}},
	{"envs.go", "NewFactorReward", []mutant{
		m("β left out", "return beta * sum", "return sum"),
		m("the caller's factors are kept", "Factor{slices.Clone(f.Slots), slices.Clone(f.Weights)}", "f"),
	}},
	{"envs.go", "Factor.check", []mutant{
		m("slots stand twice", " && len(slots) == m", ""),
		m("slots that are not there", " && slots[m-1] < words.length", ""),
	}},
	{"envs.go", "parseMotif", []mutant{
		m("lines of any length", "len(row) == k", "true"),
	}},
	{"envs.go", "Factor.value", []mutant{
		m("a factor counted before its slots are all set", "if word[slot] == k {", "if word[slot] == k && at == 0 {"),
		m("the first slot changes fastest",
			"at = at*k + word[slot]",
			"at = at + word[slot]*int(math.Pow(float64(k), float64(slices.Index(f.Slots, slot))))"),
	}},
	{"envs.go", "NewModesReward", []mutant{
		m("β left out", "beta * float64(-nearest", "float64(-nearest"),
		m("no modes", "nearest(modes, word, k) == 0", "nearest(modes, word, k) < 0"),
		m("modes of any tokens", "token < 0 || token >= k", "false"),
	}},
	{"envs.go", "drawModes", []mutant{
		m("words drawn twice", "!seen[text]", "true"),
	}},
	{"envs.go", "newExplicit", []mutant{
		m("no floor", "logFloored(r, floor)", "math.Log(r)"),
		m("zeros not counted", "zeros++", ""),
		m("all zeros accepted", "zeros < len(rewards)", "true"),
		m("negative rewards accepted", "finite(r) && r >= 0", "finite(r)"),
		m("labels of no node", "maps.Keys(labels))", "maps.Keys(map[int]string{}))"),
		m("labels stand twice", "!twice,", "!twice || true,"),
		m("control characters", "!strings.ContainsFunc", "true || !strings.ContainsFunc"),
	}},
	{"envs.go", "parseExplicit", []mutant{
		m("no label", `row[2].text == "" ||`, ""),
		m("two labels", `labels[node] == ""`, "true"),
	}},
	{"envs.go", "logFloored", []mutant{
		m("a floor below all log rewards", "return math.Log(r)", "return max(math.Log(r), floor)"),
	}},
	{"envs.go", "NewHyperGrid", []mutant{
		m("modes of the cosine reward", "!reward.Cosine", "true"),
		m("states without reward not counted", "r0+r1*outer+r2*inner > 0", "outer+inner >= 0"),
		m("R = 0 everywhere accepted", "positive > 0", "true"),
	}},
	{"envs.go", "NewTableReward", []mutant{
		m("scores below rmin not counted", "low++", ""),
		m("missing words not counted", "missing+1", "missing"),
		m("a table of nothing accepted", "missing < len(logR)", "true"),
		m("all scores below rmin accepted", "low < len(logR)", "true"),
		m("the power of an energy", "if !t.Exp {", "if true {"),
		m("ties left out of the modes", ">= least", "> least"),
	}},
	{"envs.go", "readScores", []mutant{
		m("words twice", "math.IsNaN(scores[i])", "true"),
	}},
	{"envs.go", "source.records", []mutant{
		m("too large a text parsed", "f.err != nil", "false"),
		m("byte order mark kept", `strings.TrimPrefix(string(f.text), "\ufeff")`, "string(f.text)"),
		m("lone CR within lines", `"\r", "\n")`, `"\r\r", "\n")`),
		m("the comment above numbers forgotten", `strings.IndexAny(first, "+-.0123456789") == 0`, "false"),
		m("every comment a header", `title != "" && (`, `title != "" && (header != "" || `),
	}},
	{"envs.go", "separator", []mutant{
		m("separators within quotes", "i%2 == 0", "i >= 0"),
	}},
	{"envs.go", "source.table", []mutant{
		m("rows without names", " || longer && len(first) == len(rows)", ""),
		m("equal names of rows", "longer && len(first) == len(rows)", "longer"),
		m("any header", "header == anyNames || text == header", "true"),
		m("names stand twice", "!seen[f.text]", "true"),
	}},
	{"envs.go", "Explicit.checkPointed", []mutant{
		m("nodes that are not reached", "st.Row([]int{i}) >= 0", "st.Row([]int{i}) >= -1"),
	}},
	{"gfn.go", "States.checkMemory", []mutant{
		m("memory not foreseen", "all = max(n, TraitsOf(st.Env).States)", "all = n"),
		m("foreseen from the first state", "n >= 4096", "n >= 1"),
	}},
	{"gfn.go", "States.size", []mutant{
		m("no forward slots", " + 4*len(st.FAction)", ""),
		m("no states", " + len(st.state)", ""),
	}},
	{"gfn.go", "walk", []mutant{
		m("memory looked at once", "row%4096 == 0", "row == 0"),
	}},
	{"gfn.go", "States.equal", []mutant{
		m("the first entry alone", "range st.state[row*len(s):][:len(s)]", "range st.state[row*len(s):][:1]"),
	}},
	{"gfn.go", "States.join", []mutant{
		m("no Edge", "st.Edge[k] = int32(child), int32(k), int32(e)", "_ = int32(child), int32(k), int32(e)"),
	}},
	{"gfn.go", "evaluate", []mutant{
		m("all rows anew", "lo, hi := *done, b.Len()", "lo, hi := 0, b.Len()"),
		m("written from the start", "dst[start[lo]:])", "dst)"),
	}},
	{"gfn.go", "States.AddParents", []mutant{
		m("the first parent", "k < st.BStart[row+1]", "k < min(st.BStart[row]+1, st.BStart[row+1])"),
		m("without bound", " && st.err == nil", ""),
	}},
	{"envs.go", "field.want", []mutant{
		m("no column", "f.column > 0", "false"),
		m("the column of a line", "f.column > 0", "f.line > 0"),
		m("the line of a file", "f.line > 0", "true"),
		m("the last mistake", "ok || f.of.err != nil", "ok"),
	}},
	{"envs.go", "field.finite", []mutant{
		m("infinite numbers", "err == nil && finite(v)", "err == nil"),
		m("decimal points taken for commas", " && pointed != f.text", ""),
	}},
	{"envs.go", "field.number", []mutant{
		m("negative numbers", " && n >= 0", ""),
	}},
	{"envs.go", "Words.read", []mutant{
		m("any word", "err == nil", "true"),
	}},
	{"envs.go", "Register", []mutant{
		m("names stand twice", "err == nil || name", "err == nil && false || name"),
		m("unnamed", `|| name == "" |`, "|"),
		m("not tested", "checkEnv(env, 1<<12)", "nil"),
		m("no environment", "env != nil", "true"),
		m("names with colons", `":,="`, `",="`),
	}},
	{"envs.go", "parseEnv", []mutant{
		m("a spec with all keys", "f.Value.String() != f.DefValue", "true"),
		m("a spec without the colon that its last value ends in",
			"= canonical,",
			"= strings.TrimSuffix(canonical, \":\"),"),
		m("a spec without values", `+"="+f.Value.String()`, `+"="`),
		m("no spec", "= canonical,", "= traits.Spec+canonical[:0],"),
		m("nothing but the spec", "TraitsOf(env)", "Traits{}"),
	}},
	{"trainer.go", "identify", []mutant{
		m("the spec of the environment within", "TraitsOf(env)", "TraitsOf(Unwrap(env))"),
	}},
	{"envs.go", "findEnvironment", []mutant{
		m("the default reward always", "e.name == rewarded", `e.name == rewarded+":"`),
		m("the first reward of two", "if strings", "if rewarded == name && strings"),
		m("any name", "e.name == name ||", "true ||"),
	}},
	{"envs.go", "setKey", []mutant{
		m("any name", "!slices.Contains(names, value)", "false"),
	}},
	{"envs.go", "Ising", []mutant{
		m("sign of J", "{coupling, -coupling, -coupling, coupling}", "{-coupling, coupling, coupling, -coupling}"),
		m("sign of h", "{-field, field}", "{field, -field}"),
		m("J counted at unlike spins only", "{coupling, -coupling, -coupling, coupling}", "{0, -coupling, -coupling, 0}"),
		m("h counted at spin +1 only", "{-field, field}", "{0, field}"),
	}},
	{"envs.go", "Ring", []mutant{
		m("a chain", "i < j || n > 2", "i < j"),
		m("two bonds between two slots", "i < j || n > 2", "true"),
	}},
	{"envs.go", "Torus", []mutant{
		m("no columns", ", []int{b[0]*n + line, b[1]*n + line}", ""),
		m("no rows", "[]int{line*n + b[0], line*n + b[1]}, ", ""),
	}},
	{"envs.go", "NewSequence", []mutant{
		m("the empty word forgotten", "states = 1 + float64(k)*states", "states *= float64(k)"),
		m("words of fewer letters", "range length", "range length - 1"),
		m("letters that still move", " && order != Ends", ""),
		m("a table of full words", "reward.Partial && ", ""),
		m("g depends on the path", "PathIndependent: true, ", ""),
	}},
	{"envs.go", "nearest", []mutant{
		m("empty slots are mismatches", " && token < k", ""),
	}},
	{"trainer.go", "Trainer.newGuide", []mutant{
		m("never the environment's own", "&& own != nil", "&& false"),
		m("exits capped at 1e-3", "ExitCapped{1e-5, 0}", "ExitCapped{1e-3, 0}"),
	}},
	{"trainer.go", "within", []mutant{
		m("no least", "value >= least && ", ""),
		m("no most", "&& value <= most", ""),
	}},
	{"trainer.go", "positive", []mutant{
		m("0 is positive", "value > 0", "value >= 0"),
		m("NaN is positive", "finite(value) && value > 0", "!(value <= 0)"),
	}},
	{"trainer.go", "DefaultConfig", []mutant{
		m("λ of none", "c.Lambda = m.Lambda", ""),
		m("Sub-EB's weights as λ-returns", "c.LambdaV = 0.9", ""),
		m("other rates", "LR: 3e-3", "LR: 2e-3"),
		m("another rate of log Z", "LRZ: 0.3", "LRZ: 0.1"),
	}},
	{"trainer.go", "Config.ForEnv", []mutant{m("log Z of structures at the rate of others", "c.LRZ = 1", "")}},
	{"trainer.go", "Config.Paper", []mutant{
		m("another batch", "128, 256", "64, 256"),
		m("other rates", "1e-3, 0.1, 5e-3", "1e-3, 0.1, 2e-3"),
	}},
	{"trainer.go", "Trainer.evaluationDue", []mutant{
		m("evaluated again after a resume", "!done && ", "(done || !done) && "),
		m("not at the end", "t.Iteration == t.Config.Iterations || ", ""),
		m("not at the beginning", "every > 0 && ", "t.Iteration > 0 && every > 0 && "),
	}},

	{"trainer.go", "Trainer.Samples", []mutant{
		m("deaf to interrupts", "err := ctx.Err()", "err := error(nil)"),
		m("every batch the same", "math.MaxUint64 - 1 - uint64(k)", "math.MaxUint64 - 1"),
		m("seed of the run alone", "t.Config.Seed + seed", "t.Config.Seed"),
	}},
	{"trainer.go", "readRecorded", []mutant{
		m("any file of that name", "file.sum() == sum", "true"),
		m("not beside the checkpoint", "filepath.Join(dir, name)", "filepath.Clean(name)"),
		m("a file that never ends", "!info.Mode().IsRegular()", "info.IsDir()"),
	}},
	{"trainer.go", "Config.rate", []mutant{
		m("half a cosine more", "math.Cos(math.Pi*x)", "math.Cos(math.Pi*x/2)"),
		m("linear to a half", "return 1 - x\n", "return 1 - x/2\n"),
	}},
	{"trainer.go", "Config.progress", []mutant{
		m("beyond the end",
			"min(1, float64(iteration)/float64(max(1, c.Iterations)))",
			"float64(iteration)/float64(max(1, c.Iterations))"),
		m("one iteration ahead", "float64(iteration)/", "float64(iteration+1)/"),
	}},
	{"trainer.go", "Trainer.evaluation", []mutant{
		m("loss over all iterations", "before = t.Curve[n-1].Iteration", ""),
		m("mean KL over all steps", "e.StepKL /= e.Accepted", "e.StepKL /= e.Accepted + e.Rejected"),
		m("loss a sum", "e.Loss /= e.Iteration - before", "_ = before"),
		m("trajectories of one iteration", "e.Iteration * float64(t.Config.Batch)", "float64(t.Config.Batch)"),
	}},
	{"trainer.go", "Trainer.EvaluateSampled", []mutant{
		m("ELBO of the last trajectory", "e.ELBO += ", "e.ELBO = "),
		m("sign of the importance weight", "b.LogR[x] - b.logRatio", "b.LogR[x] + b.logRatio"),
		m("mean log reward of a batch", "b.LogR[x] / float64(n)", "b.LogR[x] / float64(b.Trajectories())"),
		m("the first states for the endpoints", "b.State(s, x)", "b.State(s, int(b.Trajectory(i)[0].Row))"),
		m("every endpoint once", "count[row]++", "count[row] = 1"),
		m("no target", ", t.Graph.LogTarget()", ", target"),
	}},
	{"trainer.go", "Trainer.LogTerminating", []mutant{
		m("visits", "all := t.Graph.LogTerminating(logPF)", "all := t.Graph.LogVisits(logPF)"),
		m("seed of the run alone", "t.Config.Seed+seed", "t.Config.Seed"),
	}},
	{"trainer.go", "Trainer.descendLogZ", []mutant{
		m("no schedule", "t.Config.rate(t.Iteration)*t.Config.LRZ", "t.Config.LRZ"),
		m("up", "[]float64{gradient}", "[]float64{-gradient}"),
	}},
}

// slow matches the tests that train. Only mutants of trainer.go may need them; faster tests should kill the others.
const slow = "^TestLearnedAgainstExact$"

func main() {
	only := flag.String("only", "", "regular expression: only mutants whose place or description matches")
	limit := flag.Duration("timeout", 30*time.Second, "the longest that the tests may take on one mutant")
	flag.Parse()
	wanted, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants: -only:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, wanted, *limit); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, wanted *regexp.Regexp, limit time.Duration) error {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := copyPackage(dir); err != nil {
		return err
	}
	jobs, err := plant(dir, wanted)
	if err != nil {
		return err
	}
	b := &binary{dir: dir, limit: limit, noticed: map[string]string{}}
	if err := b.build(ctx); err != nil {
		return err
	}

	queue, done := make(chan *job), make(chan *job)
	var wg sync.WaitGroup
	for range max(2, runtime.NumCPU()) {
		wg.Go(func() {
			for j := range queue {
				j.verdict, j.err = b.try(ctx, j)
				done <- j
			}
		})
	}
	go func() {
		for _, j := range jobs {
			queue <- j
		}
		close(queue)
		wg.Wait()
		close(done)
	}()
	for j := range done {
		if ctx.Err() == nil {
			fmt.Printf("%s: %s\n", j, cmp.Or(j.verdict, "SURVIVED"))
		}
	}
	var survivors []string
	for _, j := range jobs {
		if err := cmp.Or(ctx.Err(), j.err); err != nil {
			return err
		}
		if j.verdict == "" {
			survivors = append(survivors, j.String())
		}
	}
	fmt.Printf("%d of %d mutants killed\n", len(jobs)-len(survivors), len(jobs))
	if len(survivors) > 0 {
		return fmt.Errorf("%d survived:\n%s", len(survivors), strings.Join(survivors, "\n"))
	}
	return nil
}

// copyPackage copies what the tests of the package need.
func copyPackage(dir string) error {
	for _, pattern := range []string{"*.go", "go.mod", "go.sum"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
				return err
			}
		}
	}
	if _, err := os.Stat("testdata"); err != nil {
		return nil
	}
	return os.CopyFS(filepath.Join(dir, "testdata"), os.DirFS("testdata"))
}

// job is one mutant in its place, and what killed it.
type job struct {
	place
	mutant
	id      int
	verdict string
	err     error
}

func (j *job) String() string { return fmt.Sprintf("%s %s: %s", j.file, j.function, j.what) }

// plant puts all wanted mutants into the copy, each as a function of its own beside the right one. The right one calls
// the mutant whose number is in the environment variable MUTANT, so that one build serves all.
func plant(dir string, wanted *regexp.Regexp) ([]*job, error) {
	var jobs []*job
	var wrong []error
	texts := map[string]string{}
	for _, p := range list {
		text, ok := texts[p.file]
		if !ok {
			read, err := os.ReadFile(p.file)
			if err != nil {
				return nil, err
			}
			text = string(read)
		}
		f, err := find(p, text)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		var cases, mutants strings.Builder
		for _, m := range p.mutants {
			j := &job{place: p, mutant: m, id: len(jobs) + 1}
			if !wanted.MatchString(j.String()) {
				continue
			}
			jobs = append(jobs, j)
			wrongText, err := f.mutate(j)
			if err != nil {
				wrong = append(wrong, err)
			}
			fmt.Fprintf(&cases, " case %d: %s;", j.id, f.call(j.id))
			// The line directive makes compiler errors and panics name the mutant.
			fmt.Fprintf(&mutants, "\n//line mutant %q:1\n%s\n", j, wrongText)
		}
		texts[p.file] = text[:f.body] + " switch mutant {" + cases.String() + " };" + text[f.body:] + mutants.String()
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("bring the list up to date:\n%w", errors.Join(wrong...))
	}
	texts["mutant.go"] = "package gfn\n\nimport (\"os\"; \"strconv\")\n\n" +
		"var mutant, _ = strconv.Atoi(os.Getenv(\"MUTANT\"))\n"
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

// function is a declaration in a file: its text, and how to call it with its own arguments.
type function struct {
	text     string
	name     int    // where in text its name ends
	body     int    // where in the file its body begins
	receiver string // "n." of a method
	callee   string
	args     []string
	results  bool
}

// find finds the function of a place, or the method, as Type.Method.
func find(p place, text string) (*function, error) {
	files := token.NewFileSet()
	tree, err := parser.ParseFile(files, p.file, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	at := func(pos token.Pos) int { return files.PositionFor(pos, false).Offset }
	for _, d := range tree.Decls {
		d, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		kind, name := "", d.Name.Name
		f := &function{callee: name, results: d.Type.Results != nil}
		if d.Recv != nil {
			kind = strings.TrimPrefix(text[at(d.Recv.List[0].Type.Pos()):at(d.Recv.List[0].Type.End())], "*") + "."
		}
		if kind+name != p.function {
			continue
		}
		if d.Recv != nil {
			if names := d.Recv.List[0].Names; len(names) > 0 {
				f.receiver = names[0].Name + "."
			} else {
				f.receiver = "(*new(" + strings.TrimSuffix(kind, ".") + "))."
			}
		}
		begin := at(d.Pos())
		f.text, f.name, f.body = text[begin:at(d.End())], at(d.Name.End())-begin, at(d.Body.Lbrace)+1
		for _, field := range d.Type.Params.List {
			for _, name := range field.Names {
				arg := name.Name
				if arg == "_" {
					arg = "*new(" + text[at(field.Type.Pos()):at(field.Type.End())] + ")"
				}
				if _, ok := field.Type.(*ast.Ellipsis); ok {
					arg += "..."
				}
				f.args = append(f.args, arg)
			}
		}
		return f, nil
	}
	return nil, fmt.Errorf("%s has no function %s", p.file, p.function)
}

// mutate returns the function under another name, with the mutant's edits.
func (f *function) mutate(j *job) (string, error) {
	text := f.text[:f.name] + fmt.Sprint("_", j.id) + f.text[f.name:]
	for edit := range slices.Chunk(j.edits, 2) {
		if n := strings.Count(text, edit[0]); n != 1 {
			return "", fmt.Errorf("%s: %q occurs %d times, not once", j, edit[0], n)
		}
		text = strings.Replace(text, edit[0], edit[1], 1)
	}
	return text, nil
}

// call returns the statement that calls a mutant in place of the function.
func (f *function) call(id int) string {
	call := fmt.Sprintf("%s%s_%d(%s)", f.receiver, f.callee, id, strings.Join(f.args, ", "))
	if f.results {
		return "return " + call
	}
	return call + "; return"
}

// binary is the package's tests with all mutants in them.
type binary struct {
	dir   string
	limit time.Duration
	late  string // regular expression of the tests that take long; they run if no other test kills the mutant

	mu      sync.Mutex
	noticed map[string]string // by function: the test that killed a mutant of it last, tried first on the next one
}

// build compiles the tests and runs them without a mutant: a test that fails by itself could not kill one.
func (b *binary) build(ctx context.Context) error {
	build := exec.CommandContext(ctx, "go", "test", "-c", "-gcflags=-e", "-o", "mutants.test", ".")
	build.Dir = b.dir
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("a mutant does not compile: %w\n%s", err, out)
	}
	out, err := b.run(ctx, 0, "-test.v", "-test.skip="+slow)
	if err != nil {
		failed := bytes.Join(failure.FindAll(out, -1), []byte("\n"))
		return fmt.Errorf("the tests fail without any mutant: %w\n%s", err, failed)
	}
	b.late = slow
	for _, test := range regexp.MustCompile(`(?m)^--- PASS: (\S+) \((\S+)s\)`).FindAllStringSubmatch(string(out), -1) {
		if seconds, _ := strconv.ParseFloat(test[2], 64); seconds >= 0.05 {
			b.late += "|^" + test[1] + "$"
		}
	}
	return nil
}

var failure = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)

// try runs the tests on one mutant, quick ones first. The verdict names the test that kills it; it is empty if none
// does.
func (b *binary) try(ctx context.Context, j *job) (verdict string, err error) {
	place := j.file + " " + j.function
	stages := [][]string{{"-test.skip=" + b.late}, {"-test.run=" + b.late, "-test.skip=" + slow}}
	b.mu.Lock()
	if test := b.noticed[place]; test != "" {
		stages = slices.Insert(stages, 0, []string{"-test.run=^" + test + "$", "-test.skip=" + slow})
	}
	b.mu.Unlock()
	if j.file == "trainer.go" {
		stages = append(stages, []string{"-test.run=" + slow})
	}
	for _, stage := range stages {
		out, err := b.run(ctx, j.id, append(stage, "-test.failfast")...)
		_, ended := errors.AsType[*exec.ExitError](err)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return "does not end", nil
		case ctx.Err() != nil:
			return "", ctx.Err()
		case err != nil && !ended: // it did not even start
			return "", err
		case err != nil:
			if failed := failure.FindSubmatch(out); failed != nil {
				verdict = string(failed[1])
				b.mu.Lock()
				b.noticed[place] = verdict
				b.mu.Unlock()
				return verdict, nil
			}
			line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
			return cmp.Or(line, err.Error()), nil
		}
	}
	return "", nil
}

func (b *binary) run(ctx context.Context, mutant int, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	c := exec.CommandContext(ctx, filepath.Join(b.dir, "mutants.test"), append(args, "-test.short")...)
	c.Dir = b.dir
	c.Env = append(os.Environ(), fmt.Sprint("MUTANT=", mutant))
	out, err := c.CombinedOutput()
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return out, err
}
