package local

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// writerDir makes this test program write to a store until it is killed; it
// tells on its standard output how much was delivered.
const writerDir = "LOCAL_TEST_WRITER_DIR"

func writeUntilKilled(dir string) error {
	s, err := New(Options{Dir: dir, Run: strconv.Itoa(os.Getpid())})
	if err != nil {
		return err
	}
	var numbers sinktest.Numbering
	for n := 0; ; {
		var events []sinktest.Event
		for range 50 {
			events = append(events, sinktest.Event{Time: time.Now(), Body: fmt.Sprintf("%d %s", n, strings.Repeat(".", n%200))})
			n++
		}
		if out := s.Send(context.Background(), numbers.NewRequest(events...)); out.Verdict != sink.Delivered {
			return out.Err
		}
		fmt.Println(n)
	}
}

// TestKill9: what was delivered is there, in order and once, when writers that
// share a store are killed in the midst of writing, again and again.
func TestKill9(t *testing.T) {
	dir := tempDir(t)
	rounds := 3
	if os.Getenv("SPILLWAY_LONG") != "" {
		rounds = 30
	}
	delivered := map[string]int{}
	for range rounds {
		var writers []*exec.Cmd
		var outputs []*bufio.Scanner
		for range 2 {
			c := exec.CommandContext(t.Context(), os.Args[0])
			c.Env = append(os.Environ(), writerDir+"="+dir)
			c.Stderr = os.Stderr
			out, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			writers, outputs = append(writers, c), append(outputs, bufio.NewScanner(out))
		}
		for i, c := range writers {
			last := 0
			for out := outputs[i]; out.Scan(); {
				n, err := strconv.Atoi(out.Text())
				if err != nil {
					t.Fatal(err)
				}
				if last = n; n == 500 {
					if err := c.Process.Kill(); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := c.Wait(); c.ProcessState.ExitCode() != -1 {
				t.Fatalf("the writer ended by itself: %v", err)
			}
			delivered[strconv.Itoa(c.Process.Pid)] = last
		}
	}
	there := map[string]int{}
	if err := Read(t.Context(), dir, Query{}, func(e Entry) error {
		if want := fmt.Sprintf("%d %s", there[e.Run], strings.Repeat(".", there[e.Run]%200)); string(e.Text) != want || e.Seq != uint64(there[e.Run]+1) {
			return fmt.Errorf("run %s: %q with number %d, want %q", e.Run, e.Text, e.Seq, want)
		}
		there[e.Run]++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for run, n := range delivered {
		if there[run] < n || n < 500 {
			t.Errorf("of run %s %d entries are there, %d were delivered", run, there[run], n)
		}
	}
}
