package real

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/test/real/parts"
)

// Docker's own daemon with its fluentd driver: lines that it cuts at 16 KiB are one record again,
// everything is there once and in order, and times have nanoseconds. With acknowledgements Docker
// sends the second part after the first is acknowledged: on a route with a disk buffer the first waits
// in a file, and without one parts stay parts, marked as such.
func TestForwardFromDocker(t *testing.T) {
	parts.Need(t, parts.Dockerd)
	bin, docker := buildSpillway(t), parts.StartDockerd(t)
	for _, c := range []struct {
		name, route string
		ack, joined bool
	}{
		{"no acknowledgements", "", false, true},
		{"acknowledged, without a disk buffer", "", true, false},
		{"acknowledged, with a disk buffer", ", mode: spill, durability: kernel", true, true},
		{"acknowledged, with a disk buffer and durability power", ", mode: spill, durability: power", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := startRelayBy(t, bin, "", c.route)
			log := []string{
				"--log-driver", "fluentd", "--log-opt", "fluentd-address=" + r.tcp, "--log-opt", "tag=real.docker",
				"--log-opt", "fluentd-sub-second-precision=true", "--log-opt", fmt.Sprintf("fluentd-request-ack=%t", c.ack),
				"--log-opt", "fluentd-async=false",
			}
			began := time.Now()
			if _, err := docker.Run(log, "/bin/sh", "-c", dockerScript); err != nil {
				t.Fatal(err)
			}
			want := dockerLines + 2
			if !c.joined {
				want += 2 + 6 // the parts of 40,000 and of 100,000 bytes, beyond the first
			}
			r.process.awaitLines(r.file, want)
			checkDocker(t, r, want, began)
		})
	}
}

// dockerLines are followed by a line of 40,000 bytes, and one of 100,000.
const (
	dockerLines  = 500
	dockerScript = `i=0; while [ $i -lt 500 ]; do echo "line $i"; i=$((i+1)); done
head -c 40000 /dev/zero | tr '\0' a; echo
head -c 100000 /dev/zero | tr '\0' b; echo`
)

// dockerRecord is a record of Docker's fluentd driver.
type dockerRecord struct {
	Tag, Log, Source string
	Time             time.Time
	ContainerID      string `json:"container_id"`
	PartialID        string `json:"partial_id"`
}

func checkDocker(t *testing.T, r *relay, want int, began time.Time) {
	t.Helper()
	report := r.process.stop()
	if n := int64(want); report.Delivered != n || report.Dropped+report.DeadLettered+report.Pending+report.Unaccounted != 0 {
		t.Errorf("the balance is %+v, expected %d records delivered", report, want)
	}
	f, err := os.Open(r.file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var logs strings.Builder
	n, whole := 0, false
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for ; lines.Scan(); n++ {
		var e dockerRecord
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		if e.Tag != "real.docker" || e.Source != "stdout" || len(e.ContainerID) != 64 || e.Time.Before(began) || e.Time.After(time.Now()) {
			t.Fatalf("record %d is %.300s", n, lines.Text())
		}
		whole = whole || e.Time.Nanosecond()%1000 != 0
		logs.WriteString(e.Log)
		if e.PartialID == "" {
			logs.WriteByte('\n')
		}
	}
	var expected strings.Builder
	for i := range dockerLines {
		fmt.Fprintf(&expected, "line %d\n", i)
	}
	long := strings.Repeat("a", 40_000) + "\n" + strings.Repeat("b", 100_000) + "\n"
	got := logs.String()
	if want != dockerLines+2 {
		// Parts carry no line end of their own.
		long = strings.ReplaceAll(long, "\n", "")
	}
	if n != want || got != expected.String()+long || !whole {
		t.Errorf("%d records of %d bytes, expected %d of %d; nanoseconds: %t", n, len(got), want, expected.Len()+len(long), whole)
	}
}
