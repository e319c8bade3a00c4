package catalog

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// fluentd is a server of the forward protocol, and what it received.
type fluentd struct {
	address string

	mu       sync.Mutex
	tags     []string
	acks     int
	records  []map[string]any
	times    []time.Time
	received chan struct{} // one for each message
}

func (f *fluentd) Receive(r *forward.Received, done func(bool)) {
	f.mu.Lock()
	f.tags = append(f.tags, r.Tag)
	if r.WantsAck {
		f.acks++
	}
	for rest := r.Entries; len(rest) > 0; {
		next, err := entry.Skip(rest)
		if err != nil {
			panic(err)
		}
		_, rec, err := entry.Split(rest)
		if err != nil {
			panic(err)
		}
		text, _, err := entry.AppendJSON(nil, rec)
		if err != nil {
			panic(err)
		}
		var object map[string]any
		if err := json.Unmarshal(text, &object); err != nil {
			panic(err)
		}
		f.records, f.times = append(f.records, object), append(f.times, time.Unix(0, entry.Time(rest, 0)).UTC())
		rest = next
	}
	f.mu.Unlock()
	done(true)
	f.received <- struct{}{}
}

// newFluentd serves until the test ends.
func newFluentd(t *testing.T, network, address string) *fluentd {
	t.Helper()
	f := &fluentd{received: make(chan struct{}, 1000)}
	s, err := forward.NewServer(forward.ServerConfig{Receiver: f})
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	f.address = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Errorf("close the server: %v", err)
		}
		if err := <-served; !errors.Is(err, forward.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	return f
}

// toFluentd is the options of a logger to a server.
func toFluentd(f *fluentd, options ...string) config.Input {
	return shim(append([]string{"log-driver=fluentd", "fluentd-address=" + f.address}, options...)...)
}

var noon = time.Date(2026, 11, 26, 12, 0, 0, 123456789, time.UTC)

// TestFluentdRecords: they are those of Docker's driver.
func TestFluentdRecords(t *testing.T) {
	f := newFluentd(t, "tcp", "127.0.0.1:0")
	d := open(t, input(config.ProgramShim, "container-id=0123456789abcdef", "container-name=web", "log-driver=fluentd", "fluentd-address="+f.address, "labels=team", "env-regex=^ST", `container-labels={"team":"red","log":"x","source":"y"}`,
		`container-env={"STAGE":"live","SECRET":"no"}`, "labels-regex=o"), Surroundings{})
	req := sinktest.NewRequest(
		sinktest.Event{Time: noon, Body: "a line"}, sinktest.Event{Time: noon, Stream: 1, Body: "part", Part: record.Part{Ordinal: 1}},
		sinktest.Event{Time: noon, Loss: &record.Loss{Lost: 2, Reason: "overflow-newest"}},
	)
	if out := d.Sink.Send(t.Context(), req); out.Verdict != sink.Delivered || len(out.Again) > 0 {
		t.Fatalf("%+v", out)
	}
	common := map[string]any{"container_id": "0123456789abcdef", "container_name": "web", "team": "red", "STAGE": "live"}
	with := func(pairs ...any) map[string]any {
		object := make(map[string]any)
		for k, v := range common {
			object[k] = v
		}
		for i := 0; i < len(pairs); i += 2 {
			object[pairs[i].(string)] = pairs[i+1]
		}
		return object
	}
	loss := record.Loss{Lost: 2, FirstSeq: 2, LastSeq: 3, FirstTime: noon.UnixNano(), LastTime: noon.UnixNano(), Reason: "overflow-newest"}
	var told any
	if err := json.Unmarshal(loss.AppendJSON(nil), &told); err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{
		with("source", "stdout", "log", "a line"),
		with("source", "stderr", "log", "part", "partial_message", "true", "partial_id", "737464657272"+strings.Repeat("0", 27)+"1",
			"partial_ordinal", "1", "partial_last", "false"),
		with("source", "stdout", "log", string(loss.AppendText(nil)), entry.KeyLoss, told),
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if diff := cmp.Diff(want, f.records); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if f.tags[0] != "0123456789ab" || f.acks != 3 || !f.times[0].Equal(noon) || d.Name != "fluentd "+f.address+" 0123456789ab" {
		t.Errorf("tags %q, %d acks, at %s, called %s", f.tags, f.acks, f.times[0], d.Name)
	}
	if d.AttemptTimeout != 2*time.Minute+time.Second {
		t.Errorf("an attempt ends after %v, before the limits of the connection do", d.AttemptTimeout)
	}
	if n := d.Sink.Limits().InFlight; n != 1 {
		t.Errorf("%d requests at once, so that the order would go", n)
	}
}

func TestFluentdOptions(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "fluent.sock")
	f := newFluentd(t, "unix", socket)
	in := shim("log-driver=fluentd", "fluentd-address=unix://"+socket, "tag=docker.{{.Name}}.{{.ID}}", "fluentd-request-ack=false",
		"fluentd-sub-second-precision=false", "fluentd-write-timeout=1s", "fluentd-read-timeout=2s", "fluentd-async-reconnect-interval=10s")
	d := open(t, in, Surroundings{})
	if out := d.Sink.Send(t.Context(), sinktest.NewRequest(sinktest.Event{Time: noon, Body: "x"})); out.Verdict != sink.Delivered {
		t.Fatalf("%+v", out)
	}
	<-f.received
	if f.tags[0] != "docker.web.c1" || f.acks != 0 || !f.times[0].Equal(noon.Truncate(time.Second)) {
		t.Errorf("tags %q, %d acks, at %s", f.tags, f.acks, f.times[0])
	}
	if diff := cmp.Diff(config.Fluentd{
		Network: "unix", Address: socket, WholeSeconds: true, WriteTimeout: time.Second, ReadTimeout: 2 * time.Second,
		Reconnect: 10 * time.Second, Tag: "docker.{{.Name}}.{{.ID}}",
	}, resolve(t, in).Fluentd()); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

// TestWhatFluentdOptionsNoLongerDo: Docker's limits on trying are taken, and said
// to have no effect.
func TestWhatFluentdOptionsNoLongerDo(t *testing.T) {
	r := resolve(t, shim("log-driver=fluentd", "fluentd-max-retries=3", "fluentd-retry-wait=1s", "fluentd-buffer-limit=8m",
		"fluentd-async=true", "fluentd-async-connect=true"))
	if len(r.Warnings) != 5 || !strings.Contains(strings.Join(r.Warnings, "\n"), "--fluentd-max-retries has no effect: no number of attempts ends in a drop") {
		t.Errorf("%q", r.Warnings)
	}
	if o := r.Fluentd(); o.Network != "tcp" || o.Address != "127.0.0.1:24224" || !o.Ack || o.WholeSeconds {
		t.Errorf("%+v", o)
	}
}

func TestFluentdOfExec(t *testing.T) {
	f := newFluentd(t, "tcp", "127.0.0.1:0")
	in := input(config.ProgramExec, "to=fluentd", "fluentd-address=tcp://"+f.address)
	deliver(t, open(t, in, Surroundings{Run: "make"}), "x")
	f.mu.Lock()
	defer f.mu.Unlock()
	if diff := cmp.Diff([]map[string]any{{"source": "stdout", "log": "x"}}, f.records); diff != "" || f.tags[0] != "make" {
		t.Errorf("tag %q (-want +got):\n%s", f.tags[0], diff)
	}
}

// TestFluentdOverTLS: a certificate that nobody vouches for is refused, and that
// needs somebody.
func TestFluentdOverTLS(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// net/http/httptest has a certificate that no system vouches for.
	web := httptest.NewUnstartedServer(nil)
	web.StartTLS()
	cert := web.TLS.Certificates[0]
	web.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			secure := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
			_ = secure.Handshake() // It fails, which is what is tested.
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-served
	})
	d := open(t, shim("log-driver=fluentd", "fluentd-address=tls://"+l.Addr().String()), Surroundings{})
	out := d.Sink.Send(t.Context(), sinktest.NewRequest(sinktest.Event{Time: noon, Body: "x"}))
	if out.Verdict != sink.Retry || !out.Config || out.Unsure {
		t.Errorf("%+v", out)
	}
}

// TestFluentdIsRemembered: its place, the tag, and what records have in common.
func TestFluentdIsRemembered(t *testing.T) {
	f := newFluentd(t, "tcp", "127.0.0.1:0")
	in := toFluentd(f, "labels=team", "tag=a.{{.Name}}", `container-labels={"team":"red {{x}}"}`, "fluentd-sub-second-precision=false")
	text := about(t, in, Surroundings{})
	r := recall(t, text, "defaults: {tag: other, labels: other, fluentd-address: 'other:1', fluentd-sub-second-precision: true}")
	was, got := resolve(t, in).Fluentd(), r.Fluentd()
	was.Labels, was.Tag = nil, ""
	was.Made = &config.FluentdRecord{Tag: "a.web", Fields: map[string]string{"container_id": "c1", "container_name": "web", "team": "red {{x}}"}}
	if diff := cmp.Diff(was, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	deliver(t, again(t, r, Surroundings{}), "late")
	want := []map[string]any{{"container_id": "c1", "container_name": "web", "team": "red {{x}}", "source": "stdout", "log": "late"}}
	if diff := cmp.Diff(want, f.records); diff != "" || f.tags[0] != "a.web" {
		t.Errorf("tag %q (-want +got):\n%s", f.tags[0], diff)
	}
	for _, bad := range []string{`"record":{"tag":""}`, `"x":1`} {
		foreign := `{"program":"exec","options":{"to":"fluentd","fluentd-address":"h:1","state-dir":"/s"},` + bad + `}`
		node, err := config.ParseNode("f", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := config.FromAbout([]byte(foreign), config.Input{Node: node}); err == nil || !strings.Contains(err.Error(), "tag") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestFluentdTakesNoEmptyTag(t *testing.T) {
	_, err := Open(resolve(t, shim("log-driver=fluentd", `tag={{""}}`)), Surroundings{})
	if err == nil || !strings.Contains(err.Error(), "change the tag") {
		t.Error(err)
	}
}
