package record

import (
	"encoding/binary"
	"strconv"
	"time"
)

// LossPrefix begins a loss marker in the text form; the object follows.
const LossPrefix = "spillway-loss "

// Sizes of a loss marker, in bytes: as it is held, at most, and as text, at
// most. A reason is at most 32 bytes long.
const (
	LossSize     = HeaderSize + FrameSize + lossFixed + maxReason
	LossTextSize = 320
	lossFixed    = 6 * 8
	maxReason    = 32
)

// Loss describes one run of lost records of one stream: the loss marker. It
// stands in the stream where the records would have stood.
type Loss struct {
	Stream              uint32
	Lost, Bytes         int64
	FirstSeq, LastSeq   uint64
	FirstTime, LastTime int64 // nanoseconds since 1970
	Reason              string
}

// Missed is the reason of a marker of what no source could receive any more: offsets
// that were gone from a log before they were read. They take sequence numbers, and are
// counted nowhere else.
const Missed = "missed"

// Add extends the run by n records of the same stream that end at sequence
// number last. A zero Loss takes all from what is added. A run of which some were
// dropped has the reason for that.
func (l *Loss) Add(next Loss) {
	if l.Lost == 0 {
		*l = next
		return
	}
	l.Lost += next.Lost
	l.Bytes += next.Bytes
	if l.Reason == Missed {
		l.Reason = next.Reason
	}
	l.FirstSeq = min(l.FirstSeq, next.FirstSeq)
	l.LastSeq = max(l.LastSeq, next.LastSeq)
	l.FirstTime = min(l.FirstTime, next.FirstTime)
	l.LastTime = max(l.LastTime, next.LastTime)
}

// AppendLoss appends the marker as a batch; dst grows by at most LossSize.
func AppendLoss(dst []byte, l Loss) []byte {
	reason := l.Reason[:min(len(l.Reason), maxReason)]
	size := lossFixed + len(reason)
	at := len(dst)
	dst = append(dst, make([]byte, HeaderSize)...)
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, uint32(size))
	for _, v := range [...]uint64{
		uint64(l.Lost), uint64(l.Bytes), l.FirstSeq, l.LastSeq, uint64(l.FirstTime), uint64(l.LastTime),
	} {
		dst = le.AppendUint64(dst, v)
	}
	dst = append(dst, reason...)
	PutHeader(dst[at:], &Batch{
		Stream: l.Stream, Kind: KindLoss, Count: 1, Time: l.FirstTime, FirstSeq: l.FirstSeq, Repair: LossTextSize,
	}, FrameSize+size)
	return dst
}

// Loss reads the marker of a batch of KindLoss.
func (b *Batch) Loss() Loss {
	body, _, _ := Next(b.Frames)
	at := func(i int) uint64 { return binary.LittleEndian.Uint64(body[8*i:]) }
	return Loss{
		Stream: b.Stream, Lost: int64(at(0)), Bytes: int64(at(1)), FirstSeq: at(2), LastSeq: at(3),
		FirstTime: int64(at(4)), LastTime: int64(at(5)), Reason: string(body[lossFixed:]),
	}
}

// AppendJSON appends the marker as a JSON object, its form for structured
// sinks. Times are RFC 3339 in UTC.
func (l Loss) AppendJSON(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, `{"lost":`...), l.Lost, 10)
	dst = strconv.AppendInt(append(dst, `,"bytes":`...), l.Bytes, 10)
	dst = strconv.AppendUint(append(dst, `,"first_seq":`...), l.FirstSeq, 10)
	dst = strconv.AppendUint(append(dst, `,"last_seq":`...), l.LastSeq, 10)
	dst = appendTime(append(dst, `,"first_time":"`...), l.FirstTime)
	dst = appendTime(append(dst, `","last_time":"`...), l.LastTime)
	dst = append(dst, `","reason":"`...)
	dst = append(dst, l.Reason...)
	return append(dst, `"}`...)
}

// AppendText appends the marker as a line of text, its form for line sinks.
func (l Loss) AppendText(dst []byte) []byte { return l.AppendJSON(append(dst, LossPrefix...)) }

func appendTime(dst []byte, t int64) []byte {
	return time.Unix(0, t).UTC().AppendFormat(dst, time.RFC3339Nano)
}
