package runcatalog

import (
	"strings"
	"testing"

	"github.com/spillway/spillway/internal/source/kafka"
)

// A source that reads nothing although nothing is wrong says why that may be: an expression for
// topics that matches none looks like that.
func TestReadNow(t *testing.T) {
	if now := readNow(nil); !strings.Contains(now, "no topic is there yet that is asked for") {
		t.Error(now)
	}
	if now := readNow([]kafka.PartitionCounts{{Lag: 2}, {Lag: 3}}); now != "partitions: 2, offsets behind their ends: 5" {
		t.Error(now)
	}
}
