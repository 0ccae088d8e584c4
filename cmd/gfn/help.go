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

func help(c *call) error {
	positional, err := c.parse(0, 1)
	if err != nil {
		return err
	}
	topic := append(positional, "overview")[0]
	page := text(topic)
	switch topic {
	case "files", "figures":
	case "overview":
		for _, command := range commands() {
			first, _, _ := strings.Cut(text(command.name), "\n")
			page += fmt.Sprintf("  %-9s %s\n", command.name, first)
		}
	case "environments":
		page = "SPEC is name:key=value,key=value. Every key may be left out.\n\n" + gfn.EnvHelp()
	case "methods":
		for _, m := range gfn.Methods() {
			page += fmt.Sprintf("%-11s %s", m.Name, m.Title)
			if m.Lambda > 0 {
				page += fmt.Sprintf(", -lambda %v", m.Lambda)
			}
			page += "\n"
		}
	default:
		about, err := findCommand(topic)
		if err != nil {
			return usagef("%w; topics are environments, methods, figures, files", err)
		}
		c.command, c.args = about, []string{"-h"}
		return about.run(c)
	}
	return c.print(page)
}
