package real

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spillway/spillway/test/launcher/harness"
	"github.com/spillway/spillway/test/real/parts"
)

// What happens between a broker and a node to those who run spillway between them: records that no index
// takes, and surroundings that are not yet as they should be.
func TestKafkaStories(t *testing.T) {
	nodes := []string{parts.OpenSearch2}
	if harness.Long() {
		nodes = append(nodes, parts.Elasticsearch8)
	}
	for _, name := range nodes {
		t.Run(name, func(t *testing.T) {
			parts.Need(t, parts.Kafka, name)
			broker := parts.StartKafka(t, parts.KafkaOptions{Settings: map[string]string{"message.max.bytes": "64000000"}})
			node := parts.StartSearch(t, name, parts.SearchOptions{})
			tell := func(title string, run func(*story)) {
				t.Run(title, func(t *testing.T) { run(newStory(t, broker, node)) })
			}
			tell("poison", tellPoison)
			tell("too long for a route", tellTooLong)
			tell("tombstones", tellTombstones)
			tell("broker unreachable", tellNoBroker)
			tell("user refused", tellWrongPassword)
			tell("topic missing", tellNoTopic)
			tell("index refused", tellNoIndex)
			tell("node unreachable", tellNoNode)
			tell("killed with a disk buffer", tellKilledWithDisk)
		})
	}
}

// story is one run of spillway after the other on one state directory, and the commands with which a
// person looks at them.
type story struct {
	*testing.T
	program, dir string
	broker       *parts.KafkaBroker
	node         *parts.SearchNode
	run          *runProcess
}

func newStory(t *testing.T, broker *parts.KafkaBroker, node *parts.SearchNode) *story {
	return &story{T: t, program: buildSpillway(t).Spillway, dir: parts.WorkDir(t, "story"), broker: broker, node: node}
}

func (s *story) state() string { return filepath.Join(s.dir, "state") }

func (s *story) config() string { return filepath.Join(s.dir, "spillway.yaml") }

// configure writes the file; $BROKER and $NODE stand for where they are.
func (s *story) configure(text string) {
	s.Helper()
	writeFile(s.T, s.config(), strings.NewReplacer("$BROKER", s.broker.Addr, "$SASL", s.broker.SASLAddr, "$NODE", s.node.URL).Replace(text))
}

func (s *story) start() {
	s.Helper()
	s.run = startRun(s.T, s.program, s.config(), s.state())
}

// produce sends records to a topic, in their order.
func (s *story) produce(topic string, records ...*kgo.Record) {
	s.Helper()
	client := s.broker.Client(s.T, kgo.DefaultProduceTopic(topic), kgo.ProducerBatchMaxBytes(64_000_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err := client.ProduceSync(s.Context(), records...).FirstErr(); err != nil {
		s.Fatal(err)
	}
}

func counting(from, to int) (records []*kgo.Record) {
	for n := from; n <= to; n++ {
		records = append(records, &kgo.Record{Value: fmt.Appendf(nil, `{"n":%d}`, n)})
	}
	return records
}

// command runs one of spillway on the state directory, which may end with any code.
func (s *story) command(args ...string) (out string, code int) {
	s.Helper()
	cmd := exec.CommandContext(s.Context(), s.program, append(args, "--state-dir", s.state())...)
	text, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return string(text), exit.ExitCode()
	}
	if err != nil {
		s.Fatal(err)
	}
	return string(text), 0
}

// await asks for something until it holds, and returns what it was then.
func await[T any](s *story, what string, ask func() (T, bool)) T {
	s.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for over := time.After(time.Minute); ; {
		got, ok := ask()
		if ok {
			return got
		}
		select {
		case <-again.C:
		case <-s.run.ended:
			s.Fatalf("spillway run ended: %v", s.run.err)
		case <-over:
			s.Fatalf("%s: it is %+v, for a minute", what, got)
		}
	}
}

// shows waits until `spillway status` says all of these.
func (s *story) shows(words ...string) string {
	s.Helper()
	return await(s, "status shows "+strings.Join(words, ", "), func() (string, bool) {
		text, _ := s.command("status")
		return text, !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
	})
}

// settles waits until nothing is pending any more, nothing is red, and so many records were received.
func (s *story) settles(received int64) storyStatus {
	s.Helper()
	return await(s, fmt.Sprintf("%d records are received and settled", received), func() (storyStatus, bool) {
		p := s.status()
		red := slices.ContainsFunc(p.Legs, func(l storyLeg) bool { return !l.Health.Up }) ||
			slices.ContainsFunc(p.Sources, func(s storySource) bool { return s.Trouble != "" })
		return p, len(p.Legs) > 0 && p.Received >= received && p.Pending == 0 && !red
	})
}

// status is zero while the process has not begun to answer.
func (s *story) status() storyStatus {
	s.Helper()
	var all struct{ Processes []storyStatus }
	text, code := s.command("status", "--json")
	if err := json.Unmarshal([]byte(text), &all); err != nil || code != 0 || len(all.Processes) != 1 {
		return storyStatus{}
	}
	return all.Processes[0]
}

// storyStatus is what a test looks at of `spillway status --json`.
type storyStatus struct {
	Received, Recovered, Delivered, Pending, Unaccounted int64
	DeadLettered                                         int64 `json:"dead_lettered"`
	PossibleDuplicates                                   int64 `json:"possible_duplicates"`
	Legs                                                 []storyLeg
	Sources                                              []storySource
}

type storyLeg struct {
	Sink   string
	Health struct{ Up bool }
}

type storySource struct {
	Name, Trouble string
	Detail        struct{ Tombstones int64 }
}

// letter is a line of `spillway deadletter list --json`.
type letter struct {
	ID                         int64
	Destination, Body, Detail  string
	Origin, Topic, Key, Reason string
	Status                     int
	Offset                     *int64
}

// letters are the dead letters of a destination, by their offset.
func (s *story) letters(destination string) map[int64]letter {
	s.Helper()
	text, code := s.command("deadletter", "list", "--json", "--destination", destination)
	if code != 0 {
		s.Fatal(text)
	}
	all := make(map[int64]letter)
	for line := range strings.Lines(text) {
		var l letter
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			s.Fatalf("%v: %s", err, line)
		}
		if l.Offset == nil {
			s.Fatalf("a dead letter has no offset: %s", line)
		}
		all[*l.Offset] = l
	}
	return all
}

// indexed waits until an index has documents with just these values of n, each once.
func (s *story) indexed(index string, want ...int64) {
	s.Helper()
	slices.Sort(want)
	await(s, fmt.Sprintf("the index has %d", want), func() ([]int64, bool) {
		var got []int64
		err := s.node.EachNumber(s.Context(), index, "n", func(_ string, n int64) { got = append(got, n) })
		slices.Sort(got)
		return got, err == nil && slices.Equal(got, want)
	})
}

// ends stops the run; its balance must add up, with nothing lost.
func (s *story) ends(received, delivered, dead int64) {
	s.Helper()
	s.endsWith(received, delivered, dead, 0)
}

// endsWith stops a run that drops some records by its rules.
func (s *story) endsWith(received, delivered, dead, dropped int64) {
	s.Helper()
	if b := s.run.stop(); b.Unaccounted != 0 || b.Received != received || b.Delivered != delivered || b.DeadLettered != dead || b.Dropped != dropped || b.Pending != 0 {
		s.Errorf("%+v; expected %d received, %d delivered, %d dead letters, %d dropped and nothing else", b, received, delivered, dead, dropped)
	}
}

// says checks what the log says.
func (s *story) says(words ...string) {
	s.Helper()
	for _, word := range words {
		if !strings.Contains(s.run.log(), word) {
			s.Errorf("the log does not say %q", word)
		}
	}
}

func (s *story) lines(name string) int {
	s.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.Fatal(err)
	}
	return bytes.Count(text, []byte("\n"))
}
