//go:build !amd64

package jsontext

// copyPlain copies bytes from src to dst up to the first that special finds, or
// as far as both go, and returns how many.
func copyPlain(dst, src []byte, stop uint64) int { return copyPlainWords(dst, src, stop) }
