package main

import (
	"os"
	"runtime"
	"strings"
)

// machine says on what the figures were taken, without which they mean nothing.
type machine struct {
	CPUs      int    `json:"cpus"`
	Processor string `json:"processor"`
	Kernel    string `json:"kernel"`
	Go        string `json:"go"`
	// LoadAverage is that of the minute before the first run: above a few tenths, others are using the machine.
	LoadAverage string `json:"load_average"`
	Runs        int    `json:"runs"`
	DrainMB     int64  `json:"drain_mb"`
}

// describeMachine leaves empty what this kernel does not tell.
func describeMachine(o options) machine {
	m := machine{CPUs: runtime.NumCPU(), Go: runtime.Version(), Runs: o.runs, DrainMB: o.scale.volume / 1e6}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		_, after, _ := strings.Cut(string(text), "model name\t: ")
		m.Processor, _, _ = strings.Cut(after, "\n")
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.LoadAverage, _, _ = strings.Cut(string(text), " ")
	}
	return m
}
