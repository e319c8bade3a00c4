package record

// Letter is a record that no retry can deliver, as the dead letters keep it: its
// bytes, where it came from, and what the destination said of it.
type Letter struct {
	// Destination is what refused it, Source the name of the source that received it,
	// empty where nobody says it; Tag is the name of its stream.
	Destination, Source, Tag string
	// Origin identifies the record for good: the incarnation of its stream and its
	// sequence number, the key of its chunk and its position, or the coordinates of
	// its source. With Destination it identifies the letter.
	Origin string
	// Replayed is the key of the chunk that the record came in, where it came from the
	// dead letters and keeps what identified it before; the zero value elsewhere.
	Replayed [16]byte
	// Seq is its sequence number in its stream.
	Seq uint64
	// Time is when it was received, in nanoseconds since 1970.
	Time     int64
	Encoding Encoding
	// Body is the record as it arrived, and of a message its envelope, too. It is the
	// letter's own.
	Body []byte
	// Status is the destination's code, 0 where it gave none; Reason is the
	// ledger's name, and Detail the destination's own words.
	Status         int
	Reason, Detail string
	// Attempts is how often it was sent; First and Last are when that was, in
	// nanoseconds since 1970.
	Attempts    int
	First, Last int64
}
