package kafka

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// single is a producer of one message at a time, made when it is first needed.
type single struct {
	opts []kgo.Opt

	mu     sync.Mutex
	client *kgo.Client
}

func (s *single) send(ctx context.Context, r *kgo.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		var err error
		if s.client, err = kgo.NewClient(s.opts...); err != nil {
			return err
		}
	}
	return s.client.ProduceSync(ctx, r).FirstErr()
}

func (s *single) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		s.client.Close()
	}
}
