package real

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/test/real/parts"
)

// Our client into a server that others wrote: with a shared key and a user, acknowledged, plain and
// compressed. All records are there once, with their tags, and with their times to the nanosecond.
func TestForwardClientIntoFluentLogger(t *testing.T) {
	parts.Need(t, parts.FluentLogger)
	security := &parts.FluentSecurity{
		ServerHostname: "server", SharedKey: "key", Authorize: true, UserDict: map[string]string{"ada": "secret"},
	}
	for _, compression := range []forward.Compression{forward.CompressionNone, forward.CompressionGzip} {
		t.Run(compression.String(), func(t *testing.T) {
			server := parts.StartFluentLogger(t, security)
			client := fluentClient(t, server, compression, "key")
			const n = 10_000
			for i := range n {
				at := time.Unix(1_700_000_000, int64(i))
				if err := client.Post(t.Context(), fmt.Sprint("tag.", i%7), at, map[string]any{"n": i, "text": "wörter"}); err != nil {
					t.Fatal(err)
				}
			}
			if err := client.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			entries, err := server.Entries()
			if err != nil {
				t.Fatal(err)
			}
			seen := make(map[int]bool)
			for _, e := range entries {
				i := int(e.Record["n"].(float64))
				want := fmt.Sprintf("1700000000.%09d", i)
				if seen[i] || e.Tag != fmt.Sprint("tag.", i%7) || e.Time != want || e.Record["text"] != "wörter" {
					t.Errorf("record %d is there as %+v; expected it once, at %s", i, e, want)
				}
				seen[i] = true
			}
			stats := client.Stats()
			if len(seen) != n || stats.Acked.Records != n || stats.Unaccounted() != (forward.Count{}) {
				t.Errorf("%d records are there of %d: %+v", len(seen), n, stats)
			}
		})
	}
}

// A wrong key gets nothing in, and Close says what is left and why.
func TestForwardClientRefusedByFluentLogger(t *testing.T) {
	parts.Need(t, parts.FluentLogger)
	server := parts.StartFluentLogger(t, &parts.FluentSecurity{ServerHostname: "server", SharedKey: "another"})
	client := fluentClient(t, server, forward.CompressionNone, "key")
	if err := client.Post(t.Context(), "tag", time.Now(), map[string]string{"n": "1"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var left *forward.UndeliveredError
	err := client.Close(ctx)
	if !errors.As(err, &left) || left.Left.Records != 1 || left.Chunks[0].Unsure || !errors.Is(err, forward.ErrAuthRefused) {
		t.Errorf("Close: %v; expected one record that has not arrived, refused", err)
	}
	if entries, err := server.Entries(); err != nil || len(entries) != 0 {
		t.Errorf("the server has %d records (%v)", len(entries), err)
	}
}

// A server that ends in mid-stream: what it has not acknowledged goes to the other one.
func TestForwardClientSurvivesServer(t *testing.T) {
	parts.Need(t, parts.FluentLogger)
	first, second := parts.StartFluentLogger(t, nil), parts.StartFluentLogger(t, nil)
	var endpoints []forward.Endpoint
	for _, address := range []string{first.Address, second.Address} {
		endpoints = append(endpoints, forward.Endpoint{DialOptions: forward.DialOptions{Address: address}})
	}
	client, err := forward.NewClient(forward.ClientOptions{Servers: endpoints, ChunkRecords: 100})
	if err != nil {
		t.Fatal(err)
	}
	const n = 50_000
	for i := range n {
		if i == n/2 {
			if err := first.Stop(); err != nil {
				t.Fatal(err)
			}
		}
		if err := client.Post(t.Context(), "tag", time.Now(), map[string]any{"n": i}); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := make(map[int]int)
	for _, server := range []*parts.FluentLoggerServer{first, second} {
		entries, err := server.Entries()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			seen[int(e.Record["n"].(float64))]++
		}
	}
	twice := int64(0)
	for _, times := range seen {
		twice += int64(times - 1)
	}
	stats := client.Stats()
	if len(seen) != n || twice > stats.PossibleDuplicates.Records {
		t.Errorf("%d records are there of %d, %d repeated: %+v", len(seen), n, twice, stats)
	}
}

// fluentClient is a client with a shared key and a user.
func fluentClient(t *testing.T, server *parts.FluentLoggerServer, compression forward.Compression, key string) *forward.Client {
	t.Helper()
	client, err := forward.NewClient(forward.ClientOptions{
		Servers: []forward.Endpoint{{DialOptions: forward.DialOptions{
			Address: server.Address,
			Auth:    &forward.Credentials{Hostname: "client", SharedKey: key, Username: "ada", Password: "secret"},
		}}},
		Compression: compression, ChunkRecords: 500,
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}
