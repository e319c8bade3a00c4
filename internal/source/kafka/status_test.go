package kafka

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spillway/spillway/internal/kafkaclient"
)

// Of several troubles of one cause, the one that says what to do is shown, as the log does, whichever came first.
func TestTroubleThatAdvises(t *testing.T) {
	var all troubles
	all.set("metadata", fmt.Errorf("ask for topics: %w", kerr.SaslAuthenticationFailed))
	all.set("connect", kafkaclient.ConnectError(kgo.BrokerMetadata{Host: "broker", Port: 9092}, kerr.SaslAuthenticationFailed))
	all.set("fetch", errors.New("broken pipe"))
	text, since := all.oldest()
	if !strings.Contains(text, "refuses the user or the password") || since != all.all["connect"].since {
		t.Errorf("it shows %q", text)
	}
	all.clear("connect")
	if text, _ = all.oldest(); !strings.HasPrefix(text, "metadata: ") {
		t.Errorf("it shows %q, expected the oldest", text)
	}
}
