package awsauth

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRegionPrecedence tries every combination of places that give a region.
func TestRegionPrecedence(t *testing.T) {
	order := []string{"option", "aws-region", "default-region", "profile", "ap-south-2"}
	eachCombination(t, order, func(t *testing.T, on func(place int) bool, want string) {
		isolate(t)
		metadata := serveMetadata(t, "k")
		o := Options{HTTPClient: loopbackClient(t), Profiles: fixedProfiles{err: ErrNotConfigured}, IMDS: on(4)}
		if on(0) {
			o.Region = order[0]
		}
		if on(1) {
			t.Setenv("AWS_REGION", order[1])
		}
		if on(2) {
			t.Setenv("AWS_DEFAULT_REGION", order[2])
		}
		if on(3) {
			t.Setenv("AWS_PROFILE", "p")
			o.Profiles = fixedProfiles{id: order[3]}
		}
		got, err := Region(t.Context(), o)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
		if asked := metadata.asked.Load(); (asked > 0) != (want == "ap-south-2") {
			t.Errorf("metadata was asked %d times for %q", asked, want)
		}
	})
}

func TestRegionErrors(t *testing.T) {
	isolate(t)
	_, err := Region(t.Context(), Options{})
	var failed *RegionError
	if !errors.As(err, &failed) {
		t.Fatalf("error %v, want a RegionError", err)
	}
	for _, want := range []string{"awslogs-region", "AWS_REGION and AWS_DEFAULT_REGION: not given", "profile: ", "instance metadata: ", "node file"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not say %q: %v", want, err)
		}
	}
	if _, err := Region(t.Context(), Options{Region: "evil.example/#"}); err == nil || !strings.Contains(err.Error(), "awslogs-region: expected a region") {
		t.Errorf("error %v, want the malformed region", err)
	}
	broken := errors.New("cannot run")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "")
	if _, err := Region(t.Context(), Options{IMDS: true, Profile: "p", Profiles: fixedProfiles{err: broken}}); err == nil || strings.Contains(err.Error(), "metadata") {
		t.Errorf("error %v, want the search to stop at the failed profile", err)
	}
}

// TestRegionOfProgram covers the profile as the logger asks for it.
func TestRegionOfProgram(t *testing.T) {
	for profile, want := range map[string]string{"good": "eu-south-2", "region-only": "eu-south-2", "none": "", "refused": "", "garbage": ""} {
		t.Run(profile, func(t *testing.T) {
			isolate(t)
			got, err := Region(t.Context(), Options{ProgramPath: self(t), Profile: profile})
			if got != want || (err != nil) != (want == "") {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
		})
	}
}

// TestRegionOfDefaultFile covers the default profile, which is looked for in the user's files.
func TestRegionOfDefaultFile(t *testing.T) {
	isolate(t)
	folder := filepath.Join(os.Getenv("HOME"), ".aws")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "config"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Region(t.Context(), Options{ProgramPath: self(t)}); got != "eu-south-2" {
		t.Errorf("%q, %v, want that of the program", got, err)
	}
}

func TestEndpoint(t *testing.T) {
	for _, c := range []struct{ region, override, want string }{
		{region: "eu-west-1", want: "https://logs.eu-west-1.amazonaws.com/"},
		{region: "us-gov-west-1", want: "https://logs.us-gov-west-1.amazonaws.com/"},
		{region: "cn-north-1", want: "https://logs.cn-north-1.amazonaws.com.cn/"},
		{region: "eusc-de-east-1", want: "https://logs.eusc-de-east-1.amazonaws.eu/"},
		{region: "us-iso-east-1", want: "https://logs.us-iso-east-1.c2s.ic.gov/"},
		{region: "us-isob-east-1", want: "https://logs.us-isob-east-1.sc2s.sgov.gov/"},
		{region: "us-isof-south-1", want: "https://logs.us-isof-south-1.csp.hci.ic.gov/"},
		{region: "eu-isoe-west-1", want: "https://logs.eu-isoe-west-1.cloud.adc-e.uk/"},
		{override: "http://127.0.0.1:4566", want: "http://127.0.0.1:4566/"},
		{override: "https://logs.example/base/", want: "https://logs.example/base/"},
		{region: "x", override: "https://[::1]:1", want: "https://[::1]:1/"},
		{},
		{region: "a.b"},
		{region: "-a"},
		{region: strings.Repeat("a", 64)},
		{override: "127.0.0.1:4566"},
		{override: "logs.example"},
		{override: "ftp://logs.example"},
		{override: "http://"},
		{override: "http://u:hunter2@logs.example/"},
		{override: "http://u:hunter2#@logs.example/"},
		{override: "http://logs.example/?x=hunter2"},
		{override: "http://logs.example/#hunter2"},
	} {
		got, err := Endpoint(c.region, c.override)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("Endpoint(%q, %q) = %q, %v, want %q", c.region, c.override, got, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error shows a secret: %v", err)
		}
	}
}

// FuzzEndpoint checks that no region can name another host, and that no override loses its own.
func FuzzEndpoint(f *testing.F) {
	f.Add("eu-west-1", "")
	f.Add("", "http://127.0.0.1:4566/x")
	f.Add("a.example/#", "")
	f.Fuzz(func(t *testing.T, region, override string) {
		text, err := Endpoint(region, override)
		if err != nil {
			return
		}
		u, err := url.Parse(text)
		if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || !strings.HasPrefix(u.Path, "/") {
			t.Fatalf("Endpoint(%q, %q) = %q", region, override, text)
		}
		if override == "" && u.Host != "logs."+region+"."+partition(region) {
			t.Errorf("region %q gives host %q", region, u.Host)
		}
	})
}

// FuzzEndpointOption checks that whatever the option says, plain text stays on the node.
func FuzzEndpointOption(f *testing.F) {
	for _, seed := range []string{"/v2/x", "http://127.0.0.1/", "http://[::1]:1/", "https://x.example/", "http://a@b:c@d/", "//x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, option string) {
		u, err := parseEndpointOption(option)
		if err != nil {
			return
		}
		if u.Scheme != "https" && (u.Scheme != "http" || !plainAllowed(u.Hostname())) {
			t.Errorf("%q is asked at %s", option, u)
		}
	})
}
