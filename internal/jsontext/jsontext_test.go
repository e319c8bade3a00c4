package jsontext

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var forms = []Form{Valid, Repair, HTML, HTML | Repair}

// slowly is the reference: one rune after another, by the text of the forms.
func slowly(f Form, src string) string {
	var b strings.Builder
	for i := 0; i < len(src); {
		r, size := utf8.DecodeRuneInString(src[i:])
		bad := r == utf8.RuneError && size == 1
		html := f&HTML != 0
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t' && !html:
			b.WriteString(`\t`)
		case r < ' ', html && strings.ContainsRune("<>&\u2028\u2029", r), html && bad:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// asDocker is what encoding/json writes, but for the escapes that Docker's
// encoder does not have.
func asDocker(t *testing.T, src string) string {
	t.Helper()
	quoted, err := json.Marshal(src)
	if err != nil {
		t.Fatal(err)
	}
	inside := string(quoted[1 : len(quoted)-1])
	// A pair of backslashes is taken first, so that no letter after it counts.
	return strings.NewReplacer(`\\`, `\\`, `\t`, `\u0009`, `\b`, `\u0008`, `\f`, `\u000c`).Replace(inside)
}

func checkAll(t *testing.T, src string) {
	t.Helper()
	for _, f := range forms {
		if f&Repair == 0 && !utf8.ValidString(src) {
			continue
		}
		got := string(f.AppendString([]byte("kept"), []byte(src)))
		if diff := cmp.Diff("kept"+slowly(f, src), got); diff != "" {
			t.Fatalf("form %d of %q (-want +got):\n%s", f, src, diff)
		}
		var back string
		if err := json.Unmarshal([]byte(`"`+got[4:]+`"`), &back); err != nil {
			t.Fatalf("form %d of %q is not JSON: %v", f, src, err)
		}
		if want := string([]rune(src)); back != want {
			t.Fatalf("form %d of %q reads back as %q", f, src, back)
		}
	}
	ascii := len(src)
	if i := strings.IndexFunc(src, func(r rune) bool { return r >= utf8.RuneSelf }); i >= 0 {
		ascii = i
	}
	if got, n := AppendASCII([]byte("kept"), []byte(src)); n != ascii || string(got) != "kept"+slowly(Valid, src[:ascii]) {
		t.Fatalf("of %q %d bytes are ASCII, %d were taken and became %q", src, ascii, n, got)
	}
	if got, want := string((HTML|Repair).AppendString(nil, []byte(src))), asDocker(t, src); got != want {
		t.Fatalf("%q in the form of Docker is %q, want %q", src, got, want)
	}
}

// checkRoom appends src into every capacity and into its whole length by
// pieces.
func checkRoom(t *testing.T, f Form, src string, size int) {
	t.Helper()
	dst := make([]byte, 2, 2+size)
	got, n := f.Append(dst, []byte(src))
	if &got[0] != &dst[0] || cap(got) != cap(dst) {
		t.Fatalf("form %d of %q into %d bytes moved the destination", f, src, size)
	}
	if text := string(got[2:]); text != slowly(f, src[:n]) {
		t.Fatalf("form %d of %q into %d bytes took %d and wrote %q", f, src, size, n, text)
	}
	if n == len(src) {
		return
	}
	_, next := utf8.DecodeRuneInString(src[n:])
	if need := len(slowly(f, src[n:n+next])); len(got)+need <= cap(got) {
		t.Fatalf("form %d of %q into %d bytes stopped at %d, where %d more fit", f, src, size, n, need)
	}
	if !utf8.RuneStart(src[n]) && utf8.ValidString(src) {
		t.Fatalf("form %d of %q into %d bytes split a rune at %d", f, src, size, n)
	}
}

func TestEveryByteAtEveryPlace(t *testing.T) {
	for c := range 256 {
		for length := range 70 {
			for _, at := range []int{0, length / 2, length} {
				checkAll(t, strings.Repeat("a", at)+string([]byte{byte(c)})+strings.Repeat("z", length-at))
			}
		}
	}
}

func TestRunes(t *testing.T) {
	for _, r := range []string{"é", "\u2027", "\u2028", "\u2029", "\u202a", "\ufffd", "😀", "\xe2\x80", "\xe2", "\xf0\x9f\x98", "\xed\xa0\x80", "\x7f"} {
		for length := range 40 {
			checkAll(t, strings.Repeat("a", length)+r+`"`+r+strings.Repeat("z", 39-length))
		}
	}
}

func TestAppendStopsWhereTheRoomEnds(t *testing.T) {
	const src = "plain \"quoted\" <tag> Größe 😀\u2028\n\tand a tail that is long enough for words"
	for _, f := range forms {
		for size := range len(slowly(f, src)) + 10 {
			checkRoom(t, f, src, size)
		}
	}
}

func TestAppendInPieces(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := rapid.SampledFrom(forms).Draw(rt, "form")
		src := rapid.String().Draw(rt, "src")
		if f&Repair != 0 {
			src = string(rapid.SliceOf(rapid.Byte()).Draw(rt, "bytes")) + src
		}
		var got []byte
		for rest := []byte(src); len(rest) > 0; {
			piece, n := f.Append(make([]byte, 0, rapid.IntRange(MaxEscape, 50).Draw(rt, "room")), rest)
			if n == 0 {
				rt.Fatalf("no progress at %q", rest)
			}
			got, rest = append(got, piece...), rest[n:]
		}
		if string(got) != slowly(f, src) {
			rt.Fatalf("got %q, want %q", got, slowly(f, src))
		}
	})
}

func TestNoAllocation(t *testing.T) {
	src := []byte(strings.Repeat("GET \"/\"\t<\xff>", 50))
	dst := make([]byte, 0, MaxEscape*len(src))
	for _, f := range forms {
		if n := testing.AllocsPerRun(10, func() { f.Append(dst, src); f.AppendString(dst, src) }); n != 0 {
			t.Errorf("form %d allocates %v times", f, n)
		}
	}
}

func TestInvalidTextInAFormThatTrustsItDoesNotPanic(t *testing.T) {
	src := bytes.Repeat([]byte("\x80\"\xe2\x80\xff\x81\x82\n"), 9)
	for _, f := range forms {
		for size := range 6 * len(src) {
			f.Append(make([]byte, 0, size), src)
		}
	}
}

func FuzzAppend(f *testing.F) {
	f.Add("", 0)
	f.Add(`a "quoted" line that is longer than eight bytes`, 17)
	f.Add("<\u2028\u2029>&\xe2\x80\xff\t\b\f\x00\x1f\x7f", 40)
	f.Fuzz(func(t *testing.T, src string, size int) {
		checkAll(t, src)
		size = min(max(size, 0), MaxEscape*len(src))
		for _, form := range forms {
			if form&Repair != 0 || utf8.ValidString(src) {
				checkRoom(t, form, src, size)
			}
		}
	})
}
