package deadletter

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/record"
)

// child is the program of a second process: "write FIRST COUNT GROUP CALLERS" puts
// letters and prints the numbers of those that are put; "remove" removes all that
// it finds, until its standard input ends; "weigh BYTES" says how much memory it
// takes to write and list so much.
func child(what, dir string) (err error) {
	args := strings.Fields(what)
	s, err := Open(dir, Options{Max: 2 << 30, Wait: 2 * time.Minute})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if args[0] == "remove" {
		return removeAll(s)
	}
	if args[0] == "weigh" {
		size, err := strconv.ParseInt(args[1], 10, 64)
		return errors.Join(err, weigh(s, size))
	}
	var n [4]int
	for i := range n {
		if n[i], err = strconv.Atoi(args[i+1]); err != nil {
			return err
		}
	}
	return writeSeries(s, n[0], n[1], n[2], n[3])
}

// writeSeries puts letters from several goroutines at once.
func writeSeries(s *Store, first, count, group, callers int) error {
	errs := make([]error, callers)
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for n := first + caller*group; n < first+count && errs[caller] == nil; n += group * callers {
				var letters []record.Letter
				for i := n; i < min(n+group, first+count); i++ {
					letters = append(letters, letter(i))
				}
				if errs[caller] = s.Put(context.Background(), letters); errs[caller] == nil {
					// One write for each line: the kernel keeps it whatever becomes of us.
					_, errs[caller] = fmt.Printf("%d %d\n", n, len(letters))
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// removeAll removes whatever comes, and prints the numbers.
func removeAll(s *Store) error {
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		ended <- err
	}()
	for last := false; ; {
		var entries []Entry
		_, err := s.List(context.Background(), Query{}, func(e *Entry) error {
			entries = append(entries, *e)
			return nil
		})
		if err != nil {
			return err
		}
		for i := range entries {
			n, err := s.Remove(context.Background(), []Ref{entries[i].Ref()})
			if err != nil {
				return err
			}
			if n == 1 {
				if _, err := fmt.Printf("%d 1\n", entries[i].Seq); err != nil {
					return err
				}
			}
		}
		if last {
			return nil
		}
		select {
		case err := <-ended:
			if err != nil {
				return err
			}
			last = true
		default:
		}
	}
}

// process is a second process.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
	count map[int]int // how often it has printed a number
	errs  strings.Builder
}

func startChild(t *testing.T, dir, what string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0]), count: make(map[int]int)}
	p.cmd.Env = append(os.Environ(), "DEADLETTER_CHILD="+what, "DEADLETTER_DIR="+dir, "GORACE=atexit_sleep_ms=0")
	p.cmd.Stderr = &p.errs
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// next reads one line; false is the end of the process.
func (p *process) next(t *testing.T) bool {
	t.Helper()
	if !p.lines.Scan() {
		return false
	}
	var first, count int
	if _, err := fmt.Sscan(p.lines.Text(), &first, &count); err != nil {
		t.Errorf("the child printed %q", p.lines.Text())
		return true
	}
	for n := first; n < first+count; n++ {
		p.count[n]++
	}
	return true
}

// end reads to the end and waits; killed says whether it was killed.
func (p *process) end(t *testing.T, killed bool) {
	t.Helper()
	if err := p.in.Close(); err != nil {
		t.Error(err)
	}
	for p.next(t) {
		continue
	}
	if err := p.cmd.Wait(); err != nil && (!killed || p.errs.Len() > 0) {
		t.Errorf("the child: %v\n%s", err, p.errs.String())
	}
}
