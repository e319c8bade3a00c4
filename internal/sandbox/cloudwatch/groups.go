package cloudwatch

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The account and region that resource names of this server carry.
const arnPrefix = "arn:aws:logs:us-east-1:000000000000:log-group:"

type names struct {
	LogGroupName, LogStreamName string
}

func (s *Server) createLogGroup(x *exchange) ([]byte, *apiError) {
	in, err := decode[names](x.body)
	if err != nil {
		return nil, err
	}
	if err := checkGroupName(in.LogGroupName); err != nil {
		return nil, err
	}
	return nil, s.registry.createGroup(in.LogGroupName, s.now())
}

func (s *Server) createLogStream(x *exchange) ([]byte, *apiError) {
	in, err := decode[names](x.body)
	if err != nil {
		return nil, err
	}
	if err := checkGroupName(in.LogGroupName); err != nil {
		return nil, err
	}
	if err := checkStreamName(in.LogStreamName); err != nil {
		return nil, err
	}
	return nil, s.registry.createStream(in.LogGroupName, in.LogStreamName, s.now())
}

func (s *Server) deleteLogGroup(x *exchange) ([]byte, *apiError) {
	in, err := decode[names](x.body)
	if err != nil {
		return nil, err
	}
	return nil, s.registry.deleteGroup(in.LogGroupName, &s.keep)
}

func (s *Server) deleteLogStream(x *exchange) ([]byte, *apiError) {
	in, err := decode[names](x.body)
	if err != nil {
		return nil, err
	}
	return nil, s.registry.deleteStream(in.LogGroupName, in.LogStreamName, &s.keep)
}

// describePage cuts the page of items that a Describe call asks for. The token is the name of the last item of the
// page before, which stays right while others are created and deleted.
func describePage[T any](items []T, name func(T) string, token string, limit *int) ([]T, string, *apiError) {
	const most = 50
	n := most
	if limit != nil {
		if n = *limit; n < 1 || n > most {
			return nil, "", constraint(fmt.Sprintf("Value '%d' at 'limit'", n),
				fmt.Sprintf("Member must have value between 1 and %d", most))
		}
	}
	if token != "" {
		at := slices.IndexFunc(items, func(i T) bool { return name(i) == token })
		if at < 0 {
			return nil, "", invalidParameter("The specified nextToken is invalid.")
		}
		items = items[at+1:]
	}
	if len(items) <= n {
		return items, "", nil
	}
	return items[:n], name(items[n-1]), nil
}

type describedGroup struct {
	ARN               string `json:"arn"`
	CreationTime      int64  `json:"creationTime"`
	LogGroupName      string `json:"logGroupName"`
	MetricFilterCount int    `json:"metricFilterCount"`
	StoredBytes       uint64 `json:"storedBytes"`
}

func (s *Server) describeLogGroups(x *exchange) ([]byte, *apiError) {
	in, err := decode[struct {
		LogGroupNamePrefix, NextToken string
		Limit                         *int
	}](x.body)
	if err != nil {
		return nil, err
	}
	groups := s.registry.describeGroups(in.LogGroupNamePrefix)
	page, token, err := describePage(groups, func(g describedGroup) string { return g.LogGroupName }, in.NextToken, in.Limit)
	if err != nil {
		return nil, err
	}
	return encode(struct {
		LogGroups []describedGroup `json:"logGroups"`
		NextToken string           `json:"nextToken,omitempty"`
	}{page, token}), nil
}

type describedStream struct {
	ARN                 string `json:"arn"`
	CreationTime        int64  `json:"creationTime"`
	FirstEventTimestamp int64  `json:"firstEventTimestamp,omitempty"`
	LastEventTimestamp  int64  `json:"lastEventTimestamp,omitempty"`
	LastIngestionTime   int64  `json:"lastIngestionTime,omitempty"`
	LogStreamName       string `json:"logStreamName"`
	StoredBytes         uint64 `json:"storedBytes"`
}

func (s *Server) describeLogStreams(x *exchange) ([]byte, *apiError) {
	in, err := decode[struct {
		LogGroupName, LogStreamNamePrefix, NextToken, OrderBy string
		Descending                                            bool
		Limit                                                 *int
	}](x.body)
	if err != nil {
		return nil, err
	}
	streams, err := s.registry.list(in.LogGroupName)
	if err != nil {
		return nil, err
	}
	all := []describedStream{}
	for _, st := range streams {
		if strings.HasPrefix(st.name, in.LogStreamNamePrefix) {
			all = append(all, st.describe())
		}
	}
	switch in.OrderBy {
	case "", "LogStreamName":
	case "LastEventTime":
		if in.LogStreamNamePrefix != "" {
			return nil, invalidParameter("Cannot order by LastEventTime with a logStreamNamePrefix.")
		}
		slices.SortStableFunc(all, func(a, b describedStream) int {
			return cmp.Compare(a.LastEventTimestamp, b.LastEventTimestamp)
		})
	default:
		return nil, constraint(fmt.Sprintf("Value '%s' at 'orderBy'", in.OrderBy),
			"Member must satisfy enum value set: [LogStreamName, LastEventTime]")
	}
	if in.Descending {
		slices.Reverse(all)
	}
	page, token, err := describePage(all, func(d describedStream) string { return d.LogStreamName }, in.NextToken, in.Limit)
	if err != nil {
		return nil, err
	}
	return encode(struct {
		LogStreams []describedStream `json:"logStreams"`
		NextToken  string            `json:"nextToken,omitempty"`
	}{page, token}), nil
}

func (st *stream) describe() describedStream {
	st.mu.Lock()
	defer st.mu.Unlock()
	d := describedStream{
		ARN: arnPrefix + st.group + ":log-stream:" + st.name, CreationTime: st.created.UnixMilli(), LogStreamName: st.name,
		FirstEventTimestamp: st.firstTime, LastEventTimestamp: st.lastTime,
	}
	if !st.lastArrival.IsZero() {
		d.LastIngestionTime = st.lastArrival.UnixMilli()
	}
	return d
}

// list returns the existing streams of a group by name.
func (r *registry) list(groupName string) ([]*stream, *apiError) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	g := r.groups[groupName]
	if g == nil || !g.exists {
		return nil, groupMissing()
	}
	streams := slices.DeleteFunc(slices.Collect(maps.Values(g.streams)), func(st *stream) bool { return !st.isThere() })
	slices.SortFunc(streams, func(a, b *stream) int { return cmp.Compare(a.name, b.name) })
	return streams, nil
}

// describeGroups returns the existing groups whose name begins with prefix, by name.
func (r *registry) describeGroups(prefix string) []describedGroup {
	r.mu.RLock()
	defer r.mu.RUnlock()
	groups := []describedGroup{}
	for _, g := range r.groups {
		if !g.exists || !strings.HasPrefix(g.name, prefix) {
			continue
		}
		d := describedGroup{ARN: arnPrefix + g.name + ":*", CreationTime: g.created.UnixMilli(), LogGroupName: g.name}
		for _, st := range g.streams {
			st.mu.Lock()
			d.StoredBytes += st.bytes
			st.mu.Unlock()
		}
		groups = append(groups, d)
	}
	slices.SortFunc(groups, func(a, b describedGroup) int { return cmp.Compare(a.LogGroupName, b.LogGroupName) })
	return groups
}
