// Command dockerlogs plays the part of Docker's daemon for the output of one container, with Docker's own code: its
// Copier, its awslogs driver and, in non-blocking mode, its ring. The benchmarks measure Spillway against it.
//
// It is started as a containerd logger is: stdout and stderr of the container on descriptors 3 and 4, one byte on 5
// when it is ready. It does less than a daemon and is therefore never slower than one: it keeps no local cache for
// "docker logs", has no pipe in the daemon between container and Copier, and keeps no other containers.
//
// Log options are given as the daemon takes them: dockerlogs --log-opt awslogs-group=g --log-opt mode=non-blocking.
// Credentials come from the environment, as the driver reads them. It refuses options that Docker refuses.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/daemon/logger"
	"github.com/docker/docker/daemon/logger/awslogs"
	"github.com/docker/go-units"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "dockerlogs: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	options := map[string]string{}
	f := flag.NewFlagSet("dockerlogs", flag.ContinueOnError)
	f.Func("log-opt", "one `key=value` of the awslogs driver, or mode, or max-buffer-size", func(opt string) error {
		key, value, ok := strings.Cut(opt, "=")
		if !ok {
			return errors.New("expected key=value")
		}
		options[key] = value
		return nil
	})
	if err := f.Parse(args); err != nil {
		return err
	}
	// The daemon checks when the container is created.
	if err := logger.ValidateLogOpts("awslogs", options); err != nil {
		return err
	}
	id := os.Getenv("CONTAINER_ID")
	driver, err := newDriver(logger.Info{Config: options, ContainerID: id, ContainerName: "/" + id})
	if err != nil {
		return err
	}
	stdout, err := openPipe(3)
	if err != nil {
		return err
	}
	stderr, err := openPipe(4)
	if err != nil {
		return err
	}
	copier := logger.NewCopier(map[string]io.Reader{"stdout": stdout, "stderr": stderr}, driver)
	copier.Run()
	if err := sayReady(); err != nil {
		return err
	}
	copier.Wait()
	if err := driver.Close(); err != nil {
		return err
	}
	waitForLastBatch()
	return printUsage()
}

// newDriver makes the driver as the daemon's StartLogger does.
func newDriver(info logger.Info) (logger.Logger, error) {
	driver, err := awslogs.New(info)
	if err != nil || info.Config["mode"] != "non-blocking" {
		return driver, err
	}
	size := int64(-1)
	if text, ok := info.Config["max-buffer-size"]; ok {
		if size, err = units.RAMInBytes(text); err != nil {
			return nil, err
		}
	}
	return logger.NewRingLogger(driver, info, size), nil
}

// openPipe gives the reader that the daemon has: one that waits in Go's poller and blocks no thread.
func openPipe(fd int) (io.Reader, error) {
	if err := syscall.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	return os.NewFile(uintptr(fd), "pipe "+strconv.Itoa(fd)), nil
}

// sayReady tells the launcher that the container may start.
func sayReady() error {
	ready := os.NewFile(5, "ready")
	_, err := ready.Write([]byte{0})
	return errors.Join(err, ready.Close())
}

// waitForLastBatch returns when the driver has sent what it held. The driver's Close only closes its queue, and the
// goroutine that sends the rest is awaited by nobody: a program that ended there would lose it, which would be our
// doing and not Docker's.
func waitForLastBatch() {
	stacks := make([]byte, 1<<20)
	for {
		n := runtime.Stack(stacks, true)
		if !bytes.Contains(stacks[:n], []byte("awslogs.(*logStream).collectBatch")) {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// printUsage prints what the process took, as one line of JSON on stderr.
func printUsage() error {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return fmt.Errorf("ask for the processor time: %w", err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	peak, _, _ := strings.Cut(strings.TrimSpace(after), " ")
	kib, err := strconv.ParseInt(peak, 10, 64)
	if err != nil {
		return fmt.Errorf("read the peak memory from /proc/self/status: %w", err)
	}
	return json.NewEncoder(os.Stderr).Encode(map[string]any{
		"cpu_seconds":    time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds(),
		"peak_rss_bytes": kib << 10,
	})
}
