package elasticsearch

import (
	"errors"
	"fmt"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/sink"
)

// refusal is why a record cannot be sent.
type refusal struct {
	reason ledger.Reason
	err    error
}

func (r *refusal) Error() string { return r.err.Error() }

func invalid(format string, args ...any) error {
	return &refusal{ledger.RejectedInvalid, fmt.Errorf(format, args...)}
}

// reject notes that the present event can never be sent.
func (a *attempt) reject(err error) {
	why := ledger.RejectedInvalid
	var told *refusal
	if errors.As(err, &told) {
		why = told.reason
	}
	a.rejected = append(a.rejected, sink.Rejection{First: a.index, End: a.index + 1, Reason: string(why), Detail: err.Error()})
}
