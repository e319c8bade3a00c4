package kafka

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

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

// A broker that wants SASL and gets none closes each connection at the first request: that is what is shown, and what it
// means, until it is over.
func TestClosedUnanswered(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, "t"))
	c.put("t", 0, values(0, 10)...)
	var let atomic.Bool
	c.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		return nil, errors.New("no SASL"), !let.Load()
	})
	k := &sink{t: t}
	s := start(t, c.config(k, "t"))
	await(t, "what it means", func() bool { return strings.Contains(s.Counts().Trouble, "expects SASL where none is configured") })
	let.Store(true)
	await(t, "all records", k.has(10))
	await(t, "the end of the trouble", func() bool { return s.Counts().Trouble == "" })
}
