package forward

import "errors"

// Causes for which a connection ends, or does not come about, beside
// ErrSameHostname and ErrWrongKey. They are wrapped; compare by errors.Is.
var (
	// ErrClosed: Close was called.
	ErrClosed = errors.New("forward: closed")
	// ErrPeerClosed: the server has closed the connection, or its half of it.
	ErrPeerClosed = errors.New("forward: the server has closed the connection")
	// ErrAckTimeout: an ack did not come in time.
	ErrAckTimeout = errors.New("forward: no ack")
	// ErrUnknownAck: the server acknowledged a chunk that does not wait for an ack.
	ErrUnknownAck = errors.New("forward: ack of an unknown chunk")
	// ErrOneMessage: the server takes one message on each connection, and has one.
	ErrOneMessage = errors.New("forward: the server takes one message on each connection")
	// ErrAuthRequired: the server began a handshake, and DialOptions.Auth is not set.
	ErrAuthRequired = errors.New("forward: the server asks for a shared key; set Auth")
	// ErrNoHandshake: DialOptions.Auth is set, and the server did not begin a
	// handshake.
	ErrNoHandshake = errors.New("forward: the server did not begin a handshake; it has no shared key, or is not a forward server")
	// ErrAuthRefused: the server refused the client's proof.
	ErrAuthRefused = errors.New("forward: the server refused the shared key, the user or the password")
	// ErrProtocol: what the server sent is not of the forward protocol.
	ErrProtocol = errors.New("forward: not the forward protocol")
)

// SendError says that a chunk was not acknowledged, and whether it may have
// arrived all the same.
type SendError struct {
	// ID is the chunk's id.
	ID string
	// Unsure is true if the server may have the chunk: some of it was written. If it
	// is false, the chunk has not left this process.
	Unsure bool
	// Err is why.
	Err error
}

func (e *SendError) Error() string {
	text := "forward: chunk not sent"
	if e.Unsure {
		text = "forward: chunk sent, but not acknowledged"
	}
	if e.ID != "" {
		text += " (id " + e.ID + ")"
	}
	return text + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *SendError) Unwrap() error { return e.Err }
