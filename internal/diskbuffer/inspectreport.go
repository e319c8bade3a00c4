package diskbuffer

import (
	"encoding/json"
	"time"
)

// Report is what a directory holds. Numbers of records are exact as far as the
// positions go that are still readable somewhere in it.
type Report struct {
	// Identity, Made and About are those of Meta, zero where that is damaged.
	Identity string
	Made     time.Time
	About    json.RawMessage

	// Frames, Records and Markers are what is not settled and can be read. Lost are
	// the records between Settled and End that cannot.
	Frames, Records, Markers, Lost uint64
	// DamagedBytes are those that belong to no whole frame, header or cursor.
	DamagedBytes int64
	// Segments and Bytes are the files of the buffer; what a repair set aside is in
	// SetAside, in bytes.
	Segments        int
	Bytes, SetAside int64

	Settled, End Position
	// Offered: events below it may have been delivered already.
	Offered uint64
	// Streams are those that are known, by index, as of End.
	Streams []Stream
	Damage  []Damage
	// Clean: the buffer was closed, and not only left. Locked: a process uses it.
	Clean, Locked bool
}

// Whole reports whether nothing is damaged and nothing is lost.
func (r *Report) Whole() bool { return r.Lost == 0 && len(r.Damage) == 0 }

// Damage is one thing that is wrong. From and To bound the bytes; both are 0
// where it concerns a file as a whole that has none.
type Damage struct {
	File     string
	From, To int64
	What     string
}

// Frame is one whole frame of batches.
type Frame struct {
	File   string
	Offset int64
	// First is the position of its first event. Of its events the first Settled ones
	// are settled.
	First                    Position
	Events, Records, Settled int
	// Payload are the batches, which are known to be well formed. It is valid until
	// the visit returns.
	Payload []byte
	// StreamName tells the name of a stream by its index.
	StreamName func(index uint32) string
}
