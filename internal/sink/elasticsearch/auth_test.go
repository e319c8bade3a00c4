package elasticsearch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/sink"
)

// notary signs by a header that says what it was shown.
type notary struct {
	invalidated int
	fail        error
}

func (n *notary) Sign(_ context.Context, r *http.Request, sum string, _ time.Time) error {
	r.Header.Set("Authorization", fmt.Sprintf("signed %s %s %d", r.URL.Host, sum, r.ContentLength))
	return n.fail
}

func (n *notary) Invalidate() { n.invalidated++ }

// What is signed is what is sent: its length and its hash, whether compressed or not,
// in one piece or in many.
func TestSignedBodies(t *testing.T) {
	for _, compressed := range []bool{false, true} {
		for _, n := range []int{1, 5000} {
			t.Run(fmt.Sprint(compressed, n), func(t *testing.T) {
				s := newServer(t)
				s.before = func(_ http.ResponseWriter, r *http.Request) bool {
					body, err := io.ReadAll(r.Body)
					if err != nil {
						t.Error(err)
					}
					sum := sha256.Sum256(body)
					want := fmt.Sprintf("signed %s %s %d", r.Host, hex.EncodeToString(sum[:]), len(body))
					if got := r.Header.Get("Authorization"); got != want || r.ContentLength != int64(len(body)) {
						t.Errorf("%q was signed of %d bytes, want %q", got, r.ContentLength, want)
					}
					if r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]) {
						t.Error("the hash of the body is not in its header")
					}
					r.Body = io.NopCloser(bytes.NewReader(body))
					return true
				}
				made := sinkTo(t, s, func(o *Options) {
					o.Gzip, o.Signer = compressed, func(context.Context) (Signer, error) { return &notary{}, nil }
				})
				if out := made.Send(t.Context(), lines(n)); out.Verdict != sink.Delivered || len(s.docs) != n {
					t.Errorf("%d documents: %+v", len(s.docs), out)
				}
			})
		}
	}
}

// Credentials that cannot be had are somebody's to mend, and those that are refused
// are asked for again.
func TestSignersThatFail(t *testing.T) {
	s := newServer(t)
	n := &notary{fail: errors.New("no credentials")}
	made := sinkTo(t, s, func(o *Options) { o.Signer = func(context.Context) (Signer, error) { return n, nil } })
	if out := made.Send(t.Context(), lines(1)); out.Verdict != sink.Retry || !out.Config || out.Unsure || !errors.Is(out.Err, n.fail) {
		t.Errorf("%+v", out)
	}
	n.fail = nil
	s.answer = func(w http.ResponseWriter, _ []*op) bool { w.WriteHeader(http.StatusForbidden); return true }
	if out := made.Send(t.Context(), lines(1)); out.Verdict != sink.Retry || !out.Config || n.invalidated != 1 {
		t.Errorf("%+v, and credentials were forgotten %d times", out, n.invalidated)
	}
	gone := sinkTo(t, s, func(o *Options) {
		o.Signer = func(context.Context) (Signer, error) { return nil, errors.New("no region") }
	})
	if out := gone.Send(t.Context(), lines(1)); out.Verdict != sink.Retry || !out.Config {
		t.Errorf("%+v", out)
	}
}

// How we say who we are.
func TestAuthorization(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"":               func(*Options) {},
		"Basic dTpwOnA=": func(o *Options) { o.Username, o.Password = "u", "p:p" },
		"ApiKey abc":     func(o *Options) { o.APIKey = "abc" },
		"Bearer x.y":     func(o *Options) { o.Bearer = "x.y" },
	} {
		s := newServer(t)
		s.before = func(_ http.ResponseWriter, r *http.Request) bool {
			if got := r.Header.Get("Authorization"); got != want {
				t.Errorf("Authorization is %q, want %q", got, want)
			}
			if r.Header.Get("X-Team") != "a" || r.Header.Get("User-Agent") != "spillway/test" || r.Header.Get("Content-Type") != "application/x-ndjson" {
				t.Errorf("the headers are %v", r.Header)
			}
			return true
		}
		made := sinkTo(t, s, func(o *Options) {
			change(o)
			o.Header, o.UserAgent = http.Header{"X-Team": {"a"}}, "spillway/test"
		})
		if out := made.Send(t.Context(), lines(1)); out.Verdict != sink.Delivered {
			t.Errorf("%+v", out)
		}
	}
}
