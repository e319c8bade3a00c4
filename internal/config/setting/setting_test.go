package setting

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docker/go-units"
)

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"mode", "mode", 0}, {"mdoe", "mode", 2},
		{strings.Repeat("x", 1<<20), "mode", 64},
	} {
		if got := EditDistance(c.a, c.b); got != c.want {
			t.Errorf("EditDistance(%.10q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestFormatSizeIsReadBack(t *testing.T) {
	for _, n := range []int64{1, 1023, 1024, 64 << 10, 1536, 10 << 20, 1<<20 + 1, 1 << 30, 3 << 40} {
		if got, err := ParseSize(FormatSize(n), units.RAMInBytes); err != nil || got != n {
			t.Errorf("%d is written as %q and read as %d, %v", n, FormatSize(n), got, err)
		}
	}
}

func TestConvert(t *testing.T) {
	for _, c := range []struct {
		kind Kind
		text string
		want Value // without its text
		err  string
	}{
		{Bool, "T", Value{Flag: true}, ""},
		{Bool, "yes", Value{}, "true or false"},
		{Size, "4m", Value{Number: 4 << 20}, ""},
		{Size, "0", Value{}, "a size above 0 such as 512k, 10m or 1g (1k is 1024 bytes)"},
		{Size, "1e30", Value{}, "a size above 0 such as 512k, 10m or 1g (1k is 1024 bytes)"},
		{FileSize, "4m", Value{Number: 4_000_000}, ""},
		{Duration, "1m30s", Value{Duration: 90 * time.Second}, ""},
		{Duration, "5", Value{}, "a duration with its unit, such as 500ms, 5s, 1m or 24h"},
		{Int, "010", Value{Number: 10}, ""},
		{Int, "0x10", Value{}, "a whole number"},
		{Enum, "a", Value{}, ""},
		{Enum, "c", Value{}, "a or b"},
		{Enum, "", Value{}, "a or b"},
		{String, "anything", Value{}, ""},
		{Secret, "anything", Value{}, ""},
	} {
		v := Value{Text: c.text}
		expected := v.Convert(c.kind, []string{"a", "b"}, []string{"first", "a"})
		if c.want.Text = c.text; expected != c.err || expected == "" && v != c.want {
			t.Errorf("%v %q: %+v, expected %q", c.kind, c.text, v, expected)
		}
	}
	v := Value{Text: "first"}
	if expected := v.Convert(Enum, []string{"a", "b"}, []string{"first", "a"}); expected != "" || v.Text != "a" {
		t.Errorf("a synonym is %q, expected %q", v.Text, expected)
	}
}

// TestEnumNamesTheNearest where one was surely meant, and guesses nothing else.
func TestEnumNamesTheNearest(t *testing.T) {
	words := []string{"blocking", "non-blocking", "spill"}
	for text, want := range map[string]string{
		"spil":         `blocking, non-blocking or spill, the nearest is "spill"`,
		"block":        `blocking, non-blocking or spill, the nearest is "blocking"`,
		"non_blocking": `blocking, non-blocking or spill, the nearest is "non-blocking"`,
		"xml":          "blocking, non-blocking or spill",
	} {
		v := Value{Text: text}
		if got := v.Convert(Enum, words, nil); got != want {
			t.Errorf("%q: expected %q, want %q", text, got, want)
		}
	}
}

func TestProblems(t *testing.T) {
	var inner, all Problems
	first := &Problem{Where: "a", Found: "b", Expected: "c"}
	second := &Problem{Where: "d", Found: "e", Expected: "f", Do: "g", Cause: errors.ErrUnsupported}
	inner.Add(second)
	all.Add(first)
	all.AddAll(inner.Err())
	all.AddAll(nil)
	if got, want := fmt.Sprint(all.Err()), "a: found b; expected c\nd: found e; expected f; g"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if list := List(all.Err()); len(list) != 2 || list[0] != first || list[1] != second || all.Len() != 2 {
		t.Errorf("the list is %v", list)
	}
	if !errors.Is(all.Err(), errors.ErrUnsupported) || List(nil) != nil || List(errors.ErrUnsupported) != nil {
		t.Error("causes are lost, or found where there are none")
	}
}

func TestNearest(t *testing.T) {
	if got := NearestOf("mdoe", []string{"drop", "mode", "made"}); got != "mode" {
		t.Errorf("the nearest is %q", got)
	}
	if got := NearestOf("user", []string{"tls", "users", "username"}); got != "users" {
		t.Errorf("the nearest is %q", got)
	}
	if got := NearestOf("user", []string{"tls", "username"}); got != "username" {
		t.Errorf("the nearest is %q", got)
	}
	if got := NearestOf("x", nil); got != "" {
		t.Errorf("the nearest of none is %q", got)
	}
}
