package run

import (
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
02003000-02004000 r--p 00000000 08:01 1 /bin/spillway
Rss:                      0 kB
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

// TestTextIsGivenBack: the system takes it, and the program runs on.
func TestTextIsGivenBack(t *testing.T) {
	before, err := filePages()
	if err != nil || before == 0 {
		t.Skipf("the system does not tell: %v", err)
	}
	if _, err := giveTextBack(); err != nil {
		t.Error(err)
	}
	if after, err := filePages(); err != nil {
		t.Error(err)
	} else {
		t.Logf("%d pages before, %d after", before, after)
	}
}
