package jsonscan

// canMark says that there is markQuotes.
const canMark = true

// markQuotes sets the bits of quotes, one for each byte of src, where a quote stands. n
// is how many bytes there are, at least 64. It tells whether there are controls,
// backslashes, or bytes that are not ASCII among them: what is not zero is yes. It needs
// SSE2, which every processor of this kind has.
//
//go:noescape
func markQuotes(src *byte, n int, quotes *uint64) (controls, backslashes, high uint16)

// markBackslashes is the same for backslashes.
//
//go:noescape
func markBackslashes(src *byte, n int, marks *uint64)
