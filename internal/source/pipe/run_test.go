package pipe

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// start runs a reader; the channel gets its result.
func start(r *Reader) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- r.Run() }()
	return ended
}

// TestRun lets writers and readers go on at once, each as it likes.
func TestRun(t *testing.T) {
	var all sync.WaitGroup
	for seed := range 40 {
		all.Go(func() {
			limit := limits.Example(seed)
			text := someText(limit).Example(seed)
			d, w := newPipe(t)
			intake := &recorder{max: limit}
			ended := start(New(d, stdout, intake, Options{}))
			chunk := 1 + len(text)/(1+seed%7)
			for rest := text; len(rest) > 0; rest = rest[min(chunk, len(rest)):] {
				if _, err := w.Write(rest[:min(chunk, len(rest))]); err != nil {
					t.Error(err)
				}
				runtime.Gosched()
			}
			if err := errors.Join(w.Close(), <-ended, checkLines(text, limit, intake)); err != nil {
				t.Errorf("text %d, limit %d: %v", seed, limit, err)
			}
		})
	}
	all.Wait()
}

// TestBusy: what is read at once tells whether much comes.
func TestBusy(t *testing.T) {
	for size, want := range map[int]int{restBelow - 1: 0, restBelow: 1} {
		d, w := newPipe(t)
		busy := 0
		text := append(bytes.Repeat([]byte{'x'}, size-1), '\n')
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		r := New(d, stdout, &recorder{max: 1 << 20}, Options{Busy: func() { busy++ }})
		if err := errors.Join(w.Close(), r.Run()); err != nil || busy != want {
			t.Errorf("%d bytes at once made the reader say %d times that much comes, want %d: %v", size, busy, want, err)
		}
	}
}

// TestStopAfterClose leaves those alone who have got the descriptor's number since
// then: a deadline may pass when everything is over.
func TestStopAfterClose(t *testing.T) {
	d, w := newPipe(t)
	r := New(d, stdout, &recorder{max: 1000}, Options{})
	wake := d.wake
	if err := errors.Join(w.Close(), r.Run(), d.Close()); err != nil {
		t.Fatal(err)
	}
	other, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	if other != wake {
		if err := errors.Join(unix.Dup3(other, wake, unix.O_CLOEXEC), unix.Close(other)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
	if n, err := unix.Read(wake, make([]byte, 8)); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("Stop wrote into what has the number now: %d, %v", n, err)
	}
	if err := unix.Close(wake); err != nil {
		t.Error(err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

// TestStopReadsWhatIsThere: a grandchild may hold the pipe open for ever.
func TestStopReadsWhatIsThere(t *testing.T) {
	text := []byte(strings.Repeat("a line of some words\n", 2500) + "and one that is not finished")
	for name, before := range map[string]bool{"before Run": true, "while it waits": false} {
		t.Run(name, func(t *testing.T) {
			d, w := newPipe(t)
			intake := &recorder{max: 1000}
			r := New(d, stdout, intake, Options{})
			stop := func() {
				if err := errors.Join(r.Stop(), r.Stop()); err != nil {
					t.Error(err)
				}
			}
			if _, err := w.Write(text); err != nil {
				t.Fatal(err)
			}
			if before {
				stop()
			}
			ended := start(r)
			if !before {
				for len(intake.all()) < 2500 {
					runtime.Gosched()
				}
				stop()
			}
			if err := errors.Join(<-ended, checkLines(text, 1000, intake)); err != nil {
				t.Error(err)
			}
			// The writer is none the worse for it: the pipe still has its reader.
			if _, err := io.WriteString(w, "more\n"); err != nil {
				t.Errorf("writing after Stop: %v", err)
			}
		})
	}
}

// TestABlockedIntakeHoldsTheWriterUp, and nothing is lost by it.
func TestABlockedIntakeHoldsTheWriterUp(t *testing.T) {
	d, w := newPipe(t)
	blocked, release := make(chan struct{}), make(chan struct{})
	block := sync.OnceFunc(func() { close(blocked); <-release })
	intake := &recorder{max: 1000, before: block}
	ended := start(New(d, stdout, intake, Options{}))
	text := []byte(strings.Repeat("a line that waits for the intake\n", 20_000))
	written := make(chan error, 1)
	go func() {
		_, err := w.Write(text)
		written <- errors.Join(err, w.Close())
	}()
	<-blocked
	select {
	case err := <-written:
		t.Errorf("%d bytes went into a pipe that nobody reads (%v)", len(text), err)
	default:
	}
	close(release)
	if err := errors.Join(<-written, <-ended, checkLines(text, 1000, intake)); err != nil {
		t.Error(err)
	}
}

// failingWriter fails from the second write on.
type failingWriter struct {
	bytes.Buffer
	writes int
}

func (f *failingWriter) Write(p []byte) (int, error) {
	if f.writes++; f.writes > 1 {
		return 0, errors.New("no space left")
	}
	return f.Buffer.Write(p)
}

// TestTeeGetsWhatIsRead, byte for byte, for as long as it takes it.
func TestTeeGetsWhatIsRead(t *testing.T) {
	text := []byte("a\r\n\xff\n\n" + strings.Repeat("long ", 50_000) + "\nunfinished")
	run := func(tee io.Writer) {
		t.Helper()
		d, w := newPipe(t)
		intake := &recorder{max: 1000}
		ended := start(New(d, stdout, intake, Options{Tee: tee}))
		_, err := w.Write(text)
		if err := errors.Join(err, w.Close(), <-ended, checkLines(text, 1000, intake)); err != nil {
			t.Error(err)
		}
	}
	var copied bytes.Buffer
	run(&copied)
	if !bytes.Equal(copied.Bytes(), text) {
		t.Errorf("the copy has %d bytes and is not the text of %d", copied.Len(), len(text))
	}
	failing := &failingWriter{}
	run(failing)
	if failing.writes != 2 || !bytes.HasPrefix(text, failing.Bytes()) {
		t.Errorf("a copy that failed was written %d times, want twice", failing.writes)
	}
}

// TestOpenTakesThePipeOver: no child has it, no read waits in the kernel.
func TestOpenTakesThePipeOver(t *testing.T) {
	var ends [2]int
	if err := unix.Pipe(ends[:]); err != nil {
		t.Fatal(err)
	}
	w := os.NewFile(uintptr(ends[1]), "writer")
	d, err := Open(ends[0], "stdout")
	if err != nil {
		t.Fatal(err)
	}
	status, err := unix.FcntlInt(uintptr(ends[0]), unix.F_GETFL, 0)
	if err != nil || status&unix.O_NONBLOCK == 0 {
		t.Errorf("the pipe has the flags %o (%v), want O_NONBLOCK", status, err)
	}
	flags, err := unix.FcntlInt(uintptr(ends[0]), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("the pipe has the flags %o (%v), want FD_CLOEXEC", flags, err)
	}
	if err := errors.Join(d.Close(), w.Close()); err != nil {
		t.Error(err)
	}
	if _, err := Open(-1, "stderr"); err == nil || !strings.Contains(err.Error(), "stderr") {
		t.Errorf("opening nothing has the error %v", err)
	}
}

func TestGrow(t *testing.T) {
	d, _ := newPipe(t)
	size, grown := d.Grow()
	real, err := unix.FcntlInt(uintptr(d.fd), unix.F_GETPIPE_SZ, 0)
	if err != nil || size != real {
		t.Errorf("the pipe has %d bytes (%v), Grow says %d", real, err, size)
	}
	if grown == nil && size < pipeSize {
		t.Errorf("the pipe grew to %d bytes, want %d", size, pipeSize)
	}
}

// TestAPipeThatCannotBeRead ends the reading with what was tried on what.
func TestAPipeThatCannotBeRead(t *testing.T) {
	fd, err := unix.Open(t.TempDir(), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(fd, "stdout")
	if err != nil {
		t.Fatal(err)
	}
	err = New(d, stdout, &recorder{max: 1000}, Options{}).Run()
	if !errors.Is(err, unix.EISDIR) || !strings.Contains(err.Error(), "read stdout") {
		t.Errorf("reading a directory has the error %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
