package launcher

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// FreePorts returns different TCP ports on 127.0.0.1 that were free a moment ago. They lie below those that
// the kernel gives to outgoing connections (from 32768 on): a port that is given back and taken later could
// otherwise be somebody's in the meantime, even that of a client which dials this very port and so
// connects to itself.
func FreePorts(n int) (ports []int, err error) {
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

// FreeAddress returns the address of one such port.
func FreeAddress() (string, error) {
	ports, err := FreePorts(1)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("127.0.0.1:%d", ports[0]), nil
}
