package elasticsearch

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"

	"github.com/spillway/spillway/internal/tlserror"
)

// connect makes the client. Its retries are off: only internal/deliver retries.
func (s *Sink) connect() error {
	options := []elastictransport.Option{
		elastictransport.WithURLs(s.o.Hosts...),
		elastictransport.WithDisableRetry(),
		elastictransport.WithUserAgent(s.o.UserAgent),
		elastictransport.WithConnectionPoolFunc(func(conns []*elastictransport.Connection, _ elastictransport.Selector) elastictransport.ConnectionPool {
			s.nodes = newNodes(conns)
			return s.nodes
		}),
	}
	if s.o.Transport != nil {
		options = append(options, elastictransport.WithTransport(s.o.Transport))
	}
	if s.o.Signer != nil {
		options = append(options, elastictransport.WithInterceptors(func(next elastictransport.RoundTripFunc) elastictransport.RoundTripFunc {
			return func(r *http.Request) (*http.Response, error) {
				if err := s.signing(r); err != nil {
					return nil, errors.Join(err, closeBody(r))
				}
				return next(r)
			}
		}))
	}
	var err error
	if s.client, err = elastictransport.NewClient(options...); err != nil {
		return fmt.Errorf("prepare connections: %w", err)
	}
	return nil
}

func closeBody(r *http.Request) error {
	if r.Body == nil {
		return nil
	}
	return r.Body.Close()
}

// authorize says who we are.
func (s *Sink) authorize(r *http.Request) {
	for name, values := range s.o.Header {
		r.Header[name] = values
	}
	switch {
	case s.o.APIKey != "":
		r.Header.Set("Authorization", "ApiKey "+s.o.APIKey)
	case s.o.Bearer != "":
		r.Header.Set("Authorization", "Bearer "+s.o.Bearer)
	case s.o.Username != "":
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(s.o.Username+":"+s.o.Password)))
	}
}

// perform sends a request to a node that can be reached, and returns which one that is.
// One that cannot be is no failed attempt while there is another: nothing was sent.
func (s *Sink) perform(ctx context.Context, request func(context.Context) (*http.Request, error)) (*http.Response, *url.URL, error) {
	var errs []error
	for range s.nodes.count() {
		r, err := request(ctx)
		if err != nil {
			return nil, nil, err
		}
		path := r.URL.Path
		resp, err := s.client.Perform(r)
		if err == nil {
			// The client has put the node's own path before that of the request.
			return resp, &url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Path: strings.TrimSuffix(r.URL.Path, path)}, nil
		}
		if said := tlserror.Explain("the node "+r.URL.Host, err); said != nil {
			err = said // The transport does not say which node it was.
		} else if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			err = closedError(r.URL, err)
		}
		errs = append(errs, err)
		if ctx.Err() != nil || !unreached(err) {
			break
		}
	}
	return nil, nil, errors.Join(errs...)
}

// closedError says which node ended a connection in place of an answer. One that speaks TLS
// does so, without a word, to who does not.
func closedError(node *url.URL, err error) error {
	do := ""
	if node.Scheme == "http" {
		do = "; where that goes on and it speaks TLS at this port, write https:// in hosts"
	}
	return fmt.Errorf("the node %s closed the connection in place of an answer%s: %w", node.Host, do, err)
}

// unreached reports that no connection was made.
func unreached(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// call makes a call whose body and answer are small.
func (s *Sink) call(ctx context.Context, method, path string, body []byte) (status int, answer []byte, err error) {
	resp, node, err := s.perform(ctx, func(ctx context.Context) (*http.Request, error) {
		return s.small(ctx, method, path, body)
	})
	if err != nil {
		return 0, nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxSmall))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		s.nodes.failed(node)
		return 0, nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	s.judge(node, resp.StatusCode)
	return resp.StatusCode, answer, nil
}

// maxSmall bounds what is read of an answer that is no bulk's, in bytes.
const maxSmall = 1 << 20
