package ledger

// Balance is the balance of a route: one sheet for all its streams together
// and one for each. It has the same form wherever it is printed.
type Balance struct {
	Sheet
	Streams []StreamBalance `json:"streams"`
}

// StreamBalance is the balance of one stream.
type StreamBalance struct {
	Stream string `json:"stream"`
	Sheet
}

// Numbers are the entries of a balance, in records or in bytes.
type Numbers struct {
	Received     int64            `json:"received"`
	Delivered    int64            `json:"delivered"`
	Dropped      int64            `json:"dropped"`
	DeadLettered int64            `json:"dead_lettered"`
	Pending      int64            `json:"pending"`
	Recovered    int64            `json:"recovered"`
	Unaccounted  int64            `json:"unaccounted"`
	ByReason     map[Reason]int64 `json:"dropped_by_reason"`
}

// Lost is how many of Dropped are lost. What is returned is not: it was never
// acknowledged, so that its source has it still and sends it again. A tombstone
// has nothing to lose, and what is a duplicate is there already.
func (n *Numbers) Lost() int64 {
	return n.Dropped - n.ByReason[Returned] - n.ByReason[Tombstone] - n.ByReason[Duplicate]
}

// Markers counts loss markers, which are outside the balance: made is always
// delivered + pending + refused.
type Markers struct {
	Made      int64 `json:"made"`
	Delivered int64 `json:"delivered"`
	Pending   int64 `json:"pending"`
	// Refused counts those that the destination will never take.
	Refused int64 `json:"refused"`
}

// Sheet is one balance: the numbers of records, the same of bytes, and what
// stands beside them.
type Sheet struct {
	Numbers
	PossibleDuplicates int64   `json:"possible_duplicates"`
	Markers            Markers `json:"markers"`
	Bytes              Numbers `json:"bytes"`
	Lines
}

// sums is a sheet in the making.
type sums struct {
	received, recovered, delivered, deadLettered, pending Count
	dropped                                               map[Reason]Count
	markers                                               Markers
	possibleDuplicates                                    int64
	lines                                                 Lines
}

func (s sums) sheet() Sheet {
	records := s.numbers(func(c Count) int64 { return c.Records })
	bytes := s.numbers(func(c Count) int64 { return c.Bytes })
	return Sheet{
		Numbers: records, Bytes: bytes, PossibleDuplicates: s.possibleDuplicates, Markers: s.markers, Lines: s.lines,
	}
}

func (s sums) numbers(of func(Count) int64) Numbers {
	n := Numbers{
		Received: of(s.received), Recovered: of(s.recovered), Delivered: of(s.delivered),
		DeadLettered: of(s.deadLettered), Pending: of(s.pending), ByReason: make(map[Reason]int64, len(s.dropped)),
	}
	for why, c := range s.dropped {
		n.Dropped += of(c)
		n.ByReason[why] = of(c)
	}
	n.Unaccounted = n.Received + n.Recovered - n.Delivered - n.Dropped - n.DeadLettered - n.Pending
	return n
}

// Total adds up the sheets of streams.
func Total(streams []StreamBalance) Sheet {
	t := Sheet{Numbers: Numbers{ByReason: map[Reason]int64{}}, Bytes: Numbers{ByReason: map[Reason]int64{}}}
	for _, s := range streams {
		t.Numbers.add(s.Numbers)
		t.Bytes.add(s.Bytes)
		t.PossibleDuplicates += s.PossibleDuplicates
		t.Markers.Made += s.Markers.Made
		t.Markers.Delivered += s.Markers.Delivered
		t.Markers.Pending += s.Markers.Pending
		t.Markers.Refused += s.Markers.Refused
		t.Lines.add(s.Lines)
	}
	return t
}

func (n *Numbers) add(o Numbers) {
	n.Received += o.Received
	n.Delivered += o.Delivered
	n.Dropped += o.Dropped
	n.DeadLettered += o.DeadLettered
	n.Pending += o.Pending
	n.Recovered += o.Recovered
	n.Unaccounted += o.Unaccounted
	for why, c := range o.ByReason {
		n.ByReason[why] += c
	}
}
