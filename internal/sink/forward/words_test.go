package forward

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spillway/spillway/forward"
)

// Who has a configuration is told of its options, and the cause stays what it is.
func TestInWords(t *testing.T) {
	for _, c := range []struct {
		cause error
		want  string
	}{
		{forward.ErrAuthRequired, "give the sink the server's shared-key"},
		{forward.ErrNoHandshake, "remove shared-key"},
		{forward.ErrAuthRefused, "look at shared-key, username and password"},
		{forward.ErrWrongKey, "look at shared-key"},
		{forward.ErrSameHostname, "self-hostname"},
		{forward.ErrProtocol, "is that of a server of the forward protocol"},
		{forward.ErrPeerClosed, "needs tls:// in front of its address"},
		{x509.UnknownAuthorityError{}, "name its authority with tls-ca-file"},
		{errors.New("connection refused"), "connection refused"},
	} {
		err := inWords(&forward.SendError{ID: "1", Err: fmt.Errorf("server h:1: %w", c.cause)})
		if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.cause.Error()) {
			t.Errorf("%v\nhas no %q", err, c.want)
		}
		var sent *forward.SendError
		if !errors.As(err, &sent) {
			t.Errorf("%v is no SendError any more", err)
		}
	}
}
