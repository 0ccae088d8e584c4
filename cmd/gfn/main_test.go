package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"image/color"
	"image/png"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
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

// timeless parses JSON lines and leaves out what differs between equal runs.
func timeless(t *testing.T, text string) (all []map[string]any) {
	t.Helper()
	all = objects(t, text)
	for _, o := range all {
		for key := range o {
			if strings.HasPrefix(key, "train_seconds") {
				delete(o, key)
			}
		}
	}
	return all
}

// last returns the last object of [timeless].
func last(t *testing.T, text string) map[string]any {
	t.Helper()
	lines := timeless(t, text)
	require.NotEmpty(t, lines)
	return lines[len(lines)-1]
}

// trained returns the checkpoint of a training.
func trained(t *testing.T, more ...string) (checkpoint string) {
	t.Helper()
	dir := t.TempDir()
	must(t, small(append(more, "-out", dir)...)...)
	return filepath.Join(dir, checkpointName)
}

// read returns the text of a file.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// named lists the files in a directory.
func named(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// canceller is a writer that calls do when it has been written to times times, or at a text.
type canceller struct {
	bytes.Buffer
	times int
	at    string
	do    func()
}

func (c *canceller) Write(p []byte) (int, error) {
	if c.times--; c.times == 0 || c.at != "" && strings.Contains(string(p), c.at) {
		c.do()
	}
	return c.Buffer.Write(p)
}

func TestUnusableArguments(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("file", nil, 0o666))
	checkpoint := trained(t)
	for _, c := range []struct{ args, want string }{
		{"", "write one of train, exact, check, compare, eval, sample, edit, help"},
		{"trian", `"trian" is no command; write one of train, exact`},
		{"help metods", "topics are environments, methods, figures, files"},
		{"train -itres 3", `unknown flag -itres (did you mean -iters?); "gfn train -h" lists the flags`},
		{"train -zzzzz 3", `unknown flag -zzzzz; "gfn train -h" lists the flags`},
		{"train -iters many", `invalid value "many" for flag -iters: parse error; write -iters int: iterations`},
		{"train -seed -1", "write -seed uint: "},
		{"train -json=perhaps", "-json"},
		{"train tb-u", "write gfn train [flags]"},
		{"train -method tb-bb", "-method is tb-bb: must be one of fm, db-u"},
		{"train -method nothing", "-method is nothing: must be one of fm, db-u"},
		{"train -env hypergird", `unknown environment "hypergird", want one of hypergrid, sequence`},
		{"train -env hypergrid:hight=3", `unknown key "hight", want one of dim, floor, height`},
		{"train -batch 0 -lr nan -hidden-v 0", "-batch is 0: must lie in 1"},
		{"train -eval-every -1", "-eval-every is -1: must"},
		{"train -schedule square", "-schedule is square: must be one of constant, linear, cosine"},
		{"train -method rl-u -epsilon 0.1", "-epsilon is 0.1: must be 0"},
		{"train -method rpe", "-method is rpe: g depends on the path"},
		{"train -tabular -limit 10", "-tabular is true: the space must be enumerated"},
		{"train -out file", "name a directory"},
		{"train -resume absent.gfn", "absent.gfn is no file; name a checkpoint"},
		{"train -resume " + checkpoint + " -seed 1", "only -iters -workers -eval-every -limit -out -json may differ"},
		{"train -resume " + checkpoint + " -hidden 9", "only -iters"},
		{"train -resume " + checkpoint + " -env hypergrid:height=9", "only -iters"},
		{"train -resume " + checkpoint + " -env explicit:x=1", "only -iters"},
		{"train -resume " + checkpoint + " -workers 0", "-workers is 0: must lie in 1"},
		{"exact -env " + strings.Repeat("x", 1e5), " … xxx"},
		{"exact -env " + strings.Repeat("x", 1e5), "xxx\", want one of hypergrid, sequence, dag, explicit\n"},
		{"exact -json=3", "; write -json: print JSON lines"},
		{"exact -env explicit:file=nope.gfn", "open nope.gfn: no such file"},
		{"compare -seeds 0", "-seeds is 0; write a number from 1"},
		{"compare -seeds 16777216", "-seeds is 16777216; write a number from 1 to 1000"},
		{"compare -seeds 3-2", "-seeds is 3-2; write"},
		{"compare -seeds 0-1000", "-seeds is 0-1000; write"},
		{"compare -seeds -3", "-seeds is -3; write"},
		{"compare -methods tb-u,rpe -out new", "for rpe: -method is rpe: g depends on the path"},
		{"check -policies 0", "-policies is 0; write a number from 1"},
		{"sample " + checkpoint + " -n -5", "-n is -5; write a number from 1"},
		{"eval " + checkpoint + " -samples 0 -paths 0", "is 0; write a number from 1"},
		{"compare -methods tb-u,rl-uu", "for rl-uu: -method is rl-uu: must be one of"},
		{"compare -methods tb-u,rl-u -lambda 2", "for rl-u: -lambda is 2: must lie in 0…1"},
		{"compare -method tb-u", "unknown flag -method"},
		{"compare -out file", "name a directory"},
		{"eval", "write gfn eval CHECKPOINT [flags]"},
		{"eval a b", "write gfn eval CHECKPOINT [flags]"},
		{"eval " + filepath.Dir(checkpoint), "is no file; name a checkpoint"},
		{"eval " + checkpoint + " -words file", "-words is for sequences"},
		{"edit " + checkpoint + " AAAA", "order=append"},
	} {
		code, stdout, stderr := gfnRun(t, strings.Fields(c.args)...)
		assert.Equal(t, 2, code, c.args)
		assert.Empty(t, stdout, c.args)
		assert.Contains(t, stderr, c.want, c.args)
		assert.Equal(t, len(stderr)-1, strings.Index(stderr, "\n"), "%s: one line, not %q", c.args, stderr)
		assert.Less(t, len(stderr), 2100, c.args)
	}
	assert.Equal(t, []string{"file"}, named(t, "."), "unusable arguments leave nothing behind")
}

func TestFailures(t *testing.T) {
	t.Chdir(t.TempDir())
	whole := []byte(read(t, trained(t)))
	require.NoError(t, os.WriteFile("foreign", []byte("PNG"), 0o666))
	require.NoError(t, os.WriteFile("truncated", whole[:len(whole)/2], 0o666))
	whole[len(whole)-9] ^= 1
	require.NoError(t, os.WriteFile("damaged", whole, 0o666))
	for _, c := range []struct{ args, want string }{
		{"eval foreign", "foreign: "},
		{"sample truncated", "truncated: "},
		{"train -resume damaged", "damaged: "},
		{"exact -limit 10", "too many states: there are 64, limit 10; "},
		{"check -limit 10", "too many states: there are 64, limit 10"},
		{"compare -methods tb-u -seeds 2 -iters 1 -hidden 8 -lr 1e200", "2 of 2 runs failed, the first with: tb-u seed "},
	} {
		code, stdout, stderr := gfnRun(t, strings.Fields(c.args)...)
		assert.Equal(t, 1, code, c.args)
		assert.Contains(t, stderr, c.want, c.args)
		if !strings.Contains(c.args, "compare") { // it reports on the runs that are done
			assert.Empty(t, stdout, c.args)
		}
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
		assert.Equal(t, stdout, must(t, "help", c.name))
		for line := range strings.Lines(overview + stdout + must(t, "help", "files")) {
			assert.LessOrEqual(t, len([]rune(line)), 81, line)
		}
	}
	var flags []string
	for _, f := range regexp.MustCompile(`(?m)^  -([\w-]+)`).FindAllStringSubmatch(must(t, "help", "train"), -1) {
		flags = append(flags, f[1])
	}
	contract := strings.Fields("env method iters batch seed hidden layers hidden-v layers-v tabular lr lr-z lr-v " +
		"schedule clip lambda lambda-v centring backward-step kl guide logz epsilon epsilon-end temperature alpha replay " +
		"paper workers eval-every eval-samples limit out json resume")
	assert.ElementsMatch(t, contract, flags)
	assert.Contains(t, must(t, "help", "train"), "temperature of maximum-entropy control (pcl sql pisql sac) (default 1)")
	assert.Contains(t, must(t, "help", "methods"), "subtb-b")
	assert.Contains(t, must(t, "help", "environments"), "hypergrid")
	assert.Contains(t, must(t, "help", "files"), "edge FROM TO")
}

// Every figure that is printed, in a table or as JSON, is in the help of figures.
func TestHelpFigures(t *testing.T) {
	help := strings.ReplaceAll(must(t, "help", "figures"), "\n    ", " ") // unwrapped
	rows := regexp.MustCompile(`(?m)^ *([^\s\d].*?)   +-?[\d.]+(e-\d+)?   `)
	words := filepath.Join(t.TempDir(), "words.txt")
	require.NoError(t, os.WriteFile(words, []byte("AAAA\nABAB\n"), 0o600))
	checkpoint := trained(t, "-env", "sequence:length=4,tokens=AB,order=append,reward=motif", "-iters", "5")
	for _, args := range [][]string{
		small("-method", "rl-t"), small("-env", "dag:nodes=3,samples=20"), small("-limit", "9"), {"exact"},
		{"check", "-policies", "2"}, smallCompare(), {"eval", checkpoint, "-words", words},
		{"edit", checkpoint, "AAAA", "ABAB"},
	} {
		table := must(t, args...)
		for _, o := range objects(t, must(t, append(args, "-json")...)) {
			for key := range o {
				base := regexp.MustCompile("_(late|se|exact|perfect)(_se)?$").ReplaceAllString(key, "")
				assert.True(t, regexp.MustCompile(`(?m)^  `+base+` \| `).MatchString(help), "%s of %s", key, args)
			}
		}
		for _, row := range rows.FindAllStringSubmatch(table, -1) {
			if args[0] != "check" && args[0] != "compare" && !strings.HasPrefix(row[1], "A") {
				assert.Regexp(t, ` \| +`+regexp.QuoteMeta(row[1])+` \| `, help, args)
			}
		}
	}
}

// In a locale without UTF-8, or on a dumb terminal, text is in ASCII, and nothing of it is lost. Lines are as wide as
// the terminal says.
func TestTerminals(t *testing.T) {
	topics := []string{"environments", "methods", "figures", "files", "train", "check", "edit"}
	for _, topic := range topics {
		asked := strings.Count(must(t, "help", topic), "?")
		t.Setenv("LC_ALL", "C")
		t.Setenv("COLUMNS", "50")
		code, stdout, stderr := gfnRun(t, "help", topic)
		require.Equal(t, 0, code, stderr)
		assert.Equal(t, asked, strings.Count(stdout, "?"), "a letter without its ASCII")
		for line := range strings.Lines(stdout) {
			assert.LessOrEqual(t, len(line), 51, line)
		}
		t.Setenv("LC_ALL", "")
		t.Setenv("COLUMNS", "")
	}
	t.Setenv("TERM", "dumb")
	for _, args := range [][]string{small("-env", "hypergrid:height=4"), {"check", "-explain", "-policies", "2"}} {
		code, stdout, stderr := gfnRun(t, args...)
		require.Equal(t, 0, code, stderr)
		assert.NotRegexp(t, `[^\x00-\x7f]|\?`, stdout+stderr)
	}
}

// What stands for rewards that are 0, too low or missing is said by every command, and kept in what programs read.
func TestNotes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "table.csv")
	require.NoError(t, os.WriteFile(file, []byte("word,score\nAA,1\nAB,0.5\nBA,0\n"), 0o600))
	env := "sequence:length=2,tokens=AB,order=append,reward=table,missing=0.1,file=" + file
	checkpoint := trained(t, "-env", env)
	note := gfn.TraitsOf(parsed(t, env)).Note
	require.NotEmpty(t, note)
	for _, args := range [][]string{
		small("-env", env), small("-resume", checkpoint), {"exact", "-env", env}, {"check", "-env", env, "-policies", "2"},
		smallCompare("-env", env, "-methods", "tb-u"), {"eval", checkpoint}, {"sample", checkpoint},
		{"edit", checkpoint, "AA"},
	} {
		code, _, stderr := gfnRun(t, args...)
		require.Equal(t, 0, code, stderr)
		assert.Contains(t, stderr, "gfn: "+note+"\n", args)
		if args[0] != "sample" {
			for _, o := range objects(t, must(t, append(args, "-json")...)) {
				assert.Equal(t, note, o["note"], args)
			}
		}
	}
	assert.NotContains(t, last(t, must(t, small("-json")...)), "note")
}

func parsed(t *testing.T, spec string) gfn.Env {
	t.Helper()
	env, err := gfn.ParseEnv(spec)
	require.NoError(t, err)
	return env
}

func TestTrainJSON(t *testing.T) {
	lines := objects(t, must(t, small("-json", "-seed", "3", "-method", "subtb-b", "-env", "hypergrid:height=8")...))
	require.Len(t, lines, 6)
	assert.EqualValues(t, 0, lines[0]["iteration"], "the untrained sampler")
	assert.NotContains(t, lines[0], "loss")
	lines = lines[1:]
	for i, o := range lines {
		for _, key := range strings.Fields("event env method seed iteration trajectories loss tv jsd kl logz logz_exact " +
			"elbo eubo mean_reward train_seconds") {
			assert.Contains(t, o, key)
		}
		assert.Equal(t, "hypergrid", o["env"])
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

// config returns the configuration that a training's checkpoint holds.
func config(t *testing.T, more ...string) gfn.Config {
	t.Helper()
	trainer, err := gfn.LoadFile(trained(t, append(more, "-iters", "1")...), nil, nil)
	require.NoError(t, err)
	return trainer.Config
}

// Flags stand above -paper, which stands above the defaults of the method.
func TestPrecedence(t *testing.T) {
	c := config(t, "-method", "rl-g", "-centring", "others", "-lambda-v", "0.9", "-backward-step", "tb", "-kl", "0.02",
		"-guide", "exit")
	want := gfn.DefaultConfig("rl-g")
	want.Hidden, want.HiddenV, want.Batch, want.Iterations, want.EvalEvery = 8, 8, 8, 1, 10
	want.Centring, want.LambdaV, want.BackwardStep, want.KL, want.Guide = "others", 0.9, "tb", 0.02, "exit"
	assert.Equal(t, want, c)

	c = config(t, "-layers", "1", "-paper", "-method", "db-u", "-schedule", "linear")
	want = gfn.DefaultConfig("db-u")
	want.Paper(nil)
	want.Hidden, want.HiddenV, want.Batch, want.Iterations, want.EvalEvery = 8, 8, 8, 1, 10
	want.Layers, want.Schedule = 1, "linear"
	assert.Equal(t, want, c)

	assert.Equal(t, 1.0, config(t, "-env", "dag:nodes=2").LRZ, "log Z is large in structure learning")
	assert.Equal(t, 1.0, config(t, "-env", "dag:nodes=2", "-paper").LRZ)
	assert.Equal(t, 0.1, config(t, "-env", "explicit", "-paper").LRZ)
	assert.Equal(t, 0.2, config(t, "-env", "dag:nodes=2", "-paper", "-lr-z", "0.2").LRZ)
}

func TestInterruptAndResume(t *testing.T) {
	for _, args := range []string{
		"-method tb-b -replay 5", "-method db-u -workers 1", "-method fm -tabular", "-limit 9 -eval-samples 20",
	} {
		t.Run(args, func(t *testing.T) {
			t.Chdir(t.TempDir())
			more := append(strings.Fields(args), "-json")
			whole := last(t, must(t, small(more...)...))

			ctx, cancel := context.WithCancel(t.Context())
			stdout, stderr := &canceller{times: 3, do: cancel}, new(bytes.Buffer)
			require.Equal(t, 130, run(ctx, small(more...), stdout, stderr), stderr)
			assert.Len(t, objects(t, stdout.String()), 3, "no final object")
			assert.Contains(t, stderr.String(), "stopped after 20 of 40 iterations; wrote checkpoint.gfn; "+
				"to continue: gfn train -resume 'checkpoint.gfn' -out 'DIR'\n")

			resumed := must(t, "train", "-resume", "checkpoint.gfn", "-json", "-workers", "2", "-out", "out")
			assert.Len(t, objects(t, resumed), 3)
			assert.Equal(t, whole, last(t, resumed))

			done := must(t, small(append(more, "-resume", "out/checkpoint.gfn", "-env", "hypergrid:dim=2")...)...)
			assert.Equal(t, whole, last(t, done), "arguments that are as they were are no objection")
		})
	}
}

// Without -out, an interrupt overwrites no checkpoint.
func TestInterruptKeepsCheckpoints(t *testing.T) {
	t.Chdir(t.TempDir())
	interrupt := func(more ...string) string {
		ctx, cancel := context.WithCancel(t.Context())
		stderr := &canceller{times: 1, do: cancel} // the headline
		require.Equal(t, 130, run(ctx, small(more...), io.Discard, stderr), stderr)
		return stderr.String()
	}
	for _, name := range []string{"checkpoint.gfn", "checkpoint-1.gfn", "checkpoint-2.gfn"} {
		assert.Contains(t, interrupt(), "wrote "+name+";")
	}
	assert.Equal(t, []string{"checkpoint-1.gfn", "checkpoint-2.gfn", "checkpoint.gfn"}, named(t, "."))
	dir := filepath.Join("a new", "dir")
	interrupt("-out", dir)
	assert.Equal(t, []string{checkpointName}, named(t, dir))
}

// A signal interrupts as the end of the context does.
func TestSignal(t *testing.T) {
	self, err := os.FindProcess(os.Getpid())
	require.NoError(t, err)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, hangup} {
		if runtime.GOOS == "windows" || runtime.GOOS == "js" || signal.Ignored(s) {
			t.Skip("a process cannot interrupt itself here")
		}
		t.Chdir(t.TempDir())
		stdout := &canceller{times: 1, do: func() { self.Signal(s) }}
		require.Equal(t, 130, run(t.Context(), small("-json", "-iters", "1000000"), stdout, io.Discard))
		assert.FileExists(t, checkpointName)
	}
}

// Every command says what it does that takes long, can be interrupted there, and leaves nothing half done.
func TestInterruptedAnywhere(t *testing.T) {
	checkpoint := trained(t, "-env", "sequence:length=4,tokens=AB,order=append,modes=2")
	defer func(d time.Duration, f *os.File) { patience, os.Stdin = d, f }(patience, os.Stdin)
	patience = 20 * time.Millisecond
	stdin, w, err := os.Pipe()
	require.NoError(t, err)
	defer w.Close() // until then, standard input does not end
	os.Stdin = stdin
	dir := t.TempDir()
	for args, at := range map[string]string{
		"exact -env hypergrid:dim=6,height=8":               "still reading the environment and enumerating",
		"train -env hypergrid:dim=6,height=8 -out " + dir:   "still reading the environment and enumerating",
		"compare -env hypergrid:dim=4,height=8 -out " + dir: "0 runs found",
		"check -env hypergrid:dim=3,height=6":               "still trying random policies",
		"sample " + checkpoint + " -n 1000000000":           "still evaluating or drawing",
		"eval " + checkpoint + " -samples 1000000000":       "still evaluating or drawing",
		"edit " + checkpoint:                                "still reading words from standard input",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		stdout, stderr := new(bytes.Buffer), &canceller{at: at, do: cancel}
		assert.Equal(t, 130, run(ctx, strings.Fields(args), stdout, stderr), args)
		assert.Regexp(t, "\ngfn "+args[:4]+".*: stopped.*\n$", stderr.String())
		text := stdout.String()
		assert.True(t, text == "" || strings.HasSuffix(text, "\n"), "%s: whole lines", args)
	}
	assert.Empty(t, named(t, dir))
}

// An interrupt in the last evaluation, of more samples than anyone waits for, ends it. Training is done.
func TestInterruptedAtTheEnd(t *testing.T) {
	for _, limit := range []string{"100", "9"} { // the samples beside the exact figures, and those of Run
		dir, stderr := t.TempDir(), new(bytes.Buffer)
		args := small("-eval-every", "0", "-eval-samples", "1000000000", "-limit", limit, "-out", dir)
		for after := 100 * time.Millisecond; !strings.Contains(stderr.String(), "stopped after 40 of 40"); after *= 2 {
			require.Less(t, after, time.Minute, stderr) // a busy machine may not be done with training
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(after, cancel)
			require.Equal(t, 130, run(ctx, args, io.Discard, stderr), stderr)
		}
		_, err := os.Stat(filepath.Join(dir, "curves.svg"))
		assert.Equal(t, limit == "100", err == nil, "pictures of what has been evaluated")
	}
}

func TestOut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	stdout := must(t, small("-out", dir, "-env", "hypergrid:height=100")...)
	evaluations := timeless(t, must(t, small("-env", "hypergrid:height=100", "-json")...))
	assert.Equal(t, evaluations[:5], timeless(t, read(t, filepath.Join(dir, "curve.jsonl"))))
	assert.Contains(t, stdout, "total variation")
	assert.NotContains(t, stdout, "│", "100 columns are for a picture")
	assert.Contains(t, must(t, small()...), "│")
	assert.Equal(t, []string{checkpointName, "curve.jsonl", "curves.svg", "learned.png", "target.png"}, named(t, dir))
	for _, name := range []string{"learned.png", "target.png"} {
		f, err := os.Open(filepath.Join(dir, name))
		require.NoError(t, err)
		defer f.Close()
		img, err := png.Decode(f)
		require.NoError(t, err)
		assert.Equal(t, 500, img.Bounds().Dx(), "whole pixels a cell")
		assert.Equal(t, 500, img.Bounds().Dy())
	}
	wellFormed(t, read(t, filepath.Join(dir, "curves.svg")))

	code, stdout, stderr := gfnRun(t, "train", "-resume", filepath.Join(dir, checkpointName))
	assert.Equal(t, 0, code)
	assert.Contains(t, stdout, "seed 0, iterations: 40, trajectories: 320, ")
	assert.Contains(t, stderr, "nothing was kept; -out DIR")
}

// A run is lengthened exactly under a constant schedule. Under another, a line says that it is another run.
func TestMoreIterations(t *testing.T) {
	for schedule, said := range map[string]bool{"constant": false, "cosine": true} {
		checkpoint := trained(t, "-iters", "20", "-schedule", schedule)
		code, stdout, stderr := gfnRun(t, "train", "-resume", checkpoint, "-iters", "40", "-json")
		assert.Equal(t, 0, code)
		assert.Equal(t, said, strings.Contains(stderr, "stretches the "+schedule+" schedule: the rates jump"), stderr)
		whole := last(t, must(t, small("-schedule", schedule, "-json")...))
		assert.Equal(t, !said, assert.ObjectsAreEqual(whole, last(t, stdout)))
	}
	_, _, stderr := gfnRun(t, "train", "-resume", trained(t), "-json")
	assert.NotContains(t, stderr, "stretches")
}

// A training that overflows fails. It leaves no checkpoint, and a good one as it was.
func TestNotFinite(t *testing.T) {
	fails := func(args ...string) {
		t.Helper()
		code, stdout, stderr := gfnRun(t, args...)
		assert.Equal(t, 1, code, args)
		assert.Contains(t, stderr, "finite")
		assert.NotContains(t, stdout, "final")
		assert.NotContains(t, stdout, "NaN")
	}
	dir := t.TempDir()
	overflow := small("-lr", "1e200", "-iters", "1", "-json", "-out", dir)
	fails(overflow...)
	assert.Empty(t, named(t, dir))
	fails(append(overflow, "-limit", "3")...)
	must(t, small("-out", dir)...)
	good := read(t, filepath.Join(dir, checkpointName))
	fails(overflow...)
	assert.Equal(t, good, read(t, filepath.Join(dir, checkpointName)))
	fails("compare", "-lr", "1e200", "-iters", "1", "-hidden", "8", "-methods", "tb-u", "-seeds", "1", "-json")

	c := gfn.DefaultConfig("tb-b")
	c.LR, c.Hidden = 1e200, 8
	trainer, err := gfn.NewTrainer(gfn.Fixture(), c)
	require.NoError(t, err)
	_, err = trainer.Step()
	require.NoError(t, err)
	bad := filepath.Join(dir, "bad.gfn")
	require.ErrorContains(t, trainer.SaveFile(bad), "finite", "its parameters are finite, what follows from them is not")
	assert.NoFileExists(t, bad)
}

// Checkpoints are written in the course of a training without evaluations, too.
func TestCheckpointsInBetween(t *testing.T) {
	defer func(d time.Duration) { savePeriod = d }(savePeriod)
	savePeriod = 0
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int)
	go func() {
		done <- run(ctx, small("-eval-every", "0", "-iters", "1000000", "-out", dir), io.Discard, io.Discard)
	}()
	written := func() bool { _, err := os.Stat(filepath.Join(dir, checkpointName)); return err == nil }
	assert.Eventually(t, written, 20*time.Second, time.Millisecond)
	cancel()
	assert.Equal(t, 130, <-done)
}

// A directory that has gone is made again. Names of files for the shell are quoted.
func TestDirectoryGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's $gone")
	for i, code := range []int{0, 130} {
		ctx, cancel := context.WithCancel(t.Context())
		stdout, stderr := &canceller{times: 1 + i, do: func() {
			os.RemoveAll(dir)
			if code == 130 {
				cancel()
			}
		}}, new(bytes.Buffer)
		require.Equal(t, code, run(ctx, small("-json", "-out", dir), stdout, stderr), stderr)
		assert.FileExists(t, filepath.Join(dir, checkpointName))
		if code == 130 {
			assert.Contains(t, stderr.String(), `it'\''s $gone/checkpoint.gfn' -out '/`)
		}
		cancel()
	}
}

// What could not be written is said at the end. What can be written and printed is.
func TestResultsFail(t *testing.T) {
	dir := t.TempDir()
	stdout := &canceller{times: 1, do: func() { os.Mkdir(filepath.Join(dir, "curves.svg"), 0o777) }}
	stderr := new(bytes.Buffer)
	require.Equal(t, 1, run(t.Context(), small("-json", "-out", dir), stdout, stderr))
	assert.Contains(t, stderr.String(), "results could not be written to "+dir)
	assert.FileExists(t, filepath.Join(dir, checkpointName))
	assert.Equal(t, "final", last(t, stdout.String())["event"])
}

// full is standard output on a disk that is full when it is written to first.
type full struct{ after bool }

func (f *full) Write(p []byte) (int, error) {
	if !f.after {
		f.after = true
		return 0, os.ErrClosed
	}
	return len(p), nil
}

func TestFullDisk(t *testing.T) {
	checkpoint := trained(t)
	for _, args := range [][]string{
		{"help"}, {"help", "files"}, {"help", "train"}, {"exact"}, {"exact", "-json"}, {"check", "-policies", "2"},
		{"check", "-policies", "2", "-json"}, {"eval", checkpoint}, {"sample", checkpoint}, small(), small("-json"),
	} {
		assert.Equal(t, 1, run(t.Context(), args, new(full), io.Discard), args)
	}
}

// wellFormed checks that text is XML without numbers that are not finite.
func wellFormed(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	_, err := d.Token()
	for ; err == nil; _, err = d.Token() {
	}
	assert.Equal(t, io.EOF, err)
	assert.NotContains(t, text, "NaN")
	assert.NotContains(t, text, "Inf")
}

func TestCharts(t *testing.T) {
	curve := func(method string, tvs ...float64) result {
		r := result{job: job{Config: gfn.Config{Method: method}}}
		for i, tv := range tvs {
			r.Curve = append(r.Curve, object{"iteration": float64(i), "tv": tv, "jsd": 0.0, "logz_error": 1.0})
		}
		return r
	}
	methods := []runs{{curve("a<b", 1e-9, 0, 5), curve("a<b", 1, 0, 9)}, {curve("c", 2)}}
	var w bytes.Buffer
	require.NoError(t, writeCharts(&w, `<title> & "quotes"`, methods))
	wellFormed(t, w.String())
	assert.Contains(t, w.String(), ">a&lt;b</text>")
	assert.Equal(t, 3, strings.Count(w.String(), ">iteration</text>"), "a chart for each figure")
	w.Reset()
	require.NoError(t, writeCharts(&w, "no evaluation", []runs{{curve("a")}}))
	wellFormed(t, w.String())
}

func TestTicks(t *testing.T) {
	for _, low := range []float64{-3, 0, 1e-12, 0.2, 7} {
		for _, span := range []float64{0, 1e-6, 0.013, 0.9, 44, 1e5} {
			for _, log := range []bool{false, low > 0} {
				a := newAxis(0, 100, log, []float64{low, math.NaN(), low + span})
				ticks := a.ticks()
				assert.True(t, len(ticks) >= 2 && len(ticks) <= 11, "%+v: %v", a, ticks)
				for _, v := range ticks {
					assert.True(t, a.at(v) >= -1e-6 && a.at(v) <= 100+1e-6, "%+v: %v", a, ticks)
				}
			}
		}
	}
}

// The map of probabilities ∝ 1 + x + 3y on the 3×3 grid.
func TestHeatmap(t *testing.T) {
	env, err := gfn.ParseEnv("hypergrid:height=3")
	require.NoError(t, err)
	g, err := gfn.Enumerate(env, 9)
	require.NoError(t, err)
	logP := make([]float64, 9)
	for row := range logP {
		s := g.State(nil, row)
		logP[row] = math.Log(float64(1 + s[0] + 3*s[1]))
	}
	m := newHeatmap(g, 3, logP)
	for y, row := range m {
		assert.InDeltaSlice(t, []float64{float64(1 + 3*y), float64(2 + 3*y), float64(3 + 3*y)}, row, 1e-12)
	}
	m[1][1], m[2][2] = 0, 15
	var w bytes.Buffer
	c := call{stdout: &w}
	require.NoError(t, c.print(drawMaps(m, m)))
	assert.Equal(t, ` target     learned
┌──────┐   ┌──────┐
│▒▒▒▒██│   │▒▒▒▒██│
│░░  ▒▒│   │░░  ▒▒│
│  ░░░░│   │  ░░░░│
└──────┘   └──────┘
 ░ 3.8  ▒ 7.5  ▓ 11  █ 15 

`, w.String(), "the largest, x = y = 2, is at the top right")
	t.Setenv("TERM", "dumb")
	w.Reset()
	require.NoError(t, c.print(drawMaps(m, m)))
	assert.Contains(t, w.String(), "\n+------+   +------+\n|::::##|   |::::##|\n")
	w.Reset()
	require.NoError(t, m.writePNG(&w, 15))
	img, err := png.Decode(&w)
	require.NoError(t, err)
	side := img.Bounds().Dx()
	at := func(x, y int) color.Color { return color.RGBAModel.Convert(img.At(x, y)) }
	assert.Equal(t, color.RGBA{255, 255, 255, 255}, at(side-1, 0), "15/15 is white, at the top right")
	assert.Equal(t, color.RGBA{51, 0, 0, 255}, at(0, side-1), "1/15 is 1/5 of the red, at the bottom left")
	assert.Equal(t, color.RGBA{0, 0, 0, 255}, at(side/2, side/2))
}

func TestReport(t *testing.T) {
	text := must(t, small("-iters", "0", "-logz", "2.5")...)
	assert.Regexp(t, `\nlog Z +2\.5 +3\.109061\n`, text)
	assert.Regexp(t, `\n\|log Z error\| +0\.609061 +0\n`, text)
	assert.Regexp(t, `\nmean reward +0\.\d+ +1\.421429\n`, text)
	assert.Regexp(t, `\ndifferent modes +\d +4\n`, text)
}

func TestEvalAndSample(t *testing.T) {
	dir := t.TempDir()
	checkpoint := filepath.Join(dir, checkpointName)
	final := last(t, must(t, small("-json", "-out", dir)...))
	assert.Equal(t, final, last(t, must(t, "eval", checkpoint, "-json")))
	assert.Regexp(t, `\nsamples +7 +\n`, must(t, "eval", "-samples", "7", checkpoint, "-seed", "2"))

	table := filepath.Join(dir, "objects.csv")
	must(t, "eval", checkpoint, "-objects", table)
	code, _, stderr := gfnRun(t, "eval", checkpoint, "-objects", dir)
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "-objects "+dir+": ")
	objects, err := csv.NewReader(strings.NewReader(read(t, table))).ReadAll()
	require.NoError(t, err)
	require.Len(t, objects, 65)
	assert.Equal(t, append([]string{"object"}, outcomeKeys[:]...), objects[0])
	tv := 0.0
	for _, o := range objects[1:] {
		p, _ := strconv.ParseFloat(o[1], 64)
		q, _ := strconv.ParseFloat(o[2], 64)
		logR, _ := strconv.ParseFloat(o[3], 64)
		assert.InDelta(t, 3.109061, logR-q, 1e-6)
		tv += math.Abs(math.Exp(p)-math.Exp(q)) / 2
	}
	assert.InDelta(t, final["tv"], tv, 1e-12)
	assert.Less(t, final["tv"], final["tv_certified"])
	assert.LessOrEqual(t, final["tv_certified"], 1.0)

	text := must(t, "sample", checkpoint, "-n", "20", "-seed", "5")
	assert.Equal(t, text, must(t, "sample", "-seed", "5", "-n", "20", checkpoint))
	assert.NotEqual(t, text, must(t, "sample", checkpoint, "-n", "20"))
	records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	require.NoError(t, err)
	require.Len(t, records, 21)
	assert.Equal(t, []string{"object", "log_reward", "log_pf", "steps"}, records[0])
}

func TestEvalBeyondEnumeration(t *testing.T) {
	checkpoint := trained(t, "-limit", "10", "-eval-samples", "10")
	code, _, stderr := gfnRun(t, "eval", checkpoint, "-objects", filepath.Join(t.TempDir(), "objects.csv"))
	assert.Equal(t, 2, code)
	assert.Contains(t, stderr, "-objects: this space has too many states to enumerate; name some of them with -words")
	a := last(t, must(t, "eval", checkpoint, "-json", "-samples", "30"))
	b := last(t, must(t, "eval", checkpoint, "-json", "-samples", "30", "-seed", "1"))
	assert.Equal(t, 30.0, a["samples"])
	assert.NotEqual(t, a["elbo"], b["elbo"])
	assert.Equal(t, a["seed"], b["seed"])

	c := gfn.DefaultConfig("tb-u")
	c.Limit, c.Hidden, c.EvalSamples = 0, 8, 1<<30 // nobody waits for so many
	trainer, err := gfn.NewTrainer(gfn.Fixture(), c)
	require.NoError(t, err)
	_, err = trainer.Step()
	require.NoError(t, err)
	require.NoError(t, trainer.SaveFile(checkpoint))
	assert.Equal(t, 30.0, last(t, must(t, "eval", checkpoint, "-json", "-samples", "30"))["samples"])
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
	assert.Regexp(t, `\nterminating states +64`, must(t, "exact"))
}

// The policy of rpe is extracted from its values, and is used like any other's.
func TestRandomPolicyEvaluation(t *testing.T) {
	checkpoint := trained(t, "-method", "rpe", "-env", "sequence:length=4,order=append")
	assert.Contains(t, must(t, "eval", checkpoint, "-samples", "100"), "total variation")
	assert.Len(t, strings.Split(must(t, "sample", checkpoint, "-n", "5"), "\n"), 7)
	assert.Contains(t, must(t, "edit", checkpoint, "-n", "2", "ACGT"), "property improvement")
}

func TestTrustRegionReport(t *testing.T) {
	lines := objects(t, must(t, small("-method", "rl-t", "-json")...))
	require.Len(t, lines, 6)
	for _, o := range lines[1:] {
		assert.Equal(t, 10.0, o["accepted"].(float64)+o["rejected"].(float64))
		assert.Contains(t, o, "step_kl")
		assert.Contains(t, o, "step_fraction")
	}
	assert.Contains(t, must(t, small("-method", "rl-t")...), "trust-region steps accepted")
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

	assert.Contains(t, table, "\ntolerance: 1e-9 of the larger side, or of 1\n")

	var out bytes.Buffer
	bounds := []gfn.Bound{{Name: "a", Left: 1, Right: 2}, {Name: "b", Left: 2, Right: 1}, {Name: "c", Left: math.NaN()}}
	err := (&call{stdout: &out, json: true}).printBounds(gfn.Fixture(), bounds)
	assert.EqualError(t, err, "violated on explicit: b: 2 ≤ 1")
	assert.NotErrorAs(t, err, new(failure), "the exit status is 1, not 2")
	lines = objects(t, out.String())
	require.Len(t, lines, 3)
	b := map[string]any{"name": "b", "left": 2.0, "right": 1.0, "slack": -1.0, "ok": false, "equal": false}
	c := map[string]any{"name": "c", "right": 0.0, "ok": false, "equal": false}
	for i, want := range []map[string]any{b, c} {
		want["event"], want["env"] = "check", gfn.TraitsOf(gfn.Fixture()).Spec
		assert.Equal(t, want, lines[1+i])
	}
	assert.Error(t, (&call{stdout: &out}).printBounds(gfn.Fixture(), bounds[2:]))
}

// Every guarantee has an explanation, whose function, section and test there are.
func TestExplain(t *testing.T) {
	library, tests, doc := read(t, "../../grad.go"), read(t, "../../gfn_test.go"), read(t, "../../doc.go")
	explained := map[string]bool{}
	for _, env := range []string{"sequence:length=2,order=append", "explicit", "hypergrid:height=3"} {
		text := must(t, "check", "-env", env, "-policies", "2", "-explain")
		for line := range strings.Lines(text[strings.Index(text, " test\n")+6:]) {
			cells := regexp.MustCompile(`^(.*\S)  +(\S.*\S)  +([A-Z]\w+)  +(\d)  +(Test\w+)\n$`).FindStringSubmatch(line)
			require.Len(t, cells, 6, line)
			assert.Contains(t, library, "func "+cells[3]+"(")
			assert.Contains(t, doc, "\n// # "+cells[4]+" ")
			assert.Contains(t, tests, "func "+cells[5]+"(")
			explained[cells[1]] = true
		}
		for _, o := range objects(t, must(t, "check", "-env", env, "-policies", "2", "-json")) {
			assert.True(t, explained[o["name"].(string)], o["name"])
		}
	}
	assert.Len(t, explained, len(table("guarantees")), "none is out of use")
}

// smallCompare is a comparison of four runs that takes a few milliseconds.
func smallCompare(more ...string) []string {
	args := strings.Fields("compare -hidden 8 -hidden-v 8 -batch 8 -iters 40 -methods tb-u,rl-t -seeds 2 -eval-samples 50")
	return append(args, more...)
}

func TestCompare(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	whole := must(t, smallCompare("-workers", "1", "-json", "-out", dir)...)
	assert.Equal(t, []string{"compare.svg", runsName}, named(t, dir))
	lines := timeless(t, whole)
	require.Len(t, lines, 6)
	assert.Equal(t, lines, timeless(t, must(t, smallCompare("-workers", "2", "-json")...)), "as many at once as one likes")

	run := lines[3]
	assert.Equal(t, "run", run["event"])
	for key, value := range last(t, must(t, strings.Fields("train -hidden 8 -hidden-v 8 -batch 8 -iters 40 -method rl-t "+
		"-seed 1 -eval-every 1 -eval-samples 50 -json")...)) {
		if key != "event" {
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
	assert.InDelta(t, (lines[2]["tv_late"].(float64)+run["tv_late"].(float64))/2, method["tv_late"], 1e-12)
	assert.NotEqual(t, method["tv"], method["tv_late"])
	assert.NotContains(t, method, "seed")

	wellFormed(t, read(t, filepath.Join(dir, "compare.svg")))
	var r result
	require.NoError(t, json.Unmarshal([]byte(strings.SplitN(read(t, filepath.Join(dir, runsName)), "\n", 2)[0]), &r))
	require.Len(t, r.Curve, 41)
	assert.InDelta(t, meanOf(r.Curve[37:], "tv").mean, r.Curve[40]["tv_late"], 1e-12, "of iterations 37 to 40")
	table := must(t, smallCompare("-out", dir)...)
	assert.Regexp(t, `\nrl-t   \d\.\d+ ± \d\.\d+ `, table)
	assert.Contains(t, table, "means over the last tenth of the iterations")
	assert.Contains(t, must(t, smallCompare("-limit", "10", "-seeds", "1")...), "ELBO")
}

// A flag is for the methods that use it. Runs of the others are what they are without it.
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
	flags := map[string]string{"pcl": "-alpha=2", "rl-u": "-centring=none", "subeb-b": "-backward-step=tb"}
	for method, flag := range flags {
		methods := []string{"-methods", "rl-t,tb-u," + method}
		assert.Equal(t, alone, runs("tb-u", append(methods, flag)...), flag)
		assert.NotEqual(t, runs(method, methods...), runs(method, append(methods, flag)...), flag)
	}
}

// Methods train for their own numbers of iterations, and are evaluated in any company at a fiftieth of these.
func TestCompareDefaults(t *testing.T) {
	small := strings.Fields("compare -env hypergrid:height=2 -tabular -batch 1 -seeds 1 -out " + t.TempDir())
	for _, c := range [][2]string{{"tb-u,rl-t", "\n6000/6000  "}, {"rl-t,tb-u", "2 runs found, 0 to do\n"}} {
		_, _, stderr := gfnRun(t, append(small, "-methods", c[0])...)
		assert.Contains(t, stderr, c[1])
	}
}

func TestCompareResumes(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, runsName)
	ctx, cancel := context.WithCancel(t.Context())
	stderr := &canceller{times: 3, do: cancel} // after the headline, when the second run is trained
	require.Equal(t, 130, run(ctx, smallCompare("-out", dir, "-workers", "1"), io.Discard, stderr), stderr)
	require.Len(t, objects(t, read(t, path)), 1)
	assert.Contains(t, stderr.String(), "stopped; 1 of 4 runs kept in "+path)

	resume := func(found string, more ...string) (stdout string) {
		code, stdout, stderr := gfnRun(t, smallCompare(append(more, "-json", "-out", dir)...)...)
		require.Equal(t, 0, code)
		assert.Contains(t, stderr, found)
		return stdout
	}
	first := resume("1 runs found, 3 to do\n")
	assert.Equal(t, timeless(t, must(t, smallCompare("-json")...)), timeless(t, first))
	assert.Equal(t, first, resume("4 runs found, 0 to do\n"), "to the last bit, and the seconds too")

	text := read(t, path)
	another := regexp.MustCompile(`"build":"[^"]*"`).ReplaceAllString(text, `"build":"another"`)
	require.NoError(t, os.WriteFile(path, []byte(another), 0o666))
	resume("0 runs found, 4 to do\n") // of another build
	require.NoError(t, os.WriteFile(path, []byte(text), 0o666))
	resume("0 runs found, 4 to do\n", "-lr", "0.5") // other settings are other runs
	resume("4 runs found, 5 to do\n", "-methods", "tb-u,rl-t,fm", "-seeds", "3")

	text = read(t, path)
	curveless := regexp.MustCompile(`,"curve":\[.*\]`).ReplaceAllString(text, "")
	shorter := regexp.MustCompile(`"curve":\[\{[^}]*\},`).ReplaceAllString(text, `"curve":[`)
	pointless := regexp.MustCompile(`"curve":\[\{[^}]*\}`).ReplaceAllString(text, `"curve":[null`)
	worded := regexp.MustCompile(`"tv":[^,}]*`).ReplaceAllString(text, `"tv":"low"`)
	torn := text[:len(text)-99]
	damaged := "{\"foreign\": 1}\n\nno JSON\n" + curveless + shorter + pointless + worded
	require.NoError(t, os.WriteFile(path, []byte(damaged+torn), 0o666))
	// 2 lines, 4 × 13 runs, and 1 that is torn off
	resume("lines that are not whole runs, and not used: 55\n", "-methods", "tb-u,rl-t,fm", "-seeds", "3")
	assert.True(t, strings.HasPrefix(read(t, path), damaged+torn+"\n{"), "what was there stays, and a torn line is ended")
	resume("9 runs found, 0 to do\n", "-methods", "tb-u,rl-t,fm", "-seeds", "3")
}

// Parts of the seeds, done elsewhere, are found where their files are put together.
func TestCompareInParts(t *testing.T) {
	whole, dir, lines := must(t, smallCompare("-json")...), t.TempDir(), ""
	for _, seeds := range []string{"0-0", "1-1"} {
		must(t, smallCompare("-seeds", seeds, "-seed", "7", "-out", filepath.Join(dir, seeds), "--")...)
		lines += read(t, filepath.Join(dir, seeds, runsName))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, runsName), []byte(lines), 0o666))
	code, stdout, stderr := gfnRun(t, smallCompare("-seeds", "0-1", "-json", "-out", dir)...)
	require.Equal(t, 0, code)
	assert.Contains(t, stderr, "4 runs found, 0 to do\n")
	assert.Equal(t, timeless(t, whole), timeless(t, stdout))
	assert.Regexp(t, `^go.* \w+ .*[0-9a-f]{40}`, build(), "the program or its revision")
}

// TestKeepTogether appends from many comparisons at once.
func TestKeepTogether(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			k := comparison{training: &training{out: &dir}}
			r := result{job{Config: gfn.Config{Seed: uint64(i)}}, make([]object, 5000)}
			assert.NoError(t, k.keep(r))
		})
	}
	all.Wait()
	seeds := map[any]bool{}
	text := read(t, filepath.Join(dir, runsName)) // blank lines end what looked torn
	for _, o := range objects(t, strings.TrimSpace(regexp.MustCompile("\n+").ReplaceAllString(text, "\n"))) {
		seeds[o["config"].(map[string]any)["Seed"]] = true
	}
	assert.Len(t, seeds, 20)
}

func TestEstimate(t *testing.T) {
	of := func(xs ...float64) estimate {
		list := []object{{"other": 7}}
		for _, x := range xs {
			list = append(list, object{"x": x})
		}
		return meanOf(list, "x")
	}
	assert.Equal(t, estimate{2, 1}, of(1, 3))
	for want, e := range map[string]estimate{
		"2 ± 1": of(1, 3), "5": of(5), "–": of(), "7 ± 0": of(7, 7), "0.03123 ± 0.001": {0.03123, 0.00101},
	} {
		assert.Equal(t, want, e.String())
	}
}

func TestProgress(t *testing.T) {
	_, _, stderr := gfnRun(t, small()...)
	assert.Equal(t, 7, strings.Count(stderr, "\n"), "a headline, a line for each evaluation, and that nothing was kept")
	assert.NotContains(t, stderr, "\r")
	assert.Contains(t, stderr, "\n40/40  0s left  ")

	var w bytes.Buffer
	p := newProgress(&w, 10, 20)
	p.bar = true
	p.step(1, "TV 1")
	assert.Contains(t, w.String(), "[===========         ]  11/20  ")
	assert.Contains(t, w.String(), "it/s  TV 1")
	shown := w.Len()
	p.step(1, "")
	assert.Equal(t, shown, w.Len(), "not drawn again within a tenth of a second")
	p.clear()
	assert.True(t, strings.HasSuffix(w.String(), "\r\x1b[K"))
}

func TestEvalWords(t *testing.T) {
	words := filepath.Join(t.TempDir(), "words.txt")
	require.NoError(t, os.WriteFile(words, []byte("AAAA\r\n\nABAB\nBBBB\n"), 0o600))
	checkpoint := trained(t, "-env", "sequence:length=4,tokens=AB,reward=motif", "-iters", "5")
	out := last(t, must(t, "eval", checkpoint, "-words", words, "-json", "-samples", "10"))
	require.EqualValues(t, 3, out["words"])
	require.Contains(t, out, "pearson")
	require.Contains(t, out, "spearman")
	require.Regexp(t, `^object,log_probability,log_target,log_reward,standard_error\nAAAA(,-?\d[^,]*){3},0\nABAB,`,
		must(t, "eval", checkpoint, "-words", words, "-samples", "10"))
	table := filepath.Join(t.TempDir(), "objects.csv")
	beyond := trained(t, "-env", "sequence:length=4,tokens=AB,order=ends,reward=motif", "-iters", "5", "-limit", "3")
	must(t, "eval", beyond, "-words", words, "-objects", table, "-samples", "10", "-paths", "20")
	require.Regexp(t, `(?m)^ABAB,-\d[^,]*,,-?\d[^,]*,0\.\d+$`, read(t, table), "no target; an estimate and its error")
	require.NoError(t, os.WriteFile(words, []byte("AAAA\nABX\n"), 0o600))
	long := filepath.Join(t.TempDir(), "long.txt")
	require.NoError(t, os.WriteFile(long, bytes.Repeat([]byte("AAAA\n"), 1<<22), 0o600))
	wants := map[string]string{
		words: "words.txt:2:1: ", long: "long.txt: more than 16 MiB of words",
		os.DevNull: "no words", "absent": "no such file",
	}
	for file, want := range wants {
		code, _, stderr := gfnRun(t, "eval", checkpoint, "-words", file)
		require.Equal(t, 2, code)
		require.Contains(t, stderr, want)
	}
}

// No probability of an edge, a path or a Markov blanket differs by more than the total variation. Training takes the
// errors to 0.
func TestStructureFigures(t *testing.T) {
	most := func(iterations string) (worst float64) {
		args := strings.Fields("-env dag:nodes=3,samples=20 -method rl-u -tabular -batch 64 -lr 0.05 -lr-v 0.05 -json -iters")
		final := last(t, must(t, small(append(args, iterations)...)...))
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

// Structures of eleven variables are beyond enumeration: they train, and what is reported is sampled. With GFN_DATA,
// these are the proteins of Sachs et al. 2005.
func TestElevenVariables(t *testing.T) {
	env := "dag:nodes=11,samples=20"
	if dir := os.Getenv("GFN_DATA"); dir != "" {
		env = "dag:columns=standardized,file=" + filepath.Join(dir, "sachs.tsv")
	}
	for _, method := range []string{"tb-u", "rl-g"} {
		code, stdout, stderr := gfnRun(t, small("-env", env, "-method", method, "-hidden", "16", "-batch", "32",
			"-iters", "120", "-lr", "0.01", "-eval-every", "60", "-eval-samples", "200", "-json")...)
		require.Equal(t, 0, code, stderr)
		assert.Contains(t, strings.ReplaceAll(stderr, "\n", " "), "too many states to")
		lines := objects(t, stdout)
		require.Len(t, lines, 4)
		lines = lines[1:]
		assert.Equal(t, 200.0, lines[2]["samples"])
		assert.NotContains(t, lines[2], "edge_rms")
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

func TestEdit(t *testing.T) {
	env := "sequence:length=6,tokens=AB,order=append,reward=motif"
	checkpoint := trained(t, "-env", env, "-iters", "5")
	edit := func(args string) string {
		return must(t, append([]string{"edit", checkpoint}, strings.Fields(args)...)...)
	}
	edits := func(args string) (all []map[string]any, final map[string]any) {
		all = objects(t, edit(args+" -json"))
		return all[:len(all)-1], all[len(all)-1]
	}
	const args = "-delta 1 -sigma 0.3 -n 7 AAAAAA ABABAB"
	all, final := edits(args)
	require.Len(t, all, 14)
	improvement, percentage := 0.0, 0.0
	for i, o := range all {
		assert.Equal(t, []string{"AAAAAA", "ABABAB"}[i/7], o["seed"])
		assert.Equal(t, o["edited"] != o["seed"], o["edits"].(float64) > 0)
		improvement += o["reward"].(float64) / 14
		percentage += 100 * o["edits"].(float64) / 6 / 14
	}
	assert.Positive(t, percentage)
	assert.InDelta(t, improvement, final["reward_before"].(float64)+final["improvement"].(float64), 1e-12)
	assert.InDelta(t, percentage, final["edit_percentage"], 1e-12)
	assert.Contains(t, final, "diversity_se")

	text := edit(args)
	assert.Len(t, regexp.MustCompile(`(?m)^[AB]{6}   [AB]{6}   \S+ +\S+ +\d$`).FindAllString(text, -1), 14)
	assert.Regexp(t, `\nproperty improvement +\S+ +\S+\n`, text)
	assert.Equal(t, text, edit(args))
	assert.NotEqual(t, text, edit(args+" -seed 1"))

	judged, _ := edits(args + " -judge " + env + ",beta=2") // twice the weights: twice the log rewards
	for i, o := range judged {
		assert.InEpsilon(t, math.Pow(all[i]["reward"].(float64), 2), o["reward"], 1e-12)
	}

	defer func(f *os.File) { os.Stdin = f }(os.Stdin)
	for _, c := range []struct{ words, args, want string }{
		{"AAAAAA\r\n\nABABAB\n", "-delta 1 -sigma 0.3 -n 7", ""},
		{"AAAAAA\nABC\n", "", "words:2:1: word \"ABC\" has 3 letters, want 6"},
		{"\n", "", "no words"},
		{"", "-delta 2 AAAAAA", "delta is 2, want a number in 0…1"},
		{"", "-judge hypergrid AAAAAA", "-judge hypergrid: no words; name a sequence"},
		{"", "-judge sequence:length=4,tokens=AB AAAAAA", "-judge sequence:length=4,tokens=AB: word"},
	} {
		file := filepath.Join(t.TempDir(), "words.txt")
		require.NoError(t, os.WriteFile(file, []byte(c.words), 0o600))
		f, err := os.Open(file)
		require.NoError(t, err)
		defer f.Close()
		os.Stdin = f
		code, stdout, stderr := gfnRun(t, append([]string{"edit", checkpoint}, strings.Fields(c.args)...)...)
		if c.want == "" {
			assert.Equal(t, text, stdout, stderr)
			continue
		}
		assert.Equal(t, 2, code, c.args)
		assert.Empty(t, stdout)
		assert.Contains(t, stderr, c.want)
	}
}

// The Python of README.md writes a graph, reads results, and evaluates the forward policy of a checkpoint as eval does.
// It is skipped where there is no Python, and its last part where there is no numpy.
func TestPython(t *testing.T) {
	readme := read(t, "../../README.md")
	blocks := regexp.MustCompile("(?s)\n```python\n(.*?)\n```\n").FindAllStringSubmatch(readme, -1)
	require.Len(t, blocks, 3)
	run := func(code string) (string, error) {
		out, err := exec.CommandContext(t.Context(), "python3", "-c", code).CombinedOutput()
		return string(out), err
	}
	needs := func(imports string) {
		if _, err := run(imports); err != nil {
			t.Skip("not here: ", imports)
		}
	}
	python := func(code string) string {
		out, err := run(code)
		require.NoError(t, err, out)
		return out
	}
	needs("import csv, json")
	t.Chdir(t.TempDir())
	python(blocks[0][1])
	for _, command := range []string{
		"gfn train -env explicit:file=graph.txt -out results", "gfn eval results/checkpoint.gfn -objects results/objects.csv",
	} {
		require.Contains(t, readme, "`"+command+"`")
		args := append(strings.Fields(command)[1:], "-json")
		if args[0] == "train" {
			args = append(args, "-hidden", "8", "-iters", "20", "-eval-every", "10", "-replay", "5")
		}
		must(t, args...)
	}
	lines := strings.Split(strings.TrimSpace(python(blocks[1][1])), "\n")
	require.Len(t, lines, 3+6, "the untrained sampler and two evaluations; pairs of four items")
	require.Regexp(t, `^0 0\.\d+$`, lines[0])
	logP := map[string]string{}
	for _, line := range lines[3:] {
		require.Regexp(t, `^[abcd]{2} -\S+ -\S+$`, line)
		logP[line[:2]] = strings.Fields(line)[1]
	}

	needs("import numpy")
	evaluated := strings.Split(strings.TrimSpace(python(blocks[2][1]+"\nprint(tensor('replay').tolist())")), "\n")
	require.Len(t, evaluated, 6+1)
	require.Regexp(t, `^\[((\d, )*4(, |\])){5}$`, evaluated[6], "five trajectories")
	for _, line := range evaluated[:6] {
		want, err := strconv.ParseFloat(logP[line[:2]], 64)
		require.NoError(t, err)
		got, err := strconv.ParseFloat(line[3:], 64)
		require.NoError(t, err)
		require.InDelta(t, want, got, 1e-12)
	}
}

// FuzzRuns reads a file of runs that others wrote, or that was torn: what is not a whole run is not used.
func FuzzRuns(f *testing.F) {
	c := gfn.DefaultConfig("tb-u")
	c.Iterations, c.EvalEvery = 2, 1
	whole, err := json.Marshal(result{job{Config: c}, make([]object, 4)})
	require.NoError(f, err)
	line := strings.ReplaceAll(string(whole), "null", `{"iteration":1,"tv":1}`)
	f.Add([]byte(line + "\n" + line[:99] + "\n\n{}"))
	f.Add([]byte(string(whole)))
	f.Fuzz(func(t *testing.T, text []byte) {
		found, damaged := readRuns(text)
		require.LessOrEqual(t, len(found)+damaged, 1+bytes.Count(text, []byte("\n")))
		for _, r := range found {
			require.Len(t, lineOf(runs{r, r}, "tv"), len(r.Curve))
			require.NoError(t, writeCharts(io.Discard, "title", []runs{{r}}))
		}
	})
}
