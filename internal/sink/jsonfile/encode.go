package jsonfile

import (
	"context"
	"time"

	"github.com/spillway/spillway/internal/jsontext"
	"github.com/spillway/spillway/internal/record"
)

// encoder writes entries as Docker's driver does: the keys log, stream, attrs
// and time, in this order, no spaces, and a newline within log unless the line
// goes on in a further part.
type encoder struct {
	attrs []byte

	end    []byte // what comes after the text of the present batch's entries
	marker []byte
}

var entryStart = []byte(`{"log":"`)

// batch writes the entries of one batch of a stream.
func (e *encoder) batch(ctx context.Context, log *rotated, stream string, b *record.Batch) error {
	e.setEnd(stream, b)
	if b.Kind == record.KindLoss {
		e.marker = b.Loss().AppendText(e.marker[:0])
		return e.entry(ctx, log, e.marker, false)
	}
	for frames := b.Frames; len(frames) > 0; {
		var body []byte
		var invalid bool
		body, invalid, frames = record.Next(frames)
		if err := e.entry(ctx, log, body, invalid); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) entry(ctx context.Context, log *rotated, text []byte, invalid bool) error {
	if err := log.rotateIfFull(ctx); err != nil {
		return err
	}
	form := jsontext.HTML
	if invalid {
		form |= jsontext.Repair
	}
	log.Put(entryStart)
	log.PutText(form, text)
	log.Put(e.end)
	log.End()
	return nil
}

// setEnd makes what all entries of the batch end with.
func (e *encoder) setEnd(stream string, b *record.Batch) {
	end := e.end[:0]
	if b.Part.Ordinal == 0 || b.Part.Last {
		end = append(end, `\n`...)
	}
	end = append(end, `","stream":"`...)
	end = (jsontext.HTML | jsontext.Repair).AppendString(end, []byte(stream))
	if len(e.attrs) > 0 {
		end = append(append(end, `","attrs":`...), e.attrs...)
		end = append(end, `,"time":"`...)
	} else {
		end = append(end, `","time":"`...)
	}
	end = time.Unix(0, b.Time).UTC().AppendFormat(end, time.RFC3339Nano)
	e.end = append(end, "\"}\n"...)
}
