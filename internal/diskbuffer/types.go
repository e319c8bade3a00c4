package diskbuffer

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Position is how much was appended to a buffer before a place, over its whole
// life. Events are records and loss markers, so Records is never larger.
type Position struct{ Events, Records uint64 }

// Options bound a store.
type Options struct {
	// Max bounds the bytes of all files of the directory, headers and cursor
	// included. MinFree is how many bytes of the file system must stay free.
	Max, MinFree int64
	// Segment is the size of segment files, in bytes; 0 takes it from Max.
	Segment int64
	// Compression is that of new frames.
	Compression Compression
}

// Meta says whose the buffer is. It is written once, at creation.
type Meta struct {
	// Identity is the route whose records these are.
	Identity string
	Made     time.Time
	// Incarnation tells this buffer from every other one of the same identity;
	// Create draws it where it is zero.
	Incarnation [12]byte
	// Limit is the size of the memory in front of the disk, in bytes.
	Limit int64
	// About is the caller's: where the records were going. It holds no secret.
	About json.RawMessage
}

// Stream is one stream of the buffer, with what was appended of it so far:
// records, the sum of their body lengths, and the last sequence number and time
// (nanoseconds since 1970).
type Stream struct {
	Index          uint32
	Name           string
	Records, Bytes uint64
	LastSeq        uint64
	LastTime       int64
	// Incarnation tells its numbering of records from every other one; zero where it
	// is not known.
	Incarnation [12]byte
}

// Count is a number of records, and the sum of their body lengths in bytes.
type Count struct{ Records, Bytes uint64 }

// Place is where a frame begins.
type Place struct {
	Segment  uint64
	Offset   int64
	Position Position
}

// Found is what Open found in the directory.
type Found struct {
	Meta         Meta
	Settled, End Position
	// Offered: events below it may have been delivered already.
	Offered uint64
	// Streams are the known streams, by index, as of End.
	Streams []Stream
	// Pending says, for each of Streams and in their order, what lies between
	// Settled and End. The sum of Records is End.Records - Settled.Records, damage
	// included; what damage hides is attributed to the last stream.
	Pending []Count
	// Partitions says, by the key of each partition, the highest offset of a message of
	// it in the last segment, whether that is settled or not. It is nil where none is.
	Partitions map[[16]byte]int64
	// Clean: the last Close was clean and all it promised is there.
	Clean bool
	// Notes say what was damaged or cut, for the log.
	Notes []string
}

// Chunk is what Read has put into dst.
type Chunk struct {
	// Place is that of the first frame in it, for Seek.
	Place Place
	// First is the position of the first event in dst[:N]; all events in it are
	// consecutive.
	First Position
	// N is in bytes.
	N, Events, Records int
	// Again: all of it was in requests when it was written, see AppendAgain.
	Again bool
	// Lost is what is missing right before First. Only if it is not empty does a
	// chunk not continue the one before.
	Lost []Lost
}

// Lost is what damage took of one stream. The records of all Lost of a chunk
// are exact in sum.
type Lost struct {
	Stream  uint32
	Records uint64
	// Bytes is the sum of the body lengths, -1 where that is unknown.
	Bytes int64
	// FirstSeq and LastSeq are the likely range of sequence numbers, 0 where it
	// is unknown.
	FirstSeq, LastSeq uint64
	Notes             string
}

// Usage is what a store holds.
type Usage struct {
	// Bytes is the size of all files; it never exceeds Max.
	Bytes, Max int64
	Segments   int
	// Pending is what was appended and not settled.
	Pending Position
	// Free is what was free on the file system at the last look, in bytes.
	Free int64
}

// ErrFull is what a *FullError is, for errors.Is.
var ErrFull = errors.New("disk buffer full")

// FullError says that an append does not fit. Nothing of it was written.
type FullError struct {
	// Need is what the append takes. Used and Max are the buffer's bytes; Free
	// and MinFree the file system's.
	Need, Used, Max, Free, MinFree int64
	// Err is the file system's own answer, such as ENOSPC, if that was the cause.
	Err error
}

func (e *FullError) Error() string {
	switch {
	case e.Err != nil:
		return fmt.Sprintf("append %d bytes to the disk buffer: %v; free space, or lower max-disk-size", e.Need, e.Err)
	case e.Used+e.Need > e.Max:
		return fmt.Sprintf("append %d bytes to the disk buffer: %d of at most %d bytes are used", e.Need, e.Used, e.Max)
	}
	return fmt.Sprintf("append %d bytes to the disk buffer: the file system has %d bytes free, and min-free-disk is %d",
		e.Need, e.Free, e.MinFree)
}

// Is makes errors.Is(err, ErrFull) true.
func (e *FullError) Is(target error) bool { return target == ErrFull }

func (e *FullError) Unwrap() error { return e.Err }

// SyncError says that a sync failed. What it concerns is never synced again,
// since the kernel may have dropped those pages: the caller appends it once
// more, or counts it.
type SyncError struct {
	// From and To bound what may not be durable.
	From, To Position
	Err      error
}

func (e *SyncError) Error() string {
	return fmt.Sprintf("sync events %d to %d of the disk buffer: %v", e.From.Events, e.To.Events, e.Err)
}

func (e *SyncError) Unwrap() error { return e.Err }
