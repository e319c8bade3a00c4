package runcatalog

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spillway/spillway/internal/ecs"
)

// TestAskingGoesOn: an agent that does not answer at first holds the source up for a
// moment only, and is asked until it does.
func TestAskingGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, asked := time.Now(), 0
		a := &asking{ask: func(context.Context) (ecs.Task, error) {
			if asked++; time.Since(begun) < 10*time.Minute {
				return ecs.Task{}, errors.New("nobody there")
			}
			return ecs.Task{Cluster: "prod"}, nil
		}}
		if f := a.first(); f != nil || time.Since(begun) != askFirst {
			t.Fatalf("%v after %v", f, time.Since(begun))
		}
		if text, since := a.wrong(); text == "" || !since.Equal(begun) {
			t.Errorf("what is wrong is %q since %v", text, since)
		}
		var got [][2]string
		a.goOn(func(f [][2]string) { got = f })
		time.Sleep(12 * time.Minute)
		synctest.Wait()
		if len(got) != 3 || got[0] != [2]string{"ecs_cluster", "prod"} || asked > 60 {
			t.Errorf("%v after %d questions", got, asked)
		}
		if text, _ := a.wrong(); text != "" {
			t.Errorf("what is wrong is %q", text)
		}
		a.stop()
	})
}

// TestAskingStops with the source.
func TestAskingStops(t *testing.T) {
	synctest.Test(t, func(*testing.T) {
		a := &asking{ask: func(ctx context.Context) (ecs.Task, error) { return ecs.Task{}, errors.New("nobody there") }}
		a.goOn(func([][2]string) {})
		synctest.Wait()
		a.stop()
		(*asking)(nil).stop()
	})
}
