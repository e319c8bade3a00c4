package buffer

import "github.com/spillway/spillway/internal/record"

// Attach has done told of a chunk that is held already, as Chunk.Done would be, and
// reports whether there is one of that key, admitted by this process and not told
// yet, or left behind by another and not settled: then it is a resend, which is not
// to be admitted again. What waited for the chunk before is told, too.
func (b *Buffer) Attach(origin record.Origin, level record.Level, done func(ok bool)) bool {
	b.mu.Lock()
	defer b.unlock()
	r := b.chunks[origin.Key]
	if r == nil {
		return false
	}
	if b.has(r, level) {
		b.tellSource(done, true)
		return true
	}
	before := r.done
	if before == nil {
		r.sender = b.waitsForSink(level) // Only a sender asks for what is held: it sends that again.
		b.expect(r, 1)
		r.level, r.done = level, done
	} else {
		r.level = max(r.level, level)
		r.done = func(ok bool) {
			before(ok)
			done(ok)
		}
	}
	if r.level == record.LevelPower && r.end != notStored && !r.open && !r.unsynced {
		b.awaitSync(r)
	}
	return true
}

// has reports whether a chunk has reached the level.
func (b *Buffer) has(r *receipt, level record.Level) bool {
	if r.open || r.returned {
		return false
	}
	switch level {
	case record.LevelMemory:
		return true
	case record.LevelKernel:
		return r.end != notStored
	case record.LevelPower:
		return r.end != notStored && !r.unsynced && r.end <= b.disk.durable.Events
	}
	return false
}
