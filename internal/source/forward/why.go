package forward

import (
	"errors"

	protocol "github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/ledger"
)

// refusedFor says why a payload cannot be taken apart: it expands too far, or does not
// decompress.
func refusedFor(err error) ledger.Reason {
	if large := (*protocol.LimitError)(nil); errors.As(err, &large) {
		return ledger.TooLarge
	}
	return ledger.Unreadable
}

// invalidFor says why entries are none, by what is wrong with the first of them: it is
// nested too deeply, or something else than an entry, or no msgpack, or it ends too early.
// What stands behind the last two cannot be told apart.
func invalidFor(err error) ledger.Reason {
	if deep := (*protocol.LimitError)(nil); errors.As(err, &deep) {
		return ledger.TooDeep
	}
	if wrong := (*protocol.SyntaxError)(nil); errors.As(err, &wrong) && !wrong.Broken() {
		return ledger.NoEntry
	}
	return ledger.Unreadable
}
