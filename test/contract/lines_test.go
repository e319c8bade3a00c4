package contract

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/test/launcher/harness"
)

// maxBody is the largest message of one CloudWatch Logs event: 1,048,576 bytes less the 26 that the service adds.
const maxBody = 1_048_576 - 26

// deliver writes text to stdout and gives the events that come of it.
func deliver(t *testing.T, text []byte, pairs ...string) []string {
	t.Helper()
	sink := cloud(t)
	container := toCloud(sink, pairs...).Start(t)
	if _, err := container.Stdout.Write(text); err != nil {
		t.Fatal(err)
	}
	container.Remove()
	return sink.Messages(harness.Group, harness.Stream)
}

func TestALineUpToTheLimitIsOneEventAndALongerOneIsSplit(t *testing.T) {
	ours(t)
	for _, c := range []struct {
		name  string
		body  []byte
		parts int // at least
		most  int
	}{
		{"the longest event", bytes.Repeat([]byte("a"), maxBody), 1, 1},
		{"one byte more", bytes.Repeat([]byte("a"), maxBody+1), 2, 2},
		{"runes of two bytes across the limit", append([]byte("x"), bytes.Repeat([]byte("é"), 1_500_000)...), 3, 3},
		{"runes of four bytes across the limit", append([]byte("xy"), bytes.Repeat([]byte("🙂"), 700_000)...), 3, 3},
		{"quotes, each two bytes in JSON", bytes.Repeat([]byte(`"`), maxBody), 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := deliver(t, append(c.body, "\nnext\n"...))
			if len(got) == 0 || got[len(got)-1] != "next" {
				t.Fatalf("%d events, the last is not the next line", len(got))
			}
			got = got[:len(got)-1]
			if len(got) < c.parts || len(got) > c.most {
				t.Errorf("%d events, want %d to %d", len(got), c.parts, c.most)
			}
			if strings.Join(got, "") != string(c.body) {
				t.Error("the parts do not add up to the line")
			}
		})
	}
}

func TestEveryPartOfALongLineIsValidUTF8AndFitsIntoASmallBuffer(t *testing.T) {
	ours(t)
	body := append([]byte("x"), bytes.Repeat([]byte("é"), 400_000)...)
	got := deliver(t, append(body, '\n'), "--max-buffer-size", "256k")
	for i, part := range got {
		// A part is at most a quarter of the buffer.
		if !utf8.ValidString(part) || strings.ContainsRune(part, utf8.RuneError) || len(part) > 64<<10 {
			t.Errorf("part %d of %d: %d bytes, valid %v", i+1, len(got), len(part), utf8.ValidString(part))
		}
	}
	if strings.Join(got, "") != string(body) {
		t.Error("the parts do not add up to the line")
	}
}

func TestWhatALineMayHold(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
		foreign    bool // holds for Docker's driver too
	}{
		{name: "an empty line is one space", text: "a\n\n\nb\n", want: []string{"a", " ", " ", "b"}},
		{name: "bytes that are not UTF-8 are replaced one by one", text: "a\xff\xfeb\xc3\n", want: []string{"a\ufffd\ufffdb\ufffd"}},
		{name: "a carriage return stays", text: "a\r\n", want: []string{"a\r"}, foreign: true},
		{name: "control characters stay", text: "a\x00\x01\x1b[31m\x7f\tz\n", want: []string{"a\x00\x01\x1b[31m\x7f\tz"}, foreign: true},
		{name: "quotes and backslashes stay", text: `{"a":"\n\\","b":'</script>'}` + "\n", want: []string{`{"a":"\n\\","b":'</script>'}`}, foreign: true},
		{name: "line separators of Unicode stay", text: "a\u2028b\u2029c\ufeff\n", want: []string{"a\u2028b\u2029c\ufeff"}, foreign: true},
		{name: "a line of spaces stays", text: "   \n", want: []string{"   "}, foreign: true},
		{name: "what looks like a marker stays", text: "spillway-loss {\n", want: []string{"spillway-loss {"}, foreign: true},
		{name: "a half line at the end", text: "a\nhalf", want: []string{"a", "half"}, foreign: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !c.foreign {
				ours(t)
			}
			if diff := cmp.Diff(c.want, deliver(t, []byte(c.text))); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatStandsBesideTheBalanceIsCounted(t *testing.T) {
	ours(t)
	sink := cloud(t)
	container := toCloud(sink, "--max-buffer-size", "256k").Start(t)
	text := "one\n\n\xff\xff\n" + strings.Repeat("x", 100_000) + "\n"
	if _, err := container.Stdout.WriteString(text); err != nil {
		t.Fatal(err)
	}
	end := container.Remove()
	if e := end.Exit; e != nil && (e.LinesRead != 4 || e.EmptyLines != 1 || e.InvalidUTF8 != 2 || e.SplitLines != 1 || e.Received != 5) {
		t.Errorf("exit line %s; want 4 lines read, 1 empty, 2 invalid bytes, 1 split line, 5 records", e.Raw)
	}
}
