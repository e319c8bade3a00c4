package main

import (
	"log/slog"
	"os"
	"slices"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"
)

// target is a command that notes the signals it gets.
type target struct{ got []os.Signal }

func (c *target) Signal(s os.Signal) error {
	c.got = append(c.got, s)
	return nil
}

// watched runs a watcher in a bubble until act returns, and counts how often it
// gave the delivery up.
func watched(t *testing.T, act func(w *watcher)) (gaveUp int) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		w := newWatcher(slog.New(slog.DiscardHandler), func() { gaveUp++ })
		go w.run()
		act(w)
		synctest.Wait()
		w.stop()
	})
	return gaveUp
}

// TestSignalsBeforeTheCommandIsThere are not lost: the command gets each when it
// has been started, and those that come later too.
func TestSignalsBeforeTheCommandIsThere(t *testing.T) {
	var c target
	watched(t, func(w *watcher) {
		for _, s := range []os.Signal{unix.SIGTERM, unix.SIGUSR1, unix.SIGTERM} {
			w.signals <- s
		}
		synctest.Wait()
		w.forwardTo(&c)
		synctest.Wait()
		w.signals <- unix.SIGHUP
	})
	if want := []os.Signal{unix.SIGTERM, unix.SIGUSR1, unix.SIGHUP}; !slices.Equal(c.got, want) {
		t.Errorf("the command got %v, want %v", c.got, want)
	}
}

// TestTheSecondSignalEndsTheDelivery on whichever side of the command's end the
// two come.
func TestTheSecondSignalEndsTheDelivery(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after []os.Signal
		gaveUp        bool
	}{
		{"none", nil, nil, false},
		{"one before", []os.Signal{unix.SIGTERM}, nil, false},
		{"one after", nil, []os.Signal{unix.SIGINT}, false},
		{"two before", []os.Signal{unix.SIGINT, unix.SIGTERM}, nil, true},
		{"one on each side", []os.Signal{unix.SIGTERM}, []os.Signal{unix.SIGTERM}, true},
		{"two after", nil, []os.Signal{unix.SIGTERM, unix.SIGTERM}, true},
		{"signals that end nothing", []os.Signal{unix.SIGHUP, unix.SIGUSR1}, []os.Signal{unix.SIGUSR2, unix.SIGTERM}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			gaveUp := watched(t, func(w *watcher) {
				w.forwardTo(&target{})
				synctest.Wait()
				for _, s := range c.before {
					w.signals <- s
				}
				synctest.Wait()
				w.commandEnded()
				synctest.Wait()
				for _, s := range c.after {
					w.signals <- s
				}
			})
			if (gaveUp > 0) != c.gaveUp {
				t.Errorf("the delivery was given up %d times, want that: %t", gaveUp, c.gaveUp)
			}
		})
	}
}
