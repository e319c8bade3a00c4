package jsontext

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// runes are bytes of which valid text is made, and such as are nearly valid.
var runes = []string{
	"a", "eight bytes and more", "ä", "\u07ff", "€", "한", "\ud7ff", "\ue000", "क", "\u0800", "\uffff", "😀", "\U0010ffff",
	"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xe0\x9f\xbf", "\xe0\xa0", "\xe2\x82", "\xed\xa0\x80", "\xef", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff",
}

func TestValidUTF8(t *testing.T) {
	if !ValidUTF8(nil) {
		t.Error("nothing is valid")
	}
	for _, a := range runes {
		for _, b := range runes {
			for shift := range 9 {
				for _, tail := range []string{"", "12345678"} {
					text := []byte(strings.Repeat("x", shift) + a + b + tail)
					if got := ValidUTF8(text); got != utf8.Valid(text) {
						t.Fatalf("%q: %v", text, got)
					}
				}
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{3, 13, len(runes)}).Draw(t, "kinds")
		text := []byte(strings.Join(rapid.SliceOfN(rapid.SampledFrom(runes[:n]), 0, 40).Draw(t, "runes"), ""))
		if got := ValidUTF8(text); got != utf8.Valid(text) {
			t.Fatalf("%q: %v", text, got)
		}
	})
}

func FuzzValidUTF8(f *testing.F) {
	f.Add([]byte(strings.Join(runes[:13], "")))
	f.Fuzz(func(t *testing.T, text []byte) {
		if got := ValidUTF8(text); got != utf8.Valid(text) {
			t.Fatalf("%q: %v", text, got)
		}
	})
}

// TestAppendShort puts every byte at every place of texts of every length.
func TestAppendShort(t *testing.T) {
	room := make([]byte, 0, 64)
	for n := range MaxShort + 1 {
		for c := range 256 {
			for place := range MaxShort {
				src := []byte(strings.Repeat("x", MaxShort))
				src[place] = byte(c)
				plain := c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\'
				got, ok := AppendShort(append(room, '{'), src, n)
				want := `{"` + string(src[:n]) + `"`
				if place < n && !plain {
					want = "{"
				}
				if ok != (want != "{") || string(got) != want {
					t.Fatalf("the first %d bytes of %q have become %q, %v", n, src, got, ok)
				}
			}
		}
	}
	if _, ok := AppendShort(room, make([]byte, 64), MaxShort+1); ok {
		t.Error("a text that is too long is taken")
	}
}

func BenchmarkValidUTF8(b *testing.B) {
	for name, text := range map[string]string{
		"ascii": strings.Repeat("plain text ", 25), "umlauts": strings.Repeat("Größe der Tür ", 20), "kanji": strings.Repeat("障害が発生", 18), "hindi": strings.Repeat("हिन्दी ", 15),
	} {
		src := []byte(text)
		for way, valid := range map[string]func([]byte) bool{"ours": ValidUTF8, "library": utf8.Valid} {
			b.Run(name+"/"+way, func(b *testing.B) {
				b.SetBytes(int64(len(src)))
				for b.Loop() {
					if !valid(src) {
						b.Fatal("invalid")
					}
				}
			})
		}
	}
}
