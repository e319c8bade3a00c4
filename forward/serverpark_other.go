//go:build !linux

package forward

// parking is where idle connections wait without a goroutine. Here they cannot.
type parking struct{}

func newParking(func(c *serverConn)) (*parking, error) { return nil, nil }

func (*parking) run() {}

func (*parking) park(*serverConn) bool { return false }

func (*parking) leave(*serverConn) {}

func (*parking) close() error { return nil }
