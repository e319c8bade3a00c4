package forward

import (
	"context"
	"encoding/binary"
	"log/slog"
	"runtime"
	"slices"
	"strings"

	"github.com/tinylib/msgp/msgp"
)

// HandlerOptions configure a Handler.
type HandlerOptions struct {
	// Level is the least that is sent; slog.LevelInfo if nil.
	Level slog.Leveler
	// AddSource adds the place of the call: a map with function, file and line.
	AddSource bool
	// ReplaceAttr changes or, by returning the zero Attr, leaves out attributes, as
	// in slog.HandlerOptions. The time is the event's, and is not passed to it.
	ReplaceAttr func(groups []string, a slog.Attr) slog.Attr
}

// Handler is a slog.Handler that posts to a Client. A record becomes a map with
// level, msg and the attributes; groups become maps. Its time becomes the
// event's; a zero one is sent as unknown, and the server then takes the time of arrival.
// Values are as in AppendRecord; one that cannot be encoded becomes text that
// begins with "!ERROR:".
//
// Where the client's buffer is full, Handle does what the client is configured
// to do: in mode Block it waits, until its context ends if it was called with one
// that does. slog discards Handle's errors, but Stats counts what was refused.
type Handler struct {
	c      *Client
	tag    string
	o      HandlerOptions
	groups []string
	levels []attrs // one more than groups
}

// attrs are attributes in their final form.
type attrs struct {
	b []byte
	n int
}

// NewHandler makes a handler that posts to c under a tag. o may be nil.
func NewHandler(c *Client, tag string, o *HandlerOptions) *Handler {
	h := &Handler{c: c, tag: tag, levels: make([]attrs, 1)}
	if o != nil {
		h.o = *o
	}
	return h
}

// Enabled reports whether a level is sent.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool {
	least := slog.LevelInfo
	if h.o.Level != nil {
		least = h.o.Level.Level()
	}
	return level >= least
}

// Handle posts one record.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	scratch := h.c.scratch.Get().(*[]byte)
	b := append((*scratch)[:0], entryHead, 0)
	if !r.Time.IsZero() {
		b = h.c.begin(b[:0], r.Time)
	}
	b = h.record(b, &r)
	err := h.c.admit(ctx, h.tag, b, 1)
	h.c.giveBack(scratch, b)
	return err
}

// WithAttrs returns a handler whose records have these attributes, too. They are
// encoded now.
func (h *Handler) WithAttrs(all []slog.Attr) slog.Handler {
	next := *h
	next.levels = slices.Clone(h.levels)
	last := &next.levels[len(next.levels)-1]
	last.b = slices.Clone(last.b)
	for _, a := range all {
		b, n := h.attr(last.b, h.groups, a)
		last.b, last.n = b, last.n+n
	}
	return &next
}

// WithGroup returns a handler that puts all that follows into a map under name.
// Beyond MaxDepth, which a server would refuse, it is ignored.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" || len(h.groups) == MaxDepth-2 {
		return h
	}
	next := *h
	next.groups = append(slices.Clip(h.groups), name)
	next.levels = append(slices.Clone(h.levels), attrs{})
	return &next
}

// begin appends the head of a map whose keys are yet to come: map 32, whatever
// their number will be.
func begin(b []byte) []byte { return append(b, 0xdf, 0, 0, 0, 0) }

// end sets the number of keys of the map whose head is at b[at].
func end(b []byte, at, n int) { binary.BigEndian.PutUint32(b[at+1:], uint32(n)) }

// record appends everything as one map.
func (h *Handler) record(b []byte, r *slog.Record) []byte {
	var heads [8]int
	at := append(heads[:0], len(b)) // where the map of each level begins
	b = begin(b)
	b, n := h.builtin(b, r)
	counts := append(make([]int, 0, 8), n)
	for i := range h.levels {
		if i > 0 {
			b = msgp.AppendString(b, h.groups[i-1])
			at = append(at, len(b))
			counts = append(counts, 0)
			b = begin(b)
		}
		b = append(b, h.levels[i].b...)
		counts[i] += h.levels[i].n
	}
	last := len(counts) - 1
	r.Attrs(func(a slog.Attr) bool {
		more, n := h.attr(b, h.groups, a)
		b = more
		counts[last] += n
		return true
	})
	for i := last; i >= 0; i-- {
		if i > 0 && counts[i] == 0 { // an empty group is left out, with its name
			b = b[:at[i]-len(msgp.AppendString(nil, h.groups[i-1]))]
			continue
		}
		end(b, at[i], counts[i])
		if i > 0 {
			counts[i-1]++
		}
	}
	return b
}

func (h *Handler) builtin(b []byte, r *slog.Record) ([]byte, int) {
	n := 0
	add := func(a slog.Attr) {
		more, m := h.attr(b, nil, a)
		b, n = more, n+m
	}
	if h.o.ReplaceAttr == nil {
		b = msgp.AppendString(msgp.AppendString(b, slog.LevelKey), r.Level.String())
		b = msgp.AppendString(msgp.AppendString(b, slog.MessageKey), r.Message)
		n = 2
	} else {
		add(slog.Any(slog.LevelKey, r.Level))
		add(slog.String(slog.MessageKey, r.Message))
	}
	if h.o.AddSource && r.PC != 0 {
		frame, _ := runtime.CallersFrames([]uintptr{r.PC}).Next()
		add(slog.Group(slog.SourceKey, "function", frame.Function, "file", frame.File, "line", frame.Line))
	}
	return b, n
}

// attr appends one attribute, and returns how many keys that made: none where it
// is left out, several for a group without a name.
func (h *Handler) attr(b []byte, groups []string, a slog.Attr) ([]byte, int) {
	a.Value = a.Value.Resolve()
	if h.o.ReplaceAttr != nil && a.Value.Kind() != slog.KindGroup {
		a = h.o.ReplaceAttr(groups, a)
		a.Value = a.Value.Resolve()
	}
	if a.Equal(slog.Attr{}) {
		return b, 0
	}
	if depth := MaxDepth - 1 - len(groups); a.Value.Kind() != slog.KindGroup || depth == 0 {
		return appendAttr(msgp.AppendString(b, a.Key), a.Value, depth), 1
	}
	before, at := len(b), 0
	if a.Key != "" {
		b = msgp.AppendString(b, a.Key)
		at = len(b)
		b = begin(b)
		groups = append(slices.Clip(groups), a.Key)
	}
	n := 0
	for _, inner := range a.Value.Group() {
		more, m := h.attr(b, groups, inner)
		b, n = more, n+m
	}
	switch {
	case n == 0:
		return b[:before], 0
	case a.Key == "":
		return b, n
	}
	end(b, at, n)
	return b, 1
}

func appendAttr(b []byte, v slog.Value, depth int) []byte {
	switch v.Kind() {
	case slog.KindString:
		return msgp.AppendString(b, v.String())
	case slog.KindInt64:
		return msgp.AppendInt64(b, v.Int64())
	case slog.KindUint64:
		return msgp.AppendUint64(b, v.Uint64())
	case slog.KindFloat64:
		return msgp.AppendFloat64(b, v.Float64())
	case slog.KindBool:
		return msgp.AppendBool(b, v.Bool())
	case slog.KindDuration:
		return msgp.AppendInt64(b, int64(v.Duration()))
	case slog.KindTime:
		return appendText(b, v.Time())
	}
	if level, ok := v.Any().(slog.Level); ok {
		return msgp.AppendString(b, level.String())
	}
	out, err := appendValue(b, v.Any(), depth)
	if err != nil {
		return msgp.AppendString(b, "!ERROR:"+strings.TrimPrefix(err.Error(), "forward: "))
	}
	return out
}
