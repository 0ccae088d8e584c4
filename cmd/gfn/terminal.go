package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"
)

// ascii writes in ASCII what this program prints in other letters.
var ascii = strings.NewReplacer(
	"–", "-", "−", "-", "─", "-", "│", "|", "┌", "+", "┐", "+", "└", "+", "┘", "+", "░", ".",
	"▒", ":", "▓", "+", "█", "#", "±", "+-", "≤", "<=", "≥", ">=", "≠", "!=", "→", "->", "×", "x",
	"·", "*", "…", "...", "½", "1/2", "²", "^2", "√", "sqrt ", "Σ", "sum ", "∝", "~", "‖", "||",
	"∣", "|", "⊤", "^T", "̂", "^", "⁺", "+",
	"α", "alpha", "β", "beta", "δ", "delta", "ε", "epsilon", "κ", "kappa", "λ", "lambda", "π", "pi", "ρ", "rho",
	"σ", "sigma", "τ", "tau", "Φ", "Phi")

// plain returns text for people: as it is, or in ASCII if the terminal is dumb or the locale has another code than
// UTF-8. No locale at all counts as UTF-8.
func plain(text string) string {
	locale := strings.ToUpper(cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_CTYPE"), os.Getenv("LANG"), "UTF-8"))
	isUTF8 := strings.Contains(locale, "UTF-8") || strings.Contains(locale, "UTF8")
	if isUTF8 && os.Getenv("TERM") != "dumb" {
		return text
	}
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII {
			return '?'
		}
		return r
	}, ascii.Replace(text))
}

// wrapped breaks lines at blanks where they are wider than the terminal: $COLUMNS, or 80. The rest of a line that is
// indented is so by two columns more. Lines with tabs are rows of a table, which stay whole.
func wrapped(text string) string {
	columns, err := strconv.Atoi(os.Getenv("COLUMNS"))
	if err != nil || columns < 40 {
		columns = 80
	}
	var out strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, "\t") {
			out.WriteString(line)
			continue
		}
		indent := ""
		if begin := len(line) - len(strings.TrimLeft(line, " ")); begin > 0 {
			indent = strings.Repeat(" ", begin+2)
		}
		width := 0
		for i, word := range strings.Split(line, " ") {
			letters := utf8.RuneCountInString(strings.TrimSuffix(word, "\n"))
			if i > 0 && width > len(indent) && width+1+letters > columns {
				out.WriteString("\n" + indent)
				width = len(indent)
			} else if i > 0 {
				out.WriteString(" ")
				width++
			}
			out.WriteString(word)
			width += letters
		}
	}
	return out.String()
}

// print prints text for people on standard output, at once. Cells that end with tabs stand in columns.
func (c *call) print(text string) error {
	var aligned strings.Builder
	table := tabwriter.NewWriter(&aligned, 0, 0, 3, ' ', 0)
	io.WriteString(table, wrapped(plain(text)))
	table.Flush()
	_, err := io.WriteString(c.stdout, aligned.String())
	return err
}

// progress shows how many iterations are done: a bar on a terminal, elsewhere lines. Several goroutines may step it.
type progress struct {
	mu                sync.Mutex
	w                 io.Writer
	bar               bool
	begin, drawn      time.Time
	from, done, total int    // iterations before begin, until now, and wanted
	text              string // the last one
}

func newProgress(w io.Writer, done, total int) *progress {
	p := &progress{w: w, begin: time.Now(), from: done, done: done, total: total}
	if o, ok := w.(*output); ok {
		w = o.w
	}
	if f, ok := w.(*os.File); ok && os.Getenv("TERM") != "dumb" && runtime.GOOS != "windows" {
		info, err := f.Stat()
		p.bar = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// step counts the iteration of a loss; NaN stands for none. A text, if there is one, shows figures. The bar is drawn at
// most ten times a second.
func (p *progress) step(loss float64, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if isFinite(loss) {
		p.done++
	}
	p.text = cmp.Or(text, p.text)
	now := time.Now()
	line := fmt.Sprintf("%d/%d  ", p.done, p.total)
	if n := p.done - p.from; n > 0 {
		rate := float64(n) / now.Sub(p.begin).Seconds()
		left := time.Duration(float64(p.total-p.done)/rate) * time.Second
		line += fmt.Sprintf("%s left  %.4g it/s  ", left, rate)
	}
	line += p.text
	if p.bar && now.Sub(p.drawn) >= 100*time.Millisecond {
		p.drawn = now
		full := 20 * p.done / p.total
		bar := strings.Repeat("=", full) + strings.Repeat(" ", 20-full)
		fmt.Fprintf(p.w, "\r\x1b[K\x1b[?7l[%s]  %s\x1b[?7h", bar, line) // not wrapped: the terminal cuts what is too wide
	} else if !p.bar && text != "" {
		fmt.Fprintln(p.w, line)
	}
}

// clear removes the bar, so that something else can be printed.
func (p *progress) clear() {
	if p.bar {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

var shades = []rune(" ░▒▓█")

// drawMaps draws two maps as cells of a table, in shades of one scale. A square is two columns wide, to look like one.
func drawMaps(target, learned heatmap) string {
	side, steps, scale := len(target), float64(len(shades)-1), max(target.max(), learned.max())
	shade := func(row []float64) (text string) {
		for _, p := range row {
			text += strings.Repeat(string(shades[int(math.Round(p/scale*steps))]), 2)
		}
		return text
	}
	rule := strings.Repeat("─", 2*side)
	text := fmt.Sprintf(" target\t learned\n┌%s┐\t┌%s┐\n", rule, rule)
	for y := side - 1; y >= 0; y-- {
		text += fmt.Sprintf("│%s│\t│%s│\n", shade(target[y]), shade(learned[y]))
	}
	text += fmt.Sprintf("└%s┘\t└%s┘\n", rule, rule)
	for i := 1; i < len(shades); i++ {
		text += fmt.Sprintf(" %c %.2g ", shades[i], scale*float64(i)/steps)
	}
	return text + "\n\n"
}
