package main

import (
	"embed"
	"fmt"
	"strings"

	"gfn"
)

//go:embed help
var helpFiles embed.FS

// text returns a file of help, empty if there is none of that name.
func text(name string) string {
	content, _ := helpFiles.ReadFile("help/" + name + ".txt")
	return string(content)
}

// table returns the lines of a file of help that are KEY | ROW | …, as cells by their key.
func table(name string) map[string][]string {
	cells := map[string][]string{}
	for line := range strings.Lines(text(name)) {
		if key, rest, isRow := strings.Cut(line, " | "); isRow {
			cells[strings.TrimSpace(key)] = strings.Split(strings.TrimSuffix(rest, "\n"), " | ")
		}
	}
	return cells
}

// label returns the row of a figure in the tables, empty if it has none.
func label(key string) string {
	if cells := table("figures")[key]; cells != nil && cells[0] != "–" {
		return cells[0]
	}
	return ""
}

// topic returns the text of a topic that is no command, empty if there is none of that name.
func topic(name string) string {
	var lines strings.Builder
	switch name {
	case "environments":
		return "SPEC is name:key=value,key=value. Every key may be left out.\n\n" + gfn.EnvHelp()
	case "files", "figures":
		return text(name)
	case "methods":
		for _, m := range gfn.Methods() {
			title := m.Title
			if m.Lambda > 0 {
				title += fmt.Sprintf(", -lambda %v", m.Lambda)
			}
			fmt.Fprintf(&lines, "%-11s %s\n", m.Name, title)
		}
	}
	return lines.String()
}

func help(c *call) error {
	positional, err := c.parse(0, 1)
	if err != nil {
		return err
	}
	if len(positional) == 0 {
		overview := text("overview")
		for _, command := range commands() {
			first, _, _ := strings.Cut(text(command.name), "\n")
			overview += fmt.Sprintf("  %-9s %s\n", command.name, first)
		}
		overview += "\nTopics: gfn help environments, gfn help methods, gfn help figures, gfn help files\n\n" +
			"Exit status: 0 done, 1 failed, 2 unusable arguments, 130 interrupted.\n"
		return c.print(overview)
	}
	if found := topic(positional[0]); found != "" {
		return c.print(found)
	}
	about, err := findCommand(positional[0])
	if err != nil {
		return usagef("%w; topics are environments, methods, figures, files", err)
	}
	c.command, c.args = about, []string{"-h"}
	return about.run(c)
}
