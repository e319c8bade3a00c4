package elasticsearch

import (
	"net/http"
	"strconv"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// index is one index: its settings and an account of what it holds. It is safe for concurrent use.
type index struct {
	name       string
	uuid       string
	dataStream string // The data stream that it is a backing index of; empty for others.

	mu        sync.Mutex
	settings  map[string]string // Flat, with "index." before each: "index.blocks.write": "true".
	closed    bool
	fields    map[string]string // Types by name of top-level fields.
	strict    bool              // mappings.dynamic: strict
	ids       idSet
	seqNo     uint64
	created   uint64
	updated   uint64
	deleted   uint64
	conflicts uint64
	checksum  uint64
	bytes     uint64
	routed    uint64
	pipelined uint64
}

// HashID is the 64-bit hash of an id. The checksum of an index is the sum, modulo 2^64, of the hashes of the ids that
// were created in it.
func HashID(id string) uint64 { return xxhash.Sum64String(id) }

// block is what is in the way of every write.
func (ix *index) block() *apiError {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	on := func(name string) bool { return ix.settings[name] == "true" }
	blocked := func(status int, what string) *apiError {
		return refuse(status, "cluster_block_exception", "index [%s] blocked by: [%s];", ix.name, what)
	}
	switch {
	case ix.closed:
		return refuse(http.StatusBadRequest, "index_closed_exception", "closed")
	case on("index.blocks.read_only"):
		return blocked(http.StatusForbidden, "FORBIDDEN/5/index read-only (api)")
	case on("index.blocks.read_only_allow_delete"):
		return blocked(http.StatusTooManyRequests,
			"TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block")
	case on("index.blocks.write"):
		return blocked(http.StatusForbidden, "FORBIDDEN/8/index write (api)")
	}
	return nil
}

func (ix *index) has(id string) bool {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	return *ix.ids.version(HashID(id)) > 0
}

// store writes an item's document, or refuses it for a conflict.
func (ix *index) store(s *Server, it *Item) {
	ix.mu.Lock()
	version := ix.ids.version(HashID(it.ID))
	if it.Op == "create" && *version > 0 {
		ix.conflicts++
		current := *version
		ix.mu.Unlock()
		it.refuse(http.StatusConflict, "version_conflict_engine_exception",
			"["+it.ID+"]: version conflict, document already exists (current version ["+strconv.FormatUint(uint64(current), 10)+"])")
		return
	}
	it.result, it.outcome = ItemAnswer{Status: http.StatusCreated}, "created"
	if *version > 0 {
		it.result.Status, it.outcome = http.StatusOK, "updated"
		ix.updated++
	} else {
		ix.created++
		ix.checksum += HashID(it.ID)
	}
	*version++
	it.version, it.seqNo = *version, ix.seqNo
	ix.seqNo++
	ix.bytes += uint64(len(it.Document))
	if it.Routing != "" {
		ix.routed++
	}
	if it.Pipeline != "" && it.Pipeline != "_none" {
		ix.pipelined++
	}
	ix.mu.Unlock()
	s.keep.add(ix.name, it)
}

// remove deletes a document. That there is none is an answer of its own, not an error.
func (ix *index) remove(it *Item) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	version := ix.ids.version(HashID(it.ID))
	it.seqNo = ix.seqNo
	ix.seqNo++
	if *version == 0 {
		it.result, it.outcome, it.version = ItemAnswer{Status: http.StatusNotFound}, "not_found", 1
		return
	}
	it.version = *version + 1
	*version = 0
	ix.deleted++
	ix.checksum -= HashID(it.ID)
	it.result, it.outcome = ItemAnswer{Status: http.StatusOK}, "deleted"
}

// idSet maps hashes of ids to versions, in 12 bytes a slot. A version of 0 is a document that is not there.
type idSet struct {
	hashes   []uint64 // 0 is an empty slot; the hash 0 is kept as 1.
	versions []uint32
	used     int
}

// version returns the place of an id's version, which holds until the next call.
func (t *idSet) version(hash uint64) *uint32 {
	if hash == 0 {
		hash = 1
	}
	if 4*t.used >= 3*len(t.hashes) {
		t.grow()
	}
	mask := uint64(len(t.hashes) - 1)
	for at := hash & mask; ; at = (at + 1) & mask {
		switch t.hashes[at] {
		case hash:
			return &t.versions[at]
		case 0:
			t.hashes[at] = hash
			t.used++
			return &t.versions[at]
		}
	}
}

func (t *idSet) grow() {
	old := *t
	size := max(1024, 2*len(old.hashes))
	*t = idSet{hashes: make([]uint64, size), versions: make([]uint32, size)}
	for at, hash := range old.hashes {
		if hash != 0 {
			*t.version(hash) = old.versions[at]
		}
	}
}
