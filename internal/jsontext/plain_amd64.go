package jsontext

// copyBlocks is copyPlain for n bytes, at least 16, with the instructions that every
// processor of this kind has (SSE2).
//
//go:noescape
func copyBlocks(dst, src *byte, n int, stop uint64) int

// copyPlain copies bytes from src to dst up to the first that special finds, or
// as far as both go, and returns how many.
func copyPlain(dst, src []byte, stop uint64) int {
	if n := min(len(dst), len(src)); n >= 16 {
		return copyBlocks(&dst[0], &src[0], n, stop)
	}
	return copyPlainWords(dst, src, stop)
}
