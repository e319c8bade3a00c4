package record

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// errCut says that a layout ends before it should.
var errCut = errors.New("cut short")

// Check says whether payload is whole batches, one behind the other, which
// Parse, Next, Slice and Loss can walk without looking: it is for bytes that
// come from a disk. It returns how many events (records and markers) and records
// there are, and the sum of the body lengths of the records. It does not look at
// what is in the bodies.
func Check(payload []byte) (events, records, bytes int, err error) {
	for at := 0; at < len(payload); {
		rest := payload[at:]
		if err := checkHead(rest); err != nil {
			return 0, 0, 0, fmt.Errorf("batch at byte %d of %d: %w", at, len(payload), err)
		}
		var b Batch
		n := Parse(rest, &b)
		if err := b.check(); err != nil {
			return 0, 0, 0, fmt.Errorf("batch at byte %d: %w", at, err)
		}
		events += b.Count
		if b.Kind == KindRecords {
			records += b.Count
			bytes += b.Bytes
		}
		at += n
	}
	return events, records, bytes, nil
}

// checkHead says whether Parse can read a batch at the start of src.
func checkHead(src []byte) error {
	if len(src) < HeaderSize {
		return errCut
	}
	head := uint64(HeaderSize)
	source := src[5]&named != 0
	if word := binary.LittleEndian.Uint16(src[6:]); word != 0 || source {
		if err := checkExtra(word, source, src[HeaderSize:]); err != nil {
			return err
		}
		head += uint64(word & extraSize)
	}
	if uint64(len(src)) < head+uint64(binary.LittleEndian.Uint32(src[12:])) {
		return errCut
	}
	return nil
}

// check holds the frames of a batch to its header.
func (b *Batch) check() error {
	switch {
	case b.Encoding == EncodingEntry:
		return b.checkEntries()
	case b.Encoding > EncodingMessage:
		return fmt.Errorf("encoding %d is unknown", b.Encoding)
	case len(b.Partition) > 0 && b.Encoding != EncodingMessage:
		return fmt.Errorf("a partition beside encoding %d", b.Encoding)
	}
	messages := b.Encoding == EncodingMessage
	count, sum := 0, 0
	for frames := b.Frames; len(frames) > 0; count++ {
		if len(frames) < FrameSize {
			return fmt.Errorf("record %d: %w", count, errCut)
		}
		n := int(binary.LittleEndian.Uint32(frames) & MaxBodySize)
		if n > len(frames)-FrameSize {
			return fmt.Errorf("record %d of %d bytes: %w", count, n, errCut)
		}
		if messages && !CheckMessage(frames[FrameSize:FrameSize+n]) {
			return fmt.Errorf("record %d of %d bytes is no message", count, n)
		}
		sum += n
		frames = frames[FrameSize+n:]
	}
	switch {
	case count != b.Count || count == 0:
		return fmt.Errorf("%d records, want %d", count, b.Count)
	case messages && (b.Kind != KindRecords || b.Repair != 0):
		return fmt.Errorf("messages of kind %d, with a repair of %d bytes", b.Kind, b.Repair)
	case b.Kind == KindLoss:
		return b.checkLoss()
	case b.Kind != KindRecords:
		return fmt.Errorf("kind %d is unknown", b.Kind)
	case sum != b.Bytes:
		return fmt.Errorf("bodies of %d bytes, want %d", sum, b.Bytes)
	case b.Repair > 2*b.Bytes+b.Count:
		return fmt.Errorf("repair of %d bytes for %d", b.Repair, b.Bytes)
	}
	return nil
}

// checkEntries holds entries to the header.
func (b *Batch) checkEntries() error {
	count, ok := CheckEntries(b.Frames)
	switch {
	case !ok:
		return fmt.Errorf("entry %d is none, or cut short", count)
	case count != b.Count || count == 0:
		return fmt.Errorf("%d entries, want %d", count, b.Count)
	case b.Kind != KindRecords:
		return fmt.Errorf("entries of kind %d", b.Kind)
	case b.Bytes != len(b.Frames) || b.Repair != 0:
		return fmt.Errorf("entries of %d bytes, want %d and nothing to repair, not %d", len(b.Frames), b.Bytes, b.Repair)
	}
	return nil
}

// checkLoss holds a marker to what Loss reads and the sinks write as it is.
func (b *Batch) checkLoss() error {
	body, _, _ := Next(b.Frames)
	if b.Count != 1 || len(body) < lossFixed || len(body) > lossFixed+maxReason {
		return fmt.Errorf("marker of %d records and %d bytes", b.Count, len(body))
	}
	if !validReason(body[lossFixed:]) {
		return fmt.Errorf("marker with the reason %q", body[lossFixed:])
	}
	return nil
}
