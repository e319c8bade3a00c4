package elasticsearch

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// filter is filter_path of a bulk request: which members of the answer are wanted. A nil filter wants all.
type filter []string

// newFilter reads the parameter filter_path.
func newFilter(text string) filter {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// wants reports whether a member is in the answer: one that a pattern names, is inside of what a pattern names, or
// contains what a pattern names.
func (f filter) wants(member string) bool {
	return f == nil || slices.ContainsFunc(f, func(pattern string) bool { return reaches(strings.Split(pattern, "."), strings.Split(member, ".")) })
}

func reaches(pattern, member []string) bool {
	switch {
	case len(pattern) == 0 || len(member) == 0:
		return true
	case pattern[0] == "**":
		return reaches(pattern[1:], member) || reaches(pattern, member[1:])
	}
	matched, err := path.Match(pattern[0], member[0])
	return err == nil && matched && reaches(pattern[1:], member[1:])
}

// shape is which members an answer has.
type shape struct {
	took, errors, items                                                bool
	index, id, kind, version, result, shards, seqNo, term, status, err bool
}

func (s *Server) shape(f filter) shape {
	sh := shape{
		took: f.wants("took"), errors: f.wants("errors"), items: f.wants("items"),
		index: f.wants("items.op._index"), id: f.wants("items.op._id"), kind: s.major == 7 && !s.openSearch && f.wants("items.op._type"),
		version: f.wants("items.op._version"), result: f.wants("items.op.result"), shards: f.wants("items.op._shards"),
		seqNo: f.wants("items.op._seq_no"), term: f.wants("items.op._primary_term"), status: f.wants("items.op.status"),
		err: f.wants("items.op.error"),
	}
	sh.kind = sh.kind || s.openSearch && s.major == 1 && f.wants("items.op._type")
	return sh
}

// appendReply appends the answer to a bulk request, spoilt as asked.
func (s *Server) appendReply(dst []byte, items []Item, f filter, spoil string) []byte {
	sh := s.shape(f)
	dst = append(dst, '{')
	sep := ""
	if sh.took {
		dst, sep = append(dst, `"took":1`...), ","
	}
	if sh.errors {
		dst, sep = strconv.AppendBool(append(append(dst, sep...), `"errors":`...), anyFailed(items)), ","
	}
	if sh.items && spoil != "no-items" {
		dst = append(append(dst, sep...), `"items":[`...)
		dst = append(sh.appendItems(dst, items, spoil), ']')
	}
	return append(dst, '}')
}

func anyFailed(items []Item) bool {
	for i := range items {
		if items[i].failed() {
			return true
		}
	}
	return false
}

// failed reports whether the item's answer has a member error. A deletion of what is not there has none.
func (it *Item) failed() bool { return it.result.Type != "" || it.result.Error != nil }

func (sh *shape) appendItems(dst []byte, items []Item, spoil string) []byte {
	last := len(items) - 1
	if spoil == "items-missing" {
		last--
	}
	for i := 0; i <= last; i++ {
		it := &items[i]
		if spoil == "swapped" {
			if pair := i ^ 1; pair <= last {
				it = &items[pair]
			}
		}
		start := len(dst)
		if dst[start-1] != '[' {
			dst = append(dst, ',')
		}
		before := len(dst)
		if dst = sh.appendItem(dst, it, spoil); len(dst) == before {
			dst = dst[:start]
		}
	}
	if spoil == "items-extra" && len(items) > 0 {
		dst = sh.appendItem(append(dst, ','), &items[last], spoil)
	}
	return dst
}

// appendItem appends one item's answer. One of which the filter leaves nothing is left out.
func (sh *shape) appendItem(dst []byte, it *Item, spoil string) []byte {
	start := len(dst)
	dst = append(append(append(dst, `{"`...), it.Op...), `":{`...)
	empty := len(dst)
	name := it.stored
	if name == "" {
		name = it.Index
	}
	id := it.ID
	if spoil == "wrong-ids" {
		id = "not-" + id
	}
	dst = sh.member(dst, sh.index, empty, "_index", name, true)
	dst = sh.member(dst, sh.kind, empty, "_type", "_doc", true)
	if it.autoID || it.hasID {
		dst = sh.member(dst, sh.id, empty, "_id", id, true)
	} else {
		dst = sh.member(dst, sh.id, empty, "_id", "null", false)
	}
	if it.failed() {
		dst = sh.member(dst, sh.status, empty, "status", strconv.Itoa(it.result.Status), false)
		dst = sh.member(dst, sh.err, empty, "error", it.errorObject(), false)
	} else {
		dst = sh.member(dst, sh.version, empty, "_version", strconv.FormatUint(uint64(it.version), 10), false)
		dst = sh.member(dst, sh.result, empty, "result", it.outcome, true)
		dst = sh.member(dst, sh.shards, empty, "_shards", `{"total":2,"successful":1,"failed":0}`, false)
		dst = sh.member(dst, sh.seqNo, empty, "_seq_no", strconv.FormatUint(it.seqNo, 10), false)
		dst = sh.member(dst, sh.term, empty, "_primary_term", "1", false)
		dst = sh.member(dst, sh.status, empty, "status", strconv.Itoa(it.result.Status), false)
	}
	if len(dst) == empty {
		return dst[:start]
	}
	return append(dst, "}}"...)
}

func (it *Item) errorObject() string {
	if it.result.Error != nil {
		return string(it.result.Error)
	}
	return string(encode(struct {
		Type   string `json:"type"`
		Reason string `json:"reason"`
		Index  string `json:"index,omitempty"`
	}{it.result.Type, it.result.Reason, it.stored}))
}

// member appends a member of an object that began at empty, if it is wanted.
func (*shape) member(dst []byte, wanted bool, empty int, name, value string, text bool) []byte {
	if !wanted {
		return dst
	}
	if len(dst) > empty {
		dst = append(dst, ',')
	}
	dst = append(append(append(dst, '"'), name...), `":`...)
	if !text {
		return append(dst, value...)
	}
	return appendString(dst, value)
}

// appendString appends a JSON string.
func appendString(dst []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < 0x20 || c == '"' || c == '\\' || c >= 0x7f {
			return append(dst, encode(text)...)
		}
	}
	return append(append(append(dst, '"'), text...), '"')
}
