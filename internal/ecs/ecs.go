// Package ecs asks the agent of Amazon ECS what task this process belongs to. It
// is for FireLens, whose log routers add that to every record. It asks only the
// address that the agent has put into the environment, and only when told to.
//
// The answer is that of the task metadata endpoint, version 4:
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html
package ecs

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Variable is the environment variable in which the agent puts the address.
const Variable = "ECS_CONTAINER_METADATA_URI_V4"

// Task says which task this is, in the form in which FireLens' own configuration
// adds it to records.
type Task struct {
	Cluster    string // ecs_cluster: the name, never the ARN
	ARN        string // ecs_task_arn
	Definition string // ecs_task_definition: family and revision, as in web:7
}

// Bounds of the question.
const (
	timeout   = 5 * time.Second
	maxAnswer = 1 << 20 // bytes; a task has at most ten containers
)

// Ask asks the endpoint whose address is base, once. It is a unix socket or a
// network away at most, so an agent that does not answer within five seconds is
// not there.
func Ask(ctx context.Context, base string) (Task, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	t, err := ask(ctx, strings.TrimSuffix(base, "/")+"/task")
	if err != nil {
		return Task{}, fmt.Errorf("ask the ECS agent which task this is (%s): %w", Variable, err)
	}
	return t, nil
}

func ask(ctx context.Context, url string) (Task, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Task{}, err
	}
	// A client of its own: the proxy of the environment is not for the node's agent.
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return Task{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return Task{}, fmt.Errorf("it answered %s, expected 200", resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return Task{}, err
	}
	return parse(text)
}

func parse(text []byte) (Task, error) {
	var answer struct {
		Cluster, TaskARN, Family, Revision string
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return Task{}, fmt.Errorf("it answered what is no task metadata: %w", err)
	}
	t := Task{Cluster: answer.Cluster, ARN: answer.TaskARN}
	if strings.HasPrefix(t.Cluster, "arn:") {
		t.Cluster = t.Cluster[strings.LastIndexByte(t.Cluster, '/')+1:]
	}
	if answer.Family != "" {
		t.Definition = answer.Family + ":" + answer.Revision
	}
	if t == (Task{}) {
		return t, fmt.Errorf("it answered an object without Cluster, TaskARN and Family")
	}
	return t, nil
}
