package forward

import (
	"strings"
	"testing"
)

// Who cannot listen is told what to do.
func TestListenErrors(t *testing.T) {
	taken, err := openPort(Address{Network: "tcp", Addr: "127.0.0.1:0"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		a    Address
		want string
	}{
		{Address{Network: "tcp", Addr: taken.Addr().String()}, "address already in use; end who listens there, or give another address"},
		// 192.0.2.0/24 is for documentation (RFC 5737), so no machine has an address of it.
		{Address{Network: "tcp", Addr: "192.0.2.1:0"}, "this machine does not have that address: give one of its own, or 0.0.0.0"},
		{Address{Network: "unix", Addr: t.TempDir() + "/none/s"}, "make the directory, or give another path"},
	} {
		p, err := openPort(c.a, 0)
		if err == nil {
			err = p.Close()
			t.Errorf("%v is listened on (%v)", c.a, err)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v\nhas no %q", err, c.want)
		}
	}
}
