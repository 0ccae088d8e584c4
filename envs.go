package gfn

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math"
	"math/bits"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf8"
)

// DefaultFloor is the log reward (nats) that stands for R = 0, so that R > 0 everywhere (spec §1). A finite log R
// stays as it is. The code of Niu et al. 2024 clamps all of them at −12.
const DefaultFloor = -50

// maxInputs bounds an environment's features, and with them its actions and the memory of its constructor: a larger
// size is a mistake.
const maxInputs = 1 << 20

// base is what the environments here have in common.
type base struct {
	shape  Shape
	traits Traits
}

// Shape implements [Env].
func (b *base) Shape() Shape { return b.shape }

// Traits returns the [Traits] of the environment.
func (b *base) Traits() Traits { return b.traits }

// span appends the numbers from ≤ i < to.
func span(dst []int, from, to int) []int {
	for i := from; i < to; i++ {
		dst = append(dst, i)
	}
	return dst
}

// others appends the indices of the entries of s that are not v.
func others(dst, s []int, v int) []int {
	for i, x := range s {
		if x != v {
			dst = append(dst, i)
		}
	}
	return dst
}

// oneHot appends the features i·k + s_i, none where s_i = k.
func oneHot(dst, s []int, k int) []int {
	for i, x := range s {
		if x < k {
			dst = append(dst, i*k+x)
		}
	}
	return dst
}

func wantFloor(env string, floor float64) error {
	return want(-maxLogR <= floor && floor < 0, "%s: floor is %v, want %v or more, and below 0", env, floor, -maxLogR)
}

// logFloored returns log r, and the floor for r = 0.
func logFloored(r, floor float64) float64 {
	if r == 0 {
		return floor
	}
	return math.Log(r)
}

// GridReward is the reward of a [HyperGrid] (Bengio et al. 2021). With y_d = |x_d/(H−1) − ½|,
//
//	standard  R(x) = R0 + R1 Π_d 1[y_d > 0.25] + R2 Π_d 1[0.3 < y_d < 0.4]
//	cosine    R(x) = R0 + R1 Π_d (cos(50 y_d) + 1) φ(5 y_d)
//
// where φ is the standard normal density. The cosine reward has no R2.
type GridReward struct {
	R0, R1, R2 float64 // finite and not negative
	Cosine     bool    // the cosine reward in place of the standard one
	Floor      float64 // log R where R = 0: a number below 0, such as [DefaultFloor]
}

// DefaultGridReward returns the standard reward with R0 = 0.1, R1 = 0.5, R2 = 2.
func DefaultGridReward() GridReward { return GridReward{R0: 0.1, R1: 0.5, R2: 2, Floor: DefaultFloor} }

// factors returns what coordinate value x contributes to the products of R1 and R2. It compares y = |x/(H−1) − ½|
// with integers: y > 0.25 if 2·|2x − (H−1)| > H−1, and 0.3 < y < 0.4 if 6(H−1) < 10·|2x − (H−1)| <
// 8(H−1). In float64 a tie, as at H = 6, 11, 16, …, would break on one side of the grid only: the 16×16 grid would
// have 9 mode states, not 4.
func (r GridReward) factors(x, height int) (outer, inner float64) {
	n := height - 1
	a := max(2*x-n, n-2*x)
	if r.Cosine {
		y := float64(a) / float64(2*n)
		return (math.Cos(50*y) + 1) * math.Exp(-25*y*y/2) / math.Sqrt(2*math.Pi), 0
	}
	if 2*a > n {
		outer = 1
	}
	if 6*n < 10*a && 10*a < 8*n {
		inner = 1
	}
	return outer, inner
}

// HyperGrid is the grid {0…H−1}^D: s0 = 0, action d adds one to coordinate d and backward action d takes one away.
// Every state is terminating. Features are one-hot by coordinate, d·H + x_d. Its modes, by the standard reward only,
// are the states with every y_d in the inner band 0.3 < y_d < 0.4, which is empty for H = 2…6 and 11. Its guide is PF
// with exits capped at 1e-5 where R(x) ≤ R0.
type HyperGrid struct {
	base
	height int
	reward GridReward
}

// NewHyperGrid returns the grid with dim ≥ 1 coordinates and height ≥ 2 values of each. The error names the
// argument that is wrong, or says that R = 0 everywhere.
func NewHyperGrid(dim, height int, reward GridReward) (*HyperGrid, error) {
	r0, r1, r2 := reward.R0, reward.R1, reward.R2
	err := cmp.Or(
		want(dim >= 1, "hypergrid: dim is %d, want at least 1", dim),
		want(height >= 2, "hypergrid: height is %d, want at least 2", height),
		want(height <= maxInputs/max(dim, 1), "hypergrid: dim·height is %d·%d, want at most %d", dim, height, maxInputs),
		want(min(r0, r1, r2) >= 0 && finite(r0+r1+r2),
			"hypergrid: r0, r1, r2 are %v, %v, %v, want numbers not below 0 with a finite sum", r0, r1, r2),
		wantFloor("hypergrid", reward.Floor),
	)
	if err != nil {
		return nil, err
	}
	g := &HyperGrid{height: height, reward: reward}
	g.shape = Shape{Dim: dim, Forward: dim + 1, Backward: dim, Features: dim * height}
	g.traits = Traits{
		States: math.Pow(float64(height), float64(dim)),
		Guide:  ExitCapped{1e-5, logFloored(r0, reward.Floor)}, Format: g.Format,
	}
	if !reward.Cosine {
		g.traits.Mode = func(s []int) bool {
			return !slices.ContainsFunc(s, func(x int) bool { _, inner := reward.factors(x, height); return inner == 0 })
		}
	}
	positive := 0 // values of a coordinate; R > 0 where all coordinates have such values: inner is 1 only where outer is
	for x := range height {
		outer, inner := reward.factors(x, height)
		if r0+r1*outer+r2*inner > 0 {
			positive++
		}
	}
	if positive < height {
		g.traits.Note = fmt.Sprintf("R is 0 at all but %.6g of %.6g states; their log R is the floor, %v",
			math.Pow(float64(positive), float64(dim)), g.traits.States, reward.Floor)
	}
	return g, want(positive > 0, "hypergrid: R is 0 at every state, with r0, r1, r2 = %v, %v, %v", r0, r1, r2)
}

// Source implements [Env]: the corner at 0.
func (g *HyperGrid) Source(s []int) { clear(s) }

// Forward implements [Env]: up by each coordinate below H−1, and the exit.
func (g *HyperGrid) Forward(dst, s []int) []int { return append(others(dst, s, g.height-1), len(s)) }

// Backward implements [Env]: down by each coordinate above 0.
func (g *HyperGrid) Backward(dst, s []int) []int { return others(dst, s, 0) }

// Step implements [Env]: x_a ← x_a + 1.
func (g *HyperGrid) Step(s []int, a int) int { s[a]++; return a }

// Undo implements [Env]: x_b ← x_b − 1.
func (g *HyperGrid) Undo(s []int, b int) int { s[b]--; return b }

// Features implements [Env]: d·H + x_d.
func (g *HyperGrid) Features(dst, s []int) []int { return oneHot(dst, s, g.height) }

// LogReward implements [Env]: log R(x) of [GridReward], the floor where R(x) = 0.
func (g *HyperGrid) LogReward(s []int) float64 {
	outer, inner := 1.0, 1.0
	for _, x := range s {
		o, i := g.reward.factors(x, g.height)
		outer, inner = outer*o, inner*i
	}
	return logFloored(g.reward.R0+g.reward.R1*outer+g.reward.R2*inner, g.reward.Floor)
}

// Format writes the coordinates, "3,5".
func (g *HyperGrid) Format(s []int) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(s), "[]"), " ", ",")
}

// Words are the K^L words of length L over K tokens. A word lists token numbers 0…K−1; where it may be unfinished,
// K stands for an empty slot.
type Words struct {
	length int
	tokens []rune
}

// NewWords returns the words of length ≥ 1 over tokens, distinct printable characters other than blank , ; - # " and
// combining marks. The error names the argument that is wrong.
func NewWords(length int, tokens string) (Words, error) {
	w := Words{length, []rune(tokens)}
	k := len(w.tokens)
	distinct := len(slices.Compact(slices.Sorted(slices.Values(w.tokens)))) == k
	// A comma stands between the keys of a spec, or ';' between fields, '-' for an empty slot, '#' before a comment.
	unusable := func(r rune) bool {
		return !unicode.IsPrint(r) || unicode.IsMark(r) || strings.ContainsRune(" ,;-#\"", r)
	}
	const other = "distinct printable characters other than blank , ; - # \" and combining marks"
	return w, cmp.Or(
		want(length >= 1, "sequence: length is %d, want at least 1", length),
		want(k > 0 && utf8.ValidString(tokens) && distinct && !strings.ContainsFunc(tokens, unusable),
			"sequence: tokens are %q, want %s", tokens, other),
		want(length <= maxInputs/max(k, 1), "sequence: length·tokens is %d·%d, want at most %d", length, k, maxInputs),
	)
}

// count returns K^L.
func (w Words) count() float64 { return math.Pow(float64(len(w.tokens)), float64(w.length)) }

// index returns the number of a full word in lexical order of its tokens.
func (w Words) index(word []int) (n int) {
	for _, k := range word {
		n = n*len(w.tokens) + k
	}
	return n
}

// word is the inverse of index.
func (w Words) word(index int) []int {
	word := make([]int, w.length)
	for i := range slices.Backward(word) {
		word[i], index = index%len(w.tokens), index/len(w.tokens)
	}
	return word
}

// Parse returns the token numbers of a full word.
func (w Words) Parse(text string) ([]int, error) {
	letters := []rune(text)
	if len(letters) != w.length {
		return nil, fmt.Errorf("gfn: word %q has %d letters, want %d", text, len(letters), w.length)
	}
	word := make([]int, w.length)
	for i, r := range letters {
		if word[i] = slices.Index(w.tokens, r); word[i] < 0 {
			return nil, fmt.Errorf("gfn: word %q: %q is none of the tokens %s", text, r, string(w.tokens))
		}
	}
	return word, nil
}

// read is Parse of a field of a file.
func (w Words) read(f field) []int {
	word, err := w.Parse(f.text)
	f.want(err == nil, "%v", err)
	return word
}

func (w Words) format(word []int) string {
	letters := make([]rune, len(word))
	for i, k := range word {
		if letters[i] = '-'; k < len(w.tokens) {
			letters[i] = w.tokens[k]
		}
	}
	return string(letters)
}

// filled returns the number of slots that hold a token.
func (w Words) filled(word []int) (n int) {
	for _, k := range word {
		if k < len(w.tokens) {
			n++
		}
	}
	return n
}

// Order is the way in which a [Sequence] is built.
type Order string

// The orders, with the number n(x) of trajectories to a word of length L.
const (
	Append   Order = "append" // left to right, n(x) = 1: the graph is a tree
	Ends     Order = "ends"   // at either end, n(x) = 2^L
	AnyOrder Order = "any"    // any empty slot, n(x) = L!
)

// WordReward is a reward of words. Its functions are pure, safe for concurrent use, and do not keep word.
type WordReward struct {
	Words   Words
	LogR    func(word []int) float64 // log R of a full word, finite
	Mode    func(word []int) bool    // is a full word a mode? nil where modes are not defined
	Partial bool                     // LogR is defined on unfinished words too: an intermediate reward

	note string // see Traits
}

// Sequence builds words of length L over K tokens. A state has L entries, token numbers 0…K−1 and K for an empty
// slot, so that a full word is its own list of token numbers; words built in order [Append] or [Ends] start at entry
// 0. Forward action b·K + k places token k and backward action b removes one, where b is
//
//	append  0, the end of the word
//	ends    0, the front, or 1, the end
//	any     the slot
//
// On the empty word prepending and appending k are two edges to the same word. Only full words exit, and a full word
// has no other action. There are (K^{L+1}−1)/(K−1) states by append and ends, (K+1)^L by any. Features are one-hot
// by slot, slot·K + k, none for an empty slot. Its reward decides whether it has modes.
//
// The intermediate reward of an unfinished word counts what is set: the factors whose slots are all set, or the
// distance to a mode over the slots that are set. It is defined if the reward is a sum over slots
// ([WordReward].Partial) and letters keep their slots, which those of [Ends] do not. g does not depend on the path:
// every path to a word of n letters has n steps, and A and B depend on n alone. A is K(L−n) in any order, 2K at
// either end, K by append, and 1 for a full word; B is n in any order, 2 at either end, and 1 by append.
type Sequence struct {
	base
	Words
	order  Order
	places int // the number of values of b
	logR   func(word []int) float64
}

// NewSequence returns the words of a reward, built in an order. The error names the argument that is wrong.
func NewSequence(order Order, reward WordReward) (*Sequence, error) {
	length, k := reward.Words.length, len(reward.Words.tokens)
	places := map[Order]int{Append: 1, Ends: 2, AnyOrder: length}[order]
	err := cmp.Or(
		want(length > 0, "sequence: reward has no Words"),
		want(reward.LogR != nil, "sequence: reward has no LogR"),
		want(places > 0, "sequence: order is %q, want append, ends or any", order),
	)
	if err != nil {
		return nil, err
	}
	states := 1.0
	for range length {
		states = 1 + float64(k)*states
	}
	if order == AnyOrder {
		states = math.Pow(float64(k+1), float64(length))
	}
	shape := Shape{Dim: length, Forward: places*k + 1, Backward: places, Features: length * k}
	q := &Sequence{base{shape: shape}, reward.Words, order, places, reward.LogR}
	q.traits = Traits{Mode: reward.Mode, States: states, PathIndependent: true, Format: q.Format, Note: reward.note}
	if reward.Partial && order != Ends {
		q.traits.LogIntermediate = reward.LogR
	}
	return q, nil
}

// Format writes the word so far, in any order with '-' for empty slots.
func (q *Sequence) Format(s []int) string {
	if q.order != AnyOrder {
		s = s[:q.filled(s)]
	}
	return q.format(s)
}

// empty is the entry of an empty slot, K.
func (q *Sequence) empty() int { return len(q.tokens) }

// Source implements [Env]: every slot empty.
func (q *Sequence) Source(s []int) {
	for i := range s {
		s[i] = q.empty()
	}
}

// Forward implements [Env]: each token at each place that is open, place·K + token; the exit alone where the word is
// full.
func (q *Sequence) Forward(dst, s []int) []int {
	k := len(q.tokens)
	if q.filled(s) == q.length {
		return append(dst, q.places*k)
	}
	for b := range q.places {
		if q.order != AnyOrder || s[b] == q.empty() {
			dst = span(dst, b*k, (b+1)*k)
		}
	}
	return dst
}

// Backward implements [Env]: the places from which a token can be taken.
func (q *Sequence) Backward(dst, s []int) []int {
	switch {
	case q.order == AnyOrder:
		return others(dst, s, q.empty())
	case s[0] == q.empty():
		return dst
	}
	return span(dst, 0, q.places)
}

// slot returns the slot of place b, where the end of the word is at end.
func (q *Sequence) slot(b, end int) int {
	if q.order == Append || q.order == Ends && b == 1 {
		return end
	}
	return b
}

// Step implements [Env]: token a mod K at place ⌊a/K⌋.
func (q *Sequence) Step(s []int, a int) int {
	b, token := a/len(q.tokens), a%len(q.tokens)
	at := q.slot(b, q.filled(s))
	if q.order == Ends {
		copy(s[at+1:], s[at:])
	}
	s[at] = token
	return b
}

// Undo implements [Env]: it takes the token at place b away.
func (q *Sequence) Undo(s []int, b int) int {
	at := q.slot(b, q.filled(s)-1)
	token := s[at]
	if q.order == Ends {
		copy(s[at:], s[at+1:])
		at = q.length - 1
	}
	s[at] = q.empty()
	return b*len(q.tokens) + token
}

// Features implements [Env]: one-hot by slot, none for an empty one.
func (q *Sequence) Features(dst, s []int) []int { return oneHot(dst, s, q.empty()) }

// LogReward implements [Env]: LogR of the [WordReward].
func (q *Sequence) LogReward(s []int) float64 { return q.logR(s) }

// Editor edits words with an autoregressive sampler p (GFNSeqEditor, Ghari et al. 2024, spec §8), which is any forward
// policy on a [Sequence] built in order [Append]. From left to right, x̂_<t being what is edited so far, letter t of
// the seed x is flagged where
//
//	p(x_t|x̂_<t) < δ max_a p(a|x̂_<t) + ν    ν ∼ N(0, σ²), fresh at each letter
//
// and x̂_t ∼ (1−λ) p + λ 1[a = x_t] if it is, x̂_t = x_t if not. So a letter is drawn anew from p with
// probability ρ = (1−λ) P(flag),
//
//	P(flag) = 1 − Φ((p(x_t|x̂_<t) − δ max_a p(a|x̂_<t))/σ)
//	P(x̂_t = a|x̂_<t) = ρ p(a|x̂_<t) + (1−ρ) 1[a = x_t]
//
// Φ the standard normal distribution function, and Φ(y/0) = 1[y ≥ 0]. This makes an editor of a seed a forward
// policy itself ([Editor.Policy]): [Batch.Sample] draws edits, and [Graph.LogTerminating] is their exact distribution.
// [Editing] bounds how many letters change and what the edits are worth.
type Editor struct {
	env     Env
	words   *Sequence
	p       Policy
	δ, σ, λ float64
}

// NewEditor returns the editor with threshold 0 ≤ δ ≤ 1, noise σ ≥ 0 and 0 ≤ λ < 1, the part of the draws
// that keep the seed's letter. The error names the one that is wrong, or says that env is no [Sequence] built in order
// [Append].
func NewEditor(env Env, p Policy, δ, σ, λ float64) (*Editor, error) {
	words, ok := Unwrap(env).(*Sequence)
	return &Editor{env, words, p, δ, σ, λ}, cmp.Or(
		want(ok && words.order == Append, "editor: env is %T %s, want a sequence with order=append, from left to right",
			Unwrap(env), TraitsOf(env).Spec),
		want(δ >= 0 && δ <= 1, "editor: delta is %v, want a number in 0…1", δ),
		want(finite(σ) && σ >= 0, "editor: sigma is %v, want a finite number not below 0", σ),
		want(λ >= 0 && λ < 1, "editor: lambda is %v, want a number from 0 up, below 1", λ),
	)
}

// redraw returns ρ of a letter that is y above its threshold: y = p(x_t) − δ max_a p(a).
func (e *Editor) redraw(y float64) float64 {
	switch {
	case e.σ > 0:
		return (1 - e.λ) * math.Erfc(y/e.σ/math.Sqrt2) / 2
	case y < 0:
		return 1 - e.λ
	}
	return 0
}

// Policy returns the law of the edits of seed, a full word, as a forward policy.
func (e *Editor) Policy(seed []int) Policy {
	if len(seed) != e.words.length || e.words.filled(seed) < len(seed) {
		panic(fmt.Sprintf("gfn: Editor: seed %v is not a word of length %d", seed, e.words.length))
	}
	return func(st *States, lo, hi int, dst []float64) {
		e.p(st, lo, hi, dst)
		var s []int
		for row := lo; row < hi; row++ {
			s = st.State(s, row)
			t := e.words.filled(s)
			if t == len(s) {
				continue // it can only exit
			}
			logp := dst[st.FStart[row]-st.FStart[lo]:][:len(e.words.tokens)]
			px := math.Exp(logp[seed[t]])
			ρ := e.redraw(px - e.δ*math.Exp(slices.Max(logp)))
			for a := range logp {
				logp[a] += math.Log(ρ)
			}
			logp[seed[t]] = math.Log(ρ*px + (1 - ρ))
		}
	}
}

// Edit draws n edits of seed; equal o, equal edits.
func (e *Editor) Edit(seed []int, n int, o Sampling) ([][]int, error) {
	var b Batch
	b.Reset(e.env)
	if err := b.Sample(e.Policy(seed), n, o); err != nil {
		return nil, err
	}
	edits := make([][]int, n)
	for i := range edits {
		edits[i] = b.State(nil, b.Endpoint(i))
	}
	return edits, nil
}

// EditFigures are the figures of the edits x̂ of a seed x (spec §8).
type EditFigures struct {
	Improvement float64 // mean of f(x̂) − f(x), f the property
	Percentage  float64 // mean of 100 lev(x, x̂)/T, T the letters of x
	Diversity   float64 // mean of lev over pairs of edits; NaN of a single one
}

// MeasureEdits returns the figures of at least one edit.
func MeasureEdits(seed []int, edits [][]int, property func(word []int) float64) (m EditFigures) {
	n, before := float64(len(edits)), property(seed)
	for i, x := range edits {
		m.Improvement += (property(x) - before) / n
		m.Percentage += 100 * float64(Levenshtein(seed, x)) / float64(len(seed)) / n
		for _, y := range edits[:i] {
			m.Diversity += float64(Levenshtein(x, y))
		}
	}
	m.Diversity /= n * (n - 1) / 2 // 0/0 of a single one
	return m
}

// Levenshtein returns the least number of letters to insert, delete or replace that makes b of a.
func Levenshtein[T comparable](a, b []T) int {
	row := span(nil, 0, len(b)+1)
	for i := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j := range b {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// maxTable bounds the words of a table, and the weights of drawn factors: 32 MiB.
const maxTable = 1 << 22

// Table says how the scores y of words become rewards, the largest of which is RMax:
//
//	log R(x) = log RMax + β u(x) − max_x β u(x)    u(x) = log max(y(x), RMin), or y(x) with Exp
//
// So R is max(y, RMin)^Beta as in Niu et al. 2024, or e^{Beta·y} for scores of any sign, such as energies. Modes are
// the top 0.5 % of the words, as Shen et al. 2023 have it for the QM9 strings: those whose reward is not below that of
// word number max(1, ⌊0.005 K^L⌋) from the top.
type Table struct {
	Exp        bool
	Beta       float64 // not negative, but for Exp, where a negative one makes less better
	RMin, RMax float64 // above 0
	Missing    float64 // the score of words that the file lacks; NaN: it may lack none
}

// DefaultTable returns the settings of Niu et al. 2024 for TFBind8.
func DefaultTable() Table {
	return Table{Beta: 3, RMin: 0.001, RMax: 10, Missing: math.NaN()}
}

// NewTableReward reads the score of every word from a text with the header word,score; name stands for the file in
// errors. The [Traits] of its words note how many scores lie below RMin and how many words are missing. The error names
// the argument that is wrong, the line that is malformed or repeats a word, or the first missing word, or says that all
// scores lie below RMin.
func NewTableReward(words Words, r io.Reader, name string, t Table) (WordReward, error) {
	err := cmp.Or(
		want(words.count() <= maxTable,
			"sequence: %d^%d words in a table, want at most %d", len(words.tokens), words.length, maxTable),
		want(finite(t.Beta) && (t.Exp || t.Beta >= 0),
			"sequence: beta is %v, want a finite number, not below 0 but with transform=exp", t.Beta),
		want(finite(t.RMin) && t.RMin > 0, "sequence: rmin is %v, want a finite number above 0", t.RMin),
		want(finite(t.RMax) && t.RMax > 0, "sequence: rmax is %v, want a finite number above 0", t.RMax),
		want(!math.IsInf(t.Missing, 0), "sequence: missing is %v, want a finite score, or NaN for none", t.Missing),
	)
	if err != nil {
		return WordReward{}, err
	}
	logR, err := readScores(readSource(r, name), words)
	if err != nil {
		return WordReward{}, err
	}
	low, missing := 0, 0
	for i, y := range logR {
		if math.IsNaN(y) {
			if math.IsNaN(t.Missing) {
				return WordReward{}, fmt.Errorf("gfn: %s: word %q is missing, want a score, or missing=SCORE for some",
					name, words.format(words.word(i)))
			}
			y, missing = t.Missing, missing+1
		}
		if !t.Exp {
			if y < t.RMin {
				low++
			}
			y = math.Log(max(y, t.RMin))
		}
		logR[i] = t.Beta * y
	}
	top, note := slices.Max(logR), ""
	for i, u := range logR {
		logR[i] = math.Log(t.RMax) + (u - top)
	}
	if low+missing > 0 {
		note = fmt.Sprintf("of %d words %d are missing and have score %v, %d have scores below rmin and are raised to it, %v",
			len(logR), missing, t.Missing, low, t.RMin)
	}
	least := slices.Sorted(slices.Values(logR))[len(logR)-max(1, len(logR)/200)]
	reward := WordReward{
		Words: words,
		LogR:  func(word []int) float64 { return logR[words.index(word)] },
		Mode:  func(word []int) bool { return logR[words.index(word)] >= least },
		note:  note,
	}
	return reward, cmp.Or(
		want(missing < len(logR), "%s: no scores, want some", name),
		want(low < len(logR), "%s: all scores lie below rmin, %v; lower it, or use transform=exp", name, t.RMin))
}

// readScores reads the score of each word, by its number; NaN is missing.
func readScores(file *source, words Words) (scores []float64, err error) {
	scores = slices.Repeat([]float64{math.NaN()}, int(words.count()))
	_, rows := file.table("word,score")
	for _, row := range rows {
		i, score := words.index(words.read(row[0])), row[1].finite("score")
		line(row).want(math.IsNaN(scores[i]), "word %q stands twice", row[0].text)
		scores[i] = score
	}
	return scores, file.err
}

// Factor is a term of log R that reads some of a word's slots: a weight for each of the K^m combinations of tokens in
// them, in lexical order, the last slot's changing fastest.
type Factor struct {
	Slots   []int // distinct, 0…L−1
	Weights []float64
}

// NewFactorReward returns the reward of a factor graph over words,
//
//	log R(x) = β Σ_f f(x)
//
// Of an unfinished word the sum is over the factors whose slots are all set. A motif has a factor for each
// slot, and the [Ising] model one for each spin and bond.
func NewFactorReward(words Words, factors []Factor, beta float64) (WordReward, error) {
	own, bound, k := make([]Factor, len(factors)), 0.0, len(words.tokens) // bound of |log R|
	for i, f := range factors {
		if err := f.check(i, words); err != nil {
			return WordReward{}, err
		}
		own[i] = Factor{slices.Clone(f.Slots), slices.Clone(f.Weights)}
		bound += max(slices.Max(f.Weights), -slices.Min(f.Weights)) // NaN if a weight is
	}
	err := cmp.Or(want(len(factors) > 0, "sequence: no factors, want one or more"),
		want(finite(beta*bound), "sequence: beta is %v, and weights sum to at most %v: log R is not finite", beta, bound))
	return WordReward{
		Words: words,
		LogR: func(word []int) float64 {
			sum := 0.0
			for _, f := range own {
				sum += f.value(word, k)
			}
			return beta * sum
		},
		Partial: true,
	}, err
}

// value returns the weight of a word's tokens, 0 where a slot is empty.
func (f Factor) value(word []int, k int) float64 {
	at := 0
	for _, slot := range f.Slots {
		if word[slot] == k {
			return 0
		}
		at = at*k + word[slot]
	}
	return f.Weights[at]
}

// check says what is wrong with factor number i of words.
func (f Factor) check(i int, words Words) error {
	n, m, k := len(f.Weights), len(f.Slots), len(words.tokens)
	slots := slices.Compact(slices.Sorted(slices.Values(f.Slots)))
	return cmp.Or(
		want(m > 0 && len(slots) == m && slots[0] >= 0 && slots[m-1] < words.length,
			"sequence: factor %d: slots are %v, want distinct ones from 0 to %d", i, f.Slots, words.length-1),
		want(float64(n) == math.Pow(float64(k), float64(m)),
			"sequence: factor %d: %d weights for slots %v, want %d^%d", i, n, f.Slots, k, m),
	)
}

// Ising returns the factors of the Ising model on spins σ = −1, the first token, and +1, the second, with coupling J
// between the ends of each bond and a field h,
//
//	Σ_f f(x) = J Σ_{i—j} σ_i σ_j + h Σ_i σ_i
//
// The bonds are those of a [Ring] or a [Torus].
func Ising(length int, bonds [][]int, coupling, field float64) (factors []Factor) {
	for _, b := range bonds {
		factors = append(factors, Factor{b, []float64{coupling, -coupling, -coupling, coupling}})
	}
	for _, i := range each(length) {
		factors = append(factors, Factor{i, []float64{-field, field}})
	}
	return factors
}

// each returns n slots one by one.
func each(n int) (slots [][]int) {
	for i := range n {
		slots = append(slots, []int{i})
	}
	return slots
}

// Ring returns the bonds of n slots in a ring, each with the next one: n of them, of 2 slots one.
func Ring(n int) (bonds [][]int) {
	for i := range n {
		if j := (i + 1) % n; i < j || n > 2 {
			bonds = append(bonds, []int{i, j})
		}
	}
	return bonds
}

// Torus returns the bonds of the n×n square lattice, row by row and periodic: a [Ring] in each row and each column.
func Torus(n int) (bonds [][]int) {
	for line := range n {
		for _, b := range Ring(n) {
			bonds = append(bonds, []int{line*n + b[0], line*n + b[1]}, []int{b[0]*n + line, b[1]*n + line})
		}
	}
	return bonds
}

// drawFactors returns a factor for each list of slots, with weights uniform in [−1, 1).
func drawFactors(slots [][]int, words Words, seed uint64) (factors []Factor, err error) {
	rng, total, k := rand.NewPCG(seed, 0), 0.0, float64(len(words.tokens))
	for _, of := range slots {
		n := math.Pow(k, float64(len(of)))
		if total += n; total > maxTable {
			return nil, fmt.Errorf("gfn: sequence: %.0f or more weights to draw, want at most %d", total, maxTable)
		}
		weights := make([]float64, int(n))
		for i := range weights {
			weights[i] = 2*uniform01(rng) - 1
		}
		factors = append(factors, Factor{of, weights})
	}
	return factors, nil
}

// parseMotif reads a line of K weights for each slot, a factor. Other formats, such as JASPAR's, have a line for each
// token.
func parseMotif(file *source, words Words) (factors []Factor) {
	k := len(words.tokens)
	for _, row := range file.records("") {
		line(row).want(len(row) == k, "%d weights, want %d: a line is a slot, with a weight for each of the tokens %s",
			len(row), k, string(words.tokens))
		factors = append(factors, Factor{[]int{len(factors)}, parseAll(row, "weight", field.finite)})
	}
	n := len(factors)
	file.want(n == words.length, "%d lines of weights, want one for each of %d slots", n, words.length)
	return factors
}

// parseFactors reads a line factor SLOT… : WEIGHT… for each factor.
func parseFactors(file *source, words Words) (factors []Factor) {
	const wanted = "factor SLOT… : WEIGHT…"
	for _, row := range file.records("") {
		colon := slices.IndexFunc(row, func(f field) bool { return f.text == ":" })
		if row[0].text != "factor" || colon < 0 {
			line(row).want(false, "line is %q, want %s, blanks around the colon", row, wanted)
			break
		}
		f := Factor{parseAll(row[1:colon], "slot", field.number), parseAll(row[colon+1:], "weight", field.finite)}
		err := f.check(len(factors), words)
		line(row).want(err == nil, "%v", err)
		factors = append(factors, f)
	}
	file.want(len(factors) > 0, "no factors, want lines %s", wanted)
	return factors
}

// NewModesReward returns the reward that falls with the Hamming distance to the nearest of a set of words, the modes:
//
//	log R(x) = −β min_m Hamming(x, m)
func NewModesReward(words Words, modes [][]int, beta float64) (WordReward, error) {
	length, k := words.length, len(words.tokens)
	err := cmp.Or(want(len(modes) > 0, "sequence: no modes, want one or more"),
		want(finite(beta) && beta >= 0, "sequence: beta is %v, want a finite number not below 0", beta))
	for i, m := range modes {
		none := func(token int) bool { return token < 0 || token >= k }
		err = cmp.Or(err, want(len(m) == length && !slices.ContainsFunc(m, none),
			"sequence: mode %d is %v, want %d tokens from 0 to %d", i, m, length, k-1))
	}
	return WordReward{
		Words:   words,
		LogR:    func(word []int) float64 { return beta * float64(-nearest(modes, word, k)) },
		Mode:    func(word []int) bool { return nearest(modes, word, k) == 0 },
		Partial: true,
	}, err
}

// ReadWords reads one or more words of q, separated by blanks, commas or line ends, from a text as [ParseEnv] describes
// them; name stands for the file in errors, which name line and column.
func ReadWords(r io.Reader, name string, q *Sequence) ([][]int, error) {
	file := readSource(r, name)
	return parseWords(file, q.Words), file.err
}

func parseWords(file *source, words Words) (list [][]int) {
	const most = maxFile / 4 // fields may take as much memory as 64 MiB of a table
	file.want(len(file.text) <= most, "more than %d MiB of words; split the list", most>>20)
	for _, f := range slices.Concat(file.records("")...) {
		if list = append(list, words.read(f)); file.err != nil {
			break
		}
	}
	file.want(len(list) > 0, "no words; write one on a line")
	return list
}

// nearest returns the least Hamming distance of a word over k tokens, over the slots that are set, to one of modes.
func nearest(modes [][]int, word []int, k int) int {
	least := len(word)
	for _, m := range modes {
		d := 0
		for i, token := range word {
			if token != m[i] && token < k {
				d++
			}
		}
		least = min(least, d)
	}
	return least
}

// drawModes returns n distinct words, uniform among all sets of n.
func drawModes(n int, words Words, seed uint64) (modes [][]int, err error) {
	most := min(words.count(), float64(maxInputs/words.length))
	if n < 1 || float64(n) > most {
		return nil, fmt.Errorf("gfn: sequence: modes is %d, want 1 to %.0f", n, most)
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	for seen := map[string]bool{}; len(modes) < n; {
		word := make([]int, words.length)
		for i := range word {
			word[i] = rng.IntN(len(words.tokens))
		}
		if text := words.format(word); !seen[text] {
			seen[text], modes = true, append(modes, word)
		}
	}
	return modes, nil
}

// maxFile bounds the bytes of a file.
const maxFile = 64 << 20

// source is a text, the name of the file it came from, and the first mistake in it. If there is one, what was read
// means nothing.
type source struct {
	name string
	text []byte
	err  error
}

// field is a text of a file and its place: the line, and the column where it begins, in bytes from 1.
type field struct {
	text         string
	of           *source
	line, column int // line 0: the file as a whole; column 0: the line as a whole
}

// String returns the text.
func (f field) String() string { return f.text }

// line stands for the line of fields.
func line(fields []field) field { return field{"", fields[0].of, fields[0].line, 0} }

// want notes what is wrong at f, if ok is false and no mistake is known yet.
func (f field) want(ok bool, format string, args ...any) {
	if ok || f.of.err != nil {
		return
	}
	place := f.of.name
	if f.line > 0 {
		place += fmt.Sprintf(":%d", f.line)
	}
	if f.column > 0 {
		place += fmt.Sprintf(":%d", f.column)
	}
	f.of.err = fmt.Errorf("gfn: %s: %s", place, strings.TrimPrefix(fmt.Sprintf(format, args...), "gfn: "))
}

func (f *source) want(ok bool, format string, args ...any) { field{of: f}.want(ok, format, args...) }

// finite returns the number that f is. Mistakes call it what.
func (f field) finite(what string) float64 {
	v, err := strconv.ParseFloat(f.text, 64)
	wanted, pointed := "want a finite number", strings.Replace(f.text, ",", ".", 1)
	if _, err := strconv.ParseFloat(pointed, 64); err == nil && pointed != f.text {
		wanted = "with a decimal comma, want a decimal point"
	}
	f.want(err == nil && finite(v), "%s is %q, %s", what, f.text, wanted)
	return v
}

// number returns the whole number that f is. Mistakes call it what.
func (f field) number(what string) int {
	n, err := strconv.Atoi(f.text)
	f.want(err == nil && n >= 0, "%s is %q, want a whole number not below 0", what, f.text)
	return n
}

// parseAll parses fields, which mistakes number.
func parseAll[T any](fields []field, what string, parse func(f field, what string) T) (all []T) {
	for i, f := range fields {
		all = append(all, parse(f, fmt.Sprintf("%s %d", what, i+1)))
	}
	return all
}

func readSource(r io.Reader, name string) *source {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	file := &source{name: name, text: text}
	file.want(err == nil, "%v", err)
	file.want(len(text) <= maxFile, "more than %d MiB", maxFile>>20)
	return file
}

func readFile(name string) *source {
	f, err := os.Open(name)
	if err != nil {
		return &source{err: fmt.Errorf("gfn: %w", err)}
	}
	defer f.Close()
	return readSource(f, name)
}

func (f *source) sum() uint32 { return crc32.ChecksumIEEE(f.text) }

// records returns the fields of all lines but empty ones. They are separated by tabs (in a text with a header),
// semicolons or commas, the first of these that stands outside quotes in the first line, or else by any number of
// blanks. A '#' begins a comment; in a text with a header, only at the beginning of a line. The header may itself be
// the last comment above everything else, as numpy.savetxt writes it. It is if it is the one wanted, or if a number
// follows.
func (f *source) records(header string) (records [][]field) {
	if f.err != nil {
		return nil // a text that is too large is not parsed
	}
	separators := ";,"
	if header != "" {
		separators = "\t;,"
	}
	text := strings.TrimPrefix(string(f.text), "\ufeff")
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n")
	first, comment, title := "", 0, ""
	for i, line := range lines {
		if !utf8.ValidString(line) || strings.Contains(line, "\x00") {
			field{of: f, line: i + 1}.want(false, "not UTF-8, perhaps UTF-16; want UTF-8")
			return nil
		}
		before, after, found := strings.Cut(line, "#")
		if found && (header == "" || strings.TrimSpace(before) == "") {
			lines[i] = before
			if first == "" {
				comment, title = i, strings.TrimSpace(after)
			}
		}
		first = cmp.Or(first, strings.TrimSpace(lines[i]))
	}
	if title != "" && (title == header || header != "" && strings.IndexAny(first, "+-.0123456789") == 0) {
		lines[comment] = title
	}
	text, comma := strings.Join(lines, "\n"), separator(first, separators)
	if comma == ' ' {
		text = strings.ReplaceAll(text, "\t", " ")
	}
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.FieldsPerRecord, r.TrimLeadingSpace = comma, -1, comma != '\t' // which makes one of several blanks
	for {
		texts, err := r.Read()
		if err == io.EOF {
			return records
		}
		if bad, ok := errors.AsType[*csv.ParseError](err); ok {
			field{"", f, bad.Line, bad.Column}.want(false, "%v", bad.Err)
			return nil
		}
		fields := make([]field, len(texts))
		for i, text := range texts {
			line, column := r.FieldPos(i)
			fields[i] = field{strings.TrimSpace(text), f, line, column}
		}
		if last := len(fields) - 1; comma == ' ' && fields[last].text == "" {
			fields = fields[:last]
		}
		if slices.ContainsFunc(fields, func(f field) bool { return f.text != "" }) {
			records = append(records, fields)
		}
	}
}

// separator returns the first of separators that stands outside quotes in a line, or else a blank.
func separator(line, separators string) rune {
	for _, c := range separators {
		for i, part := range strings.Split(line, `"`) {
			if i%2 == 0 && strings.ContainsRune(part, c) {
				return c
			}
		}
	}
	return ' '
}

// anyNames is a header of any names.
const anyNames = "with the names of the columns"

// table returns the names in a header and the records below it, which are as long. The header must be the one given,
// unless that is anyNames. Names of columns are distinct, no numbers, and without the marks : | [ ] of [DAG.Format].
// Names of rows, as R writes them, are left out: those below an empty first name, or distinct ones that the header has
// no name for.
func (f *source) table(header string) (names []string, rows [][]field) {
	all := f.records(header)
	f.want(len(all) > 0, "empty, want the header %s", header)
	if f.err != nil {
		return nil, nil
	}
	head, rows := all[0], all[1:]
	unnamed, first, longer, skip := head[0].text == "", map[string]bool{}, len(rows) > 1, 0
	for _, row := range rows {
		first[row[0].text], longer = true, longer && len(row) == len(head)+1
	}
	if unnamed || longer && len(first) == len(rows) {
		skip = 1
	}
	if unnamed {
		head = head[1:]
	}
	seen := map[string]bool{}
	for _, f := range head {
		names = append(names, f.text)
	}
	text := strings.Join(names, ",")
	line(head).want(header == anyNames || text == header, "header is %q, want %s", text, header)
	for i, f := range head {
		x, err := strconv.ParseFloat(f.text, 64)
		unusable := func(r rune) bool { return !unicode.IsPrint(r) || strings.ContainsRune(":|[]", r) }
		f.want(err != nil || !finite(x), "header has the number %s, want the names of the columns", f.text)
		f.want(f.text != "", "column %d has no name", i+1)
		f.want(!strings.ContainsFunc(f.text, unusable),
			"column %d is called %q, want printable characters other than : | [ ]", i+1, f.text)
		f.want(!seen[f.text], "two columns are called %q", f.text)
		seen[f.text] = true
	}
	for i, row := range rows {
		line(row).want(len(row)-skip == len(names), "%d fields, want %d, %s", len(row)-skip, len(names), text)
		rows[i] = row[skip:]
	}
	if f.err != nil {
		return nil, nil
	}
	return names, rows
}

// Explicit is a pointed DAG given by its edges. Its states are the nodes, one entry, the node's rank in ascending
// order. Actions count the edges that leave a node, backward actions those that enter it, in the order in which they
// were given; a pair given twice is two edges. Nodes with a reward are terminating. Features are one-hot by node.
type Explicit struct {
	base
	source  int
	labels  []string // by node, as everything below
	out, in [][]link
	logR    []float64 // −Inf where not terminating
}

// link is one end of an edge: the node at the other end and the edge's place in that node's list.
type link struct{ node, place int }

func (l link) follow(s []int) (back int) { s[0] = l.node; return l.place }

// NewExplicit returns the graph with the given edges, from → to, and rewards by node, both by node numbers, which are
// arbitrary. The floor is log R where R = 0. The error says that R = 0 everywhere, or names the node that keeps this
// from being a pointed DAG: one that the source does not reach, one on a cycle, or one without a reward that no edge
// leaves.
func NewExplicit(edges [][2]int, rewards map[int]float64, floor float64) (*Explicit, error) {
	return newExplicit(edges, rewards, nil, floor)
}

// newExplicit is NewExplicit with labels of nodes, by default their numbers.
func newExplicit(edges [][2]int, rewards map[int]float64, labels map[int]string, floor float64) (*Explicit, error) {
	err := cmp.Or(want(len(rewards) > 0, "explicit: no rewards, want one or more"), wantFloor("explicit", floor))
	nodes, zeros := slices.AppendSeq(slices.Sorted(maps.Keys(rewards)), maps.Keys(labels)), 0
	for _, edge := range edges {
		nodes = append(nodes, edge[:]...)
	}
	slices.Sort(nodes)
	nodes = slices.Compact(nodes)
	n := len(nodes)
	e := &Explicit{out: make([][]link, n), in: make([][]link, n)}
	rank, first := map[int]int{}, map[string]int{}
	for i, node := range nodes {
		r, terminating := rewards[node]
		label, logR := cmp.Or(labels[node], strconv.Itoa(node)), math.Inf(-1)
		if terminating {
			logR = logFloored(r, floor)
		}
		if terminating && r == 0 {
			zeros++
		}
		other, twice := first[label]
		err = cmp.Or(err,
			want(finite(r) && r >= 0, "explicit: reward of node %d is %v, want a number not below 0", node, r),
			want(!twice, "explicit: nodes %d and %d are both called %q", other, node, label),
			want(!strings.ContainsFunc(label, func(r rune) bool { return !unicode.IsPrint(r) }),
				"explicit: node %d is called %q, want printable characters", node, label))
		rank[node], first[label] = i, node
		e.labels, e.logR = append(e.labels, label), append(e.logR, logR)
	}
	if err != nil {
		return nil, err
	}
	e.traits.Format = e.Format
	e.shape = Shape{Dim: 1, Forward: 1, Features: n} // an exit, and as many edges as a node has
	for _, edge := range edges {
		from, to := rank[edge[0]], rank[edge[1]]
		a, b := len(e.out[from]), len(e.in[to])
		e.out[from], e.in[to] = append(e.out[from], link{to, b}), append(e.in[to], link{from, a})
		e.shape.Forward, e.shape.Backward = max(e.shape.Forward, a+2), max(e.shape.Backward, b+1)
	}
	if zeros > 0 {
		e.traits.Note = fmt.Sprintf("R is 0 at %d of %d terminating nodes; their log R is the floor, %v",
			zeros, len(rewards), floor)
	}
	return e, cmp.Or(want(zeros < len(rewards), "explicit: R is 0 at every terminating node"), e.checkPointed())
}

// checkPointed finds the source, and returns a rule of a pointed DAG that e breaks.
func (e *Explicit) checkPointed() error {
	e.source = max(0, slices.IndexFunc(e.in, func(entering []link) bool { return len(entering) == 0 }))
	st, err := walk(e, len(e.labels), nil)
	for i, label := range e.labels {
		err = cmp.Or(err, want(st.Row([]int{i}) >= 0,
			"explicit: node %s is not reached from the source, node %s", label, e.labels[e.source]))
	}
	if err == nil {
		_, err = st.topological()
	}
	return err
}

// Fixture returns a small graph with exact answers (spec §9): 11 states, 13 edges, 6 of the states terminating,
// Z* = 112.
func Fixture() *Explicit {
	edges := [][2]int{
		{0, 1}, {0, 2}, {1, 3}, {2, 3}, {2, 4}, {3, 5}, {4, 6}, {5, 7}, {5, 8}, {6, 8}, {6, 10}, {7, 9}, {8, 9},
	}
	e, err := NewExplicit(edges, map[int]float64{3: 30, 4: 14, 6: 23, 8: 10, 9: 30, 10: 5}, DefaultFloor)
	if err != nil {
		panic(err)
	}
	e.traits.Spec = "explicit"
	return e
}

// Source implements [Env]: the node that no edge enters.
func (e *Explicit) Source(s []int) { s[0] = e.source }

// Backward implements [Env]: the edges that enter the node.
func (e *Explicit) Backward(dst, s []int) []int { return span(dst, 0, len(e.in[s[0]])) }

// Step implements [Env]: along edge a.
func (e *Explicit) Step(s []int, a int) (b int) { return e.out[s[0]][a].follow(s) }

// Undo implements [Env]: back along edge b.
func (e *Explicit) Undo(s []int, b int) (a int) { return e.in[s[0]][b].follow(s) }

// Features implements [Env]: one-hot by node.
func (e *Explicit) Features(dst, s []int) []int { return append(dst, s[0]) }

// LogReward implements [Env]: log R as given, the floor where R = 0.
func (e *Explicit) LogReward(s []int) float64 { return e.logR[s[0]] }

// Format writes the node's label, by default its number.
func (e *Explicit) Format(s []int) string { return e.labels[s[0]] }

// Forward implements [Env]: the edges that leave the node, and of a terminating one the exit.
func (e *Explicit) Forward(dst, s []int) []int {
	dst = span(dst, 0, len(e.out[s[0]]))
	if !math.IsInf(e.logR[s[0]], -1) {
		dst = append(dst, e.shape.Forward-1)
	}
	return dst
}

// parseExplicit reads a graph in the format that [ParseEnv] describes.
func parseExplicit(file *source, floor float64) *Explicit {
	var edges [][2]int
	rewards, labels := map[int]float64{}, map[int]string{}
	for _, row := range file.records("") {
		if len(row) != 3 || row[2].text == "" || !slices.Contains([]string{"edge", "reward", "name"}, row[0].text) {
			line(row).want(false, "line is %q, want edge FROM TO, reward NODE R, or name NODE LABEL", row)
			break
		}
		node := row[1].number("node")
		_, rewarded := rewards[node]
		switch row[0].text {
		case "edge":
			edges = append(edges, [2]int{node, row[2].number("node")})
		case "reward":
			rewards[node] = row[2].finite("reward")
			line(row).want(!rewarded, "node %d has two rewards", node)
		case "name":
			line(row).want(labels[node] == "", "node %d has two names", node)
			labels[node] = row[2].text
		}
	}
	e, err := newExplicit(edges, rewards, labels, floor)
	file.want(err == nil, "%v", err)
	return e
}

// maxNodes bounds the nodes of a [DAG], whose parent sets are entries of a state.
const maxNodes = 31

// DAG builds a directed acyclic graph edge by edge: the structure of a Bayesian network, learned from data (Deleu et
// al. 2022). Entry v of a state is the set of v's parents, bit u for the edge u→v; s0 is the empty graph. Action u·n
// + v adds that edge and backward action u·n + v takes it away. Every state is terminating,
//
//	log R(G) = Σ_v score(v | parents of v) − score(v | ∅)
//
// There are 1, 3, 25, 543, 29281, 3781503, … states for n = 1, 2, … nodes. Features are one-hot by edge, u·n + v,
// none for the empty graph. Its guide is PF with exits capped at 1e-10 where log R(x) ≤ 75, which Niu et al. 2024
// chose for their data.
type DAG struct {
	base
	names []string
	score func(node int, parents uint32) float64
	terms [1 << 16]atomic.Pointer[term] // a cache of terms of log R, each at one place
}

// term is score(v | parents) − score(v | ∅) of a node v.
type term struct {
	parents uint32
	value   float64
}

// NewDAG returns the graphs on 1 to 31 nodes of these names. The score of a node given its parents, bit u for node u,
// is finite, pure, and safe for concurrent use; scores are cached.
func NewDAG(names []string, score func(node int, parents uint32) float64) (*DAG, error) {
	n := len(names)
	err := cmp.Or(want(n >= 1 && n <= maxNodes, "dag: %d nodes, want 1 to %d", n, maxNodes),
		want(score != nil, "dag: no score"))
	if err != nil {
		return nil, err
	}
	shape := Shape{Dim: n, Forward: n*n + 1, Backward: n * n, Features: n * n}
	d := &DAG{base: base{shape: shape}, names: names, score: score}
	d.traits = Traits{States: countDAGs(n), Guide: ExitCapped{1e-10, 75}, Format: d.Format}
	return d, nil
}

// ancestors returns the nodes with a directed path to each node (Warshall 1962).
func ancestors(s []int) (anc [maxNodes]uint32) {
	for v, parents := range s {
		anc[v] = uint32(parents)
	}
	for u := range s {
		for v := range s {
			if anc[v]>>u&1 == 1 {
				anc[v] |= anc[u]
			}
		}
	}
	return anc
}

// Source implements [Env]: the empty graph.
func (d *DAG) Source(s []int) { clear(s) }

// Step implements [Env]: it adds edge a.
func (d *DAG) Step(s []int, a int) int { s[a%len(s)] |= 1 << (a / len(s)); return a }

// Undo implements [Env]: it takes edge b away.
func (d *DAG) Undo(s []int, b int) int { s[b%len(s)] &^= 1 << (b / len(s)); return b }

// Features implements [Env]: the edges.
func (d *DAG) Features(dst, s []int) []int { return d.Backward(dst, s) }

// Forward implements [Env]: the edges that close no cycle, and the exit.
func (d *DAG) Forward(dst, s []int) []int {
	anc := ancestors(s)
	for u := range s {
		for v, parents := range s {
			if u != v && parents>>u&1 == 0 && anc[u]>>v&1 == 0 {
				dst = append(dst, u*len(s)+v)
			}
		}
	}
	return append(dst, d.shape.Forward-1)
}

// Backward implements [Env]: the edges.
func (d *DAG) Backward(dst, s []int) []int {
	for u := range s {
		for v, parents := range s {
			if parents>>u&1 == 1 {
				dst = append(dst, u*len(s)+v)
			}
		}
	}
	return dst
}

// LogReward implements [Env]: Σ_v score(v | parents of v) − score(v | ∅).
func (d *DAG) LogReward(s []int) (sum float64) {
	for v, parents := range s {
		sum += d.term(v, uint32(parents))
	}
	return sum
}

// term returns score(v | parents) − score(v | ∅). Terms of one place of the cache have different parents. Up to 11
// nodes each term has a place of its own.
func (d *DAG) term(v int, parents uint32) float64 {
	place := &d.terms[(int(parents)*d.shape.Dim+v)%len(d.terms)]
	t := place.Load()
	if t == nil || t.parents != parents {
		t = &term{parents, d.score(v, parents) - d.score(v, 0)}
		place.Store(t)
	}
	return t.value
}

// countDAGs returns a(n) = Σ_{k=1…n} (−1)^{k+1} C(n,k) 2^{k(n−k)} a(n−k), a(0) = 1 (Robinson 1977).
func countDAGs(nodes int) float64 {
	a := []float64{1}
	for n := 1; n <= nodes; n++ {
		sum, choose := 0.0, -1.0 // choose = (−1)^{k+1} C(n,k)
		for k := 1; k <= n; k++ {
			choose *= -float64(n-k+1) / float64(k)
			sum += choose * math.Exp2(float64(k*(n-k))) * a[n-k]
		}
		a = append(a, sum)
	}
	return a[nodes]
}

// Format writes a graph in the notation of the R package bnlearn: [A][B][C|A:B] is A→C←B.
func (d *DAG) Format(s []int) (text string) {
	for v, parents := range s {
		node, separator := d.names[v], "|"
		for u := range s {
			if parents>>u&1 == 1 {
				node += separator + d.names[u]
				separator = ":"
			}
		}
		text += "[" + node + "]"
	}
	return text
}

// Data is observations of variables, one row each.
type Data struct {
	Names []string // of the columns
	Rows  [][]float64
	Graph []int // of simulated data: the state of the [DAG] it is from
}

// Simulate draws observations from a random linear-Gaussian network as the code of Deleu et al. 2022 does, where noise
// is 0.1. The nodes are put in a uniformly random order, every pair is an edge to the later node with probability
// edges/(n(n−1)/2), and
//
//	x_v = Σ_{u→v} w_uv x_u + noise · ε_v    w_uv, ε_v ∼ N(0, 1)
//
// with w drawn once. The draws come from PCG(seed, 0): the order; each pair, by its later and then its earlier node,
// and the weight of an edge; each observation in order.
func Simulate(nodes, samples int, edges, noise float64, seed uint64) (*Data, error) {
	pairs, most := float64(nodes*(nodes-1))/2, maxInputs/max(nodes, 1)
	err := cmp.Or(
		want(nodes >= 1 && nodes <= maxNodes, "dag: nodes is %d, want 1 to %d", nodes, maxNodes),
		want(samples >= 1 && samples <= most, "dag: samples is %d, want 1 to %d", samples, most),
		want(edges >= 0 && edges <= pairs, "dag: edges is %v, want 0 to %v", edges, pairs),
		want(finite(noise) && noise > 0, "dag: noise is %v, want a finite number above 0", noise),
	)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	d := &Data{Graph: make([]int, nodes)}
	for v := range nodes { // A … Z, AA, AB, …
		d.Names = append(d.Names, strings.Repeat("A", v/26)+string(rune('A'+v%26)))
	}
	order, weight := rng.Perm(nodes), [maxNodes][maxNodes]float64{}
	for i, v := range order {
		for _, u := range order[:i] {
			if rng.Float64() < edges/pairs {
				d.Graph[v] |= 1 << u
				weight[u][v] = rng.NormFloat64()
			}
		}
	}
	for range samples {
		x := make([]float64, nodes)
		for i, v := range order {
			x[v] = noise * rng.NormFloat64()
			for _, u := range order[:i] {
				x[v] += weight[u][v] * x[u]
			}
		}
		d.Rows = append(d.Rows, x)
	}
	return d, nil
}

// ReadData reads a line of names and below it a line of numbers for each observation, separated by the first of tab,
// semicolon and comma that stands in the line of names, or else by blanks. Lines that begin with '#' are comments; the
// last one is the line of names if there is no other. Names of rows, as R writes them, are left out. Errors name the
// line, and the column by its name or by the place where it begins.
func ReadData(r io.Reader, name string) (*Data, error) {
	file := readSource(r, name)
	names, rows := file.table(anyNames)
	d := &Data{Names: names}
	for _, fields := range rows {
		row := make([]float64, len(names))
		for j, name := range names {
			f := line(fields) // a column with a name needs no number
			f.text = fields[j].text
			row[j] = f.finite(name)
		}
		d.Rows = append(d.Rows, row)
	}
	return d, file.err
}

// column returns column j less its mean, and the mean. It subtracts the mean twice: the second mean corrects the
// rounding error of the first. A constant column becomes exactly 0. For columns "centred" the mean counts as 0, for
// "standardized" the column also gets variance 1 (N − 1 in the denominator), unless it is constant.
func (d *Data) column(j int, columns string) (column []float64, mean float64) {
	N, left, norm := float64(len(d.Rows)), 0.0, 0.0
	mean = d.Rows[0][j]
	for _, x := range d.Rows {
		mean += (x[j] - d.Rows[0][j]) / N
	}
	for _, x := range d.Rows {
		left += (x[j] - mean) / N
	}
	for _, x := range d.Rows {
		column = append(column, x[j]-mean-left)
		norm = math.Hypot(norm, x[j]-mean-left)
	}
	if columns == "standardized" && norm > 0 {
		for i := range column {
			column[i] *= math.Sqrt(N-1) / norm
		}
	}
	if columns != "raw" {
		return column, 0
	}
	return column, mean + left
}

// NewBGe returns the log marginal likelihood of a linear-Gaussian network given N observations X with mean x̄ and
// centred scatter matrix S, its parameters under a normal-Wishart prior with α_μ = 1, α_w = n + 2, ν = 0 and T = tI
// (Geiger & Heckerman 1994, corrected by Kuipers et al. 2014). Columns of X are taken raw, centred (ν is their means,
// so that the last term of R vanishes) or standardized (centred, and divided by their deviations). Large means of raw
// columns read as correlation. With
//
//	t = α_μ(α_w − n − 1)/(α_μ + 1)    R = tI + S + (Nα_μ/(N + α_μ)) (x̄ − ν)(x̄ − ν)ᵀ
//
// a node X with l parents Y scores
//
//	½ log(α_μ/(N+α_μ)) + lnΓ(½(N+α_w−n+l+1)) − lnΓ(½(α_w−n+l+1))
//	− ½N log π + ½(α_w−n+2l+1) log t
//	+ ½(N+α_w−n+l) log|R_YY| − ½(N+α_w−n+l+1) log|R_{Y∪X}| − penalty·l
//
// the last term for a prior on graphs ∝ exp(−penalty·edges), uniform where it is 0. Markov-equivalent graphs score
// the same.
//
// R is never formed. It is AᵀA for the stacked rows A = (X − x̄; √(Nα_μ/(N+α_μ)) (x̄ − ν); √t I),
// whose triangular factor gives the determinants. Products would lose every digit on collinear columns or large means.
func NewBGe(d *Data, columns string, penalty float64) (score func(node int, parents uint32) float64, err error) {
	n, N := len(d.Names), float64(len(d.Rows))
	const αμ = 1.0
	αw := float64(n + 2)
	t := αμ * (αw - float64(n) - 1) / (αμ + 1)
	err = cmp.Or(
		want(n >= 1 && n <= maxNodes, "dag: %d columns, want 1 to %d", n, maxNodes),
		want(slices.Contains([]string{"raw", "centred", "standardized"}, columns),
			"dag: columns are %q, want one of raw, centred, standardized", columns),
		want(N >= 1, "dag: no observations, want one or more"),
		want(finite(penalty), "dag: penalty is %v, want a finite number", penalty),
	)
	for i, x := range d.Rows {
		err = cmp.Or(err, want(len(x) == n, "dag: observation %d has %d numbers, want %d", i+1, len(x), n))
	}
	if err != nil {
		return nil, err
	}
	A := make([][]float64, n) // by column
	for j := range A {
		column, mean := d.column(j, columns)
		column = append(column, math.Sqrt(N*αμ/(N+αμ))*mean)
		squares := dot(column, column)
		err = cmp.Or(err, want(finite(squares),
			"dag: the squares of %s sum to %v, want finite numbers that are not too large", d.Names[j], squares))
		A[j] = append(column, make([]float64, n)...)
		A[j][len(column)+j] = math.Sqrt(t)
	}
	triangular(A)
	for j := range A {
		A[j] = slices.Clone(A[j][:n]) // the rest is 0
	}
	return func(x int, parents uint32) float64 {
		l := float64(bits.OnesCount32(parents))
		c := αw - float64(n) + l
		logYY, logYX := logDets(A, parents, x)
		return math.Log(αμ/(N+αμ))/2 + lnΓ((N+c+1)/2) - lnΓ((c+1)/2) - N/2*math.Log(math.Pi) + (c+l+1)/2*math.Log(t) +
			(N+c)/2*logYY - (N+c+1)/2*logYX - penalty*l
	}, err
}

func lnΓ(x float64) float64 { y, _ := math.Lgamma(x); return y }

// triangular replaces A, given by column, by the factor U of A = QU (Householder 1958). A has full rank and no fewer
// rows than columns; U[j][i] is 0 for i > j. The row with the largest entry of a column goes first, so that large rows
// leave the digits of small ones alone (Powell & Reid 1969).
func triangular(A [][]float64) {
	for k, column := range A {
		p := k
		for i := k; i < len(column); i++ {
			if math.Abs(column[i]) > math.Abs(column[p]) {
				p = i
			}
		}
		for _, a := range A[k:] {
			a[k], a[p] = a[p], a[k]
		}
		v := column[k:] // A → A − 2 v(vᵀA)/vᵀv takes this column to (diagonal, 0, …, 0)
		diagonal := -math.Copysign(math.Sqrt(dot(v, v)), v[0])
		v[0] -= diagonal
		vv := dot(v, v)
		for _, a := range A[k+1:] {
			share := 2 * dot(v, a[k:]) / vv
			for i, x := range v {
				a[k+i] -= share * x
			}
		}
		clear(v)
		v[0] = diagonal
	}
}

// logDets returns log|R_YY| and log|R_{Y∪X}|, R = UᵀU, from the triangular factor of these columns of U, X last:
// log|R| = Σ log U_jj².
func logDets(U [][]float64, y uint32, x int) (logYY, logYX float64) {
	var columns [][]float64
	for u := range U {
		if y>>u&1 == 1 {
			columns = append(columns, slices.Clone(U[u]))
		}
	}
	columns = append(columns, slices.Clone(U[x]))
	triangular(columns)
	for j, column := range columns {
		logYY, logYX = logYX, logYX+2*math.Log(math.Abs(column[j]))
	}
	return logYY, logYX
}

// Marginals are the probabilities [u][v] that a random DAG has an edge u→v, a directed path from u to v, and v in the
// Markov blanket of u, which are u's parents, children, and the other parents of its children.
type Marginals struct{ Edge, Path, Blanket [][]float64 }

// Marginals returns the marginals of a distribution over the states of g, a graph of d, given by its logarithm by row:
// [Graph.LogTarget] for the exact posterior, [Graph.LogTerminating] for a sampler.
func (d *DAG) Marginals(g *Graph, logp []float64) (m Marginals) {
	for _, table := range []*[][]float64{&m.Edge, &m.Path, &m.Blanket} {
		for range d.shape.Dim {
			*table = append(*table, make([]float64, d.shape.Dim))
		}
	}
	var s []int
	for row := range g.Len() {
		s = g.State(s, row)
		m.add(s, math.Exp(logp[row]))
	}
	return m
}

// add counts the features of a state of probability p.
func (m Marginals) add(s []int, p float64) {
	anc := ancestors(s)
	var blanket [maxNodes]int
	for v, parents := range s {
		blanket[v] |= parents
		for u := range s {
			blanket[u] |= (parents >> u & 1) * (parents | 1<<v)
		}
	}
	for u := range s {
		blanket[u] &^= 1 << u
		for v := range s {
			m.Edge[u][v] += p * float64(s[v]>>u&1)
			m.Path[u][v] += p * float64(anc[v]>>u&1)
			m.Blanket[u][v] += p * float64(blanket[u]>>v&1)
		}
	}
}

// Deviation returns the root mean square and the largest of |a[u][v] − b[u][v]| over the pairs u ≠ v: how far one
// of a sampler's [Marginals] is from the exact one.
func Deviation(a, b [][]float64) (rms, most float64) {
	for u := range a {
		for v := range a {
			x := math.Abs(a[u][v] - b[u][v]) // 0 where u = v
			rms, most = rms+x*x, max(most, x)
		}
	}
	return math.Sqrt(rms / float64(max(1, len(a)*(len(a)-1)))), most
}

// environment is an entry of the table of [ParseEnv]. Where a reward has keys of its own, its entry is called
// name:reward=value; that of the default is called by the name alone. declare declares the keys. What it returns is
// given the file that the key file names.
type environment struct {
	name, about string
	declare     func(keys *flag.FlagSet) func(file *source) (Env, error)
}

var environments = []environment{
	{"hypergrid", "a point of a grid, one step up at a time from the origin; every point can be the object", gridKeys},
	{"sequence", "a word, token by token; log R = −β × Hamming distance to the nearest of a set of words", modesKeys},
	{"sequence:reward=motif", "log R = β × sum of a weight for each slot and token", motifKeys},
	{"sequence:reward=ising", "log R = β (J Σ σσ' over bonds + h Σ σ), the tokens are spins", isingKeys},
	{"sequence:reward=factors", "log R = β × sum of factors, each of which reads some of the slots", factorKeys},
	{"sequence:reward=table", "R by the score of each word, scaled so that the largest is rmax", tableKeys},
	{"dag", "a directed acyclic graph, edge by edge, by its BGe score; every graph can be the object", dagKeys},
	{"explicit", "a graph given by its edges", explicitKeys},
}

// Register adds an environment to [ParseEnv] and [EnvHelp], and so to every command of cmd/gfn. It is meant for an init
// function. declare declares the keys, each with its default and a line of help, on a set of flags. What it returns is
// called when they are set, and builds the environment, which is then tested as by [CheckEnv], on up to 4,096 states.
// The same keys must always build the same environment.
// [ParseEnv] takes the checksum of the file that a key called file names; an environment that reads others should
// report theirs in [Traits].
//
// A checkpoint holds the environment's spec, so every program that registers the name can load it. Register panics if
// the name stands twice, is empty, or has one of the marks : , = in it.
func Register(name, about string, declare func(keys *flag.FlagSet) func() (Env, error)) {
	if _, err := findEnvironment(name, nil); err == nil || name == "" || strings.ContainsAny(name, ":,=") {
		panic(fmt.Sprintf("gfn: Register: %q is taken, empty, or has : , or = in it", name))
	}
	environments = append(environments, environment{name, about, func(keys *flag.FlagSet) func(*source) (Env, error) {
		build := declare(keys)
		return func(*source) (Env, error) {
			env, err := build()
			err = cmp.Or(err, want(env != nil, "%s: the function given to Register builds no environment", name))
			if err != nil {
				return nil, err
			}
			return env, checkEnv(env, 1<<12)
		}
	}})
}

// parsed is an environment of [ParseEnv]. Its traits have what the environment within knows nothing of: the spec, and
// the checksum of the file that this names.
type parsed struct {
	Env
	traits Traits
}

// Traits returns those of the environment within, with what ParseEnv adds.
func (p parsed) Traits() Traits { return p.traits }

// Unwrap returns the environment within.
func (p parsed) Unwrap() Env { return p.Env }

// ParseEnv builds an environment from a specification name:key=value,key=value, such as
//
//	hypergrid:dim=2,height=8,r0=0.1
//	sequence:length=8,tokens=ACGT,order=ends,reward=table,file=tfbind8.csv
//	dag:nodes=5,samples=100,seed=0
//	explicit:file=graph.txt
//
// [EnvHelp] lists the names and keys, and [Register] adds some. If a key is given twice, the last one counts. The error
// of an unknown name or key, or of a bad value, lists the known ones. The [Traits] of the environment have the
// canonical specification: in the order of the alphabet the keys that differ from their defaults.
//
// Files are text in UTF-8 of at most 64 MiB, lists of words of 16. A '#' begins a comment. Fields are separated by tabs
// (in tables and data), semicolons, commas or blanks, the first of these that stands in the first line; quotes hold
// them together. A table has the header word,score and a record for every word ([NewTableReward]); for data see
// [ReadData] and, without a file, [Simulate]. Motif weights: a line for every slot, on it a number for every token.
// Modes: words. A graph: lines
//
//	edge FROM TO
//	reward NODE R
//	name NODE LABEL
//
// with node numbers 0, 1, 2, … in any order and with gaps; R ≥ 0; a node with a reward is terminating. All output
// calls a node by its label, its number by default; labels are distinct. A factor graph: lines
//
//	factor SLOT… : WEIGHT…
//
// each a [Factor]; slots are 0…L−1, and the weights of slots i j over tokens AB those of AA AB BA BB. Without a
// file, modes are distinct words drawn uniformly; weights are drawn from [−1, 1), for each slot of a motif, or for
// each slot and each bond of a [Ring]. Draws are by PCG(seed, 0) of math/rand/v2.
func ParseEnv(spec string) (Env, error) { return parseEnv(spec, readFile) }

// parseEnv is ParseEnv where readFile returns a file by its name.
func parseEnv(spec string, readFile func(name string) *source) (Env, error) {
	if strings.ContainsFunc(spec, unicode.IsControl) {
		return nil, fmt.Errorf("gfn: a control character in %q", spec)
	}
	name, rest, _ := strings.Cut(spec, ":")
	items := strings.FieldsFunc(rest, func(r rune) bool { return r == ',' })
	entry, err := findEnvironment(name, items)
	if err != nil {
		return nil, err
	}
	keys := flag.NewFlagSet(name, flag.ContinueOnError)
	build := entry.declare(keys)
	for _, item := range items {
		if err := setKey(keys, item); err != nil {
			return nil, fmt.Errorf("gfn: %s: %w", entry.name, err)
		}
	}
	file := new(source)
	if f := keys.Lookup("file"); f != nil && f.Value.String() != "" {
		file = readFile(f.Value.String())
	}
	env, err := build(file)
	if err = cmp.Or(file.err, err); err != nil {
		return nil, err
	}
	canonical, separator := name, ":"
	keys.VisitAll(func(f *flag.Flag) {
		if f.Value.String() != f.DefValue {
			canonical, separator = canonical+separator+f.Name+"="+f.Value.String(), ","
		}
	})
	traits := TraitsOf(env)
	traits.Spec, traits.Checksum = canonical, cmp.Or(traits.Checksum, file.sum())
	return parsed{env, traits}, nil
}

// findEnvironment returns the entry of a name and of the last reward among the items.
func findEnvironment(name string, items []string) (found environment, err error) {
	var known []string
	rewarded := name
	for _, item := range items {
		if strings.HasPrefix(item, "reward=") {
			rewarded = name + ":" + item
		}
	}
	for _, e := range environments {
		if e.name == name || e.name == rewarded {
			found = e
		}
		if !strings.Contains(e.name, ":") {
			known = append(known, e.name)
		}
	}
	return found, want(found.declare != nil, "unknown environment %q, want one of %s", name, strings.Join(known, ", "))
}

// setKey sets a key by an item key=value.
func setKey(keys *flag.FlagSet, item string) error {
	key, value, _ := strings.Cut(item, "=")
	f := keys.Lookup(key)
	if f == nil {
		var known []string
		keys.VisitAll(func(f *flag.Flag) { known = append(known, f.Name) })
		return fmt.Errorf("unknown key %q, want one of %s", key, strings.Join(known, ", "))
	}
	wanted, _ := flag.UnquoteUsage(f) // int, float, … or one|of|these
	names := strings.Split(wanted, "|")
	if len(names) > 1 && !slices.Contains(names, value) || keys.Set(key, value) != nil {
		return fmt.Errorf("%s is %q, want %s", key, value, cmp.Or(wanted, "true or false"))
	}
	return nil
}

// EnvHelp returns a text that lists the environments of [ParseEnv] with their keys and defaults.
func EnvHelp() string {
	var text strings.Builder
	for _, e := range environments {
		fmt.Fprintf(&text, "%s: %s\n", e.name, e.about)
		keys := flag.NewFlagSet(e.name, flag.ContinueOnError)
		e.declare(keys)
		keys.VisitAll(func(f *flag.Flag) {
			fmt.Fprintf(&text, "  %-18s %s\n", f.Name+"="+f.Value.String(), strings.ReplaceAll(f.Usage, "`", ""))
		})
	}
	return text.String()
}

func gridKeys(keys *flag.FlagSet) func(file *source) (Env, error) {
	r := DefaultGridReward()
	dim := keys.Int("dim", 2, "number of coordinates")
	height := keys.Int("height", 8, "number of values of a coordinate")
	keys.Float64Var(&r.R0, "r0", r.R0, "reward everywhere")
	keys.Float64Var(&r.R1, "r1", r.R1, "factor of the outer band, or of the cosine term")
	keys.Float64Var(&r.R2, "r2", r.R2, "factor of the inner band; the cosine reward has none")
	reward := keys.String("reward", "standard", "`standard|cosine`: bands, or ripples")
	keys.Float64Var(&r.Floor, "floor", r.Floor, "log R (nats) where R = 0; a number below 0")
	return func(file *source) (Env, error) {
		r.Cosine = *reward == "cosine"
		return NewHyperGrid(*dim, *height, r)
	}
}

// wordKeys declares the keys of all words, whose defaults depend on the reward. What it returns builds the words with
// the reward that read makes of them and of β.
func wordKeys(
	keys *flag.FlagSet, reward string, length int, tokens string, beta float64,
	read func(file *source, words Words, beta float64) (WordReward, error),
) func(file *source) (Env, error) {
	*keys.String("reward", "modes", "`modes|motif|ising|factors|table`") = reward
	n := keys.Int("length", length, "letters of a word")
	alphabet := keys.String("tokens", tokens, "alphabet: distinct characters other than blank , ; - # \"")
	order := keys.String("order", "append", "`append|ends|any`: left to right, at either end, in any empty slot")
	β := keys.Float64("beta", beta, "β of the reward")
	return func(file *source) (Env, error) {
		words, err := NewWords(*n, *alphabet)
		if err != nil {
			return nil, err
		}
		reward, err := read(file, words, *β)
		if err != nil {
			return nil, err
		}
		return NewSequence(Order(*order), reward)
	}
}

func modesKeys(keys *flag.FlagSet) func(file *source) (Env, error) {
	n := keys.Int("modes", 4, "without file: number of words drawn")
	draw := func(words Words, seed uint64) ([][]int, error) { return drawModes(*n, words, seed) }
	return drawnKeys(keys, "modes", "words, separated by blanks or line ends", parseWords, draw, NewModesReward)
}

func motifKeys(keys *flag.FlagSet) func(file *source) (Env, error) {
	draw := func(words Words, seed uint64) ([]Factor, error) { return drawFactors(each(words.length), words, seed) }
	return drawnKeys(keys, "motif", "for each slot a line of a weight for each token", parseMotif, draw, NewFactorReward)
}

func factorKeys(keys *flag.FlagSet) func(file *source) (Env, error) {
	draw := func(words Words, seed uint64) ([]Factor, error) {
		return drawFactors(append(each(words.length), Ring(words.length)...), words, seed)
	}
	const usage = "lines factor SLOT… : WEIGHT…; without it, of slots and pairs in a ring"
	return drawnKeys(keys, "factors", usage, parseFactors, draw, NewFactorReward)
}

// drawnKeys declares the keys of a reward that build makes of modes or factors, which parse reads from a file. Without
// file they are drawn.
func drawnKeys[T any](
	keys *flag.FlagSet, reward, usage string,
	parse func(*source, Words) []T, draw func(Words, uint64) ([]T, error),
	build func(Words, []T, float64) (WordReward, error),
) func(file *source) (Env, error) {
	keys.String("file", "", usage)
	seed := keys.Uint64("seed", 0, "without file: seed of the draw")
	return wordKeys(keys, reward, 4, "ACGT", 1, func(file *source, words Words, beta float64) (WordReward, error) {
		parts, err := draw(words, *seed)
		if file.name != "" {
			parts, err = parse(file, words), nil
		}
		reward, wrong := build(words, parts, beta)
		return reward, cmp.Or(err, wrong)
	})
}

func isingKeys(keys *flag.FlagSet) func(file *source) (Env, error) {
	lattice := keys.String("lattice", "ring", "`ring|square`: bonds in a ring, or in an n×n torus")
	coupling, field := keys.Float64("coupling", 1, "J"), keys.Float64("field", 0, "h")
	return wordKeys(keys, "ising", 9, "01", 1, func(file *source, words Words, beta float64) (WordReward, error) {
		n, tokens, bonds := words.length, string(words.tokens), Ring(words.length)
		err := want(len(words.tokens) == 2, "sequence: tokens are %q, want two, spin −1 and spin +1, such as 01", tokens)
		if *lattice == "square" {
			side := int(math.Sqrt(float64(n))) // exact for a square
			bonds = Torus(side)
			err = cmp.Or(err,
				want(side*side == n, "sequence: length is %d, want a square, such as 9 or 16, with lattice=square", n))
		}
		if err != nil {
			return WordReward{}, err
		}
		return NewFactorReward(words, Ising(n, bonds, *coupling, *field), beta)
	})
}

func tableKeys(keys *flag.FlagSet) func(file *source) (Env, error) {
	t := DefaultTable()
	keys.String("file", "", "needed: CSV with the header word,score and a line for every word")
	transform := keys.String("transform", "power", "`power|exp`: max(score, rmin)^β, or e^(β·score)")
	keys.Float64Var(&t.RMax, "rmax", t.RMax, "largest reward")
	keys.Float64Var(&t.RMin, "rmin", t.RMin, "with transform=power: scores below it are raised to it")
	keys.Float64Var(&t.Missing, "missing", t.Missing, "score of words that the file lacks; NaN: it lacks none")
	return wordKeys(keys, "table", 4, "ACGT", t.Beta, func(file *source, words Words, beta float64) (WordReward, error) {
		if file.name == "" {
			return WordReward{}, errors.New("gfn: sequence: reward=table needs file, a CSV with the header word,score")
		}
		t.Beta, t.Exp = beta, *transform == "exp"
		return NewTableReward(words, bytes.NewReader(file.text), file.name, t)
	})
}

func dagKeys(keys *flag.FlagSet) func(file *source) (Env, error) {
	keys.String("file", "", "data: a line of names, then lines of numbers; tabs, commas, ; or blanks")
	nodes := keys.Int("nodes", 5, fmt.Sprintf("without file: number of nodes, at most %d", maxNodes))
	samples := keys.Int("samples", 100, "without file: number of observations drawn")
	edges := keys.Float64("edges", -1, "without file: expected edges of their graph; -1: as many as nodes")
	noise := keys.Float64("noise", 0.1, "without file: standard deviation of a variable given its parents")
	seed := keys.Uint64("seed", 0, "without file: seed of the draw")
	columns := keys.String("columns", "", "`raw|centred|standardized`; by default centred of a file, raw without one")
	penalty := keys.Float64("penalty", 0, "log prior of a graph: −penalty for each edge")
	return func(file *source) (Env, error) {
		data, err := ReadData(bytes.NewReader(file.text), file.name)
		taken := "centred"
		if file.name == "" {
			expected := *edges
			if expected == -1 {
				expected = min(float64(*nodes), float64(*nodes*(*nodes-1))/2)
			}
			data, err = Simulate(*nodes, *samples, expected, *noise, *seed)
			taken = "raw"
		}
		if err != nil {
			return nil, err
		}
		score, err := NewBGe(data, cmp.Or(*columns, taken), *penalty)
		if err != nil {
			return nil, err
		}
		return NewDAG(data.Names, score)
	}
}

func explicitKeys(keys *flag.FlagSet) func(file *source) (Env, error) {
	keys.String("file", "", "lines edge FROM TO, reward NODE R, name NODE LABEL; else a graph with Z* = 112")
	floor := keys.Float64("floor", DefaultFloor, "log R (nats) where R = 0; a number below 0")
	return func(file *source) (Env, error) {
		if file.name == "" {
			return Fixture(), nil
		}
		return parseExplicit(file, *floor), nil
	}
}
