package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A route's own word beats the node's, which beats what is built in; and it is held
// to its word as a container is, with the place where it stands.
func TestResolveRoute(t *testing.T) {
	node, err := ParseNode("f", []byte("defaults: {mode: spill, drop: oldest, max-buffer-size: 1m, awslogs-group: g, cleanup-time: 1s}"))
	if err != nil {
		t.Fatal(err)
	}
	own := func(name, value string) Placed { return Placed{Setting{name, value}, "f:7:7"} }
	b, warnings, err := ResolveRoute([]Placed{own("durability", "kernel"), own("max-disk-size", "64k")}, node)
	if err != nil {
		t.Fatal(err)
	}
	want := Buffer{
		Mode: Spill, Limit: 1 << 20, Drop: DropOldest, LossMarkers: true, MaxDisk: 2 << 20, WhenFull: WhenFullBlock,
		Durability: DurabilityKernel, Compression: DiskCompressionNone,
	}
	if diff := cmp.Diff(want, b); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantWarnings := []string{"f:7:7: max-disk-size 64k is raised to 2m, twice max-buffer-size: room for what memory holds, and for what is in flight once more"}
	if diff := cmp.Diff(wantWarnings, warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}

	_, _, err = ResolveRoute([]Placed{own("mode", "blocking"), own("durability", "power"), own("drop", "all")}, node)
	wantError(t, err, []string{
		`f:7:7: durability: found "power" beside mode blocking (route); expected mode spill`,
		`f:7:7: drop: found "all"; expected newest or oldest`,
	})
}

// The options of a route are those of the buffer, and no others.
func TestOptionsOfARoute(t *testing.T) {
	var got []string
	for _, o := range Options(ProgramRoute) {
		got = append(got, o.Name)
	}
	want := []string{"mode", "max-buffer-size", "drop", "max-block", "max-disk-size", "when-full", "durability", "min-free-disk", "disk-compression", "loss-markers"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDefault(t *testing.T) {
	node, err := ParseNode("f", []byte("defaults: {awslogs-region: r, json-file-tag: t}"))
	if err != nil {
		t.Fatal(err)
	}
	if text, where, given := node.Default("awslogs-region"); text != "r" || where != "f:1:28" || !given {
		t.Errorf("%q at %s, %v", text, where, given)
	}
	if text, _, given := node.Default("awslogs-endpoint"); text != "" || given {
		t.Errorf("%q, %v", text, given)
	}
}
