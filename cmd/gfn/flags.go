package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"gfn"
)

// option is a flag, which sets what at points to.
type option struct {
	name  string
	arg   string // what its argument is called in help, empty for a switch
	at    any    // *int, *uint64, *float64, *string or *bool
	usage string
}

// String implements [flag.Value].
func (o option) String() string { return fmt.Sprint(reflect.ValueOf(o.at).Elem()) }

// Set implements [flag.Value]. The error says what is wanted.
func (o option) Set(text string) (err error) {
	wanted := ""
	switch p := o.at.(type) {
	case *int:
		*p, err = strconv.Atoi(text)
		wanted = "a whole number"
	case *uint64:
		*p, err = strconv.ParseUint(text, 10, 64)
		wanted = "a whole number not below 0"
	case *float64:
		*p, err = strconv.ParseFloat(text, 64)
		wanted = "a number"
	case *bool:
		*p, err = strconv.ParseBool(text)
		wanted = "true or false"
	case *string:
		if *p = text; text == "" { // as of a shell's variable that is not set
			return fmt.Errorf("write %s", o.arg)
		}
	}
	if err != nil {
		return fmt.Errorf("write %s", wanted)
	}
	return nil
}

// IsBoolFlag tells package flag that a switch needs no argument.
func (o option) IsBoolFlag() bool { return o.arg == "" }

// parse sets the options from the call's arguments, flags before, between or
// after the positional ones, which it returns: as many as are wanted, any number
// of the last where that ends with "…". For -h it prints help and returns [flag.ErrHelp].
func (c *call) parse(options []option, wanted ...string) (positional []string, err error) {
	c.given = nil
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {} // which package flag calls for every error
	for _, o := range options {
		flags.Var(o, o.name, o.usage)
	}
	for rest := c.args; ; rest = rest[1:] {
		if err := flags.Parse(rest); err != nil {
			return nil, c.explain(err, flags, options)
		}
		if rest = flags.Args(); len(rest) == 0 {
			break
		}
		positional = append(positional, rest[0])
	}
	flags.Visit(func(f *flag.Flag) { c.given = append(c.given, f.Name) })
	if n := len(wanted); n > 0 && strings.HasSuffix(wanted[n-1], "…") {
		if wanted = wanted[:n-1]; len(positional) >= n {
			return positional, nil
		}
	}
	if len(positional) > len(wanted) {
		if _, err := gfn.ParseEnv(positional[0]); err == nil && flags.Lookup("env") != nil && len(wanted) == 0 {
			return nil, usagef("unexpected argument %q; write -env %s", positional[0], quote(positional[0]))
		}
		return nil, usagef(`unexpected argument %q; write gfn %s %s`, positional[len(wanted)], c.name, c.synopsis)
	}
	if len(positional) < len(wanted) {
		return nil, usagef("%s is missing; write gfn %s %s", wanted[len(positional)], c.name, c.synopsis)
	}
	return positional, nil
}

// explain says what to write instead of what package flag could not read.
func (c *call) explain(err error, flags *flag.FlagSet, options []option) error {
	if err == flag.ErrHelp {
		return cmp.Or(c.printHelp(flags, options), err)
	}
	if name, ok := strings.CutPrefix(err.Error(), "flag needs an argument: -"); ok {
		o := options[slices.IndexFunc(options, func(o option) bool { return o.name == name })]
		return usagef("-%s needs a value, %s: %s", name, o.arg, o.usage)
	}
	if unknown, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
		var names []string
		for _, o := range options {
			names = append(names, o.name)
		}
		return usagef(`unknown flag -%s%s ("gfn %s -h" lists the flags)`, unknown, didYouMean(unknown, names, "-"), c.name)
	}
	return usageError{err}
}

func (c *call) printHelp(flags *flag.FlagSet, options []option) error {
	_, err := fmt.Fprintf(c.stdout, "usage: gfn %s %s\n\n%s\n", c.name, c.synopsis, c.about)
	if len(options) == 0 || err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "\nflags:\n")
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	for _, o := range options {
		text := o.usage
		if byDefault := flags.Lookup(o.name).DefValue; o.arg != "" && byDefault != "" && !strings.Contains(text, "default") {
			text += fmt.Sprintf(" (default %s)", byDefault)
		}
		fmt.Fprintf(w, "  -%s %s\t%s\n", o.name, o.arg, text)
	}
	return w.Flush()
}

// envFlag is shared by commands, as jsonFlag is.
func envFlag(at *string) option {
	return option{"env", "SPEC", at, `the environment, name:key=value,key=value; "gfn help environments" lists them`}
}

func jsonFlag(at *bool) option {
	return option{"json", "", at, "print JSON lines in place of tables"}
}

// parseEnv builds the environment that -env names.
func parseEnv(spec string) (gfn.Env, error) {
	env, err := gfn.ParseEnv(spec)
	if err != nil {
		return nil, usagef("-env %s: %s", spec, oneLine(err))
	}
	return env, nil
}
