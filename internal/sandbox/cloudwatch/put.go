package cloudwatch

import (
	"bytes"
	"math"
	"strconv"
	"time"
)

// Reject kinds of Options.Reject and SetReject.
const (
	RejectTooOld  = "too-old"
	RejectTooNew  = "too-new"
	RejectExpired = "expired"
)

// reject says which events of every request are refused by rejectedLogEventsInfo.
type reject struct {
	kind   string
	events int
}

// verdict is what a request's rejectedLogEventsInfo will say: events[lo:hi] are accepted.
type verdict struct {
	lo, hi  int
	tooOld  int // End index, exclusive; 0 for none.
	tooNew  int // Start index, inclusive; -1 for none.
	expired int // End index, exclusive; 0 for none.
}

// putLogEvents handles one request: read, check, account, keep.
func (s *Server) putLogEvents(x *exchange) ([]byte, *apiError) {
	p := s.requests.Get().(*putRequest)
	defer func() {
		p.body = nil
		s.requests.Put(p)
	}()
	if err := p.scan(x.body); err != nil {
		return nil, err
	}
	if err := p.checkModel(); err != nil {
		return nil, err
	}
	st, err := s.registry.find(p.group, p.stream)
	if err != nil {
		return nil, err
	}
	st.enter()
	x.stream = st
	now := s.now()
	v, err := s.judge(p, now)
	if err != nil {
		st.refuse()
		return nil, err
	}
	if err := s.store(st, p, v, x, now); err != nil {
		return nil, err
	}
	return v.answer(), nil
}

// checkModel checks what the service's model demands of the request's members.
func (p *putRequest) checkModel() *apiError {
	if p.tooMany { // First, since reading stopped there: names that follow the events are not known.
		return constraint("Value at 'logEvents'", "Member must have length less than or equal to "+strconv.Itoa(MaxBatchEvents))
	}
	if err := checkGroupName(p.group); err != nil {
		return err
	}
	if err := checkStreamName(p.stream); err != nil {
		return err
	}
	if len(p.events) == 0 {
		return constraint("Value '[]' at 'logEvents'", "Member must have length greater than or equal to 1")
	}
	for i := range p.events {
		e := &p.events[i]
		if e.has == hasTime|hasMessage && e.message.length > 0 && e.time >= 0 {
			continue
		}
		member := "'logEvents." + strconv.Itoa(i+1) + ".member."
		switch {
		case e.has&hasTime == 0:
			return constraint("Value null at "+member+"timestamp'", "Member must not be null")
		case e.has&hasMessage == 0:
			return constraint("Value null at "+member+"message'", "Member must not be null")
		case e.message.length == 0:
			return constraint("Value '' at "+member+"message'", "Member must have length greater than or equal to 1")
		}
		return constraint("Value '"+strconv.FormatInt(e.time, 10)+"' at "+member+"timestamp'",
			"Member must have value greater than or equal to 0")
	}
	return nil
}

// judge applies the limits of the service and the rejections that the server was asked for. An error refuses the whole
// request.
func (s *Server) judge(p *putRequest, now time.Time) (verdict, *apiError) {
	total, last := 0, int64(math.MinInt64)
	for i := range p.events {
		size := int(p.events[i].message.length) + EventOverhead
		if size > MaxEventBytes {
			return verdict{}, invalidParameter("Log event too large: %d bytes exceeds limit of %d", size, MaxEventBytes)
		}
		if p.events[i].time < last {
			return verdict{}, invalidParameter("Log events in a single PutLogEvents request must be in chronological order.")
		}
		total, last = total+size, p.events[i].time
	}
	if total > MaxBatchBytes {
		return verdict{}, invalidParameter("Upload too large: %d bytes exceeds limit of %d", total, MaxBatchBytes)
	}
	if s.refuseText != nil {
		for i := range p.events {
			if bytes.Contains(p.message(&p.events[i]), s.refuseText) {
				return verdict{}, invalidParameter("The sandbox was told to refuse requests with this text: %s", s.refuseText)
			}
		}
	}
	v := p.window(now, s.reject.Load())
	if v.lo < v.hi && p.events[v.hi-1].time-p.events[v.lo].time > MaxSpan.Milliseconds() {
		return verdict{}, invalidParameter("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	return v, nil
}

// window finds which events are accepted. They are in chronological order, so the rest are a head and a tail.
func (p *putRequest) window(now time.Time, r *reject) verdict {
	n := len(p.events)
	v := verdict{hi: n, tooNew: -1}
	oldest, newest := now.Add(-MaxAge).UnixMilli(), now.Add(MaxAhead).UnixMilli()
	for v.lo < n && p.events[v.lo].time < oldest {
		v.lo++
	}
	for v.hi > v.lo && p.events[v.hi-1].time > newest {
		v.hi--
	}
	v.tooOld = v.lo
	if r != nil {
		switch count := min(r.events, n); r.kind {
		case RejectTooOld:
			v.tooOld = max(v.tooOld, count)
		case RejectExpired:
			v.expired = count
		case RejectTooNew:
			v.hi = min(v.hi, n-count)
		}
	}
	if v.hi < n {
		v.tooNew = v.hi
	}
	v.lo = max(v.lo, v.tooOld, v.expired)
	v.hi = max(v.hi, v.lo)
	return v
}

// count adds what v rejects of n events to r. An event that several indexes name is counted once, the way a reader of
// them would: too old, then expired, then too new.
func (r *Rejected) count(v verdict, n int) {
	r.TooOld += uint64(v.tooOld)
	r.Expired += uint64(max(v.expired-v.tooOld, 0))
	r.TooNew += uint64(n - v.hi)
}

// answer is the body that tells v. The token is constant: the service ignores tokens, and so does this server.
func (v verdict) answer() []byte {
	b := []byte(`{"nextSequenceToken":"49590302938477305829461840385930284756102938475610293847"`)
	if v.tooOld > 0 || v.expired > 0 || v.tooNew >= 0 {
		b = append(b, `,"rejectedLogEventsInfo":{`...)
		comma := ""
		field := func(name string, value int) {
			b = append(b, comma+`"`+name+`":`+strconv.Itoa(value)...)
			comma = ","
		}
		if v.tooOld > 0 {
			field("tooOldLogEventEndIndex", v.tooOld)
		}
		if v.tooNew >= 0 {
			field("tooNewLogEventStartIndex", v.tooNew)
		}
		if v.expired > 0 {
			field("expiredLogEventEndIndex", v.expired)
		}
		b = append(b, '}')
	}
	return append(b, '}')
}

// store accounts for the accepted events and keeps them for readers. The arrival number is given under the stream's
// lock, so that the report and GetLogEvents agree on the order.
func (s *Server) store(st *stream, p *putRequest, v verdict, x *exchange, now time.Time) *apiError {
	accepted := p.events[v.lo:v.hi]
	kept := s.keep.build(p, accepted, now)
	scratch := s.scratch.Get().(*[]byte)
	defer s.scratch.Put(scratch)

	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.exists {
		return streamMissing() // Deleted since it was found.
	}
	seq := s.arrivals.Add(1)
	st.requests++
	st.wireBytes += uint64(x.wire)
	st.rejected.count(v, len(p.events))
	st.lastArrival = now
	if f := x.request.Header.Get("X-Amzn-Logs-Format"); f != "" {
		st.noteFormat(f)
	}
	st.count(seq, p, accepted, scratch)
	if kept != nil {
		kept.seq = seq
		s.keep.push(st, kept)
	}
	return nil
}

// noteFormat counts a value of the x-amzn-logs-format header; foreign values beyond a few share one entry.
func (st *stream) noteFormat(value string) {
	if st.formats == nil {
		st.formats = make(map[string]uint64)
	}
	if _, known := st.formats[value]; !known && len(st.formats) >= 8 {
		value = otherSeries
	}
	st.formats[value]++
}
