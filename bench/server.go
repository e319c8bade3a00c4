package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/spillway/spillway/internal/sandbox/cloudwatch"
)

// server is a running CloudWatch Logs sandbox, a process of its own.
type server struct {
	url string
	cmd *exec.Cmd
}

// startServer starts the sandbox on a free port and waits until it answers. It keeps no messages, only the account.
func startServer(ctx context.Context, program string, latency time.Duration) (*server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &server{url: "http://" + address}
	s.cmd = exec.CommandContext(ctx, program, "sandbox", "cloudwatch",
		"--listen", address, "--latency", latency.String(), "--keep", "none")
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the sandbox: %w", err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err = s.report(ctx); err == nil {
			return s, nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return nil, errors.Join(fmt.Errorf("wait for the sandbox: %w", err), s.stop())
		}
	}
}

// freeAddress is a loopback address on which nothing listens at the moment.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// arrivals is what the sandbox says of the numbered lines of a run.
type arrivals struct {
	distinct, duplicates int64
	outOfOrder           int64 // In the order of GetLogEvents.
	untracked            int64 // More than the sandbox could remember: then the others are wrong.
}

// report asks the sandbox what has arrived.
func (s *server) report(ctx context.Context) (a arrivals, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/report", nil)
	if err != nil {
		return a, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return a, fmt.Errorf("ask the sandbox for its report: %w", err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	var r cloudwatch.Report
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		return a, fmt.Errorf("read the sandbox's report: %w", err)
	}
	for _, stream := range r.Streams {
		for _, series := range stream.Series {
			a.distinct += int64(series.Count - series.Duplicates)
			a.duplicates += int64(series.Duplicates)
			a.outOfOrder += int64(series.OutOfOrder)
			a.untracked += int64(series.Untracked)
		}
	}
	return a, nil
}

// stop ends the sandbox, by force if it does not go by itself.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the sandbox: %w", err)
	}
	force := time.AfterFunc(5*time.Second, func() {
		// Whether it was still there to be killed, Wait tells.
		_ = s.cmd.Process.Kill()
	})
	defer force.Stop()
	var exit *exec.ExitError
	// How a process ended that was told to end says nothing.
	if err := s.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("stop the sandbox: %w", err)
	}
	return nil
}
