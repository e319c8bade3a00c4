package run_test

import (
	"testing"
	"time"

	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/run"
)

// resized can go on with another share, and holding cannot.
type resized struct {
	*source
	to []int64
}

func (r *resized) Resize(memory int64) { r.to = append(r.to, memory) }

type holding struct{ *source }

func (h holding) InHeap() int64 { return h.o.Memory }

// TestReloadChangesShares: sources follow a smaller memory, those that cannot by others in their place; and a larger
// one opens none anew.
func TestReloadChangesShares(t *testing.T) {
	r := newRig(t)
	can := &resized{}
	cfg := r.config()
	open := cfg.OpenSource
	cfg.OpenSource = func(s *runfile.Source, o run.SourceOptions) (run.Source, error) {
		made, err := open(s, o)
		if err != nil {
			return nil, err
		}
		switch s.Name {
		case "can":
			can.source = made.(*source)
			return can, nil
		case "cannot":
			return holding{made.(*source)}, nil
		}
		return made, nil
	}
	file := func(memory int64) *runfile.File {
		f := r.file(8<<20, "**: one")
		f.Memory = memory
		for _, name := range []string{"can", "cannot"} {
			f.Sources = append(f.Sources, runfile.Source{Name: name, Type: "test"})
		}
		return f
	}
	var err error
	if r.Run, err = run.Start(file(64<<20), cfg); err != nil {
		t.Fatal(err)
	}
	opened := func(want int) {
		t.Helper()
		if len(r.sources) != want {
			t.Fatalf("%d sources were opened, want %d", len(r.sources), want)
		}
	}
	opened(3)
	large := can.o.Memory
	for i, c := range []struct {
		memory int64
		opened int
	}{{32 << 20, 4}, {64 << 20, 4}, {64 << 20, 4}, {16 << 20, 5}} {
		did, err := r.Reload(file(c.memory))
		if err != nil {
			t.Fatal(err)
		}
		if opened(c.opened); did.SourcesKept != 3-len(did.SourcesBegun) {
			t.Errorf("reload %d: %+v", i, did)
		}
	}
	if len(can.to) != 3 || can.to[0] >= large || can.to[1] != large || can.to[2] >= can.to[0] {
		t.Errorf("the shares are %d, then %d", large, can.to)
	}
	if last := r.sources[4]; last.o.Memory != can.to[2] || last.o.Instead == nil || r.sources[2].stopped.Load() != true {
		t.Errorf("the one that cannot has %d bytes, want %d", last.o.Memory, can.to[2])
	}
	r.stop(time.Minute)
}
