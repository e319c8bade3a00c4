package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/spillway/spillway/internal/deadletter"
	"github.com/spillway/spillway/internal/record"
)

// putLetters is the helper "letters DIR FIRST LAST [COMMAND ...]", which puts dead
// letters with these numbers into a state directory, and runs the command while it
// has the store open. Every third is for relay, the others for search; letter 2 is
// not UTF-8, letter 3 an entry of the forward protocol, letter 4 one that is no
// UTF-8, and letter 5 has what a terminal would act upon.
func putLetters(args []string) (err error) {
	if len(args) < 3 {
		return errors.New("usage: letters DIR FIRST LAST [COMMAND ...]")
	}
	first, err1 := strconv.Atoi(args[1])
	last, err2 := strconv.Atoi(args[2])
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	s, err := deadletter.Open(filepath.Join(args[0], "dead-letters"), deadletter.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var letters []record.Letter
	for n := first; n <= last; n++ {
		letters = append(letters, oneLetter(n))
	}
	if err := s.Put(context.Background(), letters); err != nil {
		return err
	}
	if len(args) > 3 {
		cmd := exec.Command(args[3], args[4:]...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		return cmd.Run()
	}
	return nil
}

func oneLetter(n int) record.Letter {
	at := fillTime.UnixNano() + int64(n)*1e9
	l := record.Letter{
		Destination: "search", Source: "app", Tag: "app.web", Origin: fmt.Sprintf("00112233445566778899aabb/%d", n), Seq: uint64(n),
		Time: fillTime.UnixNano(), Body: fmt.Appendf(nil, "line %d", n), Status: 400, Reason: "rejected-invalid",
		Detail: "mapper_parsing_exception: failed to parse [n]", Attempts: 2, First: at - 1e9, Last: at,
	}
	if n%3 == 0 {
		l.Destination, l.Tag, l.Status, l.Reason, l.Detail = "relay", "db.main", 0, "rejected-too-long", ""
	}
	switch n {
	case 2:
		l.Body = []byte("caf\xe9")
	case 3:
		// [1700000000, {"message": "hello", "n": 3}]
		l.Encoding, l.Body = record.EncodingEntry, []byte("\x92\xce\x65\x53\xf1\x00\x82\xa7message\xa5hello\xa1n\x03")
	case 4:
		l.Encoding, l.Body = record.EncodingEntry, []byte("\x92\xce\x65\x53\xf1\x00\x81\xa1x\xa2\xff\xfe")
	case 5:
		l.Body = []byte("\x1b[2J\u202egone\r\nsecond line")
	}
	return l
}

// scribble is the helper "scribble FILE AT SIZE", which damages a file.
func scribble(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: scribble FILE AT SIZE")
	}
	at, err1 := strconv.ParseInt(args[1], 10, 64)
	size, err2 := strconv.Atoi(args[2])
	f, err3 := os.OpenFile(args[0], os.O_WRONLY, 0)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	_, err := f.WriteAt(bytes.Repeat([]byte("damage "), size/7+1)[:size], at)
	return errors.Join(err, f.Close())
}

// TestShown: nothing that a terminal acts upon, and no more than there is room for.
func TestShown(t *testing.T) {
	for _, c := range []struct {
		text, want string
		width      int
	}{
		{"", "", 5},
		{"abc", "abc", 3},
		{"abcd", "ab…", 3},
		{"caf\xe9", `caf\xe9`, 10},
		{"\x1b[2Jx", `\x1b[2Jx`, 20},
		{"a\tb\n", `a\tb\n`, 20},
		{"\u202eabc", `\u202eabc`, 20},
		{"äöü日本", "äöü日本", 5},
		{"äöü日本x", "äöü日…", 5},
		{"aaaa\x00", "aaaa…", 5},
		{`"quoted"`, `"quoted"`, 8},
	} {
		if got := shown(c.text, c.width); got != c.want {
			t.Errorf("%q in %d is %q, want %q", c.text, c.width, got, c.want)
		}
	}
}

// FuzzLetterPrint prints letters of any bytes: nothing panics, and no control
// character reaches a terminal.
func FuzzLetterPrint(f *testing.F) {
	for n := 1; n <= 5; n++ {
		l := oneLetter(n)
		f.Add(uint8(l.Encoding), l.Body, l.Tag)
	}
	for _, c := range messageCases {
		f.Add(uint8(record.EncodingMessage), record.AppendMessage(nil, &c.m)[record.FrameSize:], "orders")
	}
	f.Add(uint8(1), []byte("\x92\x01"), "\x1b")
	f.Add(uint8(7), []byte{}, "")
	f.Fuzz(func(t *testing.T, encoding uint8, body []byte, tag string) {
		e := deadletter.Entry{ID: 1, Size: int64(len(body)), Letter: record.Letter{Encoding: record.Encoding(encoding), Body: body, Tag: tag}}
		var out strings.Builder
		if err := errors.Join(printLetter(&out, &e), printWhole(&out, &e)); err != nil {
			t.Fatal(err)
		}
		if i := strings.IndexFunc(out.String(), func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f || r >= 0x80 && r < 0xa0 }); i >= 0 {
			t.Errorf("%q is printed as %q", body, out.String())
		}
		letterObject(&e)
	})
}
