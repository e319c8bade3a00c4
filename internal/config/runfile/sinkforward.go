package runfile

import (
	"slices"
	"strconv"
	"time"

	"github.com/spillway/spillway/internal/config/setting"
	"github.com/spillway/spillway/internal/config/yamlfile"
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

// defaultWeight is a server's, as in fluentd.
const defaultWeight = 60

// compressions are the values of compress.
var compressions = []string{string(CompressNone), string(CompressGzip), string(CompressZstd)}

// forwardDraft is a sink while it is read: what holds for all servers is then
// given to each.
type forwardDraft struct {
	ForwardSink
	all Server
}

// forwardSinkRows is the table of the sink forward.
func forwardSinkRows() []row[forwardDraft] {
	type sink = forwardDraft
	return append([]row[sink]{
		{Option: Option{Name: "servers", Takes: "address or map", List: true, Required: true, Fields: options(serverRows()),
			Help: "Names the servers: HOST:PORT, tls://HOST:PORT, unix:/PATH, or a map with more about one; records go to all by their weights, and to standby ones while others cannot be reached."},
			read: func(p *parser, s *sink, n node) { p.server(&s.ForwardSink, n) }},
		{Option: Option{Name: "ack", Kind: setting.Bool, Default: "true",
			Help: "Asks for acknowledgements; without them, what the kernel took counts as delivered, and is lost with a server that ends."},
			set: flag(func(s *sink) *bool { return &s.Ack })},
		{Option: Option{Name: "ack-timeout", Kind: setting.Duration, Default: "60s",
			Help: "Limits the wait for an acknowledgement, after which a chunk is sent again with its id."},
			check: setting.PositiveDuration, set: duration(func(s *sink) *time.Duration { return &s.AckTimeout })},
		{Option: Option{Name: "in-flight", Kind: setting.Int, Default: "16",
			Help: "Limits chunks on one connection that wait for their acknowledgements."},
			check: between(1, 1024), set: number(func(s *sink) *int { return &s.InFlight })},
		{Option: Option{Name: "connections", Kind: setting.Int, Default: "2", Help: "Says how many connections each server gets."},
			check: between(1, 64), set: number(func(s *sink) *int { return &s.Connections })},
		{Option: Option{Name: "compress", Kind: setting.Enum, Default: string(CompressNone), Enum: compressions,
			Help: "Compresses what is sent; fluentd takes zstd from 1.19 on."},
			set: text(func(s *sink) *Compression { return &s.Compress })},
		{Option: Option{Name: "max-chunk-size", Kind: setting.Size, Default: "1m",
			Help: "Limits one message before compression; Fluent Bit takes none above 6 MB by default; a larger record is a message of its own."},
			check: sizeBetween(64<<10, 256<<20), set: number(func(s *sink) *int64 { return &s.MaxChunkSize })},
		{Option: Option{Name: "flush-interval", Kind: setting.Duration, Default: "1s",
			Help: "Limits how long a record waits for a fuller message; it leaves sooner whenever less is in flight than may be."},
			check: setting.PositiveDuration, set: duration(func(s *sink) *time.Duration { return &s.FlushInterval })},
		{Option: Option{Name: "text-key", Default: "message", Help: "Is the key under which a line of text stands in a record."},
			set: text(func(s *sink) *string { return &s.TextKey })},

		{Option: Option{Name: "connect-timeout", Kind: setting.Duration, Default: "10s", Help: "Limits connecting."},
			check: setting.PositiveDuration, set: duration(func(s *sink) *time.Duration { return &s.ConnectTimeout })},
		{Option: Option{Name: "handshake-timeout", Kind: setting.Duration, Default: "10s", Help: "Limits TLS, and the handshake of the shared key."},
			check: setting.PositiveDuration, set: duration(func(s *sink) *time.Duration { return &s.HandshakeTimeout })},
		{Option: Option{Name: "send-timeout", Kind: setting.Duration, Default: "60s", Help: "Gives up a connection whose server takes nothing for this long."},
			check: setting.PositiveDuration, set: duration(func(s *sink) *time.Duration { return &s.SendTimeout })},
		{Option: Option{Name: "max-connection-age", Kind: setting.Duration,
			Help: "Makes a new connection after this time, which looks the name up again and lets a load balancer choose; unset keeps connections while they work."},
			check: setting.PositiveDuration, set: duration(func(s *sink) *time.Duration { return &s.MaxConnectionAge })},

		{Option: Option{Name: "shared-key", Kind: setting.Secret, Help: "Is shown to the servers, which must prove that they know it."},
			set: secret(func(s *sink) *Secret { return &s.all.SharedKey })},
		{Option: Option{Name: "username", Help: "Is the user to be at the servers; without shared-key these prove nothing, so that tls:// should."},
			set: text(func(s *sink) *string { return &s.all.Username })},
		{Option: Option{Name: "password", Kind: setting.Secret, Help: "Is that user's password."},
			set: secret(func(s *sink) *Secret { return &s.all.Password })},
		{Option: Option{Name: "self-hostname", Help: "Is the name of this host in the handshake; unset asks the system."},
			set: text(func(s *sink) *string { return &s.SelfHostname })},
	}, clientTLSRows("servers with tls://", func(s *sink) *ClientTLS { return &s.ClientTLS })...)
}

func serverRows() []row[Server] {
	return []row[Server]{
		{Option: Option{Name: "address", Takes: "address", Required: true, Help: "Is HOST:PORT, tls://HOST:PORT or unix:/PATH."},
			set: serverAddress},
		{Option: Option{Name: "weight", Kind: setting.Int, Default: strconv.Itoa(defaultWeight), Help: "Is its share of the records."},
			check: between(1, 10_000), set: number(func(s *Server) *int { return &s.Weight })},
		{Option: Option{Name: "standby", Kind: setting.Bool, Default: "false", Help: "Gives it records only while another cannot be reached."},
			set: flag(func(s *Server) *bool { return &s.Standby })},
		{Option: Option{Name: "shared-key", Kind: setting.Secret, Help: "Is its own, in place of the sink's."},
			set: secret(func(s *Server) *Secret { return &s.SharedKey })},
		{Option: Option{Name: "username", Help: "Is its own, in place of the sink's."},
			set: text(func(s *Server) *string { return &s.Username })},
		{Option: Option{Name: "password", Kind: setting.Secret, Help: "Is its own, in place of the sink's."},
			set: secret(func(s *Server) *Secret { return &s.Password })},
	}
}

func serverAddress(p *parser, s *Server, v value) (expected string) {
	s.Address, expected = p.address(v.Text, false)
	return expected
}

// server takes one of the servers: an address, or a map.
func (p *parser) server(s *ForwardSink, n node) {
	var one Server
	if yamlfile.IsMap(n.Node) {
		one, _ = readMap(p, n, "a server", serverRows())
	} else {
		v, ok := p.scalar(n, false)
		if !ok {
			return
		}
		if expected := serverAddress(p, &one, v); expected != "" {
			p.problem(p.where(n), shown(v.Text), expected, "")
			return
		}
		one.Weight = defaultWeight
	}
	if one.Address != (Address{}) && slices.ContainsFunc(s.Servers, func(other Server) bool { return other.Address == one.Address }) {
		p.problem(p.where(n), "the server "+one.Address.String()+" twice", "each server once", "")
		return
	}
	s.Servers = append(s.Servers, one)
}

// forwardSink checks what the options say together.
func (p *parser) forwardSink(s *forwardDraft, at place, have given) {
	overTLS, active := false, len(s.Servers) == 0
	for i := range s.Servers {
		one := &s.Servers[i]
		overTLS = overTLS || one.Address.Network == TLS
		active = active || !one.Standby
		if !one.SharedKey.Set() {
			one.SharedKey = s.all.SharedKey
		}
		if one.Username == "" && !one.Password.Set() {
			one.Username, one.Password = s.all.Username, s.all.Password
		}
		p.credentials(one, at)
	}
	if !active {
		p.problem(have["servers"], "standby servers alone", "one that is not standby", "remove standby of one")
	}
	if name, where, found := have.any(clientTLSNames...); found && !overTLS && have.has("servers") {
		p.problem(where, name+" without a server that begins with tls://", "one to which it belongs", "write tls://HOST:PORT, or remove "+name)
	}
	p.clientTLS(&s.ClientTLS, have, "gets the records")
	if !s.Ack {
		for _, name := range []string{"ack-timeout", "in-flight"} {
			if have.has(name) {
				p.problem(have[name], name+" beside ack: false", "ack: true, for whose acknowledgements it is", "remove "+name)
			}
		}
	}
}

// credentials asks for what a handshake needs.
func (p *parser) credentials(s *Server, at place) {
	if (s.Username != "") != s.Password.Set() {
		p.problem(at.where, either(s.Username != "", "username", "password"), "both or none", "")
	}
}
