package elasticsearch

import (
	"bytes"
	"slices"
	"sync"
)

// overhead is what a kept document takes beside its bytes.
const overhead = 200

// Document is one document as the node keeps it.
type Document struct {
	Index   string // A backing index, for one of a data stream.
	ID      string
	Routing string
	Source  []byte
}

// keeper keeps the newest documents within a number of bytes. An update replaces the document by its own text, which is
// not what the node does; one that is deleted stays here. It is safe for concurrent use.
type keeper struct {
	limit int

	mu        sync.Mutex
	docs      []Document
	gone      int // How many of docs' first ones are forgotten.
	bytes     int
	forgotten uint64
}

func (k *keeper) add(index string, it *Item) {
	if k.limit < 0 {
		return
	}
	d := Document{Index: index, ID: it.ID, Routing: it.Routing, Source: bytes.Clone(it.Document)}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.docs = append(k.docs, d)
	k.bytes += len(d.Source) + len(d.ID) + overhead
	for k.bytes > k.limit && k.gone < len(k.docs) {
		old := &k.docs[k.gone]
		k.bytes -= len(old.Source) + len(old.ID) + overhead
		*old = Document{}
		k.gone++
		k.forgotten++
	}
	if k.gone > len(k.docs)/2 {
		k.docs = append([]Document(nil), k.docs[k.gone:]...)
		k.gone = 0
	}
}

// Documents returns the documents that are kept of the indices that an expression stands for (a name, an alias, a data
// stream, with * for any text), in the order of their arrival. A document that was written twice is there twice.
func (s *Server) Documents(expression string) []Document {
	names := make(map[string]bool)
	for _, ix := range s.catalog.named(expression) {
		names[ix.name] = true
	}
	s.keep.mu.Lock()
	defer s.keep.mu.Unlock()
	var found []Document
	for _, d := range s.keep.docs[s.keep.gone:] {
		if names[d.Index] {
			found = append(found, d)
		}
	}
	return found
}

// present are those of Documents that are not deleted.
func (s *Server) present(expression string) []Document {
	of := make(map[string]*index)
	for _, ix := range s.catalog.named(expression) {
		of[ix.name] = ix
	}
	return slices.DeleteFunc(s.Documents(expression), func(d Document) bool {
		ix := of[d.Index]
		return ix == nil || !ix.has(d.ID)
	})
}

func (k *keeper) usage() (bytes int, forgotten uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.bytes, k.forgotten
}
