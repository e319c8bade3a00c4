package config

import "time"

// Mode says what a full buffer does.
type Mode string

// The modes.
const (
	Blocking    Mode = "blocking"
	NonBlocking Mode = "non-blocking"
	Spill       Mode = "spill"
)

// Drop says what goes when there is no room.
type Drop string

// The choices of Drop.
const (
	DropNewest Drop = "newest"
	DropOldest Drop = "oldest"
)

// WhenFull says what mode spill does when the disk buffer is full as well.
type WhenFull string

// The choices of WhenFull.
const (
	WhenFullBlock      WhenFull = "block"
	WhenFullDropNewest WhenFull = "drop-newest"
	WhenFullDropOldest WhenFull = "drop-oldest"
)

// Durability says what a record that was admitted in mode spill survives.
type Durability string

// The choices of Durability, from the weakest.
const (
	DurabilityMemory Durability = "memory" // nothing but the destination's absence
	DurabilityKernel Durability = "kernel" // the death of the process
	DurabilityPower  Durability = "power"  // the loss of power
)

// DiskCompression says how mode spill writes.
type DiskCompression string

// The choices of DiskCompression.
const (
	DiskCompressionNone DiskCompression = "none"
	DiskCompressionS2   DiskCompression = "s2"
	DiskCompressionZstd DiskCompression = "zstd"
)

// FormatEMF is the one value of awslogs-format.
const FormatEMF = "json/emf"

// Buffer is what the options say about the buffer.
type Buffer struct {
	Mode        Mode
	Limit       int64         // bytes, at least 64 KiB
	Drop        Drop          // without effect in mode spill
	MaxBlock    time.Duration // 0 waits for ever
	LossMarkers bool

	// What follows is of mode spill, and zero in the others.
	MaxDisk     int64 // bytes, at least Limit and 1 MiB
	MinFreeDisk int64 // bytes; 0 is unset: 5 % of the file system, or 256 MiB where that is more
	WhenFull    WhenFull
	Durability  Durability
	Compression DiskCompression
}

// AWSLogs is what the options say about CloudWatch Logs.
type AWSLogs struct {
	Region           string // "" if only the instance metadata service may know it; then MissingRegion is the error
	Endpoint         string // a URL; "" means that of the region
	Group            string
	Stream           string // "" if Tag names the stream
	Tag              string // a template, used if Stream is ""
	CreateGroup      bool
	CreateStream     bool
	DatetimeFormat   string // strftime; at most one of this, MultilinePattern and EMF is set
	MultilinePattern string // RE2, known to compile
	EMF              bool
	FlushInterval    time.Duration
	CredentialsURL   string // a whole URL; "" means the usual chain
}

// JSONFile is what the options say about a file as Docker writes it.
type JSONFile struct {
	Path        string
	MaxSize     int64 // bytes; 0 never rotates
	MaxFile     int   // at least 1, the current file included
	Compress    bool
	Labels      []string
	LabelsRegex string // RE2, known to compile; "" matches nothing
	Env         []string
	EnvRegex    string // likewise
	Tag         string // a template; "" adds no tag
	// Attrs is the object that a logger, which is gone, chose by the fields above;
	// then they are empty. It is nil where they still choose, and holds {} where
	// nothing was chosen.
	Attrs []byte
}

// Fluentd is what the options say about a server of the forward protocol.
type Fluentd struct {
	Network string // "tcp", "tls" or "unix"
	Address string // host:port, or the path of a unix socket
	Ack     bool
	// WholeSeconds cuts times to seconds.
	WholeSeconds bool
	WriteTimeout time.Duration // 0 means the default of the protocol's client
	ReadTimeout  time.Duration // likewise
	Reconnect    time.Duration // 0 never

	Labels      []string
	LabelsRegex string // RE2, known to compile; "" matches nothing
	Env         []string
	EnvRegex    string // likewise
	Tag         string // a template; "" if none was given
	// Made is what a logger, which is gone, made of the fields above and its
	// container; then they are empty. It is nil where they still choose.
	Made *FluentdRecord
}

// FluentdRecord is what all records of one container have in common.
type FluentdRecord struct {
	Tag    string            `json:"tag"`
	Fields map[string]string `json:"fields"` // beside the line and its stream
}

// Container is what is known about the container.
type Container struct {
	ID          string
	Name        string // the ID if nobody gave a name
	Namespace   string // containerd's; from CONTAINER_NAMESPACE
	ImageID     string
	ImageName   string
	Env         map[string]string // secrets may be among the values
	EnvEndpoint string            // a URL to ask if Env is empty; ""
	Labels      map[string]string
}

// Shim is what the options say about the process of a containerd logger.
type Shim struct {
	CleanupTime              time.Duration // at most 11 s
	UID, GID                 int           // -1 keeps what the process has; never 0
	StartRequiresDestination bool
	Verbose                  bool
	StateDir                 string
}
