package parts

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// freePort returns a loopback TCP port that was free a moment ago.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port on 127.0.0.1: %w", err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		return 0, fmt.Errorf("give the free port %d back: %w", port, err)
	}
	return port, nil
}

// keptPorts returns different free ports for a part that comes back to them after it was stopped. They
// lie below those that the kernel gives to outgoing connections (from 32768 on), one of which would
// otherwise take a port in the meantime.
func keptPorts(n int) (ports []int, err error) {
	var held []net.Listener
	defer func() {
		for _, listener := range held {
			err = errors.Join(err, listener.Close())
		}
	}()
	const first, last = 10_000, 32_000
	for range 1000 {
		if len(ports) == n {
			return ports, nil
		}
		port := first + rand.IntN(last-first)
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			held, ports = append(held, listener), append(ports, port)
		}
	}
	return nil, fmt.Errorf("find %d free ports on 127.0.0.1 from %d to %d: found %d in 1000 attempts", n, first, last, len(ports))
}
