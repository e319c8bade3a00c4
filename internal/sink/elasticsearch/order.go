package elasticsearch

// overtaken sends a record again that was taken although an earlier one with its id
// was not: otherwise that one would be the last to be there. What is created is not
// replaced, so there the one that was taken stays, unless it would be deleted.
func (v *verdicts) overtaken(n int) {
	id := v.a.documents()[n]
	deleted, ok := v.failed[id]
	switch {
	case !ok:
	case v.deletes(n):
		v.failed[id] = true
		v.retry(n)
	case deleted || v.a.sink.o.Operation != Create:
		v.retry(n)
	}
}

// deletes reports whether the n-th event that was sent deletes. n never goes back.
func (v *verdicts) deletes(n int) bool {
	all := v.a.deletes
	for v.deletions < len(all) && all[v.deletions] < n {
		v.deletions++
	}
	return v.deletions < len(all) && all[v.deletions] == n
}
