package config

import (
	stdcmp "cmp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/config/setting"
)

// TestSpill: what the options of mode spill come to.
func TestSpill(t *testing.T) {
	for _, c := range []struct {
		name string
		argv []string
		node string
		want Buffer
	}{
		{"built in", nil, "",
			Buffer{Limit: 10 << 20, MaxDisk: 1 << 30, WhenFull: WhenFullBlock, Durability: DurabilityMemory}},
		{"all of them", []string{"--max-disk-size=10g", "--when-full=drop-oldest", "--durability=power", "--min-free-disk=512m", "--disk-compression=s2"}, "",
			Buffer{Limit: 10 << 20, MaxDisk: 10 << 30, MinFreeDisk: 512 << 20, WhenFull: WhenFullDropOldest, Durability: DurabilityPower, Compression: DiskCompressionS2}},
		{"of the node", nil, "defaults: {max-disk-size: 2g, when-full: drop-newest, durability: kernel, min-free-disk: 1}",
			Buffer{Limit: 10 << 20, MaxDisk: 2 << 30, MinFreeDisk: 1, WhenFull: WhenFullDropNewest, Durability: DurabilityKernel}},
		{"own before the node's", []string{"--durability=memory"}, "defaults: {durability: power}",
			Buffer{Limit: 10 << 20, MaxDisk: 1 << 30, WhenFull: WhenFullBlock, Durability: DurabilityMemory}},
		{"a node that blocks for a while, and drops", nil, "defaults: {drop: oldest, max-block: 2s}",
			Buffer{Limit: 10 << 20, MaxDisk: 1 << 30, WhenFull: WhenFullBlock, Durability: DurabilityMemory}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := mustResolve(t, Input{Program: ProgramShim}, with("awslogs", append(c.argv, "--mode=spill")...), c.node)
			got := r.Buffer()
			got.Drop = "" // It has no effect.
			c.want.Mode, c.want.LossMarkers = Spill, true
			c.want.Compression = stdcmp.Or(c.want.Compression, DiskCompressionNone)
			if diff := cmp.Diff(c.want, got); diff != "" || len(r.Warnings) > 0 {
				t.Errorf("warnings %q; (-want +got):\n%s", r.Warnings, diff)
			}
		})
	}
}

// TestSpillRefusals are what cannot be meant.
func TestSpillRefusals(t *testing.T) {
	for _, c := range []struct {
		name string
		argv []string
		node string
		err  []string
	}{
		{"a disk without spill", []string{"--max-disk-size=2g", "--durability=power", "--min-free-disk=1g"}, "", []string{
			`--max-disk-size: found "2g" beside mode blocking (built in); expected mode spill; set mode to spill or remove max-disk-size`,
			`--durability: found "power" beside mode blocking`, `--min-free-disk: found "1g" beside mode blocking`}},
		{"a disk against the node's mode", []string{"--max-disk-size=2g"}, "defaults: {mode: non-blocking}", []string{"beside mode non-blocking (node)"}},
		{"when-full without spill", []string{"--when-full=drop-oldest"}, "", []string{
			`--when-full: found "drop-oldest" beside mode blocking (built in); expected mode spill, or mode blocking with max-block`}},
		{"when-full in place of drop", []string{"--when-full=drop-oldest", "--mode=non-blocking"}, "", []string{"drop says what mode non-blocking drops"}},
		{"waiting after the waiting", []string{"--when-full=block", "--max-block=2s"}, "", []string{
			`--when-full: found "block" beside max-block 2s (container); expected drop-newest or drop-oldest`}},
		{"drop in place of when-full", []string{"--mode=spill", "--drop=oldest"}, "", []string{
			`--drop: found "oldest" beside mode spill (container); expected when-full, which says in mode spill what happens when the disk is full; write when-full drop-oldest instead`}},
		{"max-block", []string{"--mode=spill", "--max-block=2s"}, "", []string{`--max-block: found "2s" beside mode spill (container); expected mode blocking, whose wait it limits`}},
		{"unknown values", []string{"--mode=spill", "--when-full=drop", "--durability=disk"}, "", []string{
			`--when-full: found "drop"; expected block, drop-newest or drop-oldest`, `--durability: found "disk"; expected memory, kernel or power`}},
		{"bad sizes", []string{"--mode=spill", "--max-disk-size=0", "--min-free-disk=5%"}, "", []string{
			`--max-disk-size: found "0"; expected a size above 0`, `--min-free-disk: found "5%"; expected a size above 0`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := resolve(t, Input{Program: ProgramShim}, with("awslogs", c.argv...), c.node)
			wantError(t, err, c.err)
		})
	}
}

// TestAfterMaxBlock: drop decides, and when-full where drop is unset.
func TestAfterMaxBlock(t *testing.T) {
	for _, c := range []struct {
		argv []string
		node string
		want Drop
	}{
		{nil, "", DropNewest},
		{[]string{"--when-full=drop-oldest"}, "", DropOldest},
		{[]string{"--when-full=drop-newest"}, "defaults: {when-full: drop-oldest}", DropNewest},
		{nil, "defaults: {when-full: drop-oldest}", DropOldest},
		{nil, "defaults: {when-full: block}", DropNewest},
		{[]string{"--drop=newest", "--when-full=drop-oldest"}, "", DropNewest},
		{[]string{"--when-full=drop-newest"}, "defaults: {drop: oldest}", DropOldest},
	} {
		r := mustResolve(t, Input{Program: ProgramShim}, with("awslogs", append(c.argv, "--max-block=2s")...), c.node)
		if got := r.Buffer().Drop; got != c.want || len(r.Warnings) > 0 {
			t.Errorf("%q, %s: %s is dropped, want %s; warnings %q", c.argv, c.node, got, c.want, r.Warnings)
		}
	}
	// Without max-block nothing of it counts.
	r := mustResolve(t, Input{Program: ProgramShim}, with("awslogs", "--mode=non-blocking"), "defaults: {when-full: drop-oldest, max-disk-size: 2g}")
	if b := r.Buffer(); b.Drop != DropNewest || b.MaxDisk != 0 || b.WhenFull != "" || b.Durability != "" || len(r.Warnings) > 0 {
		t.Errorf("%+v, warnings %q", b, r.Warnings)
	}
	if note := r.value("max-disk-size").note; note != "no effect without mode spill" {
		t.Errorf("the note is %q", note)
	}
}

// TestRaisedDisk: a disk that cannot relieve the memory is raised, with a warning.
func TestRaisedDisk(t *testing.T) {
	for _, c := range []struct {
		argv []string
		want int64
		warn string
	}{
		{[]string{"--max-disk-size=4m"}, 20 << 20, "max-disk-size 4m is raised to 20m, twice max-buffer-size: "},
		{[]string{"--max-disk-size=10k", "--max-buffer-size=64k"}, 1 << 20, "max-disk-size 10k is raised to 1m, the smallest that is worth its segments"},
		{[]string{"--max-buffer-size=2g"}, 4 << 30, "max-disk-size 1g is raised to 4g, twice max-buffer-size"},
		{[]string{"--max-disk-size=20m"}, 20 << 20, ""},
		{[]string{"--max-disk-size=1m", "--max-buffer-size=512k"}, 1 << 20, ""},
	} {
		r := mustResolve(t, Input{Program: ProgramShim}, with("awslogs", append(c.argv, "--mode=spill")...), "")
		said := strings.Join(r.Warnings, "\n")
		if got := r.Buffer().MaxDisk; got != c.want || (said == "") != (c.warn == "") || !strings.HasPrefix(said, c.warn) {
			t.Errorf("%q: %d bytes, warnings %q; want %d, %q", c.argv, got, said, c.want, c.warn)
		}
	}
}

// TestDiskIsNeverTooSmall, whatever sizes are given.
func TestDiskIsNeverTooSmall(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		memory, disk := rapid.Int64Range(1, 1<<40).Draw(rt, "memory"), rapid.Int64Range(1, 1<<40).Draw(rt, "disk")
		r, err := Resolve(Input{Program: ProgramExec, Own: []Setting{
			{"mode", "spill"}, {"max-buffer-size", setting.FormatSize(memory)}, {"max-disk-size", setting.FormatSize(disk)},
		}})
		if err != nil {
			rt.Fatal(err)
		}
		want := max(disk, 2*memory, minDisk)
		if b := r.Buffer(); b.MaxDisk != want || (len(r.Warnings) > 0) != (memory < minBuffer || disk != want) {
			rt.Fatalf("%+v, want a disk of %d; warnings %q", b, want, r.Warnings)
		}
	})
}

func TestExplainSpill(t *testing.T) {
	rows := rowsByName(mustResolve(t, Input{Program: ProgramShim}, with("awslogs", "--mode=spill", "--max-disk-size=1m"),
		"defaults: {durability: kernel, drop: oldest}"))
	for _, want := range []Row{
		{Name: "mode", Value: "spill", Level: LevelContainer},
		{Name: "max-disk-size", Value: "20m", Level: LevelContainer, Note: "raised from 1m"},
		{Name: "when-full", Value: "block", Level: LevelBuiltIn},
		{Name: "durability", Value: "kernel", Level: LevelNode, Where: "f:1:24"},
		{Name: "min-free-disk", Level: LevelBuiltIn},
		{Name: "drop", Value: "oldest", Level: LevelNode, Where: "f:1:38", Note: "no effect in mode spill, where when-full says what is dropped"},
	} {
		if diff := cmp.Diff(want, rows[want.Name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.Name, diff)
		}
	}
}
