package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/sandbox/elasticsearch"
	"github.com/spillway/spillway/test/real/parts"
)

// consumer is a bare client of Kafka that throws away what it reads.
const consumer peer = "bare consumer"

// kafkaRow measures spillway run from a real broker, whose topic is filled beforehand, to Elasticsearch.
func kafkaRow(s scale) row {
	return row{
		name: "kafka-elasticsearch", title: "`spillway run`, a real Kafka broker to Elasticsearch, 250-byte JSON values",
		other: consumer, kafka: true, volume: 2 * s.volume,
		figures: []figure{
			rate(bar{"≥ 0.55 × the bare consumer's", func(s, c float64) bool { return s >= 0.55*c }}), processor(atMost(4)),
			{name: "peak RSS", unit: "MiB", of: func(m *measurement) float64 { return mib(m.PeakRSS) }, bar: atMost(64 + 24), worst: true},
		},
	}
}

// stage is what starts a broker outside of a test: it ends what was started, and says what went wrong.
type stage struct {
	testing.TB // Not there: what is not below is not used.
	ends       []func()
	progress   io.Writer
}

func (s *stage) Helper()                           {}
func (s *stage) Failed() bool                      { return false }
func (s *stage) Context() context.Context          { return context.Background() }
func (s *stage) Cleanup(end func())                { s.ends = append(s.ends, end) }
func (s *stage) Logf(format string, args ...any)   { fmt.Fprintf(s.progress, format+"\n", args...) }
func (s *stage) Errorf(format string, args ...any) { s.Logf(format, args...) }

// stageError ends what is done on a stage.
type stageError struct{ error }

func (s *stage) Fatalf(format string, args ...any) { panic(stageError{fmt.Errorf(format, args...)}) }

func (s *stage) end() {
	for len(s.ends) > 0 {
		last := len(s.ends) - 1
		end := s.ends[last]
		s.ends = s.ends[:last]
		end()
	}
}

// runKafka is all runs of the row, with one broker.
func (b *bench) runKafka(ctx context.Context, r row, runs int) (all []measurement, err error) {
	s := &stage{progress: b.progress}
	defer s.end()
	defer func() {
		if failed, ok := recover().(stageError); ok {
			err = failed.error
		}
	}()
	broker := parts.StartKafka(s, parts.KafkaOptions{})
	broker.CreateTopic(s, "bench", 6, nil)
	load := filepath.Join(b.binaries, "kafkaload")
	args := []string{"--brokers", broker.Addr, "--bytes", strconv.FormatInt(r.volume, 10)}
	if out, err := exec.CommandContext(ctx, load, append([]string{"fill"}, args...)...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("fill the topic: %w: %s", err, out)
	}
	peers := []peer{spillway, consumer}
	for run := range runs {
		for i := range peers {
			m := measurement{}
			if p := peers[(i+run)%len(peers)]; p == spillway {
				m, err = b.fromKafka(ctx, r, broker.Addr, run)
			} else {
				m, err = b.consume(ctx, load, args)
			}
			if err != nil {
				return nil, fmt.Errorf("run %d: %w", run+1, err)
			}
			m.Peer, m.Run = peers[(i+run)%len(peers)], run+1
			m.print(b.progress, r)
			all = append(all, m)
		}
	}
	return all, nil
}

// consume is one run of the bare consumer.
func (b *bench) consume(ctx context.Context, load string, args []string) (m measurement, err error) {
	cmd := exec.CommandContext(ctx, load, append([]string{"consume"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var read relayed
	if err = errors.Join(err, unmarshal(out, &read)); err != nil {
		return m, fmt.Errorf("consume: %w", err)
	}
	m.Lines, m.Seconds, m.MBPerSecond = read.Records, read.Seconds, float64(read.Bytes)/1e6/read.Seconds
	m.CPUSeconds = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	m.CPUSecondsPerGB = m.CPUSeconds / (float64(read.Bytes) / 1e9)
	return m, nil
}

// fromKafka is one run of spillway, as a group of its own. Its time is that from when the sink has the first values, so that
// joining the group is not in it, to when it has the last.
func (b *bench) fromKafka(ctx context.Context, r row, broker string, run int) (m measurement, err error) {
	to, err := searchReceiver{}.start(ctx, b.binaries)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, to.kill()) }()
	dir, err := os.MkdirTemp(b.dir, "kafka-")
	if err != nil {
		return m, err
	}
	text := fmt.Sprintf("sources: {in: {type: kafka, brokers: [%q], topics: [bench], group: bench-%d, format: json, start: earliest}}\n"+
		"sinks: {out: {%s}}\nroutes:\n  - {match: \"**\", to: out, max-buffer-size: 64m}\n", broker, run, searchReceiver{}.sink(to.addr))
	between, err := b.startRun(ctx, dir, text)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, between.kill()) }()
	records := r.volume / 250
	var begin time.Time
	had := int64(0)
	for n := int64(0); n < records; {
		select {
		case <-ctx.Done():
			return m, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
		if n, err = countedBy(ctx, to.addr); err != nil {
			return m, err
		}
		if n > 0 && begin.IsZero() {
			begin, had = time.Now(), n
		}
	}
	m.Seconds = time.Since(begin).Seconds()
	m.Lines = records
	m.MBPerSecond = float64(records-had) * 250 / 1e6 / m.Seconds
	return m, between.stop(&m, relayed{Records: records, Bytes: records * 250})
}

// countedBy asks the sandbox how many documents it has.
func countedBy(ctx context.Context, addr string) (n int64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/_sandbox/report", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("ask the sandbox for its report: %w", err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	var report elasticsearch.Report
	err = json.NewDecoder(resp.Body).Decode(&report)
	return int64(report.Counted.Items), err
}
