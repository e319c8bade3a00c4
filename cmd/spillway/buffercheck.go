package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/record"
)

func bufferCheckCommand() *cobra.Command {
	var asJSON bool
	var stateDir string
	cmd := &cobra.Command{
		Use:   "check [DIR]",
		Short: "Say what is in disk buffers, and what damage took",
		Long: `Read all of a disk buffer and say how many records wait in it, where they were going,
what is damaged, and exactly how many records are lost by that. Nothing is written, and a
buffer that a process uses may be checked as well.

Exit codes: 0 whole, 3 damage was found, 1 something could not be read.`,
		Example: `  spillway buffer check
  spillway buffer check --json /var/lib/spillway`,
		Args: oneDir,
		RunE: func(_ *cobra.Command, args []string) error {
			paths, err := buffersOf(stateDir, args)
			if err != nil {
				return err
			}
			return checkBuffers(os.Stdout, paths, asJSON)
		},
	}
	bindStateDir(cmd, &stateDir)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object: the sums, and each buffer")
	return cmd
}

// checkSums are the numbers of a check. Those of records are of what is not
// settled.
type checkSums struct {
	Records      uint64 `json:"records"`
	Markers      uint64 `json:"markers"`
	Lost         uint64 `json:"lost"`
	Frames       uint64 `json:"frames"`
	DamagedBytes int64  `json:"damaged_bytes"`
	Segments     int    `json:"segments"`
	Bytes        int64  `json:"bytes"`
	SetAside     int64  `json:"set_aside_bytes"`
	Whole        bool   `json:"whole"`
}

// checked is one buffer.
type checked struct {
	Path string `json:"path"`
	checkSums
	Identity string          `json:"identity,omitempty"`
	Made     time.Time       `json:"made,omitzero"`
	Oldest   time.Time       `json:"oldest,omitzero"`
	Newest   time.Time       `json:"newest,omitzero"`
	Locked   bool            `json:"locked"`
	Clean    bool            `json:"clean"`
	Settled  uint64          `json:"settled"`
	End      uint64          `json:"end"`
	Damage   []checkedDamage `json:"damage"`
	Error    string          `json:"error,omitempty"`

	about json.RawMessage
}

type checkedDamage struct {
	File string `json:"file"`
	From int64  `json:"from"`
	To   int64  `json:"to"`
	What string `json:"what"`
}

// checkAll is what --json prints.
type checkAll struct {
	checkSums
	Buffers []checked `json:"buffers"`
}

func checkBuffers(w io.Writer, paths []string, asJSON bool) error {
	all := checkAll{checkSums: checkSums{Whole: true}, Buffers: []checked{}}
	var errs []error
	for _, path := range paths {
		c, err := checkBuffer(path)
		if err != nil {
			c.Error, c.Whole = err.Error(), false
			errs = append(errs, err)
		}
		all.add(c)
		if asJSON {
			continue
		}
		if err := c.print(w); err != nil {
			return err
		}
	}
	if asJSON {
		errs = append(errs, json.NewEncoder(w).Encode(all))
	} else {
		errs = append(errs, all.print(w))
	}
	return outcome(all.Whole, errors.Join(errs...))
}

func (a *checkAll) add(c checked) {
	a.Buffers = append(a.Buffers, c)
	a.Records += c.Records
	a.Markers += c.Markers
	a.Lost += c.Lost
	a.Frames += c.Frames
	a.DamagedBytes += c.DamagedBytes
	a.Segments += c.Segments
	a.Bytes += c.Bytes
	a.SetAside += c.SetAside
	a.Whole = a.Whole && c.Whole
}

// checkBuffer reads one buffer.
func checkBuffer(path string) (checked, error) {
	c := checked{Path: path, Damage: []checkedDamage{}}
	r, err := inspect(path, func(f diskbuffer.Frame) error {
		if f.Settled < f.Events {
			c.seen(f.Payload)
		}
		return nil
	})
	c.checkSums = checkSums{
		Records: r.Records, Markers: r.Markers, Lost: r.Lost, Frames: r.Frames, DamagedBytes: r.DamagedBytes,
		Segments: r.Segments, Bytes: r.Bytes, SetAside: r.SetAside, Whole: r.Whole(),
	}
	c.Identity, c.Made, c.Locked, c.Clean, c.about = r.Identity, r.Made, r.Locked, r.Clean, r.About
	c.Settled, c.End = r.Settled.Records, r.End.Records
	for _, d := range r.Damage {
		c.Damage = append(c.Damage, checkedDamage(d))
	}
	return c, err
}

// seen takes the times of a payload.
func (c *checked) seen(payload []byte) {
	for rest := payload; len(rest) > 0; {
		var b record.Batch
		rest = rest[record.Parse(rest, &b):]
		at := time.Unix(0, b.Time).UTC()
		if c.Oldest.IsZero() || at.Before(c.Oldest) {
			c.Oldest = at
		}
		if at.After(c.Newest) {
			c.Newest = at
		}
	}
}

// print tells one buffer to a person.
func (c *checked) print(w io.Writer) error {
	state := "left behind"
	if c.Locked {
		state = "in use"
	}
	text := fmt.Sprintf("%s: %s, %s\n  %s and %s wait, %s in %s\n", c.Path, destinationOf(c.Identity, c.about), state,
		many(c.Records, "record"), many(c.Markers, "loss marker"), units.BytesSize(float64(c.Bytes)), many(c.Segments, "segment"))
	if !c.Oldest.IsZero() {
		text += fmt.Sprintf("  from %s to %s\n", c.Oldest.Format(time.RFC3339), c.Newest.Format(time.RFC3339))
	}
	if c.SetAside > 0 {
		text += fmt.Sprintf("  a repair has set %s aside\n", units.BytesSize(float64(c.SetAside)))
	}
	for _, d := range c.Damage {
		where := d.File
		if d.To > d.From {
			where = fmt.Sprintf("%s, bytes %d to %d", d.File, d.From, d.To)
		}
		text += fmt.Sprintf("  DAMAGED %s: %s\n", where, d.What)
	}
	if c.Lost > 0 {
		text += fmt.Sprintf("  LOST %s\n", many(c.Lost, "record"))
	}
	_, err := io.WriteString(w, text)
	return err
}

// print tells the sums to a person.
func (a *checkAll) print(w io.Writer) error {
	verdict := "whole"
	if !a.Whole {
		verdict = fmt.Sprintf("DAMAGED: %s unreadable, %s lost", many(a.DamagedBytes, "byte"), many(a.Lost, "record"))
	}
	_, err := fmt.Fprintf(w, "%s, %s waiting: %s\n", many(len(a.Buffers), "buffer"), many(a.Records, "record"), verdict)
	return err
}

// many counts things.
func many[N int | int64 | uint64](n N, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
