package runfile

import (
	"io/fs"
	"net/netip"
	"slices"
	"time"

	"github.com/spillway/spillway/internal/config/setting"
)

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

// defaultListen is where a source listens that does not say where: the port of
// fluentd, and this host alone.
const defaultListen = "127.0.0.1:24224"

// fireLens is where the log router of a task is looked for: by FireLens' own log
// driver, and by the libraries that are told FLUENT_HOST and FLUENT_PORT.
var fireLens = []Address{{Unix, "/var/run/fluent.sock"}, {TCP, defaultListen}}

// forwardSource checks what the options say together, and fills in what follows
// from them.
func (p *parser) forwardSource(s *ForwardSource, at place, have given) {
	if s.FireLens {
		for _, a := range fireLens {
			if !slices.ContainsFunc(s.Listen, a.overlaps) {
				s.Listen = append(s.Listen, a)
			}
		}
		if !have.has("socket-mode") {
			s.SocketMode = 0o666
		}
		if !have.has("ecs-metadata") {
			s.ECSMetadata = true
		}
	}
	if len(s.Listen) == 0 && !have.has("listen") {
		s.Listen = []Address{{TCP, defaultListen}}
	}
	p.serverTLS(s, at, have)
	if _, where, found := have.any("self-hostname"); found && !have.has("shared-key") && !have.has("users") {
		p.problem(where, "self-hostname without shared-key and users", "one of them: then there is a handshake", "add shared-key: ${NAME}, or remove self-hostname")
	}
	for i, u := range s.Users {
		if slices.ContainsFunc(s.Users[:i], func(other User) bool { return other.Name == u.Name }) {
			p.problem(have["users"], "the user "+setting.Quote(u.Name)+" twice", "each user once", "")
		}
	}
	if s.MaxSpoolSize < s.MaxMessageSize && have.has("max-spool-size") {
		p.problem(have["max-spool-size"], "max-spool-size "+setting.FormatSize(s.MaxSpoolSize)+" below max-message-size "+setting.FormatSize(s.MaxMessageSize),
			"a limit of one message that is not below what of it is held in memory", "")
	}
	s.MaxSpoolSize = max(s.MaxSpoolSize, s.MaxMessageSize)
	onNetwork := slices.ContainsFunc(s.Listen, func(a Address) bool { return a.Network != Unix })
	for _, name := range []string{"allow", "udp-heartbeat"} {
		if have.has(name) && !onNetwork && (name == "allow" || s.UDPHeartbeat) {
			p.problem(have[name], name+" without an address of TCP or TLS", "one to which it speaks", "remove "+name)
		}
	}
	if have.has("socket-mode") && !slices.ContainsFunc(s.Listen, func(a Address) bool { return a.Network == Unix }) {
		p.problem(have["socket-mode"], "socket-mode without a unix socket", "one whose mode it is", "remove socket-mode")
	}
}

// serverTLS holds certificates and listeners to each other.
func (p *parser) serverTLS(s *ForwardSource, at place, have given) {
	wanted := slices.ContainsFunc(s.Listen, func(a Address) bool { return a.Network == TLS })
	if name, where, found := have.any("tls-cert-file", "tls-key-file", "tls-client-ca-file"); found && !wanted {
		p.problem(where, name+" without an address that begins with tls://", "one to which it belongs", "write listen: tls://HOST:PORT, or remove "+name)
		return
	}
	if wanted && (!have.has("tls-cert-file") || !have.has("tls-key-file")) {
		p.problem(at.where, "an address with tls:// without a certificate and its key", "tls-cert-file and tls-key-file", "")
	}
}
