package forward

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tinylib/msgp/msgp"
)

// posted reads what is in a client's buffer back, with the time of each event.
func posted(t *testing.T, c *Client) (all []map[string]any) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var left *UndeliveredError
	if err := c.Close(ctx); !errors.As(err, &left) {
		t.Fatalf("Close: %v", err)
	}
	for _, chunk := range left.Chunks {
		for _, piece := range chunk.Entries {
			for rest := piece; len(rest) > 0; {
				e, next, err := NextEntry(rest)
				if err != nil {
					t.Fatal(err)
				}
				record, _, err := msgp.ReadMapStrIntfBytes(e.Record, nil)
				if err != nil {
					t.Fatal(err)
				}
				if e.Time != 0 {
					record[slog.TimeKey] = time.Unix(0, e.Time)
				}
				record["tag"] = chunk.Tag
				all = append(all, record)
				rest = next
			}
		}
	}
	return all
}

// The standard library's own conformance test of handlers.
func TestSlogConformance(t *testing.T) {
	var c *Client
	slogtest.Run(t, func(t *testing.T) slog.Handler {
		c, _ = away(t, ClientOptions{})
		return NewHandler(c, "app", nil)
	}, func(t *testing.T) map[string]any { return posted(t, c)[0] })
}

func TestSlog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := away(t, ClientOptions{})
		level := new(slog.LevelVar)
		l := slog.New(NewHandler(c, "app", &HandlerOptions{Level: level, AddSource: true, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == "secret" {
				return slog.Attr{}
			}
			if a.Key == slog.LevelKey && len(groups) == 0 {
				a.Value = slog.StringValue(strings.ToLower(a.Value.String()))
			}
			return a
		}}))
		l.Debug("not sent")
		with := l.With("a", 1, "secret", "x").WithGroup("g").With("b", 2).WithGroup("empty")
		l.WithGroup("other").With("z", 26)
		with.Warn("first")
		with.Info("second", "c", slog.GroupValue(slog.Int("d", 4), slog.Any("err", errors.New("broken"))), "f", func() {}, "secret", 1)
		got := posted(t, c)
		for _, r := range got {
			source, _ := r["source"].(map[string]any)
			if file, _ := source["file"].(string); !strings.HasSuffix(file, "slog_test.go") || source["line"] == nil || source["function"] == nil {
				t.Errorf("source is %v", source)
			}
			delete(r, "source")
			delete(r, slog.TimeKey)
		}
		inner := got[1]["g"].(map[string]any)["empty"].(map[string]any)
		if text, _ := inner["f"].(string); !strings.HasPrefix(text, "!ERROR:not a record") {
			t.Errorf("a function is %q", text)
		}
		delete(inner, "f")
		want := []map[string]any{
			{"tag": "app", "level": "warn", "msg": "first", "a": int64(1), "g": map[string]any{"b": int64(2)}},
			{"tag": "app", "level": "info", "msg": "second", "a": int64(1), "g": map[string]any{"b": int64(2), "empty": map[string]any{
				"c": map[string]any{"d": int64(4), "err": "broken"},
			}}},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// Groups nested beyond what servers take still make a record that they take.
func TestSlogDepth(t *testing.T) {
	c, _ := away(t, ClientOptions{})
	h := slog.Handler(NewHandler(c, "app", nil))
	value := slog.IntValue(1)
	for range 100 {
		h = h.WithGroup("g")
		value = slog.GroupValue(slog.Attr{Key: "v", Value: value})
	}
	deep := map[string]any{}
	for range MaxDepth - 10 {
		deep = map[string]any{"k": deep}
	}
	slog.New(h).Info("deep", "v", value, "m", deep)
	slog.New(NewHandler(c, "app", nil)).Info("deep", "v", value)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var left *UndeliveredError
	if err := c.Close(ctx); !errors.As(err, &left) {
		t.Fatal(err)
	}
	for _, piece := range left.Chunks[0].Entries {
		if checked := CheckEntries(piece); checked.InvalidCount != 0 {
			t.Error(checked.Err)
		}
	}
}

// A Logger does what programs of fluent-logger-golang expect.
func TestLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, server := newWorld(), new(counting)
		w.serve("a:1", server.serve)
		l := NewLogger(newClient(t, ClientOptions{Servers: []Endpoint{w.endpoint("a:1")}}), LoggerOptions{TagPrefix: "pre"})
		for _, message := range []any{
			map[string]string{"n": "1"}, map[string]any{"n": "1"}, map[string]*int{"n": nil}, struct {
				N string `codec:"n"`
			}{"1"}, new(Fields).String("n", "1"),
		} {
			if err := l.PostWithTime("tag", time.Unix(1, 2), message); err != nil {
				t.Errorf("%T: %v", message, err)
			}
		}
		// Its callers have seen to the prefix themselves.
		if err := l.EncodeAndPostData("bare", time.Unix(1, 2), map[string]string{"n": "1"}); err != nil {
			t.Error(err)
		}
		for _, message := range []any{"text", 1, nil, map[int]string{}} {
			if err := l.Post("tag", message); !errors.Is(err, ErrRecord) {
				t.Errorf("%T: %v", message, err)
			}
		}
		if err := errors.Join(l.Close(), l.Close()); err != nil {
			t.Error(err)
		}
		if err := l.Post("tag", map[string]string{}); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		tags := make(map[string]*message)
		for _, m := range server.messages {
			tags[m.Tag] = m
		}
		if m := tags["bare"]; m == nil || len(m.Records) != 1 {
			t.Errorf("%+v", m)
		}
		m := tags["pre.tag"]
		if m == nil || len(m.Records) != 5 {
			t.Fatalf("%+v", m)
		}
		if e, _, err := NextEntry(m.Entries); err != nil || e.Time != 1_000_000_002 {
			t.Errorf("time %d (%v)", e.Time, err)
		}
		w.group.Wait()
	})
}

// A Logger waits no longer than it is told, and says what is left.
func TestLoggerTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := away(t, ClientOptions{})
		l := NewLogger(c, LoggerOptions{PostTimeout: time.Second, CloseTimeout: 3 * time.Second})
		began := time.Now()
		var err error
		for err == nil {
			err = l.Post("tag", map[string]string{"pad": strings.Repeat("x", 1000)})
		}
		if !errors.Is(err, ErrBufferFull) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		began = time.Now()
		var left *UndeliveredError
		if err := l.Close(); !errors.As(err, &left) || time.Since(began) != 3*time.Second || left.Left.Records == 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
