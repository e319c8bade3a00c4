package config

import (
	"path/filepath"
	"strings"
	"time"
)

// Resolved holds the settings of one logger. It does not change; any number of
// goroutines may read it.
type Resolved struct {
	// Warnings are full sentences, without a full stop, about values that were
	// changed or have no effect. They hold no secrets.
	Warnings []string

	program   Program
	driver    Driver
	node      string
	values    []value // by row of the table
	aws       AWS
	awsLevels []value // by row of awsKeys, for Explain
	container Container
	stateDir  string

	// What only a buffer on disk remembers; see FromAbout.
	run     string
	attrs   []byte
	record  *FluentdRecord
	leftOut []string
}

// value returns the value of an option that the table has.
func (r *Resolved) value(name string) *value {
	row := indexOf(name)
	if row < 0 {
		panic("BUG: no option is called " + name)
	}
	return &r.values[row]
}

// finish makes what needs more than a value: the container, the state
// directory, the section aws.
func (r *resolver) finish() {
	out := r.out
	text := func(name string) string { return out.value(name).Text }
	out.node = r.in.Node.path
	out.aws = r.in.Node.AWS()
	out.aws.IMDS = r.imds()
	out.awsLevels = r.in.Node.aws
	out.stateDir = StateDir(text("state-dir"), r.in.Getenv)
	out.container = Container{
		ID:          text("container-id"),
		Name:        text("container-name"),
		Namespace:   r.in.Getenv("CONTAINER_NAMESPACE"),
		ImageID:     text("container-image-id"),
		ImageName:   text("container-image-name"),
		EnvEndpoint: text("container-env-endpoint"),
	}
	if out.container.Name == "" {
		out.container.Name = out.container.ID
	}
	var err error
	if out.container.Env, err = parseObject(text("container-env")); err != nil {
		panic("BUG: container-env passed its check and does not parse")
	}
	if out.container.Labels, err = parseObject(text("container-labels")); err != nil {
		panic("BUG: container-labels passed its check and does not parse")
	}
}

// Program returns the program that the options were resolved for.
func (r *Resolved) Program() Program { return r.program }

// Driver returns the destination; DriverNone only after Input.Partial.
func (r *Resolved) Driver() Driver { return r.driver }

// NodePath returns the path of the node file; it may be missing.
func (r *Resolved) NodePath() string { return nodePath(r.node) }

// Verbose reports whether to log at debug level.
func (r *Resolved) Verbose() bool { return r.value("verbose").Flag }

// StateDir returns the directory for all state.
func (r *Resolved) StateDir() string { return r.stateDir }

// AWS returns the section aws of the node file. IMDS is false also if
// AWS_EC2_METADATA_DISABLED says so.
func (r *Resolved) AWS() AWS { return r.aws }

// Container returns what is known about the container.
func (r *Resolved) Container() Container { return r.container }

// Buffer returns the settings of the buffer.
func (r *Resolved) Buffer() Buffer {
	b := Buffer{
		Mode:        Mode(r.value("mode").Text),
		Limit:       r.value("max-buffer-size").Number,
		Drop:        r.drop(),
		MaxBlock:    r.value("max-block").Duration,
		LossMarkers: r.value("loss-markers").Text == "on",
	}
	if b.Mode == Spill {
		b.MaxDisk = r.value("max-disk-size").Number
		b.MinFreeDisk = r.value("min-free-disk").Number
		b.WhenFull = WhenFull(r.value("when-full").Text)
		b.Durability = Durability(r.value("durability").Text)
		b.Compression = DiskCompression(r.value("disk-compression").Text)
	}
	return b
}

// drop is what goes in a mode without a disk. Once max-block is over, when-full
// says so too, for who left drop alone.
func (r *Resolved) drop() Drop {
	drop, full := r.value("drop"), r.value("when-full")
	if r.value("max-block").given && drop.level == LevelBuiltIn && full.Text == string(WhenFullDropOldest) {
		return DropOldest
	}
	return Drop(drop.Text)
}

// AWSLogs returns the settings of CloudWatch Logs.
func (r *Resolved) AWSLogs() AWSLogs {
	a := AWSLogs{
		Region:           r.value("awslogs-region").Text,
		Endpoint:         r.value("awslogs-endpoint").Text,
		Group:            r.value("awslogs-group").Text,
		Stream:           r.value("awslogs-stream").Text,
		Tag:              r.value("tag").Text,
		CreateGroup:      r.value("awslogs-create-group").Flag,
		CreateStream:     r.value("awslogs-create-stream").Flag,
		DatetimeFormat:   r.value("awslogs-datetime-format").Text,
		MultilinePattern: r.value("awslogs-multiline-pattern").Text,
		EMF:              r.value("awslogs-format").Text == FormatEMF,
		FlushInterval:    time.Duration(r.value("awslogs-force-flush-interval-seconds").Number) * time.Second,
		CredentialsURL:   r.value("awslogs-credentials-endpoint").Text,
	}
	if strings.HasPrefix(a.CredentialsURL, "/") {
		// The address of the ECS agent, which Docker's driver has built in.
		a.CredentialsURL = "http://169.254.170.2" + a.CredentialsURL
	}
	return a
}

// JSONFile returns the settings of a file as Docker writes it.
func (r *Resolved) JSONFile() JSONFile {
	return JSONFile{
		Path:        r.value("log-path").Text,
		MaxSize:     r.value("max-size").Number,
		MaxFile:     int(r.value("max-file").Number),
		Compress:    r.value("compress").Flag,
		Labels:      names(r.value("labels").Text),
		LabelsRegex: r.value("labels-regex").Text,
		Env:         names(r.value("env").Text),
		EnvRegex:    r.value("env-regex").Text,
		Tag:         r.value("tag").Text,
		Attrs:       r.attrs,
	}
}

// Fluentd returns the settings of a server of the forward protocol.
func (r *Resolved) Fluentd() Fluentd {
	network, address, _ := splitFluentdAddress(r.value("fluentd-address").Text)
	return Fluentd{
		Network: network, Address: address,
		Ack:          r.value("fluentd-request-ack").Flag,
		WholeSeconds: !r.value("fluentd-sub-second-precision").Flag,
		WriteTimeout: r.value("fluentd-write-timeout").Duration,
		ReadTimeout:  r.value("fluentd-read-timeout").Duration,
		Reconnect:    r.value("fluentd-async-reconnect-interval").Duration,
		Labels:       names(r.value("labels").Text),
		LabelsRegex:  r.value("labels-regex").Text,
		Env:          names(r.value("env").Text),
		EnvRegex:     r.value("env-regex").Text,
		Tag:          r.value("tag").Text,
		Made:         r.record,
	}
}

// Shim returns the settings of the process of a containerd logger.
func (r *Resolved) Shim() Shim {
	return Shim{
		CleanupTime:              r.value("cleanup-time").Duration,
		UID:                      int(r.value("uid").Number),
		GID:                      int(r.value("gid").Number),
		StartRequiresDestination: r.value("start-requires-destination").Flag,
		Verbose:                  r.Verbose(),
		StateDir:                 r.stateDir,
	}
}

// names splits a list with commas; empty names are left out.
func names(list string) []string {
	var out []string
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			out = append(out, name)
		}
	}
	return out
}

func stateDir(given string, getenv func(string) string, euid int) string {
	if given != "" {
		return given
	}
	if dir := getenv("SPILLWAY_STATE_DIR"); dir != "" {
		return dir
	}
	if euid == 0 {
		return "/var/lib/spillway"
	}
	// The XDG specification: a relative path is to be ignored.
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "spillway")
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "spillway")
	}
	return "/var/lib/spillway"
}
