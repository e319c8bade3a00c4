package real

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// runProcess is a spillway run.
type runProcess struct {
	t      *testing.T
	cmd    *exec.Cmd
	stderr string // a file
	ended  chan struct{}
	err    error
}

// runBalance is what matters of its last report.
type runBalance struct {
	Received, Recovered, Delivered, Dropped, Pending, Unaccounted int64
	DeadLettered                                                  int64                    `json:"dead_lettered"`
	DroppedBy                                                     struct{ Returned int64 } `json:"dropped_by_reason"`
}

// startRun starts it, with further variables of the environment; the test's end ends it.
func startRun(t *testing.T, program, config, stateDir string, env ...string) *runProcess {
	t.Helper()
	p := &runProcess{t: t, stderr: filepath.Join(filepath.Dir(config), "run.log"), ended: make(chan struct{})}
	log, err := os.Create(p.stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.cmd = exec.Command(program, "run", "-c", config, "--state-dir", stateDir, "--json")
	p.cmd.Stderr, p.cmd.Env = log, append(os.Environ(), env...)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		select {
		case <-p.ended:
		default:
			if err := p.cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			<-p.ended
		}
		if t.Failed() {
			t.Log(p.log())
		}
	})
	return p
}

func (p *runProcess) log() string {
	text, err := os.ReadFile(p.stderr)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// await waits until it listens there.
func (p *runProcess) await(network, address string) {
	p.t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for over := time.After(20 * time.Second); ; {
		conn, err := net.Dial(network, address)
		if err == nil {
			if err := conn.Close(); err != nil {
				p.t.Error(err)
			}
			return
		}
		select {
		case <-again.C:
		case <-p.ended:
			p.t.Fatalf("spillway run ended: %v", p.err)
		case <-over:
			p.t.Fatalf("spillway run does not listen at %s: %v", address, err)
		}
	}
}

// awaitLines waits until a file has so many lines.
func (p *runProcess) awaitLines(file string, lines int) {
	p.t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for over := time.After(20 * time.Second); ; {
		text, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			p.t.Fatal(err)
		}
		n := bytes.Count(text, []byte("\n"))
		if n >= lines {
			return
		}
		select {
		case <-again.C:
		case <-p.ended:
			p.t.Fatalf("spillway run ended: %v", p.err)
		case <-over:
			p.t.Fatalf("%s has %d lines, expected %d", file, n, lines)
		}
	}
}

// stop ends it by a signal and returns its last balance.
func (p *runProcess) stop() (b runBalance) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	<-p.ended
	lines := strings.Split(strings.TrimSpace(p.log()), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &b); err != nil || p.err != nil {
		p.t.Fatalf("it ended with %v; its last line: %v", p.err, err)
	}
	return b
}
