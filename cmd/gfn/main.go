// Command gfn trains GFlowNets and compares them with their exact targets.
// "gfn help" describes it. Results go to standard output, progress and errors
// to standard error. It exits with 0 when done, 1 when it failed while running,
// 2 for unusable arguments and 130 when interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"syscall"

	"gfn"
)

func main() {
	ignoreBrokenPipes()
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// command is something that gfn does. To add one is to add an entry to commands.
type command struct {
	name, synopsis, about string
	run                   func(c *call) error // about begins with a line of its own
}

// call is one use of a command.
type call struct {
	command
	ctx            context.Context
	args           []string
	stdout, stderr io.Writer
	given          []string // names of the flags that parse found
}

func commands() []command {
	return []command{
		{"train", "[flags]", trainAbout, train},
		{"exact", "[-env SPEC] [flags]", exactAbout, exact},
		{"check", "[-env SPEC] [flags]", checkAbout, check},
		{"compare", "[-env SPEC] [-methods A,B,…] [-seeds N] [flags]", compareAbout, compare},
		{"eval", "CHECKPOINT [flags]", evalAbout, eval},
		{"sample", "CHECKPOINT [flags]", sampleAbout, sample},
		{"edit", "CHECKPOINT [flags] WORD…", editAbout, edit},
		{"help", "[TOPIC]", helpAbout, help},
	}
}

// errInterrupted ends a run that the user interrupted, after it told so.
var errInterrupted = errors.New("interrupted")

// usageError is about arguments; it says what to write instead.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run executes a command line and returns its exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	name, err := "gfn", error(nil)
	if len(args) == 0 {
		err = usagef(`name a command: %s; "gfn help" describes them`, strings.Join(commandNames(), ", "))
	} else {
		var c command
		if c, err = findCommand(args[0]); err == nil {
			name = "gfn " + c.name
			err = c.run(&call{command: c, ctx: ctx, args: args[1:], stdout: stdout, stderr: stderr})
		}
	}
	_, usage := errors.AsType[usageError](err)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errInterrupted):
		return 130
	case errors.Is(err, syscall.EPIPE): // whoever reads, such as head, has enough
		return 0
	}
	fmt.Fprintf(stderr, "%s: %s\n", name, oneLine(err))
	if usage {
		return 2
	}
	return 1
}

func findCommand(name string) (command, error) {
	if name == "-h" || name == "-help" || name == "--help" {
		name = "help"
	}
	for _, c := range commands() {
		if c.name == name {
			return c, nil
		}
	}
	names := commandNames()
	return command{}, usagef("unknown command %q%s (commands: %s)", name, didYouMean(name, names, ""), strings.Join(names, ", "))
}

func commandNames() (names []string) {
	for _, c := range commands() {
		names = append(names, c.name)
	}
	return names
}

// libraryPrefix is at the start of a line or of what an error wraps: no part of a file's name.
var libraryPrefix = regexp.MustCompile(`(^|: )gfn: `)

// oneLine returns the text of an error on one line, without the library's prefix.
func oneLine(err error) string {
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	for i, line := range lines {
		lines[i] = libraryPrefix.ReplaceAllString(line, "$1")
	}
	return strings.Join(lines, "; ")
}

// didYouMean returns "; did you mean …?" with the name nearest to a mistyped one, if any is near.
func didYouMean(typed string, names []string, prefix string) string {
	if near := gfn.Nearest(typed, names); near != "" {
		return fmt.Sprintf("; did you mean %s%s?", prefix, near)
	}
	return ""
}
