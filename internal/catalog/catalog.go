// Package catalog is the list of destinations: it turns resolved options into a
// sink and what else the destination needs. Nothing registers itself; a
// destination that is not named here is not linked.
package catalog

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/spillway/spillway/internal/awsauth"
	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/cloudwatch"
	"github.com/spillway/spillway/internal/sink/local"
	"github.com/spillway/spillway/internal/source/multiline"
	"github.com/spillway/spillway/internal/tag"
)

// Surroundings are what a destination needs from the program around it.
type Surroundings struct {
	// Provider and Region find AWS credentials and the region. Nil means the light
	// way of awsauth, which runs the spillway program for profiles.
	Provider func(awsauth.Options) (aws.CredentialsProvider, error)
	Region   func(context.Context, awsauth.Options) (string, error)
	// UserAgent is how the program presents itself.
	UserAgent string
	// Local is the folder of the local store, and Run what it calls this process.
	Local, Run string
}

// Destination is one destination, ready to be delivered to. It has contacted
// nobody yet.
type Destination struct {
	// Name is what logs and reports call it.
	Name string
	Sink sink.Sink
	// Warnings are what is missing although the destination works.
	Warnings []string
	// FlushInterval is how long a record may wait for company; 0 is the default.
	FlushInterval time.Duration
	// AttemptTimeout ends an attempt that gets no answer; 0 is the default. It is set
	// where the destination has limits of its own, which must come first: an attempt that
	// is cut off in the middle of a message costs the connection.
	AttemptTimeout time.Duration
	// start matches the first line of a multiline event; nil where each line is one.
	start *regexp.Regexp

	// What was made of the container, which a buffer on disk outlives: the name of
	// the log stream, the attributes of each line, the name of the process.
	stream string
	attrs  []byte
	record *config.FluentdRecord
	run    string
}

// Joiner returns a new joiner of multiline events of at most maxBytes, or nil
// where each line is an event.
func (d *Destination) Joiner(maxBytes int) (*multiline.Joiner, error) {
	if d.start == nil {
		return nil, nil
	}
	return multiline.New(multiline.Options{
		Start: d.start, MaxBytes: maxBytes, FlushInterval: d.FlushInterval,
		Cost: func(line []byte) int { return len(line) + 2*record.InvalidBytes(line) },
	})
}

// Checks are the checks of options that need more than the table of options
// knows.
func Checks() map[string]func(string) error {
	return map[string]func(string) error{
		"tag": func(text string) error {
			_, err := tag.Render(text, tag.Info{ContainerID: "0"})
			return err
		},
		"awslogs-multiline-pattern": func(text string) error {
			_, err := multiline.Compile(text)
			return err
		},
		"awslogs-datetime-format": func(text string) error {
			_, err := multiline.FromDatetimeFormat(text)
			return err
		},
	}
}

// Open makes the destination that the options choose.
func Open(r *config.Resolved, s Surroundings) (*Destination, error) {
	switch r.Driver() {
	case config.DriverAWSLogs:
		return openAWSLogs(r, s)
	case config.DriverJSONFile:
		return openJSONFile(r)
	case config.DriverFluentd:
		return openFluentd(r, s)
	case config.DriverLocal:
		return openLocal(s)
	default:
		return nil, fmt.Errorf("driver %s: not in this version", r.Driver())
	}
}

func openLocal(s Surroundings) (*Destination, error) {
	store, err := local.New(local.Options{Dir: s.Local, Run: s.Run})
	if err != nil {
		return nil, err
	}
	return &Destination{Name: "local " + s.Local, Sink: store, run: s.Run}, nil
}

func openAWSLogs(r *config.Resolved, s Surroundings) (*Destination, error) {
	if s.Provider == nil {
		s.Provider, s.Region = awsauth.Provider, awsauth.Region
	}
	o := r.AWSLogs()
	stream, err := streamName(o, r.Container())
	if err != nil {
		return nil, err
	}
	auth := awsOptions(r)
	client, err := awsauth.HTTPClient(auth)
	if err != nil {
		return nil, err
	}
	provider, err := s.Provider(auth)
	if err != nil {
		return nil, err
	}
	d := &Destination{Name: "awslogs " + o.Group + "/" + stream, FlushInterval: o.FlushInterval, stream: stream}
	if d.start, err = eventStart(o); err != nil {
		return nil, err
	}
	cfg := cloudwatch.Config{
		Group: o.Group, Stream: stream, CreateGroup: o.CreateGroup, CreateStream: o.CreateStream,
		Client: client, UserAgent: s.UserAgent,
		Resolve: func(ctx context.Context) (cloudwatch.Destination, error) {
			region, err := s.Region(ctx, auth)
			if err != nil {
				return cloudwatch.Destination{}, err
			}
			url, err := awsauth.Endpoint(region, o.Endpoint)
			if err != nil {
				return cloudwatch.Destination{}, err
			}
			return cloudwatch.Destination{URL: url, Signer: awsauth.NewSigner(provider, region)}, nil
		},
	}
	if o.EMF {
		cfg.Format = config.FormatEMF
	}
	d.Sink = cloudwatch.New(cfg)
	return d, nil
}

// awsOptions are where credentials and the region come from.
func awsOptions(r *config.Resolved) awsauth.Options {
	o, node := r.AWSLogs(), r.AWS()
	return awsauth.Options{
		CredentialsEndpoint: o.CredentialsURL, CredentialsFile: node.CredentialsFile, Profile: node.Profile,
		IMDS: node.IMDS, Proxy: node.Proxy, CAFile: node.CAFile, Region: o.Region,
		MaxInFlight: cloudwatch.InFlight,
	}
}

// streamName is the log stream's name: as given, else by the tag template, else
// the container's id.
func streamName(o config.AWSLogs, c config.Container) (string, error) {
	if o.Stream != "" {
		return o.Stream, nil
	}
	if o.Tag == "" {
		return c.ID, nil
	}
	name, err := tag.Render(o.Tag, containerInfo(c))
	if err != nil {
		return "", fmt.Errorf("name the log stream by tag %q: %w", o.Tag, err)
	}
	// The service would refuse such a name with every record. The rule is that of
	// the API reference of CreateLogStream.
	if n := utf8.RuneCountInString(name); n < 1 || n > 512 || strings.ContainsAny(name, ":*") {
		return "", fmt.Errorf("name the log stream by tag %q: it gives %.80q, expected 1 to 512 characters, none of them : or *; "+
			"change the tag, or name the stream with awslogs-stream", o.Tag, name)
	}
	return name, nil
}

// containerInfo is the container as tag templates see it.
func containerInfo(c config.Container) tag.Info {
	info := tag.Info{
		ContainerID: c.ID, ContainerName: c.Name, ContainerImageID: c.ImageID, ContainerImageName: c.ImageName,
		ContainerLabels: c.Labels, DaemonName: "spillway",
	}
	for name, value := range c.Env {
		info.ContainerEnv = append(info.ContainerEnv, name+"="+value)
	}
	return info
}

// eventStart is the pattern of the first line of an event, or nil.
func eventStart(o config.AWSLogs) (*regexp.Regexp, error) {
	switch {
	case o.MultilinePattern != "":
		return multiline.Compile(o.MultilinePattern)
	case o.DatetimeFormat != "":
		return multiline.FromDatetimeFormat(o.DatetimeFormat)
	}
	return nil, nil
}
