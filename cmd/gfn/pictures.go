package main

import (
	"fmt"
	"html"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"slices"
	"strings"

	"gfn"
)

// compared returns the keys of what tables and charts compare of runs with such a curve: distances from the target if
// it is known. Their axes are logarithmic.
func compared(curve []object) (keys []string, log bool) {
	if n := len(curve); n > 0 && curve[n-1]["tv"] != nil {
		return []string{"tv", "jsd", "logz_error"}, true
	}
	return []string{"elbo", "logz", "mean_reward", "mean_log_reward", "modes"}, false
}

// point is a point of a line, in a band of y ± spread.
type point struct{ x, y, spread float64 }

// lineOf returns the means of a figure over the runs of a method.
func lineOf(rs runs, key string) (line []point) {
	for i := range rs[0].Curve {
		y := rs.mean(i, key)
		if !isFinite(y.err) {
			y.err = 0
		}
		line = append(line, point{rs.mean(i, "iteration").mean, y.mean, y.err})
	}
	return line
}

// colours of lines, told apart by the colour-blind too: those of Okabe and Ito (2008), then Tol's muted ones.
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000",
	"#882255", "#44aa99", "#999933", "#332288", "#aa4499", "#661100", "#888888"}

// The layout of a picture, in pixels. Charts stand one above the other, their legends on the right.
const (
	titleHeight             = 34
	chartWidth, chartHeight = 850, 230
	left, right             = 84, chartWidth - 150 // ends of the horizontal axis
	top, bottom             = 16, chartHeight - 46 // ends of the vertical axis
)

// svg is a picture as it is written.
type svg struct{ strings.Builder }

// writeCharts writes an SVG picture: for each figure that is compared a chart of all methods.
func writeCharts(w io.Writer, title string, methods []runs) error {
	var s svg
	keys, log := compared(methods[0][0].Curve)
	height := titleHeight + chartHeight*len(keys)
	fmt.Fprintf(&s, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" ", chartWidth, height)
	s.WriteString("font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n")
	s.WriteString("<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n")
	s.text(left, 22, "start", title)
	for i, key := range keys {
		fmt.Fprintf(&s, "<g transform=\"translate(0 %d)\">\n", titleHeight+i*chartHeight)
		s.chart(key, log, methods)
		s.WriteString("</g>\n")
	}
	s.WriteString("</svg>\n")
	_, err := io.WriteString(w, s.String())
	return err
}

func (s *svg) text(x, y float64, anchor, text string) {
	fmt.Fprintf(s, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, html.EscapeString(text))
}

func (s *svg) path(colour string, width int, d string) {
	const format = "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"%d\" stroke-linecap=\"round\"/>\n"
	fmt.Fprintf(s, format, d, colour, width)
}

// chart draws the axes with their ticks, and the lines with the legend.
func (s *svg) chart(key string, log bool, methods []runs) {
	lines, xs, ys := [][]point(nil), []float64{0}, []float64(nil)
	for _, rs := range methods {
		line := lineOf(rs, key)
		lines = append(lines, line)
		for _, p := range line {
			xs, ys = append(xs, p.x), append(ys, p.y-p.spread, p.y, p.y+p.spread)
		}
	}
	x, y := newAxis(left, right, false, xs), newAxis(bottom, top, log, ys)
	for _, v := range y.ticks() {
		s.path("#ddd", 1, fmt.Sprintf("M%d %.1fH%d", left, y.at(v), right))
		s.text(left-8, y.at(v)+4, "end", fmt.Sprintf("%.3g", v))
	}
	for _, v := range x.ticks() {
		s.path("#222", 1, fmt.Sprintf("M%.1f %dv5", x.at(v), bottom))
		s.text(x.at(v), bottom+18, "middle", fmt.Sprintf("%.6g", v))
	}
	s.path("#222", 1, fmt.Sprintf("M%d %dV%dH%d", left, top, bottom, right))
	s.text((left+right)/2, bottom+36, "middle", "iteration")
	fmt.Fprintf(s, "<g transform=\"translate(18 %d) rotate(-90)\">\n", (top+bottom)/2)
	s.text(0, 0, "middle", label(key))
	s.WriteString("</g>\n")
	for i, line := range lines {
		colour, at := colours[i%len(colours)], top+12+min(16, 200/float64(len(lines)))*float64(i)
		s.line(line, x, y, colour)
		s.path(colour, 2, fmt.Sprintf("M%d %.1fh14", right+10, at-4))
		s.text(right+30, at, "start", methods[i][0].Config.Method)
	}
}

// line draws a line with its points and its band. It leaves out a y that is not finite, or not positive on a
// logarithmic axis.
func (s *svg) line(line []point, x, y axis, colour string) {
	var points, band []string
	for _, p := range line {
		if isFinite(y.scale(p.y)) {
			at := func(v float64) string { return fmt.Sprintf("%.1f %.1f", x.at(p.x), y.at(v)) }
			points = append(points, at(p.y))
			band = append([]string{at(p.y - p.spread)}, append(band, at(p.y+p.spread))...)
		}
	}
	if len(points) > 0 {
		fmt.Fprintf(s, "<path d=\"M%sZ\" fill=\"%s\" fill-opacity=\"0.2\"/>\n", strings.Join(band, "L"), colour)
		s.path(colour, 2, "M"+strings.Join(points, "L"))
		s.path(colour, 5, "M"+strings.Join(points, "h0M")+"h0") // lines of no length are dots
	}
}

// axis maps values, or their decimal logarithms, in low…high to the pixels from…to.
type axis struct {
	from, to, low, high float64
	log                 bool
}

// newAxis returns an axis that holds the values it can show.
func newAxis(from, to float64, log bool, values []float64) axis {
	a := axis{from, to, math.Inf(1), math.Inf(-1), log}
	for _, v := range values {
		if v = a.scale(v); isFinite(v) {
			a.low, a.high = min(a.low, v), max(a.high, v)
		}
	}
	if a.low >= a.high { // one value, or none
		a.low, a.high = min(a.low, 0), max(a.high, 0)+1
	}
	return a
}

func (a axis) scale(v float64) float64 {
	if a.log {
		return math.Log10(v)
	}
	return v
}

// at returns the pixel of v. The lower end of a band that has none is at the end of the axis.
func (a axis) at(v float64) float64 {
	if v = a.scale(v); !isFinite(v) {
		v = a.low
	}
	return a.from + (a.to-a.from)*(v-a.low)/(a.high-a.low)
}

// ticks returns two to ten values. The distance of them, or of their logarithms, is 1 or 5 times a power of ten.
func (a axis) ticks() (ticks []float64) {
	span := a.high - a.low
	step := math.Pow(10, math.Floor(math.Log10(span)))
	if span < 4*step {
		step /= 2
	}
	for k := math.Ceil(a.low / step); k*step <= a.high; k++ {
		v := k*step + 0 // not −0
		if a.log {
			v = math.Pow(10, v)
		}
		ticks = append(ticks, v)
	}
	return ticks
}

// heatmap is a distribution on a two-dimensional grid, side × side: the probability of (x, y) is heatmap[y][x].
type heatmap [][]float64

// gridMaps returns the target and the learned distribution if t learns a two-dimensional grid that is enumerated.
func gridMaps(t *gfn.Trainer) (target, learned heatmap, ok bool) {
	grid, ok := gfn.Unwrap(t.Env).(*gfn.HyperGrid)
	if !ok || grid.Shape().Dim != 2 || t.Graph == nil {
		return nil, nil, false
	}
	logPF, _ := t.Policies()
	side := grid.Shape().Features / 2
	return newHeatmap(t.Graph, side, t.Graph.LogTarget()), newHeatmap(t.Graph, side, t.Graph.LogTerminating(logPF)), true
}

func newHeatmap(g *gfn.Graph, side int, logP []float64) heatmap {
	m := make(heatmap, side)
	for y := range m {
		m[y] = make([]float64, side)
	}
	for row, l := range logP {
		s := g.State(nil, row)
		m[s[1]][s[0]] = math.Exp(l)
	}
	return m
}

func (m heatmap) max() float64 { return slices.Max(slices.Concat(m...)) }

// writePNG writes m as squares of whole pixels, from black (0) by red and yellow to white (scale).
func (m heatmap) writePNG(w io.Writer, scale float64) error {
	side := len(m)
	pixels := max(1, 512/side) // of a square's side
	img := image.NewRGBA(image.Rect(0, 0, side*pixels, side*pixels))
	for y := range side * pixels {
		for x := range side * pixels {
			heat := 3 * m[side-1-y/pixels][x/pixels] / scale
			channel := func(from float64) uint8 { return uint8(math.Round(255 * max(0, min(1, heat-from)))) }
			img.SetRGBA(x, y, color.RGBA{channel(0), channel(1), channel(2), 255})
		}
	}
	return png.Encode(w, img)
}
