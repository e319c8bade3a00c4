// Package faults holds the proofs that a containerd logger loses nothing it does not count: it is deleted at once, its
// destination is away, slow, hostile or gone, and its memory is limited, while numbered lines are written to it. Each
// test compares what was written, what readers of the destination find, what the destination counted by itself, the
// loss markers and the exit line. Nothing may be unaccounted.
//
// The tests run in three sizes: small in a plain go test, middle under SPILLWAY_CI=1, and whole, with every number of
// docs/testing.md, under SPILLWAY_LONG=1. Stalls and times are asserted in the whole size alone and printed otherwise.
// The memory tests need root and the kernel's memory controller; without them they say what they could not run.
package faults
