package file

import (
	"context"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// unsynced is the file system without its syncs, which measure the disk.
type unsynced struct{ osDisk }

type unsyncedFile struct{ handle }

func (unsyncedFile) Datasync() error { return nil }

func (d unsynced) same(h handle, path string) bool {
	return d.osDisk.same(h.(unsyncedFile).handle, path)
}

func (d unsynced) syncDir(string) error { return nil }

func (d unsynced) open(path string, fileMode, dirMode fs.FileMode) (handle, about, error) {
	h, a, err := d.osDisk.open(path, fileMode, dirMode)
	return unsyncedFile{h}, a, err
}

func BenchmarkSend(b *testing.B) {
	for name, format := range map[string]Format{"json": JSON, "out_file": OutFile, "text": Text} {
		b.Run(name, func(b *testing.B) {
			o := options(b, b.TempDir()+"/{tag}.log")
			o.Format, o.MaxSize, o.MaxFile = format, 64<<20, 2
			s := open(b, o, unsynced{})
			line := strings.Repeat("203.0.113.195 GET /shop/articles/4711?page=3 200 18231 ", 5)[:230]
			events := make([]sinktest.Event, 16_000)
			for i := range events {
				at := time.Unix(1_700_000_000, int64(i))
				events[i] = sinktest.Event{Time: at, Packed: sinktest.Packed(at, line)}
			}
			r := sinktest.NewRequest(events...)
			b.SetBytes(int64(len(events) * len(events[0].Packed)))
			b.ReportAllocs()
			for b.Loop() {
				if out := s.Send(context.Background(), r); out.Verdict != sink.Delivered {
					b.Fatal(out.Err)
				}
			}
		})
	}
}
