package cloudwatch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
)

// decode reads the body of a small operation.
func decode[T any](body []byte) (in T, err *apiError) {
	if e := json.Unmarshal(body, &in); e != nil {
		return in, serialization("the body does not fit the operation: %v", e)
	}
	return in, nil
}

// encode writes the answer of an operation. What it is given is made of strings and numbers, so a failure is a bug.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // The service does not, and log lines are full of it.
	if err := enc.Encode(v); err != nil {
		panic("BUG: marshalling an answer: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

type outputEvent struct {
	EventID       string `json:"eventId,omitempty"`
	IngestionTime int64  `json:"ingestionTime"`
	StreamName    string `json:"logStreamName,omitempty"`
	Message       string `json:"message"`
	Timestamp     int64  `json:"timestamp"`
}

// getLogEvents answers as the API reference has it: without a token and without startFromHead the newest events come,
// always oldest first; at the end of the stream the token that was sent comes back.
func (s *Server) getLogEvents(x *exchange) ([]byte, *apiError) {
	in, err := decode[struct {
		LogGroupName, LogStreamName string
		StartTime, EndTime          *int64
		Limit                       *int
		NextToken                   string
		StartFromHead               bool
	}](x.body)
	if err != nil {
		return nil, err
	}
	st, err := s.registry.find(in.LogGroupName, in.LogStreamName)
	if err != nil {
		return nil, err
	}
	q := query{from: startOfStream(), start: math.MinInt64, end: math.MaxInt64}
	if q.limit, err = pageLimit(in.Limit); err != nil {
		return nil, err
	}
	if in.StartTime != nil {
		q.start = *in.StartTime
	}
	if in.EndTime != nil {
		q.end = *in.EndTime
	}
	switch {
	case in.NextToken != "":
		direction, from, err := parseToken(in.NextToken)
		if err != nil {
			return nil, err
		}
		q.from, q.backward = from, direction == "b"
	case !in.StartFromHead:
		q.from, q.backward = endOfStream(), true
	}
	page := q.run(s.keep.of(st))
	first, last := q.from, q.from
	if len(page) > 0 {
		first, last = page[0].at, page[len(page)-1].at
	} else if in.NextToken == "" {
		first, last = startOfStream(), startOfStream()
	}
	out := struct {
		Events            []outputEvent `json:"events"`
		NextBackwardToken string        `json:"nextBackwardToken"`
		NextForwardToken  string        `json:"nextForwardToken"`
	}{make([]outputEvent, 0, len(page)), first.token("b"), last.token("f")}
	for _, f := range page {
		out.Events = append(out.Events, outputEvent{
			IngestionTime: f.chunk.ingested, Message: string(f.message()), Timestamp: f.at.time})
	}
	return encode(out), nil
}

func pageLimit(limit *int) (int, *apiError) {
	switch {
	case limit == nil:
		return MaxPageEvents, nil
	case *limit < 1 || *limit > MaxPageEvents:
		return 0, constraint(fmt.Sprintf("Value '%d' at 'limit'", *limit),
			fmt.Sprintf("Member must have value between 1 and %d", MaxPageEvents))
	}
	return *limit, nil
}

// filterLogEvents searches the streams of a group. A filter pattern is understood as far as terms and quoted phrases
// go, all of which a message must contain; other patterns are refused rather than answered wrongly.
func (s *Server) filterLogEvents(x *exchange) ([]byte, *apiError) {
	in, err := decode[struct {
		LogGroupName, LogStreamNamePrefix, FilterPattern, NextToken string
		LogStreamNames                                              []string
		StartTime, EndTime                                          *int64
		Limit                                                       *int
	}](x.body)
	if err != nil {
		return nil, err
	}
	q := query{from: startOfStream(), start: math.MinInt64, end: math.MaxInt64}
	if q.limit, err = pageLimit(in.Limit); err != nil {
		return nil, err
	}
	if q.match, err = parsePattern(in.FilterPattern); err != nil {
		return nil, err
	}
	if in.StartTime != nil {
		q.start = *in.StartTime
	}
	if in.EndTime != nil && *in.EndTime < math.MaxInt64 {
		q.end = *in.EndTime + 1 // Here the service includes the end.
	}
	if in.NextToken != "" {
		if _, q.from, err = parseToken(in.NextToken); err != nil {
			return nil, err
		}
	}
	streams, err := s.registry.list(in.LogGroupName)
	if err != nil {
		return nil, err
	}
	var chunks []*chunk
	for _, st := range streams {
		if strings.HasPrefix(st.name, in.LogStreamNamePrefix) &&
			(len(in.LogStreamNames) == 0 || slices.Contains(in.LogStreamNames, st.name)) {
			chunks = append(chunks, s.keep.of(st)...)
		}
	}
	page := q.run(chunks)
	out := struct {
		Events    []outputEvent `json:"events"`
		NextToken string        `json:"nextToken,omitempty"`
		Searched  []struct{}    `json:"searchedLogStreams"`
	}{Events: make([]outputEvent, 0, len(page)), Searched: []struct{}{}}
	for _, f := range page {
		out.Events = append(out.Events, outputEvent{EventID: f.at.token("e")[2:], IngestionTime: f.chunk.ingested,
			StreamName: f.chunk.stream.name, Message: string(f.message()), Timestamp: f.at.time})
	}
	if len(page) > 0 {
		// A page that the limits did not cut short may still say that more could come; the next one is then empty.
		out.NextToken = page[len(page)-1].at.token("f")
	}
	return encode(out), nil
}

// parsePattern turns a filter pattern into a test; nil matches everything.
func parsePattern(pattern string) (func([]byte) bool, *apiError) {
	var terms [][]byte
	rest := strings.TrimSpace(pattern)
	for rest != "" {
		var term string
		if rest[0] == '"' {
			end := strings.IndexByte(rest[1:], '"')
			if end < 0 {
				return nil, invalidParameter("Invalid character(s) in term '%s'", rest)
			}
			term, rest = rest[1:1+end], rest[end+2:]
		} else {
			term, rest, _ = strings.Cut(rest, " ")
			if strings.ContainsAny(term, `{}[]()%?-"*=<>!&|`) {
				return nil, invalidParameter("The sandbox knows terms and quoted phrases only; it cannot search for '%s'", term)
			}
		}
		terms = append(terms, []byte(term))
		rest = strings.TrimSpace(rest)
	}
	if len(terms) == 0 {
		return nil, nil
	}
	return func(message []byte) bool {
		for _, t := range terms {
			if !bytes.Contains(message, t) {
				return false
			}
		}
		return true
	}, nil
}
