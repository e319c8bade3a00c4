package runfile

import (
	"io/fs"
	"net/netip"
	"slices"
	"time"

	"github.com/spillway/spillway/internal/config/setting"
)

// forwardSourceRows is the table of the source forward.
func forwardSourceRows() []row[ForwardSource] {
	return slices.Concat(listenRows(), tagRows(), messageLimitRows(), senderRows(), socketRows())
}

func listenRows() []row[ForwardSource] {
	type source = ForwardSource
	return []row[source]{
		{Option: Option{Name: "listen", Takes: "address", List: true,
			Help: "Says where to listen: HOST:PORT, tls://HOST:PORT or unix:/PATH; unset means " + defaultListen + ", or nothing more beside firelens."},
			set: func(p *parser, s *source, v value) string {
				a, expected := p.address(v.Text, true)
				if expected != "" {
					return expected
				}
				if slices.ContainsFunc(s.Listen, a.overlaps) {
					return "each address once, and none that another covers"
				}
				s.Listen = append(s.Listen, a)
				return ""
			}},
		{Option: Option{Name: "firelens", Kind: setting.Bool, Default: "false",
			Help: "Listens where FireLens sends to, unix:/var/run/fluent.sock and " + defaultListen + " (unless listen has that port at 0.0.0.0, as a task with networkMode bridge needs it), with a socket-mode of 0666, and turns ecs-metadata on unless it is set."},
			set: flag(func(s *source) *bool { return &s.FireLens })},
		{Option: Option{Name: "ack", Kind: setting.Enum, Enum: []string{string(AckMemory), string(AckKernel), string(AckPower), string(AckDelivered)},
			Help: "Says what a chunk has reached when it is acknowledged: memory is the buffer, kernel survives the death of the process, power the loss of power, delivered means that every destination has it; unset means the durability of the route where that is kernel or power, else delivered."},
			set: text(func(s *source) *Ack { return &s.Ack })},
	}
}

// tagRows are the options of what becomes of tags and records.
func tagRows() []row[ForwardSource] {
	type source = ForwardSource
	return []row[source]{
		{Option: Option{Name: "tag", Help: "Replaces the tag of every record."},
			check: tag, set: text(func(s *source) *string { return &s.Tag })},
		{Option: Option{Name: "add-tag-prefix", Help: "Is put in front of every tag, with a dot between."},
			check: tag, set: text(func(s *source) *string { return &s.AddTagPrefix })},
		{Option: Option{Name: "source-address-key", Help: "Names the key that gets the address of the sender in every record."},
			set: text(func(s *source) *string { return &s.SourceAddressKey })},
		{Option: Option{Name: "source-hostname-key", Help: "Names the key that gets the host name of the sender, which is looked up once for each connection."},
			set: text(func(s *source) *string { return &s.SourceHostnameKey })},
		{Option: Option{Name: "join-partials", Kind: setting.Bool, Default: "true",
			Help: "Joins what Docker has cut at 16 KiB; what asks for acknowledgements is joined only where every sink of the route has mode spill with durability kernel or power, and ack is not memory or delivered; elsewhere, and in chunks of several records, parts are passed on as they are."},
			set: flag(func(s *source) *bool { return &s.JoinPartials })},
		{Option: Option{Name: "ecs-metadata", Kind: setting.Bool, Default: "false",
			Help: "Adds ecs_cluster, ecs_task_arn and ecs_task_definition to every record where ECS tells them; where its agent does not answer, the source begins after 5 s without them, asks again until it does, and status says so meanwhile."},
			set: flag(func(s *source) *bool { return &s.ECSMetadata })},
	}
}

func messageLimitRows() []row[ForwardSource] {
	type source = ForwardSource
	return []row[source]{
		{Option: Option{Name: "max-connections", Kind: setting.Int, Default: "16384",
			Help: "Limits connections; more wait until one ends."},
			check: between(1, 1<<20), set: number(func(s *source) *int { return &s.MaxConnections })},
		{Option: Option{Name: "max-message-size", Kind: setting.Size, Default: "16m",
			Help: "Limits what of one message is held in memory; a larger one goes to the state directory while it arrives."},
			check: sizeBetween(64<<10, 1<<30), set: number(func(s *source) *int64 { return &s.MaxMessageSize })},
		{Option: Option{Name: "max-spool-size", Kind: setting.Size, Default: "512m",
			Help: "Limits one message; a larger one closes its connection and is counted as refused."},
			check: sizeBetween(64<<10, 16<<30), set: number(func(s *source) *int64 { return &s.MaxSpoolSize })},
		{Option: Option{Name: "max-decompressed-size", Kind: setting.Size, Default: "256m",
			Help: "Limits what one compressed message expands to; a larger one goes to the dead letters as it was received."},
			check: sizeBetween(64<<10, 16<<30), set: number(func(s *source) *int64 { return &s.MaxDecompressedSize })},
		{Option: Option{Name: "remember-chunks", Kind: setting.Int, Default: "100000",
			Help: "Says how many chunks are remembered, so that one that is sent again is not taken again; 0 remembers none."},
			check: between(0, 10_000_000), set: number(func(s *source) *int { return &s.RememberChunks })},

		{Option: Option{Name: "handshake-timeout", Kind: setting.Duration, Default: "10s",
			Help: "Closes a connection whose TLS or shared-key handshake takes longer."},
			check: setting.PositiveDuration, set: duration(func(s *source) *time.Duration { return &s.HandshakeTimeout })},
		{Option: Option{Name: "message-timeout", Kind: setting.Duration, Default: "60s",
			Help: "Closes a connection that stops for this long within a message."},
			check: setting.PositiveDuration, set: duration(func(s *source) *time.Duration { return &s.MessageTimeout })},
		{Option: Option{Name: "send-timeout", Kind: setting.Duration, Default: "30s",
			Help: "Closes a connection that does not take its acknowledgements for this long."},
			check: setting.PositiveDuration, set: duration(func(s *source) *time.Duration { return &s.SendTimeout })},
	}
}

// senderRows are the options of who may send.
func senderRows() []row[ForwardSource] {
	type source = ForwardSource
	return []row[source]{
		{Option: Option{Name: "allow", Takes: "network", List: true,
			Help: "Names the networks, as 10.0.0.0/8 or 10.0.0.7, from which TCP and TLS connections are taken; unset takes all."},
			set: func(_ *parser, s *source, v value) string {
				network, expected := prefix(v.Text)
				s.Allow = append(s.Allow, network)
				return expected
			}},
		{Option: Option{Name: "shared-key", Kind: setting.Secret,
			Help: "Asks senders for this key."},
			set: secret(func(s *source) *Secret { return &s.SharedKey })},
		{Option: Option{Name: "self-hostname", Help: "Is the name of this host in the handshake; unset asks the system."},
			set: text(func(s *source) *string { return &s.SelfHostname })},
		{Option: Option{Name: "users", Takes: "map", List: true, Fields: options(userRows()),
			Help: "Asks senders for one of these users as well; without shared-key they are asked for an empty key, as where Fluent Bit has empty_shared_key."},
			read: func(p *parser, s *source, n node) {
				if u, ok := readMap(p, n, "a user", userRows()); ok {
					s.Users = append(s.Users, u)
				}
			}},
		{Option: Option{Name: "tls-cert-file", Takes: "path", Help: "Names the certificate of tls:// in PEM form, with what leads to its root."},
			set: path(func(s *source) *string { return &s.CertFile })},
		{Option: Option{Name: "tls-key-file", Takes: "path", Help: "Names the key of that certificate."},
			set: path(func(s *source) *string { return &s.KeyFile })},
		{Option: Option{Name: "tls-client-ca-file", Takes: "path", Help: "Asks senders for a certificate of one of these."},
			set: path(func(s *source) *string { return &s.ClientCAFile })},
	}
}

func socketRows() []row[ForwardSource] {
	type source = ForwardSource
	return []row[source]{
		{Option: Option{Name: "socket-mode", Takes: "mode", Default: "0660", Help: "Is the mode of unix sockets, in octal digits."},
			set: mode(func(s *source) *fs.FileMode { return &s.SocketMode })},
		{Option: Option{Name: "udp-heartbeat", Kind: setting.Bool, Default: "false",
			Help: "Answers the UDP heartbeats of fluentd at the ports of TCP and TLS."},
			set: flag(func(s *source) *bool { return &s.UDPHeartbeat })},
	}
}

func userRows() []row[User] {
	return []row[User]{
		{Option: Option{Name: "name", Required: true, Help: "Is the user's name."}, set: text(func(u *User) *string { return &u.Name })},
		{Option: Option{Name: "password", Kind: setting.Secret, Required: true, Help: "Is the user's password."},
			set: secret(func(u *User) *Secret { return &u.Password })},
	}
}

// prefix reads a network, or one address.
func prefix(text string) (netip.Prefix, string) {
	if network, err := netip.ParsePrefix(text); err == nil {
		if network != network.Masked() {
			return network, "a network without bits behind its length: " + network.Masked().String()
		}
		return network, ""
	}
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		return netip.PrefixFrom(address, address.BitLen()), ""
	}
	return netip.Prefix{}, "a network such as 10.0.0.0/8, or an address such as 10.0.0.7"
}
