package diskbuffer

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// segment is one file of frames. Its fields belong to the store's lock, but for
// file, which the writer and who syncs use.
type segment struct {
	number uint64
	name   string
	first  Position
	headed bool // its header is good
	// head is the end of what opens the segment, before its first batches.
	head int64
	// written is the end of what was written whole; size is the file's, which is
	// larger where a write failed and could not be taken back.
	written, size int64
	last          Position // at the end of what was written
	sealed        bool     // never written again
	// syncedTo and synced are up to where it is durable, or was told not to be.
	syncedTo int64
	synced   Position
	named    bool // its name is durable
	ours     bool // this process has made it
	cooled   bool // it has left the page cache
	file     File // nil where it is not open
}

// never is behind every position.
var never = Position{math.MaxUint64, math.MaxUint64}

func segmentName(number uint64) string { return fmt.Sprintf("%016x%s", number, segmentSuffix) }

// segmentNumber is the number in the name of a segment file.
func segmentNumber(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 16, 64)
	return number, err == nil && segmentName(number) == name
}

// segmentSize is the size of segments that makes at least eight fit.
func segmentSize(limit int64) int64 {
	const least, most = 256 << 10, 64 << 20
	return min(max(limit/16, least), most, max(limit/8, 1))
}

// frameSpan is a part of a segment as a reader takes it: up to limit, and only
// frames that begin before until. A frame behind that is one whose append
// failed, or a copy: the next segment has what counts.
type frameSpan struct {
	*segment
	limit int64
	until Position
}

// spans returns the segments in their order, with where each ends.
func spans(segments []*segment) []frameSpan {
	all := make([]frameSpan, len(segments))
	until := never
	for i := len(segments) - 1; i >= 0; i-- {
		if next := i + 1; next < len(segments) && segments[next].first.Events > segments[i].first.Events {
			until = segments[next].first
		}
		all[i] = frameSpan{segments[i], segments[i].written, until}
	}
	return all
}
