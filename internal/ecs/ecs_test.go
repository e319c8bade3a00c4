package ecs_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/spillway/spillway/internal/ecs"
)

// TestAsk: each form of the answer that agents give, and what is none.
func TestAsk(t *testing.T) {
	const arn = "arn:aws:ecs:eu-central-1:111122223333:task/default/158d1c8083dd49d6b527399fd6414f5c"
	for _, c := range []struct {
		name, answer string
		status       int
		want         ecs.Task
		err          string
	}{
		{
			name:   "EC2",
			answer: `{"Cluster":"default","TaskARN":"` + arn + `","Family":"curltest","Revision":"26","Containers":[{"Name":"curl"}]}`,
			want:   ecs.Task{Cluster: "default", ARN: arn, Definition: "curltest:26"},
		},
		{
			name:   "Fargate, where the cluster is an ARN",
			answer: `{"Cluster":"arn:aws:ecs:us-west-2:111122223333:cluster/prod","TaskARN":"` + arn + `","Family":"web","Revision":"7"}`,
			want:   ecs.Task{Cluster: "prod", ARN: arn, Definition: "web:7"},
		},
		{name: "another service", answer: `<html>`, err: "no task metadata"},
		{name: "an empty object", answer: `{}`, err: "without Cluster"},
		{name: "an error", status: http.StatusInternalServerError, err: "500"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v4/0123-4567/task" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				if c.status != 0 {
					w.WriteHeader(c.status)
				}
				if _, err := w.Write([]byte(c.answer)); err != nil {
					t.Error(err)
				}
			}))
			defer server.Close()
			got, err := ecs.Ask(t.Context(), server.URL+"/v4/0123-4567")
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %v, want an error with %q", err, c.err)
				}
				return
			}
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}
