//go:build !linux

package forward

// parking is where idle connections wait without a goroutine. Here they cannot.
type parking struct{}

func newParking(*Server) (*parking, error) { return nil, nil }

func (*parking) run() {}

func (*parking) park(*serverConn) bool { return false }

func (*parking) join(*serverConn) bool { return false }

func (*parking) leave(*serverConn) {}

func (*parking) scarce() bool { return false }

func (*parking) crowded() bool { return false }

func (*parking) take(*serverConn) bool { return false }

func (*parking) ended(*serverConn) {}

func (*parking) retry() {}

func (*parking) close() error { return nil }
