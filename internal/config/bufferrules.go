package config

import (
	"math"

	"github.com/spillway/spillway/internal/config/setting"
)

const (
	// minBuffer is the smallest buffer: below it, a single part of a line and
	// the reserve for one request would not fit side by side.
	minBuffer = 64 << 10
	// minDisk is the smallest disk buffer: below it, its segments would be too
	// small to free room one by one.
	minDisk = 1 << 20
	// diskFactor is how many times the memory the disk is at least. What is in flight
	// may have to be written once more, for which up to one of them is kept; the other
	// takes what memory holds.
	diskFactor = 2
)

// bufferRules checks what the options of the buffer say together.
func (r *resolver) bufferRules() {
	if size := r.value("max-buffer-size"); size.Number < minBuffer {
		r.raise(size, minBuffer, "the smallest that holds a part of a line and a request")
	}
	r.maxBlockRule()
	if r.value("mode").Text == string(Spill) {
		r.spillRules()
	} else {
		r.diskRules()
	}
}

// raise makes a size as large as it must be.
func (r *resolver) raise(size *value, to int64, why string) {
	before := size.Text
	size.Number, size.Text, size.note = to, setting.FormatSize(to), "raised from "+before
	r.warn("%s %s is raised to %s, %s", size.place(), before, size.Text, why)
}

// maxBlockRule keeps max-block to the mode whose wait it limits.
func (r *resolver) maxBlockRule() {
	mode, maxBlock, drop := r.value("mode"), r.value("max-block"), r.value("drop")
	switch {
	case !maxBlock.given:
		if drop.level.own() && mode.Text == string(Blocking) {
			r.warn("%s has no effect: mode blocking without max-block drops nothing", drop.origin())
		}
	case mode.Text == string(Blocking):
	case maxBlock.level.rank() < mode.level.rank():
		r.yield("max-block", "mode")
	default:
		r.problems.Add(&Problem{Where: maxBlock.origin(), Found: setting.Quote(maxBlock.Text) + beside("mode", mode),
			Expected: "mode blocking, whose wait it limits", Do: "set mode to blocking or remove max-block"})
	}
}

// spillRules are those of mode spill.
func (r *resolver) spillRules() {
	memory := r.value("max-buffer-size").Number
	least, why := diskFactor*min(memory, math.MaxInt64/diskFactor), "twice max-buffer-size: room for what memory holds, and for what is in flight once more"
	if least < minDisk {
		least, why = minDisk, "the smallest that is worth its segments"
	}
	if size := r.value("max-disk-size"); size.Number < least {
		r.raise(size, least, why)
	}
	drop := r.value("drop")
	switch {
	case drop.level.own():
		r.problems.Add(&Problem{Where: drop.origin(), Found: setting.Quote(drop.Text) + beside("mode", r.value("mode")),
			Expected: "when-full, which says in mode spill what happens when the disk is full",
			Do:       "write when-full drop-" + drop.Text + " instead, or remove drop"})
	case drop.level == LevelNode:
		drop.note = "no effect in mode spill, where when-full says what is dropped"
	}
}

// diskRules are those of the modes without a disk. What the node file says of
// the disk is for those of its containers that have mode spill.
func (r *resolver) diskRules() {
	mode, maxBlock := r.value("mode"), r.value("max-block")
	for _, name := range [...]string{"max-disk-size", "when-full", "durability", "min-free-disk", "disk-compression"} {
		v := r.value(name)
		limited := name == "when-full" && mode.Text == string(Blocking) && maxBlock.given
		switch {
		case limited && (v.Text != string(WhenFullBlock) || !v.level.own()):
		case limited:
			r.problems.Add(&Problem{Where: v.origin(), Found: setting.Quote(v.Text) + beside("max-block", maxBlock),
				Expected: "drop-newest or drop-oldest, because max-block ends the waiting", Do: "choose one of the two or remove max-block"})
		case v.level.own():
			expected, do := "mode spill", "set mode to spill or remove "+name
			if name == "when-full" {
				expected, do = "mode spill, or mode blocking with max-block", do+"; drop says what mode non-blocking drops"
			}
			r.problems.Add(&Problem{Where: v.origin(), Found: setting.Quote(v.Text) + beside("mode", mode), Expected: expected, Do: do})
		case v.level == LevelNode:
			v.note = "no effect without mode spill"
		}
	}
}

// beside says beside which other option a value was found.
func beside(name string, v *value) string {
	return " beside " + name + " " + v.Text + " (" + string(v.level) + ")"
}
