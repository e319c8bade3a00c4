package run

import (
	"bytes"
	"log/slog"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const someMaps = `00400000-01930000 r-xp 00000000 08:01 1 /bin/spillway
Size:                 20000 kB
Rss:                   4000 kB
Anonymous:                0 kB
VmFlags: rd ex mr mw me
01930000-02000000 r--p 00000000 08:01 1 /bin/spill way (deleted)
Rss:                    800 kB
Anonymous:                4 kB
VmFlags: rd mr mw me
02000000-02001000 r--p 00000000 08:01 1 /bin/spillway
Rss:                      4 kB
Anonymous:                0 kB
02001000-02002000 rw-p 00000000 08:01 1 /bin/spillway
Rss:                      4 kB
Anonymous:                0 kB
c000000000-c000800000 r--p 00000000 00:00 0
Rss:                      8 kB
Anonymous:                0 kB
7fff0000-7fff1000 r-xp 00000000 00:00 0 [vdso]
Rss:                      4 kB
Anonymous:                0 kB
`

// TestWhatOfTheProgramIsGivenBack: never what somebody may have written to.
func TestWhatOfTheProgramIsGivenBack(t *testing.T) {
	var got [][2]uintptr
	err := eachText([]byte(someMaps), func(from, size uintptr) error {
		got = append(got, [2]uintptr{from, size})
		return nil
	})
	if diff := cmp.Diff([][2]uintptr{{0x400000, 0x1530000}, {0x2000000, 0x1000}}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// TestTextIsGivenBack: the system takes it, the program runs on, and a page that is
// touched again brings few others with it.
func TestTextIsGivenBack(t *testing.T) {
	before, err := filePages()
	if err != nil || before == 0 {
		t.Skipf("the system does not tell: %v", err)
	}
	program := divideText(slog.New(slog.DiscardHandler))
	if program.failed || len(program.maps) == 0 {
		t.Fatalf("%+v", program)
	}
	after, err := filePages()
	if err != nil || after >= before {
		t.Errorf("%d pages before, %d after, %v", before, after, err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, m := range program.maps {
		size += int(m[1])
	}
	got, want := bytes.Count(maps, []byte("\n")), size/(textPiece*os.Getpagesize())
	if got < want {
		t.Errorf("%d bytes are in %d mappings, want at least %d", size, got, want)
	}
	t.Logf("%d pages before, %d after; %d bytes in %d mappings", before, after, size, got)
}
