package kafkaclient

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// mskHost is what a broker of MSK is called, and mskRegion the region in it.
const (
	mskHost   = "b-1.orders.abc123.c2.kafka.eu-central-1.amazonaws.com"
	mskRegion = "eu-central-1"
)

// shaking is a broker that takes whatever is shown to it, and keeps that.
type shaking struct {
	*kfake.Cluster
	answer []byte // to what is shown

	mu        sync.Mutex
	mechanism string
	shown     []byte
}

func newShaking(t *testing.T, answer string) *shaking {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	b := &shaking{Cluster: cluster, answer: []byte(answer)}
	cluster.ControlKey(int16(kmsg.SASLHandshake), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		b.mu.Lock()
		defer b.mu.Unlock()
		b.mechanism = r.(*kmsg.SASLHandshakeRequest).Mechanism
		resp := r.ResponseKind().(*kmsg.SASLHandshakeResponse)
		resp.SupportedMechanisms = []string{b.mechanism}
		return resp, nil, true
	})
	cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		b.mu.Lock()
		defer b.mu.Unlock()
		b.shown = r.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes
		resp := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.SASLAuthBytes = b.answer
		return resp, nil, true
	})
	return b
}

// connect asks for metadata as a client with these options, which finds the broker under another name.
func (b *shaking) connect(t *testing.T, o Options) error {
	t.Helper()
	o.Brokers = []string{mskHost + ":9098"}
	options, err := o.Library()
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(append(options, kgo.RequestRetries(0), kgo.Dialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, b.ListenAddrs()[0])
	}))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_, err = client.SeedBrokers()[0].Request(t.Context(), kmsg.NewPtrMetadataRequest())
	return err
}

// TestMSK: what is shown to a broker of MSK is what the signer of AWS makes of the same credentials, in the
// form that MSK's own library for Java sends: https://github.com/aws/aws-msk-iam-auth. No broker of MSK
// has seen it.
func TestMSK(t *testing.T) {
	for _, token := range []string{"", "a/session+token=="} {
		t.Run("token "+token, func(t *testing.T) {
			keys := AWSKeys{AccessKey: "AKIDEXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", SessionToken: token}
			b := newShaking(t, `{"version":"2020_10_22","request-id":"1"}`)
			if err := b.connect(t, Options{
				Software: "spillway", Version: "v1", Mechanism: AWSMSKIAM, Keys: func(context.Context) (AWSKeys, error) { return keys, nil },
			}); err != nil {
				t.Fatal(err)
			}
			var shown map[string]string
			if err := json.Unmarshal(b.shown, &shown); err != nil || b.mechanism != "AWS_MSK_IAM" {
				t.Fatalf("%s was shown %q: %v", b.mechanism, b.shown, err)
			}
			at, err := time.Parse("20060102T150405Z", shown["x-amz-date"])
			if err != nil || time.Since(at).Abs() > time.Minute {
				t.Errorf("the time is %q (%v)", shown["x-amz-date"], err)
			}
			want := map[string]string{
				"version": "2020_10_22", "host": mskHost, "user-agent": "spillway/v1", "action": "kafka-cluster:Connect", "x-amz-date": shown["x-amz-date"],
			}
			for name, value := range presigned(t, keys, shown["x-amz-expires"], at) {
				want[strings.ToLower(name)] = value[0]
			}
			if diff := cmp.Diff(want, shown); diff != "" {
				t.Errorf("what is shown differs from what the signer of AWS makes (-signer +shown):\n%s", diff)
			}
		})
	}
}

// presigned are the parameters that the signer of AWS adds to a request that asks to connect.
func presigned(t *testing.T, keys AWSKeys, expires string, at time.Time) url.Values {
	t.Helper()
	query := url.Values{"Action": {"kafka-cluster:Connect"}, "X-Amz-Expires": {expires}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+mskHost+"/?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	nothing := sha256.Sum256(nil)
	signed, _, err := v4.NewSigner().PresignHTTP(t.Context(),
		aws.Credentials{AccessKeyID: keys.AccessKey, SecretAccessKey: keys.SecretKey, SessionToken: keys.SessionToken},
		request, hex.EncodeToString(nothing[:]), "kafka-cluster", mskRegion, at)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// TestToken: a token is shown as RFC 7628 says, and what a broker says of one that it does not take is told.
func TestToken(t *testing.T) {
	for answer, want := range map[string]string{
		"":                           "",
		`{"status":"invalid_token"}`: `connect to the broker h:9: the token is refused; have another one put into its place, a file is read again for each connection: the broker answers "{\"status\":\"invalid_token\"}"`,
	} {
		b := newShaking(t, answer)
		err := b.connect(t, Options{Mechanism: OAuthBearer, Token: func(context.Context) (string, error) { return "a.b.c", nil }})
		if shown := "n,,\x01auth=Bearer a.b.c\x01\x01"; b.mechanism != "OAUTHBEARER" || string(b.shown) != shown {
			t.Errorf("%s was shown %q, expected %q", b.mechanism, b.shown, shown)
		}
		switch {
		case want == "" && err != nil, want != "" && err == nil:
			t.Errorf("the answer %q: %v", answer, err)
		case want != "" && ConnectError(kgo.BrokerMetadata{Host: "h", Port: 9}, err).Error() != want:
			t.Errorf("the answer %q is told as %v", answer, ConnectError(kgo.BrokerMetadata{Host: "h", Port: 9}, err))
		}
	}
	b := newShaking(t, "")
	none := errors.New("found no secret in the file")
	if err := b.connect(t, Options{Mechanism: OAuthBearer, Token: func(context.Context) (string, error) { return "", none }}); !errors.Is(err, none) || b.shown != nil {
		t.Errorf("without a token: %v, and %q was shown", err, b.shown)
	}
}

// TestNoRegion: a name that does not say its region needs AWS_REGION, and the error says so.
func TestNoRegion(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		t.Setenv(name, "")
	}
	o := Options{Mechanism: AWSMSKIAM, Keys: func(context.Context) (AWSKeys, error) { return AWSKeys{}, nil }}
	m, err := o.mechanism()
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = m.Authenticate(t.Context(), "kafka.example.org:9098")
	if err == nil {
		t.Fatal("it found a region")
	}
	if said := ConnectError(kgo.BrokerMetadata{Host: "kafka.example.org", Port: 9098}, err).Error(); !strings.Contains(said, "AWS_REGION") {
		t.Error(said)
	}
	if said := fmt.Sprint(ConnectError(kgo.BrokerMetadata{Host: "h", Port: 9}, errors.New("other"))); said != "connect to the broker h:9: other" {
		t.Error(said)
	}
}
