package launcher

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestMain turns this test binary into a small logger when it is started with the argument --stub; the environment
// cannot say so, since a logger gets none.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "--stub") {
		os.Exit(stub())
	}
	os.Exit(m.Run())
}

// option gives the argument behind key.
func option(key string) string {
	if i := slices.Index(os.Args, key); i >= 0 && i+1 < len(os.Args) {
		return os.Args[i+1]
	}
	return ""
}

// stub counts lines until the end of both streams and prints the balance. --ready is byte, eof or never; --ignore-term
// makes it stay for ever; --echo prints its arguments and environment; --eat allocates MiB.
func stub() int {
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	ready := os.NewFile(5, "ready")
	switch option("--ready") {
	case "eof":
		ready.Close()
		return 1
	case "never":
		select {}
	default:
		if _, err := ready.Write([]byte{0}); err != nil {
			return 1
		}
		ready.Close()
	}
	if slices.Contains(os.Args, "--echo") {
		fmt.Fprintf(os.Stderr, "ARGS %s\nENV %s\n", strings.Join(os.Args[1:], "|"), strings.Join(os.Environ(), "|"))
	}
	if slices.Contains(os.Args, "--eat") {
		block := make([]byte, 64<<20)
		for i := range block {
			block[i] = byte(i)
		}
		defer func() { fmt.Fprintln(io.Discard, block[len(block)-1]) }()
	}
	var lines atomic.Int64
	var readers sync.WaitGroup
	for fd := range 2 {
		readers.Go(func() {
			for s := bufio.NewScanner(os.NewFile(uintptr(3+fd), "stream")); s.Scan(); {
				lines.Add(1)
			}
		})
	}
	readers.Wait()
	if slices.Contains(os.Args, "--ignore-term") {
		select {}
	}
	<-terminated
	n := lines.Load()
	fmt.Fprintf(os.Stderr, "last words\n{\"received\":%d,\"delivered\":%d,\"unaccounted\":0,\"streams\":[{\"stream\":\"stdout\",\"received\":%d}]}\n", n, n, n)
	return 0
}
