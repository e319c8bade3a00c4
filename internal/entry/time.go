package entry

import (
	"encoding/binary"
	"math"
	"time"
)

// Types of extensions that are times: that of the forward protocol, and that of
// MessagePack.
const (
	extEventTime = 0
	extTimestamp = -1
)

// Time is the event time of an entry in nanoseconds since 1970, or fallback, for
// which callers have the time at which it was received: where the entry says 0,
// nil or nothing, as fluentd has it, and where what it says is no time between
// the years 1678 and 2262.
//
// A time is a number of seconds, an EventTime, a timestamp of MessagePack, or an
// array of one of these and Fluent Bit's metadata.
func Time(entry []byte, fallback int64) int64 {
	h, err := parse(entry)
	if err != nil || h.kind != kindArray || h.n == 0 {
		return fallback
	}
	at := entry[h.size:]
	if h, err = parse(at); err == nil && h.kind == kindArray && h.n > 0 {
		at = at[h.size:]
		h, err = parse(at)
	}
	if err != nil {
		return fallback
	}
	if ns, ok := h.time(at); ok {
		return ns
	}
	return fallback
}

// maxSeconds leaves room for what 32 bits of nanoseconds can add.
const maxSeconds = math.MaxInt64/int64(time.Second) - 5

// time is the moment that a value says, if it says one.
func (h *head) time(value []byte) (int64, bool) {
	switch h.kind {
	case kindUint, kindInt:
		s := int64(h.n)
		if h.kind == kindUint && h.n > math.MaxInt64 {
			return 0, false
		}
		return nanoseconds(s, 0)
	case kindFloat32:
		return fraction(float64(math.Float32frombits(uint32(h.n))))
	case kindFloat64:
		return fraction(math.Float64frombits(h.n))
	case kindExtension:
		if body := h.body(value); body != nil {
			s, ns, ok := moment(h.ext, body)
			if !ok {
				return 0, false
			}
			return nanoseconds(s, ns)
		}
	}
	return 0, false
}

// nanoseconds since 1970 of so many seconds and nanoseconds, if they can be told
// and are not 0, which stands for no time.
func nanoseconds(s, ns int64) (int64, bool) {
	if s > maxSeconds || s < -maxSeconds || s == 0 && ns == 0 {
		return 0, false
	}
	return s*int64(time.Second) + ns, true
}

// fraction is a time in seconds that need not be whole.
func fraction(s float64) (int64, bool) {
	whole, part := math.Modf(s)
	if !(math.Abs(whole) <= float64(maxSeconds)) { // also where it is not a number
		return 0, false
	}
	return nanoseconds(int64(whole), int64(math.Round(part*1e9)))
}

// moment reads an extension that is a time: seconds since 1970, and nanoseconds
// beyond them.
func moment(ext int8, body []byte) (s, ns int64, ok bool) {
	be := binary.BigEndian
	switch {
	case ext == extEventTime && len(body) == 8:
		s, ns = int64(be.Uint32(body)), int64(be.Uint32(body[4:]))
	case ext == extTimestamp && len(body) == 4:
		s = int64(be.Uint32(body))
	case ext == extTimestamp && len(body) == 8:
		both := be.Uint64(body)
		s, ns = int64(both&(1<<34-1)), int64(both>>34)
	case ext == extTimestamp && len(body) == 12:
		s, ns = int64(be.Uint64(body[4:])), int64(be.Uint32(body))
	default:
		return 0, 0, false
	}
	return s, ns, true
}
