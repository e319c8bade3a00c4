package launcher

import (
	"io"
	"time"
)

// StallWriter measures how long its writer holds up whoever writes: the longest write, the sum of all, and how many
// took longer than 20 ms. It belongs to one goroutine. The clock is read twice a write, about 100 ns together.
type StallWriter struct {
	w io.Writer

	// Writes and Bytes are what went through; Bytes includes the written part of a failed write.
	Writes int64
	Bytes  int64
	// Longest and Total are times inside Write; Over20ms counts the writes that took longer than 20 ms.
	Longest  time.Duration
	Total    time.Duration
	Over20ms int64
}

// NewStallWriter measures the writes into w.
func NewStallWriter(w io.Writer) *StallWriter { return &StallWriter{w: w} }

// Write implements io.Writer.
func (s *StallWriter) Write(p []byte) (int, error) {
	start := time.Now()
	n, err := s.w.Write(p)
	took := time.Since(start)
	s.Writes++
	s.Bytes += int64(n)
	s.Total += took
	s.Longest = max(s.Longest, took)
	if took > 20*time.Millisecond {
		s.Over20ms++
	}
	return n, err
}
