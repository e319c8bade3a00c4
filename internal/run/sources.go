package run

import (
	"slices"
	"time"

	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/route"
)

// Source is a source at work, as a run sees it.
type Source interface {
	// Start begins to take records. It is called once, unless Close comes before.
	Start()
	// Stop takes nothing more, without waiting. What is held is still answered.
	Stop()
	// Wait returns when nothing more is handed over.
	Wait()
	// Close ends it, after the answers that are due, and returns when it has ended.
	Close() error
	// Settled is told the keys of chunks, its own and others', of which no leg holds
	// anything any more. It is quick, and hands nothing over.
	Settled(keys [][16]byte)
	// Done is closed when the source has ended by itself; nil is one that never does.
	Done() <-chan struct{}
	// Status is what status shows of it.
	Status() SourceStatus
}

// Resizer is a Source that can go on with more or less memory.
type Resizer interface {
	// Resize changes SourceOptions.Memory.
	Resize(memory int64)
}

// SourceOptions are what a source gets from its run.
type SourceOptions struct {
	// Router is where it hands over.
	Router *route.Router
	// Memory is what it may hold, in bytes.
	Memory int64
	// Instead is the source of that name which it takes the place of, or nil: what
	// both listen on is handed over when that one has stopped. Where both are of one
	// type, the numbers of that one go on in this one.
	Instead Source
}

// SourceStatus is how a source does.
type SourceStatus struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// RecordsIn counts each record once, however many legs it has.
	RecordsIn int64 `json:"records_in"`
	BytesIn   int64 `json:"bytes_in"`
	// Now says in a few words, to a person, what the source has under way.
	Now string `json:"now,omitempty"`
	// Waiting are parts of records that the source has acknowledged and keeps on the
	// disk until the record is whole: no leg has received them yet.
	Waiting int `json:"waiting,omitempty"`
	// Trouble is what is wrong now, in words, and Since since when; empty where the
	// source does well.
	Trouble string    `json:"trouble,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	// LastError is what went wrong last, such as with a connection, and LastErrorAt when:
	// it may be over.
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	// Own is the balance of what the source has received and handed to nobody.
	Own ledger.Balance `json:"-"`
	// Detail are the source's own numbers.
	Detail any `json:"detail,omitempty"`
}

// source is one source of the file.
type source struct {
	plan runfile.Source
	Source
	// share is the memory that it has. Guarded by the lock of changing.
	share int64
	// passedOn says that its numbers go on in the source that took its place. Guarded
	// by the run's lock.
	passedOn bool
}

// takesPlaceOf reports whether it takes the place of another, and its numbers go on
// from those of that one.
func (s *source) takesPlaceOf(other *source) bool {
	return s.plan.Name == other.plan.Name && s.plan.Type == other.plan.Type
}

// fits reports whether it can go on with that much memory. One that cannot be given less,
// while it holds what it has in use, has to make place for another.
func (s *source) fits(share int64) bool {
	_, resizes := s.Source.(Resizer)
	_, holds := s.Source.(Collected)
	return resizes || !holds || share >= s.share
}

// resize gives it another share, if it can go on with that.
func (s *source) resize(share int64) {
	if r, ok := s.Source.(Resizer); ok && share != s.share {
		r.Resize(share)
		s.share = share
	}
}

// openSources opens the sources that are new or have changed, or have to be opened anew
// since they can have less memory from now on.
func (r *Run) openSources(n *next) error {
	share := receiving(n.file)
	for _, rejects := range rejectsPlans(n.file) {
		share -= rejects.buffer.Limit
	}
	n.share = share / int64(max(len(n.file.Sources), 1))
	for i := range n.file.Sources {
		plan := &n.file.Sources[i]
		before := r.sourceNamed(plan.Name)
		if before != nil && before.plan.Same(plan) && before.fits(n.share) {
			n.sources = append(n.sources, before)
			continue
		}
		o := SourceOptions{Router: r.router.Of(plan.Name), Memory: n.share}
		if before != nil {
			o.Instead = before.Source
		}
		opened, err := r.cfg.OpenSource(plan, o)
		if err != nil {
			return err
		}
		s := &source{plan: *plan, Source: opened, share: n.share}
		n.sources, n.opened = append(n.sources, s), append(n.opened, s)
	}
	told := append(slices.Clone(r.sources), n.opened...)
	r.settled.sources.Store(&told)
	return nil
}

func (r *Run) sourceNamed(name string) *source {
	for _, s := range r.sources {
		if s.plan.Name == name {
			return s
		}
	}
	return nil
}
