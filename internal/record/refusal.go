package record

import "fmt"

// Refusal says that a source has refused records, and why: they become dead letters.
type Refusal struct {
	// Reason names the cause, by at most 32 of a to z, 0 to 9 and -, as a loss marker's
	// does; empty is no refusal, or one of which nobody says the cause.
	Reason string
}

// Known reports whether there is a reason.
func (r *Refusal) Known() bool { return r.Reason != "" }

// size is what the refusal takes in a batch, in bytes.
func (r *Refusal) size() int {
	if !r.Known() {
		return 0
	}
	return 1 + min(len(r.Reason), maxReason)
}

// Append appends the refusal as a batch holds it: a byte with the length of the reason,
// and the reason.
func (r *Refusal) Append(dst []byte) []byte {
	reason := r.Reason[:min(len(r.Reason), maxReason)]
	return append(append(dst, byte(len(reason))), reason...)
}

// ParseRefusal reads a batch's refusal; nothing is the zero value. The reason is a copy,
// the only allocation.
func ParseRefusal(src []byte) (r Refusal) {
	if len(src) == 0 {
		return r
	}
	return Refusal{Reason: string(src[1:])}
}

// checkRefusal returns how many bytes a refusal at the beginning of src takes.
func checkRefusal(src []byte) (size int, err error) {
	if len(src) == 0 {
		return 0, errCut
	}
	n := int(src[0])
	switch {
	case n == 0 || n > maxReason:
		return 0, fmt.Errorf("a refusal with a reason of %d bytes", n)
	case n >= len(src):
		return 0, errCut
	case !validReason(src[1 : 1+n]):
		return 0, fmt.Errorf("a refusal with the reason %q", src[1:1+n])
	}
	return 1 + n, nil
}

// validReason reports whether it is one that is written as it is, wherever.
func validReason(reason []byte) bool {
	for _, c := range reason {
		if c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
