package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"gfn"
)

// gfnRun executes a command line in-process.
func gfnRun(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), args, &out, &err)
	return code, out.String(), err.String()
}

// must executes a command line that is to succeed and returns its standard output.
func must(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := gfnRun(t, args...)
	require.Equal(t, 0, code, stderr)
	return stdout
}

// small is a training that takes a few milliseconds.
func small(more ...string) []string {
	args := []string{"train", "-batch", "8", "-iters", "40", "-eval-every", "10", "-hidden", "8", "-hidden-v", "8"}
	if !slices.Contains(more, "-replay") {
		args = append(args, "-replay", "5")
	}
	return append(args, more...)
}

// objects parses JSON lines.
func objects(t *testing.T, text string) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(text) {
		var object map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &object), line)
		all = append(all, object)
	}
	return all
}

func trained(t *testing.T, more ...string) (checkpoint string) {
	t.Helper()
	dir := t.TempDir()
	must(t, small(append(more, "-out", dir)...)...)
	return filepath.Join(dir, checkpointName)
}

func TestUnusableArguments(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("file", nil, 0o666))
	require.NoError(t, os.MkdirAll("taken/target.png", 0o777))
	checkpoint := trained(t)
	for _, c := range []struct{ args, want string }{
		{"", "name a command: train, exact, check, compare, eval, sample, edit, help"},
		{"trian", "did you mean train?"},
		{"teleport", "commands: train, exact"},
		{"-iters 3", "unknown command"},
		{"help metods", "did you mean methods?"},
		{"train -itres 3", "did you mean -iters?"},
		{"train -quux 3", `"gfn train -h" lists the flags`},
		{"train -iters many", "write a whole number"},
		{"train -iters 1.5", "write a whole number"},
		{"train -seed -1", "write a whole number not below 0"},
		{"train -lr fast", "write a number"},
		{"train -json=perhaps", "write true or false"},
		{"train -iters", "-iters needs a value, N: iterations"},
		{"train -env", "-env needs a value, SPEC: the environment"},
		{"exact hypergrid", `unexpected argument "hypergrid"; write -env hypergrid`},
		{"train -resume=", "write FILE"},
		{"train -resume absent.gfn", "train: absent.gfn: no such file; name a checkpoint that gfn train -out wrote"},
		{"eval absent.gfn", "eval: absent.gfn: no such file; name a checkpoint"},
		{"eval " + filepath.Dir(checkpoint), filepath.Dir(checkpoint) + " is a directory; write " + checkpoint},
		{"train -tabular -limit 10", "-tabular is true: the space must be enumerated, and has more than 10 states"},
		{"train -out taken", "-out taken: target.png, to be written there, is a directory"},
		{"exact -env explicit:file=nope.gfn", "open nope.gfn: no such file"},
		{"train tb-u", "write gfn train [flags]"},
		{"train -method tb-bb", "did you mean -method tb-b?"},
		{"train -method TB-U", "did you mean -method tb-u?"},
		{"train -method nothing", "-method is nothing: must be one of fm, db-u"},
		{"train -env hypergird", "want one of hypergrid, sequence, dag, explicit; did you mean hypergrid?"},
		{"train -env hypergrid:hight=3", "r2, reward; did you mean height?"},
		{"train -method rpe", `-method is rpe: g depends on the path: log g of "2,1" is 1.90954 by way of "1,1" and 2.60269 by way of "2,0"; it is for environments such as sequence`},
		{"train -method rpe -limit 10", "-method is rpe: the space is not enumerated, and the environment does not promise that g does not depend on the path; it is for environments such as sequence"},
		{"train -env hypergrid:dim=0,height=1", "dim is 0, want at least 1"},
		{"train -batch 0 -lr nan -iters -1 -hidden-v 0", "-iters is -1: must lie in 0"},
		{"train -schedule square", "-schedule is square: must be one of constant, linear, cosine"},
		{"train -out file", "name a directory"},
		{"train -out file/below", "-out file/below: not a directory; name a directory that can be written to"},
		{"train -resume " + checkpoint + " -seed 1", "-seed is 0 in the checkpoint and cannot become 1"},
		{"train -resume " + checkpoint + " -paper", "-batch is 8 in the checkpoint"},
		{"train -resume " + checkpoint + " -method tb-u", "-method is tb-b"},
		{"train -resume " + checkpoint + " -env hypergrid:height=9", "-env is hypergrid:dim=2,height=8"},
		{"train -resume " + checkpoint + " -env explicit:x=1", "unknown key"},
		{"train -resume " + checkpoint + " -iters 39", "has 40 iterations already"},
		{"train -resume " + checkpoint + " -workers 0", "-workers is 0: must lie in 1"},
		{"train -guide none", "-guide is none: must be one of auto, exit, replay"},
		{"train -method rl-u -epsilon 0.1", "-epsilon is 0.1: must be 0"},
		{"check -policies 0", "-policies is 0; write a number from 1"},
		{"check -limit 0", "-limit is 0; write a number from 1"},
		{"compare -seeds 0", "-seeds is 0; write a number from 1"},
		{"compare -methods tb-u,rl-uu", "did you mean rl-u?"},
		{"compare -methods tb-u,tb-u", "-methods has tb-u twice"},
		{"compare -methods tb-u,rl-u -lambda 2", "for rl-u: -lambda is 2: must lie in 0…1"},
		{"compare -method tb-u", "did you mean -methods?"},
		{"compare -methods tb-u,rpe -out new", "gfn compare: for rpe: g depends on the path: log g of "},
		{"compare -methods tb-u,mdb -env sequence", `gfn compare: for mdb: every state must be terminating, and "" is not`},
		{"compare -methods tb-u,rl-u -tabular -limit 10", "gfn compare: for tb-u: -tabular is true: the space must be enumerated"},
		{"compare -env nowhere", "unknown environment"},
		{"compare -out file", "name a directory"},
		{"exact -limit 0", "write a number from 1"},
		{"exact -env nowhere", "unknown environment"},
		{"eval", "CHECKPOINT is missing; write gfn eval CHECKPOINT [flags]"},
		{"eval a b", `unexpected argument "b"`},
		{"sample a -n 0", "-n is 0; write a number from 1"},
	} {
		code, stdout, stderr := gfnRun(t, strings.Fields(c.args)...)
		assert.Equal(t, 2, code, c.args)
		assert.Empty(t, stdout, c.args)
		assert.Contains(t, stderr, c.want, c.args)
		assert.Equal(t, 1, strings.Count(stderr, "\n"), "%s: one line, not %q", c.args, stderr)
		assert.Equal(t, len(stderr)-1, strings.Index(stderr, "\n"), c.args)
	}
	left, err := os.ReadDir(".")
	require.NoError(t, err)
	assert.Len(t, left, 2, "unusable arguments leave nothing behind")
}

func TestFailures(t *testing.T) {
	t.Chdir(t.TempDir())
	whole, err := os.ReadFile(trained(t))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile("foreign", []byte("PNG"), 0o666))
	require.NoError(t, os.WriteFile("truncated.gfn", whole[:len(whole)/2], 0o666))
	whole[len(whole)/2] ^= 1
	require.NoError(t, os.WriteFile("damaged", whole, 0o666))
	for _, c := range []struct{ args, want string }{
		{"eval foreign", "foreign: checkpoint: not a gfn checkpoint"},
		{"sample truncated.gfn", "sample: truncated.gfn: checkpoint: not a gfn checkpoint, or truncated or damaged"},
		{"train -resume damaged", "damaged"},
		{"exact -limit 10", "too many states: there are 64, limit 10"},
		{"check -limit 10", "too many states: there are 64, limit 10"},
		{"compare -methods tb-u,rl-u -seeds 2 -lr 1e300 -lr-z 1e300 -iters 3 -hidden 8", "4 of 4 runs failed, the first with: tb-u seed 0: loss is "},
	} {
		code, stdout, stderr := gfnRun(t, strings.Fields(c.args)...)
		assert.Equal(t, 1, code, c.args)
		assert.Empty(t, stdout, c.args)
		assert.Contains(t, stderr, c.want, c.args)
	}
}

func TestHelp(t *testing.T) {
	overview := must(t, "help")
	assert.Equal(t, overview, must(t, "-h"))
	for _, c := range commands() {
		assert.Contains(t, overview, "\n  "+c.name+" ")
		code, stdout, stderr := gfnRun(t, c.name, "-h")
		assert.Equal(t, 0, code)
		assert.Contains(t, stdout, "usage: gfn "+c.name+" "+c.synopsis)
		assert.Empty(t, stderr)
	}
	assert.Equal(t, must(t, "train", "-iters", "3", "--help"), must(t, "help", "train"))
	assert.Contains(t, must(t, "help", "train"), "0.9 for subtb-u")
	assert.Contains(t, must(t, "help", "train"), "temperature of maximum-entropy control (pcl sql pisql sac) (default 1)")
	assert.Contains(t, must(t, "help", "methods"), "subtb-b")
	assert.Contains(t, must(t, "help", "environments"), "hypergrid")
	assert.Contains(t, must(t, "help", "files"), "edge FROM TO")
	assert.Contains(t, must(t, "help", "files"), "factor 0 2 : 1 -1 -1 1")
}

func TestTrainJSON(t *testing.T) {
	lines := objects(t, must(t, small("-json", "-seed", "3", "-method", "subtb-b", "-env", "hypergrid:height=8")...))
	require.Len(t, lines, 5)
	for i, o := range lines {
		for _, key := range []string{"env", "method", "seed", "iteration", "trajectories", "loss", "tv", "jsd", "kl", "logz", "logz_exact",
			"elbo", "eubo", "mean_reward", "train_seconds"} {
			assert.Contains(t, o, key)
		}
		assert.Equal(t, "hypergrid:dim=2,height=8,r0=0.1,r1=0.5,r2=2,reward=standard,floor=-50", o["env"])
		assert.Equal(t, "subtb-b", o["method"])
		assert.Equal(t, 3.0, o["seed"])
		if i < 4 {
			assert.Equal(t, "eval", o["event"])
			assert.Equal(t, 10.0*float64(i+1), o["iteration"])
			assert.Equal(t, 80.0*float64(i+1), o["trajectories"])
		}
	}
	final := lines[4]
	assert.Equal(t, "final", final["event"])
	assert.InDelta(t, 3.109061, final["logz_exact"], 1e-6)
	assert.InDelta(t, 4, final["modes_perfect"], 1e-6)
	assert.InDelta(t, 1.421429, final["mean_reward_exact"], 1e-6)
	assert.InDelta(t, final["mean_reward_ratio"].(float64)*final["mean_reward_exact"].(float64), final["mean_reward"], 1e-12)
	for key, value := range lines[3] {
		if key != "event" {
			assert.Equal(t, value, final[key], key)
		}
	}
}

func TestTrainJSONBeyondEnumeration(t *testing.T) {
	lines := objects(t, must(t, small("-json", "-limit", "10", "-eval-samples", "50", "-eval-every", "0")...))
	require.Len(t, lines, 2)
	for _, key := range []string{"tv", "jsd", "kl", "logz_exact", "eubo", "sampled_tv"} {
		assert.NotContains(t, lines[1], key)
	}
	for _, key := range []string{"loss", "logz", "elbo", "mean_reward", "distinct"} {
		assert.Contains(t, lines[1], key)
	}
}

func TestPaperLeavesFlags(t *testing.T) {
	checkpoint := filepath.Join(t.TempDir(), "a dir")
	must(t, "train", "-hidden", "4", "-paper", "-layers", "1", "-hidden-v", "4", "-batch", "2", "-iters", "1", "-method", "db-u", "-out", checkpoint)
	_, _, stderr := gfnRun(t, "train", "-resume", filepath.Join(checkpoint, checkpointName), "-lr-v", "1", "-schedule", "linear")
	assert.Contains(t, stderr, "-lr-v is 0.005")
	_, _, stderr = gfnRun(t, "train", "-resume", filepath.Join(checkpoint, checkpointName), "-schedule", "linear")
	assert.Contains(t, stderr, "-schedule is constant")
}

// canceller is a writer that calls do when it has been written to times times.
type canceller struct {
	bytes.Buffer
	times int
	do    func()
}

func (c *canceller) Write(p []byte) (int, error) {
	if c.times--; c.times == 0 {
		c.do()
	}
	return c.Buffer.Write(p)
}

// last returns the last JSON object without what differs between equal runs.
func last(t *testing.T, text string) map[string]any {
	lines := objects(t, text)
	require.NotEmpty(t, lines)
	delete(lines[len(lines)-1], "train_seconds")
	return lines[len(lines)-1]
}

func TestInterruptAndResume(t *testing.T) {
	for _, more := range [][]string{{"-method", "tb-b"}, {"-method", "db-u", "-workers", "1"}, {"-method", "fm", "-tabular"}, {"-limit", "9", "-eval-samples", "20"}} {
		t.Run(strings.Join(more, " "), func(t *testing.T) {
			t.Chdir(t.TempDir())
			whole := last(t, must(t, small(append(more, "-json")...)...))

			ctx, cancel := context.WithCancel(t.Context())
			stdout, stderr := &canceller{times: 2, do: cancel}, new(bytes.Buffer)
			code := run(ctx, small(append(more, "-json")...), stdout, stderr)
			require.Equal(t, 130, code, stderr)
			assert.Len(t, objects(t, stdout.String()), 2, "no final object")
			assert.Contains(t, stderr.String(), "stopped after 20 of 40 iterations; wrote checkpoint.gfn; to continue: gfn train -resume checkpoint.gfn -json\n")

			resumed := must(t, "train", "-resume", "checkpoint.gfn", "-json", "-workers", "2", "-out", "out")
			assert.Len(t, objects(t, resumed), 3)
			assert.Equal(t, whole, last(t, resumed))

			done := must(t, small(append(more, "-json", "-resume", "out/checkpoint.gfn", "-env", "hypergrid:dim=2")...)...)
			assert.Equal(t, whole, last(t, done), "arguments that are as they were are no objection")
		})
	}
}

// named lists the files in a directory.
func named(t *testing.T, dir string) (names []string) {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestInterruptWithOut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's new")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	stderr := new(bytes.Buffer)
	require.Equal(t, 130, run(ctx, small("-out", dir), io.Discard, stderr))
	assert.Equal(t, []string{checkpointName}, named(t, dir))
	assert.Contains(t, stderr.String(), `-resume '`+strings.ReplaceAll(filepath.Join(dir, checkpointName), "'", `'\''`)+"'")
}

func TestOut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	stdout := must(t, small("-out", dir, "-env", "hypergrid:height=100")...)
	assert.Contains(t, stdout, "total variation")
	assert.Contains(t, stdout, "│")
	assert.Equal(t, []string{checkpointName, "curves.svg", "learned.png", "target.png"}, named(t, dir))
	for _, name := range []string{"learned.png", "target.png"} {
		f, err := os.Open(filepath.Join(dir, name))
		require.NoError(t, err)
		defer f.Close()
		img, err := png.Decode(f)
		require.NoError(t, err)
		assert.Equal(t, 500, img.Bounds().Dx(), "whole pixels a cell")
		assert.Equal(t, 500, img.Bounds().Dy())
	}
	text, err := os.ReadFile(filepath.Join(dir, "curves.svg"))
	require.NoError(t, err)
	wellFormed(t, string(text))

	must(t, small("-out", dir, "-env", "explicit")...)
	assert.Equal(t, []string{checkpointName, "curves.svg"}, named(t, dir), "no heat maps of another environment")
	code, stdout, stderr := gfnRun(t, "train", "-resume", filepath.Join(dir, checkpointName))
	assert.Equal(t, 0, code)
	assert.Contains(t, stdout, "seed 0, 40 iterations, 320 trajectories, ")
	assert.Contains(t, stderr, "nothing was written; add -out DIR")
}

func TestResultsFail(t *testing.T) {
	dir := t.TempDir()
	stdout := &canceller{times: 1, do: func() { os.Mkdir(filepath.Join(dir, "curves.svg"), 0o777) }}
	stderr := new(bytes.Buffer)
	require.Equal(t, 1, run(t.Context(), small("-json", "-out", dir), stdout, stderr))
	assert.Contains(t, stderr.String(), "results could not be written to "+dir)
	assert.FileExists(t, filepath.Join(dir, checkpointName))
	assert.Equal(t, "final", last(t, stdout.String())["event"])
}

func wellFormed(t *testing.T, text string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else {
			require.NoError(t, err)
		}
	}
	assert.NotContains(t, text, "NaN")
	assert.NotContains(t, text, "Inf")
}

func TestChart(t *testing.T) {
	var w bytes.Buffer
	require.NoError(t, writeCharts(&w, `<title> & "quotes"`, []chart{
		{"x", "log", true, []line{{"a<b", []point{{1, 1e-9, 0}, {2, 0, 0}, {3, math.NaN(), 0}, {4, 5, 9}}}, {"c", []point{{1, 2, 1}}}}},
		{"x", "flat", true, []line{{"", []point{{1, 3, 0}, {2, 3, 0}}}}},
		{"x", "zero", false, []line{{"", []point{{0, 0, 0}}}}},
		{"x", "nothing", true, []line{{}}},
	}))
	wellFormed(t, w.String())
	assert.Contains(t, w.String(), ">1e-4</text>")
	assert.Contains(t, w.String(), ">a&lt;b</text>")
	assert.Equal(t, 2, strings.Count(w.String(), "<circle"))
}

func TestTicks(t *testing.T) {
	for _, low := range []float64{-3, 0, 1e-12, 0.2, 7} {
		for _, span := range []float64{1e-6, 0.013, 0.9, 44, 1e5} {
			for _, log := range []bool{false, low > 0} {
				a := axis{low: low, high: low + span, log: log}
				ticks := a.ticks()
				assert.True(t, len(ticks) >= 2 && len(ticks) <= 11, "%+v: %v", a, ticks)
				for _, v := range ticks {
					assert.True(t, v >= low-1e-9*span && v <= low+span*(1+1e-9), "%+v: %v", a, ticks)
				}
			}
		}
	}
}

func TestHeatmap(t *testing.T) {
	m := heatmap{{1, 2, 3}, {4, 5, 6}, {7, 8, 30}}
	assert.Equal(t, heatmap{{3, 4.5}, {7.5, 30}}, m.shrink(2))
	assert.Equal(t, m, m.shrink(3))
	t.Setenv("COLUMNS", "25")
	var w bytes.Buffer
	require.NoError(t, printMaps(&w, m, m))
	assert.Equal(t, " target   learned\n┌──────┐ ┌──────┐\n│░░░░██│ │░░░░██│\n│░░░░░░│ │░░░░░░│\n│      │ │      │\n└──────┘ └──────┘\n ░ 7.5  ▒ 15  ▓ 22  █ 30 \n\n", w.String())
}

func TestHeatmapOrientation(t *testing.T) {
	env, err := gfn.ParseEnv("hypergrid:height=3")
	require.NoError(t, err)
	g, err := gfn.Enumerate(env, 9)
	require.NoError(t, err)
	logp := make([]float64, 9)
	for row := range logp {
		s := g.State(nil, row)
		logp[row] = math.Log(float64(1 + s[0] + 3*s[1]))
	}
	m := newHeatmap(g, 3, logp)
	for y, row := range m {
		assert.InDeltaSlice(t, []float64{float64(1 + 3*y), float64(2 + 3*y), float64(3 + 3*y)}, row, 1e-12)
	}
	var w bytes.Buffer
	require.NoError(t, m.writePNG(&w, 9))
	img, err := png.Decode(&w)
	require.NoError(t, err)
	assert.Equal(t, palette()[255], img.At(img.Bounds().Dx()-1, 0), "the largest, x = y = 2, at the top right")
	assert.Equal(t, palette()[28], img.At(0, img.Bounds().Dy()-1), "1/9, the origin, at the bottom left")
}

func TestReport(t *testing.T) {
	text := must(t, small("-iters", "0", "-logz", "2.5")...)
	assert.Regexp(t, `\nlog Z +2\.5 +3\.109061\n`, text)
	assert.Regexp(t, `\nlog Z error +-0\.609061 +0\n`, text)
	assert.Regexp(t, `\nmean reward +0\.\d+ +1\.421429\n`, text)
	assert.Regexp(t, `\n  different modes +\d +4\n`, text)
}

func TestEvalAndSample(t *testing.T) {
	dir := t.TempDir()
	checkpoint := filepath.Join(dir, checkpointName)
	final := last(t, must(t, small("-json", "-out", dir)...))
	assert.Equal(t, final["tv"], last(t, must(t, "eval", checkpoint, "-json"))["tv"])
	assert.Contains(t, must(t, "eval", "-samples", "7", checkpoint, "-seed", "2"), "samples                       7")

	text := must(t, "sample", checkpoint, "-n", "20", "-seed", "5")
	assert.Equal(t, text, must(t, "sample", "-seed", "5", "-n", "20", checkpoint))
	assert.NotEqual(t, text, must(t, "sample", checkpoint, "-n", "20"))
	records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	require.NoError(t, err)
	require.Len(t, records, 21)
	assert.Equal(t, []string{"object", "log_reward", "log_pf", "steps"}, records[0])

	ctx, cancel := context.WithCancel(t.Context())
	stdout := &canceller{times: 2, do: cancel}
	stderr := new(bytes.Buffer)
	require.Equal(t, 130, run(ctx, []string{"sample", checkpoint, "-n", "1000000"}, stdout, stderr), stderr)
	whole := must(t, "sample", checkpoint, "-n", "100000")
	assert.Greater(t, len(whole), stdout.Len())
	assert.True(t, strings.HasPrefix(whole, stdout.String()) && strings.HasSuffix(stdout.String(), "\n"), "an interrupt leaves whole lines")
}

func TestEvalBeyondEnumeration(t *testing.T) {
	checkpoint := trained(t, "-limit", "10", "-eval-samples", "10")
	a, b := last(t, must(t, "eval", checkpoint, "-json", "-samples", "30")), last(t, must(t, "eval", checkpoint, "-json", "-samples", "30", "-seed", "1"))
	assert.Equal(t, 30.0, a["samples"])
	assert.NotEqual(t, a["elbo"], b["elbo"])
	assert.Equal(t, a["seed"], b["seed"])
}

func TestExact(t *testing.T) {
	o := last(t, must(t, "exact", "-env", "hypergrid:dim=2,height=10,r0=0.1", "-json"))
	assert.Equal(t, 100.0, o["states"])
	assert.Equal(t, 280.0, o["edges"])
	assert.Equal(t, 100.0, o["terminating"])
	assert.Equal(t, 4.0, o["modes"])
	assert.InDelta(t, 3.583519, o["logz"], 1e-6)
	o = last(t, must(t, "exact", "-env", "explicit", "-json"))
	assert.Equal(t, 19.0, o["edges"])
	assert.InDelta(t, math.Log(112), o["logz"], 1e-12)
	assert.InDelta(t, (900+196+529+100+900+25)/112.0, o["mean_reward"], 1e-9)
	assert.NotContains(t, o, "modes")
	assert.Contains(t, must(t, "exact"), "terminating states      64\n")
}

func TestPolicyGradientFlags(t *testing.T) {
	dir := t.TempDir()
	must(t, small("-method", "rl-g", "-replay", "0", "-iters", "1", "-centring", "others", "-lambda-v", "0.9",
		"-backward-step", "tb", "-kl", "0.02", "-penalised", "-guide", "exit", "-out", dir)...)
	trainer, err := gfn.LoadFile(filepath.Join(dir, checkpointName), nil, nil)
	require.NoError(t, err)
	want := gfn.DefaultConfig("rl-g")
	want.Hidden, want.HiddenV, want.Batch, want.Iterations, want.EvalEvery = 8, 8, 8, 1, 10
	want.Centring, want.LambdaV, want.BackwardStep = "others", 0.9, "tb"
	want.KL, want.Penalised, want.Guide = 0.02, true, "exit"
	assert.Equal(t, want, trainer.Config)
}

// The policy of rpe is extracted from its values, and is used like any other's.
func TestRandomPolicyEvaluation(t *testing.T) {
	checkpoint := trained(t, "-method", "rpe", "-env", "sequence:length=4,order=append")
	assert.Contains(t, must(t, "eval", checkpoint, "-samples", "100"), "total variation")
	assert.Len(t, strings.Split(must(t, "sample", checkpoint, "-n", "5"), "\n"), 7)
	assert.Contains(t, must(t, "edit", checkpoint, "-n", "2", "ACGT"), "property improvement")
}

func TestTrustRegionReport(t *testing.T) {
	lines := objects(t, must(t, small("-method", "rl-t", "-replay", "0", "-json")...))
	require.Len(t, lines, 5)
	final, accepted, fraction := lines[4], 0.0, 0.0
	for _, o := range lines[:4] {
		assert.Equal(t, 10.0, o["accepted"].(float64)+o["rejected"].(float64))
		assert.LessOrEqual(t, o["step_kl"], 0.01)
		accepted += o["accepted"].(float64)
		fraction += o["accepted"].(float64) * o["step_fraction"].(float64)
	}
	assert.Equal(t, accepted, final["accepted"])
	assert.Equal(t, 40-accepted, final["rejected"])
	assert.InDelta(t, fraction/accepted, final["step_fraction"], 1e-12)
	assert.Contains(t, must(t, small("-method", "rl-t", "-replay", "0")...), "trust-region steps accepted")
	assert.NotContains(t, last(t, must(t, small("-json")...)), "accepted")
}

func TestCheck(t *testing.T) {
	table := must(t, "check", "-env", "hypergrid:height=3", "-policies", "3")
	assert.Regexp(t, `\nsampling error +\S+ +≤ +\S+ +\S+ +yes\n`, table)
	assert.Regexp(t, `\nperformance difference +\S+ +=`, table)
	lines := objects(t, must(t, "check", "-env", "hypergrid:height=3", "-policies", "3", "-json"))
	assert.Len(t, lines, strings.Count(table, " yes\n"))
	for _, o := range lines {
		for _, key := range []string{"env", "name", "left", "right", "slack", "ok", "equal"} {
			assert.Contains(t, o, key)
		}
	}
	assert.NotEqual(t, table, must(t, "check", "-env", "hypergrid:height=3", "-policies", "3", "-seed", "1"))

	var out bytes.Buffer
	err := (&call{stdout: &out}).printBounds("spec", []gfn.Bound{{Name: "a", Left: 1, Right: 2}, {Name: "b", Left: 2, Right: 1}, {Name: "c", Left: math.NaN()}}, true)
	assert.EqualError(t, err, "violated on spec: b: 2 ≤ 1")
	assert.NotErrorAs(t, err, new(usageError), "the exit status is 1, not 2")
	lines = objects(t, out.String())
	require.Len(t, lines, 3)
	assert.Equal(t, map[string]any{"env": "spec", "name": "b", "left": 2.0, "right": 1.0, "slack": -1.0, "ok": false, "equal": false}, lines[1])
	assert.Equal(t, map[string]any{"env": "spec", "name": "c", "right": 0.0, "ok": false, "equal": false}, lines[2])
	assert.Error(t, (&call{stdout: &out}).printBounds("spec", []gfn.Bound{{Name: "c", Left: math.NaN()}}, false))
}

// smallCompare is a comparison of four runs that takes a few milliseconds.
func smallCompare(more ...string) []string {
	return append([]string{"compare", "-hidden", "8", "-hidden-v", "8", "-batch", "8", "-iters", "40", "-methods", "tb-u,rl-t", "-seeds", "2", "-eval-samples", "50"}, more...)
}

// timeless parses JSON lines and leaves out what differs between equal runs.
func timeless(t *testing.T, text string) (all []map[string]any) {
	all = objects(t, text)
	for _, o := range all {
		for key := range o {
			if strings.HasPrefix(key, "train_seconds") || strings.HasPrefix(key, "ms_") {
				delete(o, key)
			}
		}
	}
	return all
}

func TestCompare(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	whole := must(t, smallCompare("-workers", "1", "-json", "-out", dir)...)
	assert.Equal(t, []string{"compare-iterations.svg", "compare-seconds.svg", runsName}, named(t, dir))
	lines := timeless(t, whole)
	require.Len(t, lines, 6)
	assert.Equal(t, lines, timeless(t, must(t, smallCompare("-workers", "2", "-json")...)), "as many at once as one likes")

	trained := last(t, must(t, "train", "-hidden", "8", "-hidden-v", "8", "-batch", "8", "-iters", "40", "-method", "rl-t", "-seed", "1", "-eval-every", "1", "-eval-samples", "50", "-json"))
	run := lines[3]
	assert.Equal(t, "run", run["event"])
	for key, value := range trained {
		if key != "event" && key != "loss" && key != "accepted" { // the loss is the mean since the evaluation before
			assert.Equal(t, value, run[key], key)
		}
	}

	method := lines[5]
	assert.Equal(t, "method", method["event"])
	assert.Equal(t, "rl-t", method["method"])
	assert.Equal(t, 2.0, method["seeds"])
	a, b := lines[2]["tv"].(float64), run["tv"].(float64)
	assert.InDelta(t, (a+b)/2, method["tv"], 1e-12)
	assert.InDelta(t, math.Abs(a-b)/2, method["tv_se"], 1e-12)
	assert.NotEqual(t, method["tv"], method["tv_late"])
	assert.NotContains(t, method, "seed")

	for _, name := range []string{"compare-iterations.svg", "compare-seconds.svg"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		wellFormed(t, string(text))
	}
	table := must(t, smallCompare("-out", dir)...)
	assert.Regexp(t, `\nrl-t  \d\.\d+ ± \d\.\d+ `, table)
	assert.Regexp(t, `\nrl-t +2 +320 `, table)
	assert.Contains(t, must(t, smallCompare("-limit", "10", "-seeds", "1")...), "ELBO")
}

// A flag is for the methods that read it, and beside them the runs of another are what they are without it.
func TestCompareMixed(t *testing.T) {
	runs := func(of string, more ...string) (runs []map[string]any) {
		for _, o := range timeless(t, must(t, smallCompare(append(more, "-seeds", "1", "-iters", "4", "-json")...)...)) {
			if o["method"] == of {
				runs = append(runs, o)
			}
		}
		require.Len(t, runs, 2, "a run, and the mean")
		return runs
	}
	alone := runs("tb-u")
	for method, flag := range map[string]string{"pcl": "-alpha=2", "rl-u": "-centring=none", "subeb-b": "-backward-step=tb"} {
		methods := []string{"-methods", "rl-t,tb-u," + method}
		assert.Equal(t, alone, runs("tb-u", append(methods, flag)...), flag)
		assert.NotEqual(t, runs(method, methods...), runs(method, append(methods, flag)...), flag)
	}
}

func TestCompareResumes(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, runsName)
	ctx, cancel := context.WithCancel(t.Context())
	stderr := &canceller{times: 2, do: cancel} // after the headline, the first run that is done
	require.Equal(t, 130, run(ctx, smallCompare("-out", dir, "-workers", "1"), io.Discard, stderr), stderr)
	assert.Contains(t, stderr.String(), "stopped; 1 of 4 runs kept in "+path)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, objects(t, string(text)), 1)

	whole := timeless(t, must(t, smallCompare("-json")...))
	resume := func(more ...string) (stdout, stderr string) {
		code, stdout, stderr := gfnRun(t, smallCompare(append(more, "-json", "-out", dir)...)...)
		require.Equal(t, 0, code)
		return stdout, stderr
	}
	first, log := resume()
	assert.Contains(t, log, "4 runs, 1 of them found, 3 to do\n")
	assert.Equal(t, whole, timeless(t, first))
	again, log := resume()
	assert.Contains(t, log, "4 of them found, 0 to do\n")
	assert.Equal(t, first, again, "to the last bit, and the seconds too")
	text, err = os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, bytes.ReplaceAll(text, []byte(`"build":"`+build()), []byte(`"build":"another`)), 0o666))
	_, log = resume()
	assert.Contains(t, log, "0 of them found, 4 to do\n", "of another build")
	require.NoError(t, os.WriteFile(path, text, 0o666))
	_, log = resume("-lr", "0.5")
	assert.Contains(t, log, "0 of them found, 4 to do\n", "other settings are other runs")
	_, log = resume("-methods", "tb-u,rl-t,fm", "-seeds", "3")
	assert.Contains(t, log, "9 runs, 4 of them found, 5 to do\n")

	text, err = os.ReadFile(path)
	require.NoError(t, err)
	text = append([]byte("{\"foreign\": 1}\n"), text[:len(text)-99]...)
	require.NoError(t, os.WriteFile(path, text, 0o666))
	_, log = resume("-methods", "tb-u,rl-t,fm", "-seeds", "3")
	assert.Contains(t, log, "line 1 of "+path+" is damaged, or no run: not used\n")
	assert.Contains(t, log, "line 14 of "+path)
	assert.Contains(t, log, "9 runs, 8 of them found, 1 to do\n")
	kept, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.True(t, bytes.HasPrefix(kept, append(text, '\n')), "what was there stays")
	assert.Equal(t, 15, bytes.Count(kept, []byte("\n")))
}

// TestKeepTogether appends from many comparisons at once after a line that a crash tore off.
func TestKeepTogether(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, runsName)
	require.NoError(t, os.WriteFile(path, []byte(`{"env":`), 0o666))
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			k := comparison{args: compareArgs{trainArgs: trainArgs{out: dir}}}
			assert.NoError(t, k.keep(result{Seed: uint64(i), Final: numbers{}, Curve: make([]numbers, 5000)}))
		})
	}
	all.Wait()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	seeds := map[float64]bool{}
	for line := range strings.Lines(string(text)[len("{\"env\":\n"):]) {
		if line != "\n" {
			seeds[objects(t, line)[0]["seed"].(float64)] = true
		}
	}
	assert.Len(t, seeds, 20)
}

func TestEstimate(t *testing.T) {
	of := func(xs ...float64) estimate { return estimateOf(xs, func(x float64) float64 { return x }) }
	assert.Equal(t, estimate{2, 1}, of(1, 3, math.NaN()))
	for want, e := range map[string]estimate{
		"2.0 ± 1.0": of(1, 3), "5": of(5), "–": of(), "7 ± 0": of(7, 7), "0.0312 ± 0.0010": {0.03123, 0.00101}, "1234 ± 56": {1234.4, 56}, "1.2e-08 ± 3e-09": {1.2e-8, 3e-9},
	} {
		assert.Equal(t, want, e.String())
	}
}

// brokenPipe is what is left when the reader of a pipe has gone.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestBrokenPipe(t *testing.T) {
	t.Chdir(t.TempDir())
	must(t, small("-out", ".")...)
	for _, args := range [][]string{{"sample", checkpointName}, {"eval", checkpointName}, {"exact"}, {"help"}} {
		stderr := new(bytes.Buffer)
		assert.Equal(t, 0, run(t.Context(), args, brokenPipe{}, stderr), args)
		assert.Empty(t, stderr.String(), args)
	}
	require.NoError(t, os.Remove(checkpointName))
	stderr := new(bytes.Buffer)
	assert.Equal(t, 1, run(t.Context(), small("-json"), brokenPipe{}, stderr))
	assert.Contains(t, stderr.String(), "stopped after 10 of 40")
	assert.FileExists(t, checkpointName)
}

func TestProgress(t *testing.T) {
	for width := range 130 {
		line := barLine(width, 1234, 2000, "1h2m3s left  234 it/s", "TV 0.0123  loss 0.123  log Z 3.1091")
		assert.LessOrEqual(t, len(line), width)
	}
	assert.Equal(t, " 62%  1h2m3s left", barLine(19, 1234, 2000, "1h2m3s left  234 it/s", "TV 0.0123"))
	assert.Contains(t, barLine(79, 1000, 2000, "3s left  234 it/s", "TV 0.0123"), "[===============               ]")

	_, _, stderr := gfnRun(t, small()...)
	assert.Equal(t, 5, strings.Count(stderr, "\n"), "a headline, and a line for each evaluation")
	assert.NotContains(t, stderr, "\r")

	var w bytes.Buffer
	p := progress{w: &w, bar: true, total: 2}
	p.step(1, nil)
	shown := w.Len()
	p.step(2, nil)
	assert.Equal(t, shown, w.Len(), "not redrawn within a tenth of a second")
	p.clear()
	assert.True(t, strings.HasSuffix(w.String(), "\r"))
}

func TestEvalWords(t *testing.T) {
	words := filepath.Join(t.TempDir(), "words.txt")
	require.NoError(t, os.WriteFile(words, []byte("AAAA\r\n\nABAB\nBBBB\n"), 0o600))
	checkpoint := trained(t, "-env", "sequence:length=4,tokens=AB,reward=motif", "-iters", "5")
	out := objects(t, must(t, "eval", checkpoint, "-words", words, "-json", "-samples", "10"))
	require.EqualValues(t, 3, out[0]["words"])
	require.Contains(t, out[0], "pearson")
	require.Contains(t, out[0], "spearman")
	require.NoError(t, os.WriteFile(words, []byte("AAAA\nABX\n"), 0o600))
	code, _, stderr := gfnRun(t, "eval", checkpoint, "-words", words)
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "words.txt:2: ")
	code, _, stderr = gfnRun(t, "eval", checkpoint, "-words", os.DevNull)
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "has no words")
	code, _, stderr = gfnRun(t, "eval", trained(t), "-words", words)
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "-words is for sequences")
}

// The errors of a sampler's edge, path and Markov-blanket probabilities: no probability of an event differs by more than the total
// variation, and training takes them to 0.
func TestStructureFigures(t *testing.T) {
	most := func(iterations string) (worst float64) {
		final := last(t, must(t, small("-env", "dag:nodes=3,samples=20", "-method", "rl-u", "-tabular", "-replay", "0", "-iters", iterations, "-batch", "64",
			"-lr", "0.05", "-lr-v", "0.05", "-eval-every", "0", "-json")...))
		for _, key := range []string{"edge", "path", "blanket"} {
			rms, largest := final[key+"_rms"].(float64), final[key+"_most"].(float64)
			assert.Positive(t, rms, key)
			assert.LessOrEqual(t, rms, largest, key)
			assert.LessOrEqual(t, largest, final["tv"].(float64)+1e-12, key)
			worst = max(worst, largest)
		}
		return worst
	}
	assert.Greater(t, most("1"), 0.05)
	assert.Less(t, most("500"), 0.005)
}

// Structures of eleven variables are beyond enumeration: they train, and what is reported is sampled. With GFN_DATA these are the
// proteins of Sachs et al. 2005.
func TestElevenVariables(t *testing.T) {
	env := "dag:nodes=11,samples=20"
	if dir := os.Getenv("GFN_DATA"); dir != "" {
		env = "dag:columns=standardized,file=" + filepath.Join(dir, "sachs.tsv")
	}
	for _, method := range []string{"tb-u", "rl-g"} {
		code, stdout, stderr := gfnRun(t, small("-env", env, "-method", method, "-replay", "0", "-hidden", "16", "-batch", "32", "-iters", "120", "-lr", "0.01",
			"-eval-every", "60", "-eval-samples", "200", "-json")...)
		require.Equal(t, 0, code, stderr)
		assert.Contains(t, stderr, "more than 2097152 states: evaluated by samples")
		lines := objects(t, stdout)
		require.Len(t, lines, 3)
		for _, key := range []string{"tv", "logz_exact", "edge_rms", "sampled_tv"} {
			assert.NotContains(t, lines[2], key)
		}
		assert.Equal(t, 200.0, lines[2]["samples"])
		for _, key := range []string{"loss", "logz", "elbo", "mean_log_reward", "distinct"} {
			assert.Contains(t, lines[2], key)
		}
		if method == "rl-g" { // tb-u waits for its log Z
			assert.Greater(t, lines[1]["mean_log_reward"], lines[0]["mean_log_reward"].(float64)+0.5)
		}
	}
}

// Rewards beyond what a float64 holds: mean_reward is absent, mean_log_reward is not.
func TestHugeRewards(t *testing.T) {
	file := filepath.Join(t.TempDir(), "motif.txt")
	require.NoError(t, os.WriteFile(file, []byte("500 400\n500 400\n"), 0o600))
	env := "sequence:length=2,tokens=AB,reward=motif,file=" + file
	for _, limit := range []string{"100", "2"} {
		final := last(t, must(t, small("-env", env, "-json", "-limit", limit, "-eval-samples", "50", "-logz", "1000")...))
		assert.NotContains(t, final, "mean_reward")
		assert.InDelta(t, 900, final["mean_log_reward"], 101)
		if limit == "100" {
			assert.InDelta(t, 1000, final["mean_log_reward_exact"], 1e-9)
		}
	}
	assert.InDelta(t, 1000, last(t, must(t, "exact", "-env", env, "-json"))["mean_log_reward"], 1e-9)
}

// The rate of log Z is 1 in structure learning, unless a flag says otherwise.
func TestRateOfLogZ(t *testing.T) {
	for rate, more := range map[float64][]string{1: {"-env", "dag:nodes=2"}, 0.1: {"-env", "explicit"}, 0.3: {"-env", "dag:nodes=2", "-lr-z", "0.3"}} {
		trainer, err := gfn.LoadFile(trained(t, append(more, "-iters", "1")...), nil, nil)
		require.NoError(t, err)
		assert.Equal(t, rate, trainer.Config.LRZ, more)
	}
}

// An interrupt in the last evaluation, of more samples than anyone waits for, ends it; training is done,
// and goes on with its evaluation.
func TestInterruptedAtTheEnd(t *testing.T) {
	for _, limit := range []string{"100", "9"} { // the samples beside the exact figures, and those of Run
		t.Chdir(t.TempDir())
		for _, args := range [][]string{
			small("-eval-every", "0", "-eval-samples", "1000000000", "-limit", limit),
			{"train", "-resume", checkpointName},
		} {
			stderr, stopped := new(bytes.Buffer), regexp.MustCompile(`stopped after \d+ of 40 iterations; wrote checkpoint.gfn`)
			for after := 100 * time.Millisecond; !strings.HasPrefix(stopped.FindString(stderr.String()), "stopped after 40 "); after *= 2 {
				require.Less(t, after, time.Minute, stderr) // a busy machine may not be done with training
				stderr.Reset()
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(after, cancel)
				require.Equal(t, 130, run(ctx, args, io.Discard, stderr), stderr)
				require.Regexp(t, stopped, stderr)
			}
		}
	}
}

func TestEdit(t *testing.T) {
	env := "sequence:length=6,tokens=AB,order=append,reward=motif"
	checkpoint := trained(t, "-env", env, "-iters", "5")
	edits := func(args ...string) (all []map[string]any, final map[string]any) {
		all = objects(t, must(t, append([]string{"edit", checkpoint, "-json"}, args...)...))
		return all[:len(all)-1], all[len(all)-1]
	}
	all, final := edits("-delta", "1", "-sigma", "0.3", "-n", "7", "AAAAAA", "ABABAB")
	require.Len(t, all, 14)
	improvement, percentage, changed := 0.0, 0.0, 0.0
	for i, o := range all {
		seed, edited := o["seed"].(string), o["edited"].(string)
		assert.Equal(t, []string{"AAAAAA", "ABABAB"}[i/7], seed)
		assert.InDelta(t, math.Exp(o["log_reward"].(float64)), o["reward"], 1e-12)
		improvement += (o["reward"].(float64) - o["seed_reward"].(float64)) / 14
		percentage += 100 * o["edits"].(float64) / 6 / 14
		if edited != seed {
			changed++
		}
		assert.Equal(t, edited != seed, o["edits"].(float64) > 0)
	}
	assert.Positive(t, changed)
	assert.InDelta(t, improvement, final["improvement"], 1e-12)
	assert.InDelta(t, percentage, final["edit_percentage"], 1e-12)

	text := must(t, "edit", checkpoint, "-delta", "1", "-sigma", "0.3", "-n", "7", "AAAAAA", "ABABAB")
	assert.Contains(t, text, "2 words, 7 edits of each: delta 1, sigma 0.3, lambda 0.1\n")
	marks := 0
	lines := strings.Split(text, "\n")
	for i, line := range lines { // a mark stands below each letter that is not the one above it
		for at, r := range line {
			if r == '^' {
				marks++
				assert.NotEqual(t, lines[i-2][at], lines[i-1][at])
			}
		}
	}
	hamming := 0
	for _, o := range all {
		for at := range 6 {
			if o["seed"].(string)[at] != o["edited"].(string)[at] {
				hamming++
			}
		}
	}
	assert.Equal(t, hamming, marks)

	again, _ := edits("-delta", "1", "-sigma", "0.3", "-n", "7", "AAAAAA", "ABABAB")
	assert.Equal(t, all, again)
	other, _ := edits("-delta", "1", "-sigma", "0.3", "-n", "7", "-seed", "1", "AAAAAA", "ABABAB")
	assert.NotEqual(t, all, other)

	// baselines: all letters replaced, and the last two drawn anew
	_, final = edits("-mutate", "1", "-n", "2", "AAAAAA")
	assert.Equal(t, 100.0, final["edit_percentage"])
	assert.Equal(t, 0.0, final["diversity"])
	for _, o := range first(edits("-tail", "2", "-n", "9", "ABABAB")) {
		assert.Equal(t, "ABAB", o["edited"].(string)[:4])
	}
	// another judge: of twice the weights, the log rewards are twice as large
	judged, _ := edits("-delta", "1", "-sigma", "0.3", "-n", "7", "-judge", env+",beta=2", "AAAAAA", "ABABAB")
	for i, o := range judged {
		assert.InDelta(t, 2*all[i]["log_reward"].(float64), o["log_reward"], 1e-12)
	}

	file := filepath.Join(t.TempDir(), "words.txt")
	stdin := os.Stdin
	defer func() { os.Stdin = stdin }()
	piped := func(text string, args ...string) (code int, stdout, stderr string) {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		f, err := os.Open(file)
		require.NoError(t, err)
		defer f.Close()
		os.Stdin = f
		return gfnRun(t, append([]string{"edit", checkpoint}, args...)...)
	}
	code, stdout, stderr := piped("AAAAAA\r\n\nABABAB\n", "-delta", "1", "-sigma", "0.3", "-n", "7")
	require.Equal(t, 0, code, stderr)
	assert.Equal(t, text, stdout)
	for _, c := range []struct{ text, args, want string }{
		{"AAAAAA\nABC\n", "", "standard input:2: word \"ABC\" has 3 letters, want 6"},
		{"\n", "", "no words; write them behind the checkpoint"},
		{"", "aabbab", "'a' is none of the tokens AB; write AABBAB"},
		{"", "-delta 2 AAAAAA", "-delta is 2, want a number in 0…1"},
		{"", "-n 0 AAAAAA", "-n is 0; write a number from 1 to 1000"},
		{"", "-mutate 0.1 -tail 2 AAAAAA", "write one of them"},
		{"", "-tail 7 AAAAAA", "-tail is 7, want a number in 0…6"},
		{"", "-judge hypergrid AAAAAA", "-judge hypergrid: no words; name a sequence"},
		{"", "-judge sequence:length=4,tokens=AB AAAAAA", "name an environment of the checkpoint's words"},
	} {
		code, stdout, stderr := piped(c.text, strings.Fields(c.args)...)
		assert.Equal(t, 2, code, c.args)
		assert.Empty(t, stdout)
		assert.Contains(t, stderr, c.want)
	}
	checkpoint = trained(t, "-iters", "2")
	code, _, stderr = piped("", "AAAAAA")
	assert.Equal(t, 2, code)
	assert.Contains(t, stderr, "has no words to edit; train a sampler of words: gfn train -env sequence:order=append")
	checkpoint = trained(t, "-iters", "2", "-env", strings.Replace(env, "append", "ends", 1))
	_, _, stderr = piped("", "AAAAAA")
	assert.Contains(t, stderr, "train with order=append: gfn train -env sequence:length=6")
}

func first[A, B any](a A, _ B) A { return a }
