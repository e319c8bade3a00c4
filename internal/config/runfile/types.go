package runfile

import (
	"io/fs"
	"net/netip"
	"time"

	"github.com/spillway/spillway/internal/template"
)

// Ack is the level at which a source acknowledges what it took: when every record
// of it, in every leg that it goes to, has reached the level or is settled. A leg
// without a disk buffer reaches kernel and power by settling.
type Ack string

// The choices of Ack, from the weakest. AckUnset is that of the route: its
// durability where that is kernel or power, else delivered.
const (
	AckUnset     Ack = ""
	AckMemory    Ack = "memory"    // the buffer has it
	AckKernel    Ack = "kernel"    // it survives the death of the process
	AckPower     Ack = "power"     // it survives the loss of power
	AckDelivered Ack = "delivered" // every destination has it
)

// Network is how an address is reached.
type Network string

// The networks of sources and sinks of the forward protocol.
const (
	TCP  Network = "tcp"
	TLS  Network = "tls"
	Unix Network = "unix"
)

// Address is where a source listens or a sink connects to.
type Address struct {
	Network Network
	// Addr is "host:port", or the path of a unix socket.
	Addr string
}

// String returns the address as the file writes it; TCP needs no prefix.
func (a Address) String() string {
	switch a.Network {
	case TLS:
		return "tls://" + a.Addr
	case Unix:
		return "unix:" + a.Addr
	}
	return a.Addr
}

// ForwardSource receives the forward protocol of fluentd.
type ForwardSource struct {
	Listen     []Address   // at least one; those of FireLens included
	SocketMode fs.FileMode // of unix sockets
	FireLens   bool        // listens where FireLens sends to; told apart for status and logs

	// For listeners with tls://; empty without one.
	CertFile, KeyFile string
	ClientCAFile      string // asks clients for a certificate of one of these; "" does not ask

	// The handshake takes place where SharedKey is set.
	SharedKey    Secret
	SelfHostname string         // "" means the name of this host
	Users        []User         // none asks for no user
	Allow        []netip.Prefix // peers of TCP and TLS; none allows all
	Ack          Ack

	MaxConnections      int
	MaxMessageSize      int64 // bytes; above it a message is spooled to the state directory
	MaxSpoolSize        int64 // bytes; above it the connection is closed; not below MaxMessageSize
	MaxDecompressedSize int64 // bytes that one message may decompress to
	RememberChunks      int   // 0 remembers none

	HandshakeTimeout time.Duration
	MessageTimeout   time.Duration // without progress within a message
	SendTimeout      time.Duration // for an ack that the peer does not take

	Tag               string // replaces every tag; "" keeps them
	AddTagPrefix      string // put in front with a dot between; "" adds none
	SourceAddressKey  string // the key that gets the peer's address; "" adds none
	SourceHostnameKey string // the key that gets the peer's name; "" adds none

	JoinPartials bool // joins Docker's partial messages; with acks, where the route has a disk buffer
	ECSMetadata  bool // adds cluster, task and task definition where ECS tells them
	UDPHeartbeat bool // answers the heartbeats of fluentd at the ports of TCP and TLS
}

// User may connect to a source of the forward protocol.
type User struct {
	Name     string
	Password Secret
}

// StdinFormat is how standard input is read.
type StdinFormat string

// The formats of standard input.
const (
	StdinText StdinFormat = "text" // a line is a record
	StdinJSON StdinFormat = "json" // a line is a JSON object
)

// StdinSource reads standard input until it ends.
type StdinSource struct {
	Tag    string
	Format StdinFormat
}

// Compression is how a sink compresses what it sends or keeps.
type Compression string

// The kinds of compression.
const (
	CompressNone Compression = "none"
	CompressGzip Compression = "gzip"
	CompressZstd Compression = "zstd"
)

// ForwardSink sends the forward protocol of fluentd.
type ForwardSink struct {
	Servers []Server // at least one

	Ack        bool
	AckTimeout time.Duration // after which a chunk is sent again with its id
	InFlight   int           // chunks on one connection that wait for their acks
	Compress   Compression

	MaxChunkSize  int64 // bytes of entries in one message, before compression
	FlushInterval time.Duration
	TextKey       string // the key under which a line of text stands in a record

	ClientTLS // for servers with tls://

	SelfHostname string // "" means the name of this host

	Connections      int // to each server
	ConnectTimeout   time.Duration
	HandshakeTimeout time.Duration
	SendTimeout      time.Duration // without progress in sending
	MaxConnectionAge time.Duration // after which a new one is made, and the name looked up again; 0 keeps them
}

// Server is one destination of a sink of the forward protocol.
type Server struct {
	Address Address
	Weight  int  // its share among servers that are not standby
	Standby bool // used only while no other can be reached

	// SharedKey, Username and Password are the server's own, or the sink's.
	SharedKey Secret
	Username  string
	Password  Secret
}

// RecordFormat is how a sink writes a record of which it sends no message of the
// forward protocol.
type RecordFormat string

// The formats of records. A text line that comes in keeps its form in FormatText,
// and is the value of TextKey in the others.
const (
	FormatJSON RecordFormat = "json"     // the record as one JSON object
	FormatText RecordFormat = "text"     // the value of one key alone, the record as JSON where it has none
	FormatEMF  RecordFormat = "json/emf" // JSON in CloudWatch's embedded metric format
	// FormatOutFile is the line of fluentd's out_file: time, tag and the record as
	// JSON, with tabs between.
	FormatOutFile RecordFormat = "out_file"
)

// FileSink writes files.
type FileSink struct {
	Path *template.Template // absolute; of the tag and the time

	Format  RecordFormat // FormatJSON, FormatText or FormatOutFile
	LogKey  string       // the key whose value FormatText writes
	TextKey string       // the key under which a line of text stands, but in FormatText
	TagKey  string       // the key that gets the tag in FormatJSON; "" adds none
	TimeKey string       // the key that gets the time in FormatJSON; "" adds none

	MaxSize       int64         // bytes at which a new file begins; 0 never
	RotateEvery   time.Duration // likewise, by the clock; 0 never
	MaxFile       int           // files of one path, the current included; 0 keeps all
	Compress      Compression   // of files that are no longer written
	FileMode      fs.FileMode
	DirMode       fs.FileMode
	FlushInterval time.Duration
}

// CloudWatchSink sends to CloudWatch Logs.
type CloudWatchSink struct {
	Group  *template.Template
	Stream *template.Template

	Region         string // "" if the environment or the instance metadata service is to tell
	Endpoint       string // a URL; "" means that of the region
	CredentialsURL string // a whole URL; "" means the usual chain
	CreateGroup    bool
	CreateStream   bool

	Format        RecordFormat // FormatJSON, FormatText or FormatEMF; a line of text is sent as it is
	LogKey        string       // the key whose value FormatText sends
	FlushInterval time.Duration
}
