// Package diskbuffer holds batches of records in one directory until they are
// settled: the disk behind a buffer in memory. It is for the buffer, which
// decides what is written, when it is synced and what a full disk means, and
// for the commands that check, export and repair such a directory.
//
// What it keeps are payloads: one or more consecutive record batches, exactly
// as they stand in memory. It is bounded to the byte, reads back in the order
// of writing, survives being killed anywhere, and says exactly how many records
// damage took. It refuses to decide anything: it neither drops, nor retries,
// nor waits for room, and it never deletes a file because part of it is bad.
package diskbuffer
