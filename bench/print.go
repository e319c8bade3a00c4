package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
)

// result is a row that has run.
type result struct {
	Name     string        `json:"name"`
	Title    string        `json:"title"`
	Other    peer          `json:"other"` // Beside whom Spillway was measured.
	Figures  []summary     `json:"figures"`
	Problems []string      `json:"problems"`
	Runs     []measurement `json:"runs"`
}

// summary is one figure over all runs of a row. What was not measured is nil.
type summary struct {
	Name     string   `json:"name"`
	Unit     string   `json:"unit"`
	Spillway *float64 `json:"spillway"`
	Other    *float64 `json:"other"`
	Ratio    *float64 `json:"ratio"` // Spillway's figure divided by the other's.
	Bar      string   `json:"bar"`
	Met      *bool    `json:"met"` // Nil where there is no bar.
}

// judge sums the runs of a row up and holds them against its bars.
func (r row) judge(runs []measurement) result {
	res := result{Name: r.name, Title: r.title, Other: cmp.Or(r.other, docker), Runs: runs}
	for _, f := range r.figures {
		s := summary{Name: f.name, Unit: f.unit, Bar: f.bar.text, Spillway: f.over(runs, spillway), Other: f.over(runs, res.Other)}
		if s.Spillway == nil {
			continue
		}
		other := math.NaN()
		if s.Other != nil && *s.Other != 0 {
			other = *s.Other
			s.Ratio = new(*s.Spillway / other)
		}
		if f.bar.met != nil {
			s.Met = new(f.bar.met(*s.Spillway, other))
		}
		res.Figures = append(res.Figures, s)
	}
	for _, m := range runs {
		for _, p := range m.Problems {
			res.Problems = append(res.Problems, fmt.Sprintf("%s, run %d: %s", m.Peer, m.Run, p))
		}
	}
	return res
}

// over is the figure of one peer over its runs: the median, or the largest.
func (f figure) over(runs []measurement, p peer) *float64 {
	var values []float64
	for i := range runs {
		if runs[i].Peer == p {
			values = append(values, f.of(&runs[i]))
		}
	}
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	n := len(values)
	if f.worst {
		return &values[n-1]
	}
	return new((values[(n-1)/2] + values[n/2]) / 2)
}

// report is everything that is printed.
type report struct {
	Machine machine  `json:"machine"`
	Rows    []result `json:"rows"`
}

func printJSON(w io.Writer, r report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// printMarkdown prints one table for each peer beside Spillway, below them the machine and what went wrong.
func printMarkdown(w io.Writer, rep report) (err error) {
	p := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(w, format, args...)
		}
	}
	var beside peer
	for _, r := range rep.Rows {
		if r.Other != beside {
			if beside != "" {
				p("\n")
			}
			beside = r.Other
			p("| work | figure | Spillway | %s | ratio | bar | met |\n|---|---|---|---|---|---|---|\n", beside.title())
		}
		title := r.Title
		for _, f := range r.Figures {
			met := ""
			if f.Met != nil {
				met = map[bool]string{true: "yes", false: "**no**"}[*f.Met]
			}
			p("| %s | %s, %s | %s | %s | %s | %s | %s |\n", title, f.Name, f.Unit, cell(f.Spillway), cell(f.Other), cell(f.Ratio), f.Bar, met)
			title = ""
		}
	}
	m := rep.Machine
	p("\n%d CPUs (%s), Linux %s, %s, load before %s; medians of %d runs; drains of %d MB.\n",
		m.CPUs, m.Processor, m.Kernel, m.Go, m.LoadAverage, m.Runs, m.DrainMB)
	for _, r := range rep.Rows {
		for _, problem := range r.Problems {
			p("\n**%s**: %s\n", r.Name, problem)
		}
	}
	return err
}

// title is how the table calls a peer.
func (p peer) title() string {
	if p == docker {
		return "Docker"
	}
	return string(p)
}

func cell(v *float64) string {
	if v == nil {
		return ""
	}
	return number(*v)
}

// number prints three significant digits, which is more than a shared machine repeats.
func number(v float64) string {
	if math.Abs(v) >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
