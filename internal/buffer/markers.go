package buffer

import "github.com/spillway/spillway/internal/record"

// tellAll puts markers into the request, as far as it has room: of dropped
// waiting records before everything that still waits, and of dropped arriving
// ones after it, where no later record carries them. It reports whether all
// found room.
func (b *Buffer) tellAll(r *Request, g *gathering, of func(*stream) *record.Loss) bool {
	for _, st := range b.streams.tellers() {
		loss := of(st)
		if loss.Lost == 0 {
			continue
		}
		if !b.cfg.NoLossMarkers {
			if !b.fitsMarker(g, *loss) {
				return false
			}
			b.follow(r, b.tell(r, st, *loss))
		}
		*loss = record.Loss{}
	}
	return true
}

// tellRejected puts markers of rejected records into the request, as far as it
// has room, and reports whether all found room. They come late for their place,
// so no request has to wait for another because of them.
func (b *Buffer) tellRejected(r *Request, g *gathering) bool {
	for _, st := range b.streams.tellers() {
		for len(st.rejected) > 0 {
			if !b.fitsMarker(g, st.rejected[0]) {
				return false
			}
			b.tell(r, st, st.rejected[0])
			st.rejected = st.rejected[1:]
		}
		st.rejected = nil
	}
	return true
}

// fitsMarker makes room for a marker in what is gathered, if there is any.
func (b *Buffer) fitsMarker(g *gathering, loss record.Loss) bool {
	next := volume{g.total.events + 1, g.total.cost + b.cost(1, record.LossTextSize)}
	if g.total.events > 0 && b.exceeds(next) || g.outlives(loss.FirstTime) {
		return false
	}
	g.spans(loss.FirstTime)
	g.total = next
	return true
}

// tell puts one marker into the request and returns it.
func (b *Buffer) tell(r *Request, st *stream, loss record.Loss) *record.Batch {
	marker := record.AppendLoss(nil, loss)
	var batch record.Batch
	record.Parse(marker, &batch)
	st.marked(1)
	r.runs = append(r.runs, run{marker: marker, events: 1})
	r.events++
	return &batch
}
