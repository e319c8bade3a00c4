package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spillway/spillway/internal/awsauth/awsprofile"
	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/catalog"
	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/console"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/pipeline"
	"github.com/spillway/spillway/internal/run"
	"github.com/spillway/spillway/internal/statedir"
	"github.com/spillway/spillway/internal/version"
)

// What became of a buffer.
const (
	outcomeEmptied = "emptied"
	outcomeInUse   = "in use"
	outcomeKept    = "kept"
	// outcomeGone: somebody else has emptied it, or it never was one.
	outcomeGone = ""
)

// drained is what became of one buffer.
type drained struct {
	Path    string `json:"path"`
	Outcome string `json:"outcome"`
	Error   string `json:"error,omitempty"`
	// Report is nil where delivering has not begun.
	*pipeline.Report
}

// Times of one buffer.
const (
	// stopWithin is how long the last answers may take after a signal.
	stopWithin = 3 * time.Second
	drainLook  = 100 * time.Millisecond
	// refusals is after how many attempts credentials count as refused.
	refusals = 2
)

// drain empties one buffer.
func (d *draining) drain(ctx context.Context, path string) drained {
	b := drained{Path: path}
	err := d.empty(ctx, &b)
	switch {
	case errors.Is(err, diskbuffer.ErrLocked):
		b.Outcome = outcomeInUse
	case errors.Is(err, fs.ErrNotExist) && b.Report == nil && !hasSegments(path):
		b.Outcome = outcomeGone
	case err != nil:
		b.Outcome, b.Error = outcomeKept, err.Error()
	default:
		b.Outcome = outcomeEmptied
	}
	return b
}

// hasSegments reports whether a directory can hold records. One that does not
// may be a buffer that a process is about to make.
func hasSegments(path string) bool {
	names, err := namesIn(path)
	if err != nil {
		return false
	}
	for name := range names {
		if strings.HasSuffix(name, ".seg") {
			return true
		}
	}
	return false
}

// leftBuffer is one buffer that is being emptied.
type leftBuffer struct {
	*draining
	path        string
	options     *config.Resolved
	destination *catalog.Destination
	pipeline    *pipeline.Pipeline
	identity    pipeline.Identity
}

func (d *draining) empty(ctx context.Context, b *drained) (err error) {
	l := &leftBuffer{draining: d, path: b.Path}
	owner, err := l.readAbout()
	if err != nil {
		return err
	}
	disk, err := pipeline.OpenLeft(l.path, owner, l.bufferOptions(), d.log)
	if err != nil {
		return err
	}
	if err := l.start(disk); err != nil {
		return errors.Join(err, disk.Store.Close(false))
	}
	why := l.deliver(ctx)
	err = l.pipeline.Close()
	if errors.Is(err, unix.ENOTEMPTY) {
		// What a repair has set aside stays, and what anybody else put there.
		err = nil
	}
	report := l.report()
	b.Report = &report
	var left error
	if report.Pending > 0 {
		left = fmt.Errorf("%s stay on the disk: %w", many(report.Pending, "record"), cmp.Or(why, errNotAll))
	}
	return errors.Join(left, err, l.record(report))
}

var errNotAll = errors.New("not all of it could be delivered")

// readAbout finds out where the records were going, and whose files they are.
func (l *leftBuffer) readAbout() (owner diskbuffer.Owner, err error) {
	dir, err := diskbuffer.OpenReadOnly(l.path)
	if err != nil {
		return owner, err
	}
	meta, err := diskbuffer.ReadMeta(dir)
	if err := errors.Join(err, dir.Close()); err != nil {
		return owner, fmt.Errorf("nothing says where its records were going: %w; \"spillway buffer export\" prints them", err)
	}
	if route, sink, ok := run.ParseIdentity(meta.Identity); ok {
		return owner, fmt.Errorf("it is of spillway run, of its route %q, and holds what goes to the sink %q; "+
			"spillway run delivers it where its file has a sink of that name", route, sink)
	}
	l.options, err = config.FromAbout(meta.About, config.Input{Node: l.node, Getenv: os.Getenv, Checks: catalog.Checks()})
	if err != nil {
		return owner, err
	}
	var st unix.Stat_t
	if err := unix.Stat(l.path, &st); err != nil {
		return owner, fmt.Errorf("see whose it is: %w", err)
	}
	if int(st.Uid) == os.Geteuid() {
		return diskbuffer.Owner{UID: -1, GID: -1}, nil
	}
	return diskbuffer.Owner{UID: int(st.Uid), GID: int(st.Gid)}, l.trust(meta)
}

// trust believes a buffer that belongs to another user only where its name, which
// that user cannot give, stands for a destination on this machine that is the one
// it says: a file would be written with the rights of this process.
func (l *leftBuffer) trust(meta diskbuffer.Meta) error {
	path, err := filepath.Abs(l.path)
	if err != nil {
		return err
	}
	hash, _, _ := strings.Cut(filepath.Base(path), "-")
	known := hash == statedir.Hash(meta.Identity)
	switch driver := l.options.Driver().String(); l.options.Driver() {
	case config.DriverJSONFile:
		file := l.options.JSONFile().Path
		known = known && (strings.HasSuffix(meta.Identity, driver+" "+file) || strings.HasSuffix(meta.Identity, driver+"/"+file))
	case config.DriverLocal:
		state := l.options.StateDir()
		known = known && (strings.HasSuffix(meta.Identity, driver+" "+filepath.Join(state, statedir.Local)) || strings.HasSuffix(meta.Identity, driver+"/"+state))
	}
	if !known {
		return fmt.Errorf("it belongs to another user, and its name is not that of a buffer for %s; run drain as that user, or export it", meta.Identity)
	}
	return nil
}

// bufferOptions are those of the buffer, as its logger had them.
func (l *leftBuffer) bufferOptions() config.Buffer {
	o := l.options.Buffer()
	if o.Mode != config.Spill {
		o.Mode, o.MaxDisk, o.WhenFull, o.Durability = config.Spill, 1<<30, config.WhenFullBlock, config.DurabilityMemory
	}
	// All that is delivered is on the disk already, and is read from there.
	o.Limit = min(o.Limit, drainMemory)
	return o
}

// drainMemory is the most that is held at once, in bytes.
const drainMemory = 16 << 20

func (l *leftBuffer) start(disk *buffer.Disk) error {
	var err error
	l.destination, err = catalog.Open(l.options, catalog.Surroundings{
		Provider: awsprofile.Provider, Region: awsprofile.Region, UserAgent: "spillway/" + version.String(),
		Local: filepath.Join(l.options.StateDir(), statedir.Local), Run: l.options.Run(),
	})
	if err != nil {
		return err
	}
	l.identity = identityOf(l.options, l.destination.Name)
	l.pipeline = pipeline.Start(pipeline.For(l.bufferOptions(), disk, l.destination, l.log))
	return nil
}

func (l *leftBuffer) report() pipeline.Report { return l.pipeline.Report(l.identity) }

// deliver returns when everything is delivered, or when it cannot be: then the
// rest is left to the disk, and the error says why.
func (l *leftBuffer) deliver(ctx context.Context) error {
	server := l.listen()
	if server != nil {
		server.Serve(func() any { return l.report() })
		defer func() {
			if err := server.Close(); err != nil {
				l.log.Warn("closing the status socket failed", "error", err)
			}
		}()
	}
	show := startDrainProgress(os.Stderr, filepath.Base(l.path), l.report)
	defer show.stop()
	l.pipeline.Hurry()
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.pipeline.Drain()
	}()
	why := l.await(ctx, done)
	if why != nil {
		l.pipeline.StopBy(time.Now().Add(stopWithin))
		<-done
	}
	return why
}

// await returns nil when all is delivered, else why to stop.
func (l *leftBuffer) await(ctx context.Context, done <-chan struct{}) error {
	look := time.NewTicker(drainLook)
	defer look.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return errors.New("ended by a signal")
		case <-look.C:
		}
		h := l.report().Health
		if h.Up {
			continue
		}
		if h.Config && h.Failures >= refusals {
			return l.refused(h.Error)
		}
		if time.Since(h.Since) > l.patience {
			return fmt.Errorf("%s takes nothing: %s", l.destination.Name, h.Error)
		}
	}
}

// refused says what somebody must do.
func (l *leftBuffer) refused(why string) error {
	do := ""
	if l.options.Driver() == config.DriverAWSLogs {
		do = "; the credentials of this machine need the right logs:PutLogEvents for the group, and logs:CreateLogStream, " +
			"logs:CreateLogGroup where these are to be made; give others by the section aws of " + l.options.NodePath()
	}
	for _, name := range l.options.LeftOut() {
		do += "; its logger had " + name + ", which no buffer holds; set it under defaults in " + l.options.NodePath()
	}
	return fmt.Errorf("%s refuses: %s%s", l.destination.Name, why, do)
}

// listen opens the socket on which status asks, where the buffer is in a state
// directory that has room for one.
func (l *leftBuffer) listen() *console.Server {
	state := stateOf(l.path)
	if state == "" {
		return nil
	}
	dir, err := statedir.Open(state)
	if err != nil {
		return nil
	}
	server, err := listenForStatus(dir, "drain", l.log)
	if err := errors.Join(err, dir.Close()); err != nil {
		l.log.Warn("spillway status will not see this run", "error", err)
	}
	return server
}

// record writes the exit line, where the buffer is in a state directory.
func (l *leftBuffer) record(report pipeline.Report) error {
	state := stateOf(l.path)
	if state == "" {
		return nil
	}
	dir, err := statedir.Open(state)
	if err != nil {
		return err
	}
	return errors.Join(recordExit(dir, report), dir.Close())
}

// print tells what became of a buffer to a person.
func (b *drained) print(w io.Writer) error {
	text := b.Path + ": "
	switch b.Outcome {
	case outcomeInUse:
		text += "skipped, a process uses it"
	case outcomeEmptied:
		text += "emptied"
	default:
		text += "KEPT: " + b.Error
	}
	if b.Report != nil {
		text += fmt.Sprintf(" (%s delivered, %d dropped)", many(b.Delivered, "record"), b.Dropped)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}
