package runcatalog

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/awsauth"
	"github.com/spillway/spillway/internal/config/runfile"
	sandbox "github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/internal/sandbox/cloudwatch/cloudwatchtest"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// newSandbox serves CloudWatch Logs until the test ends.
func newSandbox(t *testing.T) (*sandbox.Server, string) {
	t.Helper()
	return cloudwatchtest.New(t, sandbox.Options{VerifyPayload: true})
}

// openSink makes the one sink of a file.
func openSink(t *testing.T, s *Surroundings, options string) sink.Sink {
	t.Helper()
	f, err := runfile.Parse("spillway.yaml", []byte("sources: {in: {type: stdin, tag: t}}\nsinks: {out: {"+options+"}}\nroutes: [{match: '**', to: out}]\n"),
		func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.OpenSink(f.Sink("out"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Sink.Close(); err != nil {
			t.Error(err)
		}
	})
	return d.Sink
}

// TestCloudWatch: the options of the file lead to the log streams that they name.
func TestCloudWatch(t *testing.T) {
	server, url := newSandbox(t)
	s := &Surroundings{
		Provider: func(awsauth.Options) (aws.CredentialsProvider, error) { return cloudwatchtest.Credentials{}, nil },
		Region:   func(context.Context, awsauth.Options) (string, error) { return "eu-central-1", nil },
	}
	now := time.Now()
	entries := func() sink.Request {
		return sinktest.NewRequest(sinktest.Event{Time: now, Packed: sinktest.Packed(now, "one")},
			sinktest.Event{Time: now, Stream: 1, Packed: sinktest.Packed(now, "two")})
	}
	for _, format := range []string{"", ", format: text, log-key: log"} {
		to := openSink(t, s, `type: cloudwatch, group: "/run/{tag}", stream: "all of {tag}", endpoint: "`+url+`", create-group: true, region: eu-central-1`+format)
		if out := to.Send(t.Context(), entries()); out.Verdict != sink.Delivered || len(out.Again) > 0 {
			t.Fatalf("%+v", out)
		}
	}
	report := server.Report()
	got := make(map[string]int)
	for _, stream := range sinktest.Streams {
		if st, ok := report.Stream("/run/"+stream, "all of "+stream); ok {
			got[stream] = int(st.Bytes)
		}
	}
	// {"log":"one"} and one.
	if diff := cmp.Diff(map[string]int{"stdout": 16, "stderr": 16}, got); diff != "" {
		t.Errorf("bytes (-want +got):\n%s", diff)
	}
}
