package buffer_test

import (
	"context"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/diskbuffer"
)

// openStore takes over what is in a directory, or makes it.
func openStore(t tb, dir func() diskbuffer.FS, limit int64, options diskbuffer.Options) (*diskbuffer.Store, *diskbuffer.Found) {
	t.Helper()
	store, found, err := diskbuffer.Open(dir(), options)
	if err == nil {
		return store, found
	}
	if store, err = diskbuffer.Create(dir(), diskbuffer.Meta{Identity: "a", Limit: limit}, options); err != nil {
		t.Fatalf("open the store: %v", err)
	}
	return store, nil
}

// keeping has a buffer's disk looked after until stop, which may be called again, has
// returned.
func keeping(b *buffer.Buffer) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		b.Keep(ctx)
	}()
	return func() {
		cancel()
		<-stopped
	}
}

// drainAll delivers what there is: take takes a request, and settle ends all that are in
// flight.
func drainAll(t tb, b *buffer.Buffer, take func() bool, settle func()) {
	t.Helper()
	for tries := 0; !b.Idle(); tries++ {
		for take() {
			tries = 0
		}
		settle()
		if tries > 100 {
			t.Fatalf("nothing comes any more: %+v %+v", b.State(), b.State().Disk)
		}
		time.Sleep(time.Second)
	}
}
