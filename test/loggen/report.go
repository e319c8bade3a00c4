package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// result is the report of a run. Bytes are payload: newlines are not counted. Times of writes are those of the
// write calls alone, and belong to the second in which the call began.
type result struct {
	Lines int64 `json:"lines"`
	Bytes int64 `json:"bytes"`
	First int64 `json:"first"` // Number of the first line; the last is first + lines - 1.
	// FirstWriteAt is the wall clock just before the first write (before the first line is due, in a paced run).
	FirstWriteAt time.Time `json:"first_write_at"`
	Seconds      float64   `json:"seconds"`
	Writes       int64     `json:"writes"`
	// WriteSecondsTotal is the time that the application spent in write calls.
	WriteSecondsTotal float64 `json:"write_seconds_total"`
	LongestWriteMS    float64 `json:"longest_write_ms"`
	// LongestDelayMS is the longest time from when a write was due to its end. Without a rate it is the longest write.
	LongestDelayMS float64  `json:"longest_delay_ms"`
	PerSecond      []second `json:"per_second"`

	lineSize int64
}

// second is one second of a run, counted from its start.
type second struct {
	Lines          int64   `json:"lines"`
	WriteMS        float64 `json:"write_ms"`
	LongestWriteMS float64 `json:"longest_write_ms"`
	LongestDelayMS float64 `json:"longest_delay_ms"`
}

func newResult(p plan) *result {
	return &result{lineSize: int64(p.size), PerSecond: make([]second, 0, 1024)}
}

// add counts one write by its times after the start of the run.
func (r *result) add(began, ended, due time.Duration, lines int64) {
	for len(r.PerSecond) <= int(began/time.Second) {
		r.PerSecond = append(r.PerSecond, second{})
	}
	took, delay := milliseconds(ended-began), milliseconds(ended-due)
	s := &r.PerSecond[began/time.Second]
	s.Lines += lines
	s.WriteMS += took
	s.LongestWriteMS = max(s.LongestWriteMS, took)
	s.LongestDelayMS = max(s.LongestDelayMS, delay)
	r.Writes++
	r.Lines += lines
}

// finish sums the seconds up.
func (r *result) finish(took time.Duration) {
	r.Seconds = took.Seconds()
	r.Bytes = r.Lines * r.lineSize
	for _, s := range r.PerSecond {
		r.WriteSecondsTotal += s.WriteMS / 1000
		r.LongestWriteMS = max(r.LongestWriteMS, s.LongestWriteMS)
		r.LongestDelayMS = max(r.LongestDelayMS, s.LongestDelayMS)
	}
}

// save writes the report as JSON to path, if one is given.
func (r *result) save(path string) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
