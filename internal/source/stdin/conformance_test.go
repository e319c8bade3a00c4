package stdin_test

import (
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/spillway/spillway/internal/source/sourcetest"
	"github.com/spillway/spillway/internal/source/stdin"
)

func TestConformance(t *testing.T) {
	for _, json := range []bool{false, true} {
		t.Run(map[bool]string{false: "text", true: "JSON"}[json], func(t *testing.T) {
			sourcetest.Run(t, func(t *testing.T, r *sourcetest.Router) sourcetest.Subject { return subject(t, r, json) })
		})
	}
}

// subject is a source at a pipe. The goroutines of a test share it: it is one
// sender to the source.
func subject(t *testing.T, r *sourcetest.Router, json bool) sourcetest.Subject {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	fd, err := unix.Dup(int(in.Fd()))
	if err == nil {
		err = in.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := stdin.New(fd, stdin.Config{Tag: "tag", JSON: json, Router: r})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	write := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		if _, err := out.WriteString(text); err != nil && !strings.Contains(err.Error(), "broken pipe") {
			t.Error(err)
		}
	}
	sub := sourcetest.Subject{
		Source: s,
		Send: func(_ string, records ...string) <-chan bool {
			text := ""
			for _, r := range records {
				if json {
					r = `{"log":"` + r + `"}`
				}
				text += r + "\n"
			}
			write(text)
			return nil
		},
		End: func() {
			if err := out.Close(); err != nil {
				t.Error(err)
			}
		},
	}
	if json {
		sub.SendBad = func() <-chan bool {
			write("no object\n")
			return nil
		}
	}
	return sub
}
