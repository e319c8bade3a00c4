// Package console answers questions about a running process on a unix socket
// in the state directory, and asks them. It reads what others report and can
// change nothing.
package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// statusPath is what a process is asked for.
const statusPath = "/api/status"

// maxSocketPath is the longest path of a unix socket, in bytes.
const maxSocketPath = 107

// ErrPathTooLong is the error of Listen in a folder whose path leaves no room for
// a socket's name. A process can do its work without one, unseen by Ask.
var ErrPathTooLong = errors.New("the path is too long for a socket")

// timeout bounds one question.
const timeout = 2 * time.Second

// Server answers for one process. A nil Server answers nobody; Serve and Close
// do nothing to it.
type Server struct {
	path     string
	listener net.Listener
	server   http.Server
	serving  bool
	done     chan error
}

// Listen opens a socket of this name in dir. It is opened before the process
// gives up rights, and answers only once Serve was called.
func Listen(dir, name string) (*Server, error) {
	path := filepath.Join(dir, name+".sock")
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("open the status socket: %w: %s is %d bytes long, and a socket's path has at most %d; "+
			"choose a shorter --state-dir", ErrPathTooLong, path, len(path), maxSocketPath)
	}
	if err := sweep(dir); err != nil {
		return nil, err
	}
	l, err := listen(filepath.Join(dir, name), path)
	if err != nil {
		return nil, fmt.Errorf("open the status socket: %w", err)
	}
	return &Server{path: path, listener: l, done: make(chan error, 1)}, nil
}

// listen opens the socket under another name, which is shorter, and gives it its
// own when it listens: between the two steps of that a socket looks like one
// that nobody listens on any more, and would be swept away. A socket of either
// name is left from a process that was killed.
func listen(scratch, path string) (net.Listener, error) {
	if err := removeSocket(scratch); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: scratch, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err := os.Rename(scratch, path); err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(scratch))
	}
	return l, nil
}

// removeSocket removes a socket that may be gone already.
func removeSocket(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sweepMost bounds how many sockets a start looks at.
const sweepMost = 16

// sweep removes sockets that nobody listens on any more: a process that was
// killed, or that gave up the right to write here, leaves its own behind. A
// neighbour that is stuck, and one that has just removed its socket, are none of
// this process's business.
func sweep(dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*.sock"))
	if err != nil {
		return err
	}
	// Each start looks at others, or those of the first names would hide the rest.
	rand.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	var errs []error
	for _, path := range paths[:min(len(paths), sweepMost)] {
		conn, err := net.DialTimeout("unix", path, timeout)
		switch {
		case err == nil:
			errs = append(errs, conn.Close())
		case errors.Is(err, syscall.ECONNREFUSED):
			errs = append(errs, removeSocket(path))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove the status sockets of processes that are gone: %w", err)
	}
	return nil
}

// Serve begins to answer with what report returns. It and Close are called by
// one goroutine.
func (s *Server) Serve(report func() any) {
	if s == nil {
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+statusPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// Whoever asked has gone if this fails.
		_ = json.NewEncoder(w).Encode(report())
	})
	s.server = http.Server{Handler: mux, ReadTimeout: timeout, WriteTimeout: timeout}
	s.serving = true
	go func() { s.done <- s.server.Serve(s.listener) }()
}

// Close ends the answering and removes the socket, as far as the process may
// still do so.
func (s *Server) Close() error {
	if s == nil {
		return nil
	}
	gone := removeSocket(s.path)
	if errors.Is(gone, fs.ErrPermission) {
		gone = nil // The next process sweeps it away.
	}
	if !s.serving {
		return errors.Join(gone, s.listener.Close())
	}
	err := errors.Join(gone, s.server.Close())
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// Ask asks all processes whose sockets are in dir and returns their answers, in
// the order of the sockets' names. Sockets that nobody listens on any more are
// removed. The error tells of those that did not answer; the others' answers are
// returned all the same.
func Ask(ctx context.Context, dir string) ([]json.RawMessage, error) {
	paths, err := sockets(dir)
	if err != nil {
		return nil, fmt.Errorf("look for running processes: %w", err)
	}
	var answers []json.RawMessage
	var errs []error
	for _, path := range paths {
		answer, err := ask(ctx, path)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			if err := removeSocket(path); err != nil {
				errs = append(errs, fmt.Errorf("remove the socket of a process that is gone: %w", err))
			}
		case errors.Is(err, fs.ErrNotExist):
			// The process has ended since the folder was read.
		case err != nil:
			errs = append(errs, err)
		default:
			answers = append(answers, answer)
		}
	}
	return answers, errors.Join(errs...)
}

// sockets lists the sockets of a folder by their names. A folder that is not there
// has none; one that cannot be read is an error, because somebody may run there.
func sockets(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".sock") {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, nil
}

// maxAnswer bounds an answer, in bytes: a balance of the most streams that are
// kept by name.
const maxAnswer = 64 << 20

func ask(ctx context.Context, path string) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
		DisableKeepAlives: true,
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://spillway"+statusPath, nil)
	if err != nil {
		return nil, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s for its status: %w", path, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask %s for its status: it answered %s", path, resp.Status)
	}
	if err != nil {
		return nil, fmt.Errorf("read the status that %s answers: %w", path, err)
	}
	return answer, nil
}
