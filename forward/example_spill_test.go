package forward_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spillway/spillway/forward"
)

// directory is a Spill: each chunk is a file, and each file is one message of the
// protocol. What it holds survives the process; a Sync before the rename would make it
// survive the machine.
type directory struct {
	path   string
	last   int            // the number of the youngest file
	unread []string       // what Next has yet to return, the oldest first
	files  map[string]int // what it has returned: the number of its file, by the chunk's id
	held   forward.Count
}

func openDirectory(path string) (*directory, error) {
	d := &directory{path: path, files: make(map[string]int)}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		n, err := strconv.Atoi(strings.TrimSuffix(e.Name(), ".chunk"))
		if err != nil {
			continue // not ours, or not whole
		}
		chunk, err := d.read(e.Name())
		if err != nil {
			return nil, err
		}
		d.last = max(d.last, n)
		d.unread = append(d.unread, e.Name())
		d.held.Records += int64(chunk.Records)
		d.held.Bytes += int64(len(chunk.Entries[0]))
	}
	slices.SortFunc(d.unread, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	return d, nil
}

// Put implements forward.Spill.
func (d *directory) Put(_ context.Context, c *forward.OutChunk) error {
	payload := slices.Concat(c.Entries...)
	b := append(forward.AppendHead(nil, c.Tag, len(payload)), payload...)
	b = forward.AppendOption(b, forward.Option{Chunk: c.ID, Size: c.Records, Compression: c.Compression})
	name := strconv.Itoa(d.last+1) + ".chunk"
	whole := filepath.Join(d.path, name)
	if err := errors.Join(os.WriteFile(whole+".new", b, 0o600), os.Rename(whole+".new", whole)); err != nil {
		return err
	}
	d.last++
	d.unread = append(d.unread, name)
	return nil
}

// Next implements forward.Spill.
func (d *directory) Next(context.Context) (*forward.OutChunk, error) {
	if len(d.unread) == 0 {
		return nil, nil
	}
	c, err := d.read(d.unread[0])
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(d.unread[0], ".chunk"))
	if err != nil {
		return nil, err
	}
	d.files[c.ID], d.unread = n, d.unread[1:]
	return c, nil
}

func (d *directory) read(name string) (*forward.OutChunk, error) {
	b, err := os.ReadFile(filepath.Join(d.path, name))
	if err != nil {
		return nil, err
	}
	var m forward.Message
	if err := forward.Parse(b, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &forward.OutChunk{Tag: m.Tag, Entries: [][]byte{m.Payload}, Records: int(m.Size), Compression: m.Compression, ID: m.Chunk}, nil
}

// Settled implements forward.Spill.
func (d *directory) Settled(_ context.Context, id string) error {
	if err := os.Remove(filepath.Join(d.path, strconv.Itoa(d.files[id])+".chunk")); err != nil {
		return err
	}
	delete(d.files, id)
	return nil
}

// Held implements forward.Spill.
func (d *directory) Held() (chunks int, held forward.Count) { return len(d.unread), d.held }

// While no server is there, what the buffer cannot hold goes into files, and so does in
// Close what is left. The next client delivers it.
func ExampleSpill() {
	path, err := os.MkdirTemp("", "spill")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(path)
	options := func(address string) forward.ClientOptions {
		files, err := openDirectory(path)
		if err != nil {
			panic(err)
		}
		return forward.ClientOptions{
			Servers:     forward.Endpoints(address),
			BufferBytes: 64 << 10,
			Spill:       files,
		}
	}

	away, err := forward.NewClient(options("127.0.0.1:1"))
	if err != nil {
		panic(err)
	}
	for i := range 5000 {
		if err := away.Post(context.Background(), "app", time.Now(), map[string]any{"n": i, "log": "a line of the usual length"}); err != nil {
			panic(err)
		}
	}
	closing, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	var left *forward.UndeliveredError
	if err := away.Close(closing); errors.As(err, &left) {
		fmt.Println("in files:", left.InSpill.Records)
	}

	address, stop := fluentd()
	client, err := forward.NewClient(options(address))
	if err != nil {
		panic(err)
	}
	if err := client.Close(context.Background()); err != nil {
		panic(err)
	}
	fmt.Println("recovered:", client.Stats().Recovered.Records, "received:", stop())
	// Output:
	// in files: 5000
	// recovered: 5000 received: 5000
}
