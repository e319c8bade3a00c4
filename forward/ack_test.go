package forward_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/spillway/spillway/forward"
)

func TestAcknowledgements(t *testing.T) {
	ack := append(forward.AppendAck(nil, "id"), forward.AppendAck(nil, "next")...)
	chunk, size, err := forward.ParseAck(ack)
	if err != nil || string(chunk) != "id" {
		t.Fatalf("%q, %v", chunk, err)
	}
	if chunk, _, err = forward.ParseAck(ack[size:]); err != nil || string(chunk) != "next" {
		t.Fatalf("%q, %v", chunk, err)
	}
	if chunk, _, err = forward.ParseAck(mapOf(text("x"), array(), text("ack"), text("id"))); err != nil || string(chunk) != "id" {
		t.Errorf("with another key: %q, %v", chunk, err)
	}
	for cut := range size {
		if _, _, err := forward.ParseAck(ack[:cut]); !errors.Is(err, forward.ErrIncomplete) {
			t.Errorf("cut after %d bytes: %v", cut, err)
		}
	}
	long := text(string(bytes.Repeat([]byte("x"), forward.MaxHandshake)))
	var limit *forward.LimitError
	var syntax *forward.SyntaxError
	for name, c := range map[string]struct {
		b  []byte
		as any
	}{
		"no map":            {text("id"), &syntax},
		"no ack":            {mapOf(text("nack"), text("id")), &syntax},
		"a number":          {mapOf(text("ack"), []byte{5}), &syntax},
		"too large":         {mapOf(text("ack"), long), &limit},
		"too large, so far": {mapOf(text("ack"), long)[:forward.MaxHandshake], &limit},
		"no msgpack":        {[]byte{0xc1}, &syntax},
	} {
		if chunk, _, err := forward.ParseAck(c.b); !errors.As(err, c.as) {
			t.Errorf("%s: %q, %v", name, chunk, err)
		}
	}
}
