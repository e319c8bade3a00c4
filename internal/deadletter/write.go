package deadletter

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/spillway/spillway/internal/record"
)

const (
	// headBytes is how much of a body lies in its letter's row; listing reads no
	// more. What is behind that comes in parts, so that no body is held as a whole
	// beside the caller's.
	headBytes = 64 << 10
	partBytes = 256 << 10
	partBits  = 20
	maxParts  = 1 << partBits
	keySize   = 16
	// perLetter is about what a letter takes beside its own bytes.
	perLetter = 200
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// keyOf identifies a letter. The body is part of it so that records which by a
// mistake have one origin never take each other's place.
func keyOf(l *record.Letter) []byte {
	h := sha256.New()
	var size [8]byte
	for _, part := range [...]string{l.Destination, l.Origin} {
		binary.LittleEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	h.Write([]byte{byte(l.Encoding)})
	h.Write(l.Body)
	return h.Sum(nil)[:keySize]
}

// sumOf is the checksum of a row: of all its fields but the id, and of the part of
// the body that it holds.
func sumOf(revision int64, l *record.Letter, size int64, head []byte) uint32 {
	text := make([]byte, 0, 512)
	for _, n := range [...]int64{
		revision, int64(l.Seq), l.Time, int64(l.Encoding), int64(l.Status), int64(l.Attempts), l.First, l.Last, size,
	} {
		text = binary.LittleEndian.AppendUint64(text, uint64(n))
	}
	for _, field := range [...]string{l.Destination, l.Source, l.Tag, l.Origin, l.Reason, l.Detail} {
		text = binary.LittleEndian.AppendUint64(text, uint64(len(field)))
		text = append(text, field...)
	}
	return crc32.Update(crc32.Checksum(text, castagnoli), castagnoli, head)
}

// writer writes letters in one transaction.
type writer struct {
	tx                   *sql.Tx
	insert, part         *sql.Stmt
	addLetters, addBytes int64
}

const insertLetter = `INSERT INTO letter
	(key, revision, destination, source, tag, origin, seq, time, encoding, status, reason, detail, attempts, first, last, size, sum, head)
	VALUES (?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING`

// put writes one letter, or brings the one that is there up to date.
func (w *writer) put(ctx context.Context, l *record.Letter) (err error) {
	if key, ok := replayedKey(l); ok {
		before, err := w.byKey(ctx, key)
		if err != nil {
			return err
		}
		if before != nil {
			// It is a letter that was handed over once more, and is what it was before.
			n := *l
			n.Source, n.Tag, n.Origin, n.Seq, n.Time = before.Source, before.Tag, before.Origin, before.Seq, before.Time
			l = &n
		}
	}
	return w.putNew(ctx, l)
}

// replayedKey is the key of the letter that was handed over once more and is l now. One
// that a disk buffer of an earlier version holds is known by its origin.
func replayedKey(l *record.Letter) ([]byte, bool) {
	if l.Replayed != ([keySize]byte{}) {
		return l.Replayed[:], true
	}
	text, ok := strings.CutSuffix(l.Origin, "/0")
	if !ok {
		return nil, false
	}
	key, err := hex.DecodeString(text)
	return key, err == nil && len(key) == keySize
}

// byKey is what is known of the letter with a key, or nil.
func (w *writer) byKey(ctx context.Context, key []byte) (*record.Letter, error) {
	var l record.Letter
	var seq int64
	err := w.tx.QueryRowContext(ctx, "SELECT source, tag, origin, seq, time FROM letter WHERE key = ?", key).
		Scan(&l.Source, &l.Tag, &l.Origin, &seq, &l.Time)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	l.Seq = uint64(seq)
	return &l, err
}

func (w *writer) putNew(ctx context.Context, l *record.Letter) (err error) {
	if w.insert == nil {
		if w.insert, err = w.tx.PrepareContext(ctx, insertLetter); err != nil {
			return err
		}
	}
	head := l.Body[:min(len(l.Body), headBytes)]
	if (len(l.Body)-len(head)+partBytes-1)/partBytes > maxParts {
		return fmt.Errorf("found a body of %d bytes; expected at most %d", len(l.Body), headBytes+maxParts*partBytes)
	}
	key, size := keyOf(l), int64(len(l.Body))
	done, err := w.insert.ExecContext(ctx, key, l.Destination, l.Source, l.Tag, l.Origin, int64(l.Seq), l.Time, l.Encoding,
		l.Status, l.Reason, l.Detail, l.Attempts, l.First, l.Last, size, sumOf(1, l, size, head), blob(head))
	if err != nil {
		return err
	}
	rows, err := done.RowsAffected()
	if err != nil {
		return err
	}
	if rows == 0 {
		return w.again(ctx, key, l, head)
	}
	id, err := done.LastInsertId()
	if err != nil {
		return err
	}
	w.addLetters++
	w.addBytes += size
	return w.putRest(ctx, id, l.Body[len(head):])
}

// blob is never nil, which would be NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// putRest writes what a long body has behind its head.
func (w *writer) putRest(ctx context.Context, id int64, rest []byte) (err error) {
	for n := int64(0); len(rest) > 0; n++ {
		if w.part == nil {
			if w.part, err = w.tx.PrepareContext(ctx, "INSERT INTO rest (part, sum, bytes) VALUES (?, ?, ?)"); err != nil {
				return err
			}
		}
		part := rest[:min(len(rest), partBytes)]
		rest = rest[len(part):]
		if _, err := w.part.ExecContext(ctx, partID(id, n), crc32.Checksum(part, castagnoli), part); err != nil {
			return err
		}
	}
	return nil
}

// partID is the number of the n-th part of a letter. Of the id the low bits are
// enough, since a file's ids begin at a multiple of idsOfFile.
func partID(id, n int64) int64 { return (id-1)%idsOfFile<<partBits | n }

// again brings a letter up to date that is there already.
func (w *writer) again(ctx context.Context, key []byte, l *record.Letter, head []byte) error {
	var id, revision, attempts, first, last int64
	err := w.tx.QueryRowContext(ctx, "SELECT id, revision, attempts, first, last FROM letter WHERE key = ?", key).
		Scan(&id, &revision, &attempts, &first, &last)
	if errors.Is(err, sql.ErrNoRows) {
		// The index has the key and the table has no row.
		return &damageError{"the index of the letters", err}
	}
	if err != nil {
		return err
	}
	n := *l
	if n.First == first {
		// It is put again because an earlier call did not return in peace.
		n.Attempts = max(n.Attempts, int(attempts))
	} else {
		n.Attempts += int(attempts)
	}
	n.First, n.Last = min(n.First, first), max(n.Last, last)
	revision++
	_, err = w.tx.ExecContext(ctx, `UPDATE letter SET revision = ?, source = ?, tag = ?, seq = ?, time = ?, status = ?, reason = ?, detail = ?,
		attempts = ?, first = ?, last = ?, sum = ? WHERE id = ?`, revision, n.Source, n.Tag, int64(n.Seq), n.Time, n.Status, n.Reason, n.Detail,
		n.Attempts, n.First, n.Last, sumOf(revision, &n, int64(len(l.Body)), head), id)
	return err
}

// addToTotal counts what the transaction has added.
func (w *writer) addToTotal(ctx context.Context) error {
	if w.addLetters == 0 {
		return nil
	}
	_, err := w.tx.ExecContext(ctx, "UPDATE total SET letters = letters + ?, bytes = bytes + ?", w.addLetters, w.addBytes)
	return err
}
