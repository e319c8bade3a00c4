package awsauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// RegionError is the failure to find a region: every place that was looked at, in order. No part of it is secret.
type RegionError struct {
	Attempts []Attempt
}

func (e *RegionError) Error() string {
	return "no AWS region: " + joinAttempts(e.Attempts) +
		"; give awslogs-region, for one container or under defaults: in the node file, or region in a sink of spillway run"
}

// Region gives the first of: the region of the options, AWS_REGION, AWS_DEFAULT_REGION, the profile's, and that of the
// instance metadata service if the options and the environment permit it. The profile may take 20 s and the metadata
// service 5 s, or until the context ends.
//
// The error is a [RegionError], which says where a region may be given, or that of a region that is no host name label.
func Region(ctx context.Context, o Options) (string, error) {
	attempts := []Attempt{{"awslogs-region", errNotGiven}}
	for _, given := range []struct{ name, value string }{
		{"awslogs-region", o.Region},
		{"AWS_REGION", os.Getenv("AWS_REGION")},
		{"AWS_DEFAULT_REGION", os.Getenv("AWS_DEFAULT_REGION")},
	} {
		if given.value == "" {
			continue
		}
		if err := checkRegion(given.value); err != nil {
			return "", fmt.Errorf("%s: %w", given.name, err)
		}
		return given.value, nil
	}
	attempts = append(attempts, Attempt{"AWS_REGION and AWS_DEFAULT_REGION", errNotGiven})
	for _, later := range []struct {
		name string
		find func(context.Context, Options) (string, error)
	}{{"profile", profileRegion}, {"instance metadata", metadataRegion}} {
		region, err := later.find(ctx, o)
		if err == nil {
			err = checkRegion(region)
		}
		if err == nil {
			return region, nil
		}
		attempts = append(attempts, Attempt{later.name, err})
		if !errors.Is(err, ErrNotConfigured) {
			break
		}
	}
	return "", &RegionError{Attempts: attempts}
}

var errNotGiven = errors.New("not given")

// checkRegion refuses what could not be one label of a host name, so that a region can never name another host.
func checkRegion(region string) error {
	valid := len(region) > 0 && len(region) <= 63 && region[0] != '-' && region[len(region)-1] != '-'
	for i := 0; valid && i < len(region); i++ {
		c := region[i]
		valid = 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-'
	}
	if !valid {
		return fmt.Errorf("expected a region such as eu-west-1, found %q", printable(region))
	}
	return nil
}

// partition gives the domain of a region's partition, by the prefix of its name (the SDK's partitions.json). A region
// that no prefix fits is of the standard partition.
func partition(region string) string {
	for _, p := range []struct{ prefix, domain string }{
		{"cn-", "amazonaws.com.cn"},
		{"eusc-", "amazonaws.eu"},
		{"us-iso-", "c2s.ic.gov"},
		{"us-isob-", "sc2s.sgov.gov"},
		{"us-isof-", "csp.hci.ic.gov"},
		{"eu-isoe-", "cloud.adc-e.uk"},
	} {
		if strings.HasPrefix(region, p.prefix) {
			return p.domain
		}
	}
	return "amazonaws.com"
}

// Endpoint gives the URL of the logs service: the override (awslogs-endpoint) if it is not empty, else that of the
// region, https://logs.REGION.amazonaws.com in the standard partition. A URL without a path gets the path /.
func Endpoint(region, override string) (string, error) {
	if override == "" {
		if err := checkRegion(region); err != nil {
			return "", err
		}
		return "https://logs." + region + "." + partition(region) + "/", nil
	}
	u, err := url.Parse(override)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" ||
		u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		// The text itself is not shown: what is wrong with it may be a password in it.
		return "", fmt.Errorf("awslogs-endpoint: expected an http or https URL with a host and no user, query or fragment, such as https://logs.eu-west-1.amazonaws.com, found %s", shownURL(override))
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String(), nil
}
