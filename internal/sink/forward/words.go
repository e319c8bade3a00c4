package forward

import (
	"errors"
	"fmt"

	"github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/tlserror"
)

// inWords adds to an error what to write into the configuration, which the library knows nothing
// of: its own words are for programs.
func inWords(err error) error {
	if said := tlserror.Explain("the server", err); said != nil {
		return said
	}
	for _, one := range []struct {
		cause error
		do    string
	}{
		{forward.ErrAuthRequired, "give the sink the server's shared-key, and username and password where it asks for a user"},
		{forward.ErrNoHandshake, "remove shared-key, or look whether the server speaks TLS at this port, which tls:// in front of its address asks for"},
		{forward.ErrAuthRefused, "look at shared-key, username and password"},
		{forward.ErrWrongKey, "look at shared-key"},
		{forward.ErrSameHostname, "give the sink a self-hostname that is not the server's"},
		{forward.ErrProtocol, "look whether the address is that of a server of the forward protocol"},
		{forward.ErrPeerClosed, "where that goes on: a server that speaks TLS at this port needs tls:// in front of its address"},
	} {
		if errors.Is(err, one.cause) {
			return fmt.Errorf("%w; %s", err, one.do)
		}
	}
	return err
}
