package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spillway/spillway/internal/deadletter"
)

// TestStatusWithoutDeadLetters: a store whose disk hangs holds up neither status nor the end, is asked once, and again
// when it has answered.
func TestStatusWithoutDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a asked
		answers, questions := make(chan struct{}), 0
		ask := func(context.Context) (deadletter.Summary, error) {
			questions++
			<-answers
			return deadletter.Summary{Letters: 7}, nil
		}
		for range 3 {
			began := time.Now()
			if _, err := a.summary(ask); err == nil || time.Since(began) > 5*time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		}
		synctest.Wait() // It says to the race detector, too, that who asks has done so.
		if questions != 1 {
			t.Errorf("it is asked %d times", questions)
		}
		close(answers)
		synctest.Wait()
		if sum, err := a.summary(ask); err != nil || sum.Letters != 7 {
			t.Errorf("%+v, %v", sum, err)
		}
	})
}

// TestUnwritableIsTold: a start and a reload say that the files of a sink cannot be written, and what to do, and so does
// check.
func TestUnwritableIsTold(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "spillway.yaml")
	text := "sources: {in: {type: forward, listen: \"unix:" + dir + "/s\"}}\nsinks: {kept: {type: file, path: \"" + path + "/{tag}.log\"}}\n" +
		"routes: [{match: x, to: kept}]\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	r := running{path: path, log: slog.New(slog.NewTextHandler(&log, nil))}
	file, err := r.load()
	if err != nil {
		t.Fatal(err)
	}
	const want = "not a directory; let this process write there, or give another path"
	if !strings.Contains(log.String(), want) {
		t.Errorf("the log says %s", log.String())
	}
	if checked := checkedFile(path, file, nil); len(checked.Warnings) != 1 || !strings.Contains(checked.Warnings[0].Text, want) || checked.Warnings[0].Line != 2 {
		t.Errorf("check says %+v", checked)
	}
}
