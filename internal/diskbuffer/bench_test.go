package diskbuffer_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/record"
)

// sizes are those of the payloads that a buffer in memory spills at once.
var sizes = []int{64 << 10, 256 << 10, 1 << 20}

// lines makes a payload of about size bytes of lines of a log.
func lines(size int) []byte {
	text := []byte(strings.Repeat(`{"time":"2026-11-20T18:03:15Z","level":"info","status":200,"path":"/v1/things/4711"}`+"\n", size/85))
	payload, _, added := record.AppendLines(make([]byte, record.HeaderSize, size), text, true, record.Room{Count: 1 << 30, Cost: 1 << 40})
	record.PutHeader(payload, &record.Batch{
		Kind: record.KindRecords, Count: added.Count, FirstSeq: 1, Bytes: added.Bytes,
	}, len(payload)-record.HeaderSize)
	return payload
}

// onDisk makes a store in a real directory.
func onDisk(b *testing.B, path string) *diskbuffer.Store {
	b.Helper()
	dir, err := diskbuffer.OpenDir(path, diskbuffer.Owner{UID: -1, GID: -1})
	if err != nil {
		b.Fatal(err)
	}
	s, err := diskbuffer.Create(dir, testMeta, diskbuffer.Options{Max: 64 << 30})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.AddStream(diskbuffer.Stream{Name: "stdout"}); err != nil {
		b.Fatal(err)
	}
	return s
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkAppendKernel writes into the page cache. What is written is settled
// every 512 MiB, outside of the time that counts.
func BenchmarkAppendKernel(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			s, payload := onDisk(b, filepath.Join(b.TempDir(), "buffer")), lines(size)
			defer func() { check(b, s.Close(false)) }()
			each := measure(payload, nil)
			var at diskbuffer.Position
			written := 0
			b.SetBytes(int64(len(payload)))
			for b.Loop() {
				if _, err := s.Append(payload); err != nil {
					b.Fatal(err)
				}
				at.Events += each.Events
				at.Records += each.Records
				if written += len(payload); written > 512<<20 {
					b.StopTimer()
					check(b, s.Settle(at))
					check(b, s.Tidy())
					written = 0
					b.StartTimer()
				}
			}
		})
	}
}

// BenchmarkAppendPower appends and syncs, and does the same with a bare file in
// turns. of-bare is how much of the bare file's throughput the store reaches.
func BenchmarkAppendPower(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			dir, payload := b.TempDir(), lines(size)
			s := onDisk(b, filepath.Join(dir, "buffer"))
			defer func() { check(b, s.Close(false)) }()
			bare, err := os.Create(filepath.Join(dir, "bare"))
			check(b, err)
			defer bare.Close()
			var ours, theirs time.Duration
			b.SetBytes(int64(len(payload)))
			for b.Loop() {
				start := time.Now()
				if _, err := s.Append(payload); err != nil {
					b.Fatal(err)
				}
				if _, err := s.Sync(); err != nil {
					b.Fatal(err)
				}
				ours += time.Since(start)
				b.StopTimer()
				start = time.Now()
				if _, err := bare.Write(payload); err != nil {
					b.Fatal(err)
				}
				check(b, unix.Fdatasync(int(bare.Fd())))
				theirs += time.Since(start)
				b.StartTimer()
			}
			b.ReportMetric(float64(theirs)/float64(ours), "of-bare")
		})
	}
}

// cool takes a file out of the page cache.
func cool(b *testing.B, path string) int64 {
	f, err := os.Open(path)
	check(b, err)
	defer f.Close()
	check(b, f.Sync())
	check(b, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
	info, err := f.Stat()
	check(b, err)
	return info.Size()
}

// BenchmarkReadCold reads a backlog that is not in the page cache, and a bare
// file of the same size in turns.
func BenchmarkReadCold(b *testing.B) {
	const backlog = 512 << 20
	for _, size := range sizes {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			dir, payload := b.TempDir(), lines(size)
			buffer, barePath := filepath.Join(dir, "buffer"), filepath.Join(dir, "bare")
			s := onDisk(b, buffer)
			bare, err := os.Create(barePath)
			check(b, err)
			defer bare.Close()
			for n := 0; n < backlog; n += len(payload) {
				if _, err := s.Append(payload); err != nil {
					b.Fatal(err)
				}
				if _, err := bare.Write(payload); err != nil {
					b.Fatal(err)
				}
			}
			check(b, s.Close(true))
			var ours, theirs time.Duration
			var total int64
			dst := make([]byte, 1<<20)
			for b.Loop() {
				b.StopTimer()
				files, err := filepath.Glob(filepath.Join(buffer, "*"))
				check(b, err)
				total = 0
				for _, path := range files {
					total += cool(b, path)
				}
				cool(b, barePath)
				start := time.Now()
				_, err = bare.Seek(0, io.SeekStart)
				check(b, err)
				for err == nil {
					_, err = bare.Read(dst)
				}
				if err != io.EOF {
					b.Fatal(err)
				}
				theirs += time.Since(start)
				b.StartTimer()
				start = time.Now()
				if n := readBack(b, buffer, dst); n < backlog {
					b.Fatalf("%d bytes came back of %d", n, backlog)
				}
				ours += time.Since(start)
			}
			b.SetBytes(total)
			b.ReportMetric(float64(theirs)/float64(ours), "of-bare")
		})
	}
}

// readBack opens a store, reads all of it and closes it again.
func readBack(b *testing.B, path string, dst []byte) (total int) {
	dir, err := diskbuffer.OpenDir(path, diskbuffer.Owner{UID: -1, GID: -1})
	check(b, err)
	s, _, err := diskbuffer.Open(dir, diskbuffer.Options{Max: 64 << 30})
	check(b, err)
	defer func() { check(b, s.Close(true)) }()
	for {
		c, err := s.Read(dst)
		total += c.N
		if err == io.EOF {
			return total
		}
		if errors.Is(err, io.ErrShortBuffer) {
			b.Fatal("a payload is larger than the memory for it")
		}
		check(b, err)
	}
}

// openDirectory is where the child of BenchmarkOpen looks.
const openDirectory = "SPILLWAY_TEST_OPEN"

// TestOpenChild is that child: a process that does nothing but open a buffer,
// so that the memory of the process is that of opening.
func TestOpenChild(t *testing.T) {
	path := os.Getenv(openDirectory)
	if path == "" {
		t.Skip("this is the other half of BenchmarkOpen")
	}
	start := time.Now()
	dir, err := diskbuffer.OpenDir(path, diskbuffer.Owner{UID: -1, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	s, found, err := diskbuffer.Open(dir, diskbuffer.Options{Max: 64 << 30})
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	var kib int
	if _, err := fmt.Sscan(peak, &kib); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("opened %d %d %d\n", found.End.Records, took.Microseconds(), kib)
	if err := s.Close(false); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkOpen opens a backlog of 1 GiB, or 20 GiB with SPILLWAY_LONG, out of a
// cold cache and as its process left it when it was killed.
func BenchmarkOpen(b *testing.B) {
	backlog := 1 << 30
	if os.Getenv("SPILLWAY_LONG") != "" {
		backlog = 20 << 30
	}
	path, payload := filepath.Join(b.TempDir(), "buffer"), lines(1<<20)
	var space unix.Statfs_t
	check(b, unix.Statfs(b.TempDir(), &space))
	if free := int64(space.Bavail) * space.Bsize; free < 3*int64(backlog)/2 {
		b.Skipf("a backlog of %d bytes needs more than the %d that are free", backlog, free)
	}
	s := onDisk(b, path)
	for n := 0; n < backlog; n += len(payload) {
		if _, err := s.Append(payload); err != nil {
			b.Fatal(err)
		}
	}
	check(b, s.Close(false))
	self, err := os.Executable()
	check(b, err)
	var micros, peak, opens int
	for b.Loop() {
		b.StopTimer()
		files, err := filepath.Glob(filepath.Join(path, "*"))
		check(b, err)
		for _, file := range files {
			cool(b, file)
		}
		b.StartTimer()
		child := exec.Command(self, "-test.run=^TestOpenChild$")
		child.Env = append(os.Environ(), openDirectory+"="+path)
		out, err := child.CombinedOutput()
		if err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		_, line, _ := strings.Cut(string(out), "opened ")
		var records, us, kib int
		if _, err := fmt.Sscan(line, &records, &us, &kib); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		micros, peak, opens = micros+us, max(peak, kib), opens+1
	}
	b.ReportMetric(float64(micros)/float64(opens)/1000, "ms/open")
	b.ReportMetric(float64(peak)/1024, "MiB-RSS")
}
