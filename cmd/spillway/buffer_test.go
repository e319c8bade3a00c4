package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/record"
)

// fillTime is that of all records.
var fillTime = time.Date(2026, 11, 20, 18, 3, 15, 123456789, time.UTC)

// fillBuffer is the helper "fill DIR RECORDS SETTLED [OPTION=VALUE ...]", which
// makes a disk buffer that a dead process left behind: its records are "line N" of
// stdout, ten in a frame, and behind them stand a loss marker and a record of
// stderr that is not UTF-8. The options say where they were going.
func fillBuffer(args []string) (err error) {
	if len(args) < 3 {
		return errors.New("usage: fill DIR RECORDS SETTLED [OPTION=VALUE ...]")
	}
	records, err1 := strconv.Atoi(args[1])
	settled, err2 := strconv.ParseUint(args[2], 10, 64)
	about, err3 := aboutFor(args[3:])
	if err := errors.Join(err1, err2, err3, os.MkdirAll(filepath.Dir(args[0]), 0o700)); err != nil {
		return err
	}
	dir, err := diskbuffer.OpenDir(args[0], diskbuffer.Owner{UID: -1, GID: -1})
	if err != nil {
		return err
	}
	s, err := diskbuffer.Create(dir, diskbuffer.Meta{Identity: "exec/test", Made: fillTime, Limit: 1 << 20, About: about},
		diskbuffer.Options{Max: 64 << 20, Segment: 4 << 10})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close(true)) }()
	for i, name := range []string{"stdout", "stderr"} {
		if err := s.AddStream(diskbuffer.Stream{Index: uint32(i), Name: name}); err != nil {
			return err
		}
	}
	for first := 1; first <= records; first += 10 {
		if _, err := s.Append(lines(first, min(first+9, records))); err != nil {
			return err
		}
	}
	last := record.AppendLoss(nil, record.Loss{
		Lost: 3, Bytes: 21, FirstSeq: uint64(records) + 1, LastSeq: uint64(records) + 3, FirstTime: fillTime.UnixNano(),
		LastTime: fillTime.UnixNano(), Reason: "overflow-newest",
	})
	if _, err := s.Append(appendBatch(last, 1, 1, "caf\xe9")); err != nil {
		return err
	}
	return s.Settle(diskbuffer.Position{Events: settled, Records: settled})
}

// aboutFor is what a buffer of exec remembers.
func aboutFor(options []string) (json.RawMessage, error) {
	in := config.Input{Program: config.ProgramExec, Own: []config.Setting{{Name: "mode", Value: "spill"}}, Getenv: os.Getenv}
	settings, err := config.ParseArgs(options)
	if err != nil {
		return nil, err
	}
	in.Own = append(in.Own, settings...)
	r, err := config.Resolve(in)
	if err != nil {
		return nil, err
	}
	a, err := r.About()
	if err != nil {
		return nil, err
	}
	a.Run = "test"
	return json.Marshal(a)
}

func lines(first, last int) []byte {
	var bodies []string
	for n := first; n <= last; n++ {
		bodies = append(bodies, fmt.Sprintf("line %d", n))
	}
	return appendBatch(nil, 0, uint64(first), bodies...)
}

// appendBatch appends a batch of records.
func appendBatch(dst []byte, stream uint32, first uint64, bodies ...string) []byte {
	b := record.Batch{Stream: stream, Kind: record.KindRecords, Time: fillTime.UnixNano(), FirstSeq: first}
	var frames []byte
	for _, body := range bodies {
		var added record.Added
		frames, added = record.AppendBody(frames, []byte(body))
		b.Count += added.Count
		b.Bytes += added.Bytes
		b.Repair += added.Repair
	}
	at := len(dst)
	dst = append(dst, make([]byte, record.HeaderSize)...)
	record.PutHeader(dst[at:], &b, len(frames))
	return append(dst, frames...)
}

// holdBuffer is the helper "hold DIR COMMAND [ARGUMENT ...]": the command runs
// while a process uses the buffer.
func holdBuffer(args []string) (err error) {
	if len(args) < 2 {
		return errors.New("usage: hold DIR COMMAND [ARGUMENT ...]")
	}
	dir, err := diskbuffer.OpenDir(args[0], diskbuffer.Owner{UID: -1, GID: -1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	if err := dir.Lock(); err != nil {
		return err
	}
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
