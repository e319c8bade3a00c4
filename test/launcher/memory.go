package launcher

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// Memory is a process's resident memory in bytes, from /proc/PID/status.
type Memory struct {
	Peak, Resident, Anonymous int64
}

// Memory reads the logger's memory. It fails once the logger has ended.
func (l *Logger) Memory() (Memory, error) { return ReadMemory(l.Pid()) }

// ReadMemory reads the memory of a process. It fails once that has ended.
func ReadMemory(pid int) (Memory, error) {
	fields, err := readStatus(pid)
	if err != nil {
		return Memory{}, err
	}
	kib := func(key string) int64 {
		number, _, _ := bytes.Cut([]byte(fields[key]), []byte(" "))
		n, err := strconv.ParseInt(string(number), 10, 64)
		if err != nil {
			return 0
		}
		return n << 10
	}
	return Memory{Peak: kib("VmHWM"), Resident: kib("VmRSS"), Anonymous: kib("RssAnon")}, nil
}

// Status gives the fields of the logger's /proc/PID/status, trimmed: Uid, Gid, Groups, VmHWM and so on.
func (l *Logger) Status() (map[string]string, error) { return readStatus(l.Pid()) }

func readStatus(pid int) (map[string]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil, fmt.Errorf("read the status of a process: %w", err)
	}
	fields := make(map[string]string)
	for line := range bytes.Lines(text) {
		if key, value, ok := bytes.Cut(line, []byte(":")); ok {
			fields[string(key)] = string(bytes.TrimSpace(value))
		}
	}
	return fields, nil
}

// SamplePeak notes the peak of the logger's memory for its Result. Delete and Wait call it; a test that ends its
// logger otherwise calls it before.
func (l *Logger) SamplePeak() {
	m, err := l.Memory()
	if err != nil {
		return // It has ended: there is nothing to sample any more.
	}
	for {
		seen := l.peakRSS.Load()
		if m.Peak <= seen || l.peakRSS.CompareAndSwap(seen, m.Peak) {
			return
		}
	}
}
