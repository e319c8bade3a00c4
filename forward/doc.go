// Package forward speaks the fluentd forward protocol, version 1: its messages
// in all four modes and as JSON, its handshake and its acknowledgements, for
// clients and for servers.
//
// Messages are never turned into Go values. Whatever the mode, a message comes
// out as its entries, one behind the other and each the msgpack array
//
//	[time, record]
//
// in the bytes in which they arrived, beside the tag and the id by which the
// sender wants the chunk acknowledged. They can be stored, counted and sent on
// as they are. Nothing is allocated for an entry, and no length that the peer
// claims is believed before its bytes are there.
//
// The four modes, as msgpack arrays; the type of the second element tells them
// apart, and the option map is not always there:
//
//	Message                  [tag, time, record, option]
//	Forward                  [tag, [[time, record], …], option]
//	PackedForward            [tag, str or bin: [time, record] …, option]
//	CompressedPackedForward  the same, compressed: option "compressed" is gzip or zstd
//
// A time is an integer of seconds, an EventTime (extension type 0: big-endian
// u32 seconds and u32 nanoseconds since 1970), or an array of one of these and
// a map of metadata. Zero or nil means that the sender does not know.
//
// The protocol is described at
// https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1;
// where fluentd and Fluent Bit do otherwise, this package follows them, and says
// so where it does.
//
// A Client keeps records until a server has acknowledged them:
//
//	client, err := forward.NewClient(forward.ClientOptions{Servers: forward.Endpoints("10.0.0.7:24224")})
//	…
//	err = client.Post(ctx, "app.access", time.Now(), map[string]any{"path": "/", "status": 200})
//	…
//	err = client.Close(ctx) // nil, or an *UndeliveredError with all that no server has
//
// See Post, Flush and Close, and Stats for its numbers; ClientOptions for several
// servers, TLS, shared keys, and what happens when its buffer is full; Spill for what is
// to survive the process; NewHandler for log/slog, and NewLogger for programs of
// fluent-logger-golang. A Conn is one connection to one server, for those who buffer and
// retry on their own. A Server takes messages, and its Receiver decides what is
// acknowledged.
//
// The package registers nothing with any msgpack library, so a program may link
// it beside every other client of the protocol.
package forward
