package cloudwatch

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"time"
)

// stream is everything known of one log stream name: what the service would answer about it, and the account of what
// arrived under it. The account outlives a DeleteLogStream, because a shipper that creates the stream again is to be
// judged on the whole.
type stream struct {
	group, name string
	room        *allowance

	mu          sync.Mutex
	exists      bool
	created     time.Time // Of the present incarnation.
	incarnation uint64    // How often the stream was created.
	deleted     uint64
	chunks      []*chunk // Kept messages in the order of arrival; guarded by the keeper's lock.

	account
}

// account is what the report says of a stream.
type account struct {
	inFlight, maxInFlight int64
	requests              uint64 // Accepted ones.
	refused               uint64 // PutLogEvents requests refused as a whole.
	events                uint64
	bytes                 uint64 // Of messages, unescaped, without the overhead that the limits count.
	wireBytes             uint64 // Of accepted bodies, as sent.
	emptyLines            uint64
	unnumbered            uint64
	markers               uint64
	unreadable            uint64 // Markers whose count could not be read.
	markersLost           uint64
	rejected              Rejected
	firstTime, lastTime   int64
	lastArrival           time.Time
	formats               map[string]uint64 // x-amzn-logs-format by value.
	series                seriesSet
}

// Rejected counts events that a request's rejectedLogEventsInfo named.
type Rejected struct {
	TooOld  uint64 `json:"too_old"`
	TooNew  uint64 `json:"too_new"`
	Expired uint64 `json:"expired"`
}

// enter notes that a PutLogEvents request for the stream has come in. Its exchange calls leave when it is settled.
func (st *stream) enter() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.inFlight++
	st.maxInFlight = max(st.maxInFlight, st.inFlight)
}

func (st *stream) leave() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.inFlight--
}

// refuse counts a request that was refused as a whole.
func (st *stream) refuse() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.refused++
}

// count adds the accepted events of a request to the account. The caller holds st.mu.
func (st *stream) count(seq uint64, p *putRequest, accepted []event, scratch *[]byte) {
	for i := range accepted {
		e := &accepted[i]
		raw := p.message(e)
		st.bytes += uint64(e.message.length)
		switch {
		case len(raw) == 1 && raw[0] == ' ':
			st.emptyLines++
		case isLossMarker(raw):
			st.countMarker(raw, scratch)
		default:
			name, number, ok := head(raw, scratch)
			if !ok {
				st.unnumbered++
				continue
			}
			st.series.add(seq, e.time, name, number, st.room)
		}
	}
	if n := len(accepted); n > 0 {
		if st.events == 0 || accepted[0].time < st.firstTime {
			st.firstTime = accepted[0].time
		}
		st.lastTime = max(st.lastTime, accepted[n-1].time)
		st.events += uint64(n)
	}
}

// countMarker reads how many records a loss marker stands for.
func (st *stream) countMarker(raw []byte, scratch *[]byte) {
	st.markers++
	*scratch = appendUnescaped((*scratch)[:0], raw, -1)
	var told struct {
		Lost *uint64 `json:"lost"`
	}
	object := bytes.TrimPrefix(*scratch, []byte(lossMarker[:len(lossMarker)-1]))
	if err := json.Unmarshal(object, &told); err != nil || told.Lost == nil {
		st.unreadable++
		return
	}
	st.markersLost += *told.Lost
}

// group is a log group and its streams, deleted ones included.
type group struct {
	name    string
	exists  bool
	created time.Time
	streams map[string]*stream
}

// registry is the table of groups and streams. It is safe for concurrent use.
type registry struct {
	mu      sync.RWMutex
	groups  map[string]*group
	streams int
	room    *allowance
}

// find returns a stream that exists, or the service's refusal.
func (r *registry) find(groupName, streamName string) (*stream, *apiError) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	g := r.groups[groupName]
	if g == nil || !g.exists {
		return nil, groupMissing()
	}
	st := g.streams[streamName]
	if st == nil || !st.isThere() {
		return nil, streamMissing()
	}
	return st, nil
}

func (st *stream) isThere() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.exists
}

func (r *registry) createGroup(name string, now time.Time) *apiError {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.groups[name]
	if g == nil {
		if len(r.groups) == maxStreams {
			return limitExceeded()
		}
		g = &group{name: strings.Clone(name), streams: make(map[string]*stream)}
		r.groups[g.name] = g
	}
	if g.exists {
		return alreadyExists("log group")
	}
	g.exists, g.created = true, now
	return nil
}

func (r *registry) createStream(groupName, name string, now time.Time) *apiError {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.groups[groupName]
	if g == nil || !g.exists {
		return groupMissing()
	}
	st := g.streams[name]
	if st == nil {
		if r.streams == maxStreams {
			return limitExceeded()
		}
		r.streams++
		st = &stream{group: g.name, name: strings.Clone(name), room: r.room}
		g.streams[st.name] = st
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.exists {
		return alreadyExists("log stream")
	}
	st.exists, st.created = true, now
	st.incarnation++
	return nil
}

// remove ends a stream; its account stays. It reports whether the stream was there.
func (st *stream) remove(keep *keeper) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.exists {
		return false
	}
	st.exists = false
	st.deleted++
	keep.forget(st)
	return true
}

func (r *registry) deleteStream(groupName, name string, keep *keeper) *apiError {
	st, err := r.find(groupName, name)
	if err != nil {
		return err
	}
	if !st.remove(keep) {
		return streamMissing() // Deleted by somebody else since it was found.
	}
	return nil
}

// deleteGroup deletes the group with all its streams.
func (r *registry) deleteGroup(name string, keep *keeper) *apiError {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.groups[name]
	if g == nil || !g.exists {
		return groupMissing()
	}
	g.exists = false
	for _, st := range g.streams {
		st.remove(keep)
	}
	return nil
}
