//go:build ignore

// Speed measures the tables of speed in testdata/FIGURES.md on this machine, which should do nothing else meanwhile,
// and prints them as Markdown. From the top of the repository:
//
//	go run .ci/speed.go                            a quarter of an hour on two cores
//	go run .ci/speed.go -python venv/bin/python3   a peer's times too, if that Python has gfnx, equinox and optax
//
// Each time is the least of some runs.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

var (
	python = flag.String("python", "python3", "a Python that may have gfnx, equinox and optax")
	time   = flag.String("benchtime", "50x", "iterations of a run, after 50 others; peers have their own")
	runs   = flag.Int("runs", 1, "runs, of which the fastest counts; peers have three")
)

// build is a way to run the same code.
type build struct {
	name, binary string
	env          []string
}

func main() {
	log.SetFlags(0)
	flag.Parse()
	dir, err := os.MkdirTemp("", "speed")
	check(err)
	defer os.RemoveAll(dir)
	builds := []build{{"ordinary", "plain", nil}}
	if runtime.GOARCH == "amd64" {
		builds = append(builds, build{"SIMD", "simd", nil})
		if info, _ := os.ReadFile("/proc/cpuinfo"); bytes.Contains(info, []byte(" avx512f ")) {
			builds = append(builds, build{"SIMD, AVX-512 off", "simd", []string{"GODEBUG=cpu.avx512f=off"}})
		}
	}
	for i, b := range builds {
		builds[i].binary = filepath.Join(dir, b.binary)
		env := []string(nil)
		if b.binary == "simd" {
			env = []string{"GOEXPERIMENT=simd"}
		}
		output(env, "go", "test", "-c", "-o", builds[i].binary+".test", ".")
		output(env, "go", "build", "-o", builds[i].binary, "./cmd/gfn")
	}
	names := make([]string, len(builds))
	for i, b := range builds {
		names[i] = b.name
	}
	fmt.Printf("Measured on %d cores of %s, %s/%s, %s. A cell holds %s.\n",
		runtime.NumCPU(), processor(), runtime.GOOS, runtime.GOARCH, runtime.Version(), strings.Join(names, " / "))

	iterations(builds)
	costs(builds)
	products(builds)
	workers(builds)
	neighbours(builds)
	peers(builds)
}

// processor returns the name that Linux or macOS has for it.
func processor() string {
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`model name\s*: (.*)`).FindSubmatch(info); m != nil {
			return string(m[1])
		}
	}
	name, _ := exec.Command("sysctl", "-n", "machdep.cpu.brand_string").Output()
	return cmp.Or(strings.TrimSpace(string(name)), "an unknown processor")
}

func check(err error) {
	if err != nil {
		log.Fatal("speed: ", err)
	}
}

// output runs a command and returns what it prints.
func output(env []string, name string, args ...string) string {
	command := exec.Command(name, args...)
	command.Env = append(os.Environ(), env...)
	out, err := command.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Stderr.Write(failed.Stderr)
	}
	check(err)
	return string(out)
}

// result holds the figures of benchmarks, by name and unit.
type result map[string]map[string]float64

// names returns the names in the order of their numbers.
func (r result) names() []string {
	return slices.SortedFunc(maps.Keys(r), func(a, b string) int {
		numbers := regexp.MustCompile(`\d+`)
		return slices.CompareFunc(numbers.FindAllString(a, -1), numbers.FindAllString(b, -1), func(x, y string) int {
			return cmp.Or(len(x)-len(y), strings.Compare(x, y))
		})
	})
}

// bench returns the figures of the benchmarks that pattern selects, of the fastest run of each.
func (b build) bench(runs int, pattern, benchtime string, env ...string) result {
	best := result{}
	for range runs {
		out := output(append(env, b.env...), b.binary+".test",
			"-test.run", "^$", "-test.bench", pattern, "-test.benchtime", benchtime)
		for line := range strings.Lines(out) {
			f := strings.Fields(line)
			if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
				continue
			}
			figures := map[string]float64{}
			for i := 2; i+1 < len(f); i += 2 {
				figures[f[i+1]], _ = strconv.ParseFloat(f[i], 64)
			}
			name := regexp.MustCompile(`-\d+$`).ReplaceAllString(f[0], "")
			if old, ok := best[name]; !ok || figures["ns/op"] < old["ns/op"] {
				best[name] = figures
			}
		}
	}
	return best
}

// all runs the same benchmarks in all builds.
func all(builds []build, runs int, pattern, benchtime string, env ...string) (list []result) {
	for _, b := range builds {
		list = append(list, b.bench(runs, pattern, benchtime, env...))
	}
	return list
}

// cell joins one figure of all builds.
func cell(list []result, name, unit string, scale float64) string {
	var texts []string
	for _, figures := range list {
		if v, ok := figures[name][unit]; ok {
			texts = append(texts, number(v*scale))
		}
	}
	return strings.Join(texts, " / ")
}

func number(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

func row(cells ...string) { fmt.Println("|", strings.Join(cells, " | "), "|") }

func header(title, text string, cells ...string) {
	fmt.Printf("\n### %s\n\n%s\n\n", title, text)
	row(cells...)
	row(slices.Repeat([]string{"---"}, len(cells))...)
}

const ms = 1e-6 // of a nanosecond

func iterations(builds []build) {
	envs := []string{"hypergrid:dim=2,height=8,r0=0.01", "hypergrid:dim=2,height=32,r0=0.01", "dag:nodes=5"}
	methods := []string{"tb-u", "db-u", "subtb-u", "rl-u", "rl-b", "rl-g", "rl-t"}
	list := all(builds, *runs, "Iteration/("+strings.Join(envs, "|")+")/^("+strings.Join(methods, "|")+")$", *time)
	header("Iterations", "Milliseconds, batch 128, policies of 4×256, iterations 51 on.",
		"", "8×8", "32×32", "structures of 5 nodes")
	for _, method := range methods {
		cells := []string{"`" + method + "`"}
		for _, env := range envs {
			cells = append(cells, cell(list, "BenchmarkIteration/"+env+"/"+method, "ns/op", ms))
		}
		row(cells...)
	}
	long := []string{
		"hypergrid:dim=2,height=256,r0=0.01", "hypergrid:dim=4,height=32,r0=0.01", "sequence:length=8,tokens=ACGT,order=ends",
	}
	list = all(builds, *runs, "Iteration/("+strings.Join(long, "|")+")", *time)
	header("Long trajectories, and words", "The same.", "", "steps of a trajectory", "ms")
	for _, env := range long {
		for _, method := range []string{"tb-u", "rl-u"} {
			name := "BenchmarkIteration/" + env + "/" + method
			row("`"+env+"`, `"+method+"`", cell(list[:1], name, "steps/trajectory", 1), cell(list, name, "ns/op", ms))
		}
	}
}

func costs(builds []build) {
	list := all(builds, *runs, "Cost", *time)
	header("How time grows", "`tb-u`, two hidden layers.", "height, batch, width", "states of a batch", "ms")
	for _, name := range list[0].names() {
		row(strings.TrimPrefix(name, "BenchmarkCost/"), cell(list[:1], name, "states", 1), cell(list, name, "ns/op", ms))
	}
}

func products(builds []build) {
	list := all(builds, *runs, "Products", "100ms", "GOMAXPROCS=1")
	header("Matrix products", "GFLOP/s with 256×256 weights on one core; a product with a zero counts as work.",
		"", "dense rows", "half zeros")
	for _, rows := range []string{"8", "64", "256", "1024"} {
		for _, kind := range []string{"forward", "backward", "weights"} {
			name := "BenchmarkProducts/" + kind + "/rows=" + rows + "/density="
			row(kind+", "+rows+" rows", cell(list, name+"1", "GFLOP/s", 1), cell(list, name+"0.5", "GFLOP/s", 1))
		}
	}
}

func workers(builds []build) {
	header("Workers", "Milliseconds of an iteration, `GOMAXPROCS` as in the first column.", "", "32×32, `tb-u`",
		"structures, `tb-u`")
	grid, dag := "hypergrid:dim=2,height=32,r0=0.01", "dag:nodes=5"
	for n := 1; n <= runtime.NumCPU(); n *= 2 {
		list := all(builds, *runs, "Iteration/("+grid+"|"+dag+")/^tb-u$", *time, fmt.Sprint("GOMAXPROCS=", n))
		row(fmt.Sprint(n), cell(list, "BenchmarkIteration/"+grid+"/tb-u", "ns/op", ms),
			cell(list, "BenchmarkIteration/"+dag+"/tb-u", "ns/op", ms))
	}
}

// neighbours times the program alone, and while this program has every core compute.
func neighbours(builds []build) {
	header("Busy neighbours", "Seconds of `gfn train -iters 1000 -batch 64`, the median of three.", "workers", "alone",
		"beside as many busy threads as there are cores")
	seconds := func(workers int) string {
		var texts []string
		for _, b := range builds {
			var times []float64
			for range 3 {
				out := output(b.env, b.binary, "train", "-iters", "1000", "-batch", "64", "-eval-every", "0", "-json",
					"-workers", strconv.Itoa(workers))
				m := regexp.MustCompile(`"train_seconds":([0-9.]+)`).FindStringSubmatch(out)
				v, err := strconv.ParseFloat(m[1], 64)
				check(err)
				times = append(times, v)
			}
			slices.Sort(times)
			texts = append(texts, number(times[1]))
		}
		return strings.Join(texts, " / ")
	}
	counts := []int{1, runtime.NumCPU(), 4 * runtime.NumCPU()}
	alone := make([]string, len(counts))
	for i, n := range counts {
		alone[i] = seconds(n)
	}
	var over atomic.Bool
	defer over.Store(true)
	for range runtime.NumCPU() {
		go func() {
			for !over.Load() {
			}
		}()
	}
	for i, n := range counts {
		row(strconv.Itoa(n), alone[i], seconds(n))
	}
}

func peers(builds []build) {
	if exec.Command(*python, "-c", "import gfnx, equinox, optax").Run() != nil {
		fmt.Println("\nNo peer was timed: this Python does not have gfnx, equinox and optax.")
		return
	}
	list := all(builds, 3, "Peers", "100x")
	header("Peers", "Milliseconds of `tb-b`, policies of 256 units a layer, the least of three runs of 100 iterations "+
		"after 100 others. gfnx on JAX computes in float32, with one network for both policies, on the same cores; its "+
		"second time is without AVX-512.", "", "ours", "gfnx")
	names := list[0].names()
	peer := map[string][]string{}
	for _, flags := range []string{"", "--xla_cpu_max_isa=AVX2"} {
		scanner := bufio.NewScanner(strings.NewReader(output([]string{"XLA_FLAGS=" + flags}, *python, "-c", gfnx)))
		for scanner.Scan() {
			name, text, _ := strings.Cut(scanner.Text(), " ")
			v, err := strconv.ParseFloat(text, 64)
			check(err)
			peer[name] = append(peer[name], number(v))
		}
	}
	for _, name := range names {
		short := strings.TrimPrefix(name, "BenchmarkPeers/")
		row("`"+short+"`", cell(list, name, "ns/op", ms), strings.Join(peer[short], " / "))
	}
}

// gfnx times an iteration of trajectory balance in gfnx: sampling, the loss and its gradient in one compiled step.
const gfnx = `
import time
import equinox as eqx, gfnx, jax, jax.numpy as jnp, optax
from gfnx.utils import forward_rollout, forward_trajectory_log_probs


def measure(env, batch, layers):
    params = env.init(jax.random.PRNGKey(0))
    forward = env.action_space.n
    inputs = env.reset(1, params)[0].shape[-1]
    network = eqx.nn.MLP(inputs, forward + env.backward_action_space.n, 256, layers, key=jax.random.PRNGKey(0))
    arrays, static = eqx.partition(network, eqx.is_array)
    learned = {"network": arrays, "log_z": jnp.zeros(())}
    optimizer = optax.adam(1e-3)
    state = optimizer.init(learned)

    def policy(key, observations, arrays):
        y = jax.vmap(eqx.combine(arrays, static))(observations.astype(jnp.float32))
        return y[:, :forward], {"forward_logits": y[:, :forward], "backward_logits": y[:, forward:]}

    @jax.jit
    def step(learned, state, key):
        key, own = jax.random.split(key)
        data, info = forward_rollout(own, batch, policy, learned["network"], env, params)

        def loss(learned):
            n, steps = data.obs.shape[:2]
            _, logits = policy(None, data.obs.reshape((n * steps,) + data.obs.shape[2:]), learned["network"])
            logits = {k: v.reshape((n, steps) + v.shape[1:]) for k, v in logits.items()}
            log_pf, log_pb = forward_trajectory_log_probs(env, data.replace(info=logits), params)
            return jnp.mean((learned["log_z"] + log_pf - log_pb - info["log_gfn_reward"]) ** 2)

        value, gradient = jax.value_and_grad(loss)(learned)
        updates, state = optimizer.update(gradient, state, learned)
        return optax.apply_updates(learned, updates), state, key, value

    key, best = jax.random.PRNGKey(1), float("inf")
    for run in range(4):
        begin = time.perf_counter()
        for _ in range(100):
            learned, state, key, value = step(learned, state, key)
        jax.block_until_ready(value)
        if run > 0:
            best = min(best, (time.perf_counter() - begin) / 100)
    return 1e3 * best


def grid(dim, height):
    return gfnx.environment.HypergridEnvironment(gfnx.EasyHypergridRewardModule(), dim=dim, side=height)


ising = gfnx.environment.IsingEnvironment(gfnx.IsingRewardModule(), dim=36)
print("hypergrid:dim=2,height=8,r0=0.01/batch=16/layers=2", measure(grid(2, 8), 16, 2))
print("hypergrid:dim=2,height=8,r0=0.01/batch=128/layers=4", measure(grid(2, 8), 128, 4))
print("hypergrid:dim=4,height=16/batch=16/layers=2", measure(grid(4, 16), 16, 2))
print("sequence:length=36,tokens=01,order=any,reward=ising,lattice=square/batch=16/layers=2", measure(ising, 16, 2))
`
