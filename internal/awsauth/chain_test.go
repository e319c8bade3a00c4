package awsauth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// fixedProfiles is a ProfileSource that holds one key, or an error.
type fixedProfiles struct {
	id  string
	err error
}

func (f fixedProfiles) Credentials(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: f.id, SecretAccessKey: "s"}, f.err
}

func (f fixedProfiles) Region(context.Context) (string, error) { return f.id, f.err }

// TestPrecedence tries every combination of configured places: the first in the documented order must win, and no later
// one may be asked.
func TestPrecedence(t *testing.T) {
	order := []string{"endpoint", "environment", "container", "profile", "metadata"}
	eachCombination(t, order, func(t *testing.T, on func(place int) bool, want string) {
		isolate(t)
		ends := time.Now().Add(time.Hour)
		o := Options{HTTPClient: loopbackClient(t), Profiles: fixedProfiles{err: ErrNotConfigured}}
		option, container, metadata := serve(t, keys("endpoint", ends)), serve(t, keys("container", ends)), serveMetadata(t, "metadata")
		if on(0) {
			o.CredentialsEndpoint = option.URL + "/creds"
		}
		if on(1) {
			t.Setenv("AWS_ACCESS_KEY_ID", "environment")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
		}
		if on(2) {
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.URL+"/creds")
		}
		if on(3) {
			t.Setenv("AWS_PROFILE", "p")
			o.Profiles = fixedProfiles{id: "profile"}
		}
		o.IMDS = on(4)
		got, err := retrieve(t, o)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("credentials of %q (%v), want those of %q", got, err, want)
		}
		for place, server := range map[string]*endpoint{"endpoint": option, "container": container, "metadata": metadata} {
			if asked := server.asked.Load(); (asked > 0) != (place == want) {
				t.Errorf("%s was asked %d times, want only %q to be asked", place, asked, want)
			}
		}
	})
}

// TestFailureStopsTheSearch checks that a place that is configured and fails does not send the search on to another
// identity, and that one that is not configured does.
func TestFailureStopsTheSearch(t *testing.T) {
	broken := errors.New("the SSO session has expired")
	for _, c := range []struct {
		name     string
		o        Options
		env      map[string]string
		wantID   string
		wantText string
	}{
		{name: "half a pair", env: map[string]string{"AWS_ACCESS_KEY_ID": "AK"}, wantText: "AWS_SECRET_ACCESS_KEY is not"},
		{name: "the other half", env: map[string]string{"AWS_SECRET_ACCESS_KEY": "hidden-secret"}, wantText: "AWS_ACCESS_KEY_ID is not"},
		{name: "container variable is no path", env: map[string]string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "v2/x"}, wantText: "begins with /"},
		{name: "container host is plain", env: map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://10.0.0.1/x"}, wantText: "plain text"},
		{name: "profile fails", o: Options{Profiles: fixedProfiles{err: broken}}, env: map[string]string{"AWS_PROFILE": "p"}, wantText: "SSO session"},
		{name: "profile is empty", o: Options{Profiles: fixedProfiles{err: ErrNotConfigured}}, env: map[string]string{"AWS_PROFILE": "p"}, wantID: "metadata"},
		{name: "named profile is empty", o: Options{Profile: "p", Profiles: fixedProfiles{err: ErrNotConfigured}}, wantText: `profile "p": not configured`},
		{name: "named file fails", o: Options{CredentialsFile: "/f", Profiles: fixedProfiles{err: broken}}, wantText: "credentials file /f: the SSO"},
	} {
		t.Run(c.name, func(t *testing.T) {
			isolate(t)
			serveMetadata(t, "metadata")
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			c.o.IMDS, c.o.HTTPClient = true, loopbackClient(t)
			got, err := retrieve(t, c.o)
			if got != c.wantID {
				t.Errorf("credentials of %q, want %q", got, c.wantID)
			}
			if c.wantText != "" && (err == nil || !strings.Contains(err.Error(), c.wantText)) {
				t.Errorf("error %v, want it to say %q", err, c.wantText)
			}
			if err != nil && strings.Contains(err.Error(), "hidden-secret") {
				t.Errorf("error shows a secret: %v", err)
			}
		})
	}
}

// TestErrorNamesEveryPlace checks the message of a node on which nothing is set up.
func TestErrorNamesEveryPlace(t *testing.T) {
	isolate(t)
	_, err := retrieve(t, Options{})
	var failed *CredentialsError
	if !errors.As(err, &failed) {
		t.Fatalf("error is %T, want it to hold a CredentialsError", err)
	}
	for _, want := range []string{
		"AWS_ACCESS_KEY_ID is not set", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/.aws/credentials exists", "imds: false",
		"awslogs-credentials-endpoint", "credentials-file",
	} {
		if !strings.Contains(failed.Error(), want) {
			t.Errorf("error does not say %q: %v", want, failed)
		}
	}
}

// TestRepairIsFound checks that a file that appears later is looked at, without a restart.
func TestRepairIsFound(t *testing.T) {
	isolate(t)
	provider, err := Provider(Options{ProgramPath: self(t)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.Retrieve(t.Context()); err == nil {
		t.Fatal("there were credentials before any were written")
	}
	path := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", path)
	creds, err := provider.Retrieve(t.Context())
	if err != nil || creds.AccessKeyID != "AKPROGRAM" || creds.SessionToken != "program-token" {
		t.Errorf("Retrieve after the repair: key %q, %v", creds.AccessKeyID, err)
	}
}

// TestExpiry plays a day of a destination's requests on a virtual clock: credentials are renewed five minutes before
// their end, used on to their end while renewing fails, and then the failure is returned.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetched, failing := 0, false
		fetch := func(context.Context) (aws.Credentials, error) {
			fetched++
			if failing {
				return aws.Credentials{}, errors.New("agent is away")
			}
			return aws.Credentials{
				AccessKeyID: fmt.Sprint(fetched), SecretAccessKey: "s", CanExpire: true, Expires: time.Now().Add(time.Hour),
			}, nil
		}
		cache := newCache(place{name: "agent", timeout: time.Second, fetch: fetch})
		check := func(wantID string, wantFetched int) {
			t.Helper()
			creds, err := cache.Retrieve(t.Context())
			if creds.AccessKeyID != wantID || (err != nil) != (wantID == "") || fetched != wantFetched {
				t.Fatalf("key %q after %d fetches (%v), want %q after %d", creds.AccessKeyID, fetched, err, wantID, wantFetched)
			}
		}
		check("1", 1)
		time.Sleep(54 * time.Minute)
		check("1", 1)
		time.Sleep(2 * time.Minute)
		check("2", 2)
		failing = true
		time.Sleep(56 * time.Minute)
		check("2", 3)
		check("2", 3) // Not again within a minute.
		time.Sleep(61 * time.Second)
		check("2", 4)
		time.Sleep(3 * time.Minute)
		check("", 5)
		failing = false
		check("6", 6)
		failing = true
		cache.Invalidate()
		check("", 7)
	})
}

// TestShortLife checks that credentials that live less than the window are not fetched for every request.
func TestShortLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetched := 0
		cache := newCache(place{name: "agent", timeout: time.Second, fetch: func(context.Context) (aws.Credentials, error) {
			fetched++
			return aws.Credentials{AccessKeyID: "k", SecretAccessKey: "s", CanExpire: true, Expires: time.Now().Add(4 * time.Minute)}, nil
		}})
		for range 10 {
			if _, err := cache.Retrieve(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if fetched != 1 {
			t.Errorf("fetched %d times, want once", fetched)
		}
	})
}

// TestPlaceRefusesUselessAnswers covers what arrives without an error and is still of no use.
func TestPlaceRefusesUselessAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for want, fetch := range map[string]func(context.Context) (aws.Credentials, error){
			"holds no access key": func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, nil },
			"ended at": func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "k", SecretAccessKey: "s", CanExpire: true, Expires: time.Now()}, nil
			},
			"no answer within 5s": func(ctx context.Context) (aws.Credentials, error) {
				<-ctx.Done()
				return aws.Credentials{}, ctx.Err()
			},
		} {
			_, err := newCache(place{name: "agent", timeout: endpointTimeout, fetch: fetch}).Retrieve(context.Background())
			if err == nil || !strings.Contains(err.Error(), "agent: ") || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want it to say %q", err, want)
			}
		}
	})
}

// TestStaysLight holds the line that keeps the containerd logger small.
func TestStaysLight(t *testing.T) {
	list, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for _, heavy := range []string{
		"github.com/aws/aws-sdk-go-v2/config", "github.com/aws/aws-sdk-go-v2/service/", "github.com/aws/aws-sdk-go-v2/credentials/stscreds",
		"log/slog",
	} {
		if strings.Contains(string(list), heavy) {
			t.Errorf("package awsauth links %s", heavy)
		}
	}
}
