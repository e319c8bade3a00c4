package parts

import (
	"testing"

	"github.com/spillway/spillway/test/launcher/harness"
)

// BuildSpillway builds the two programs as they are shipped, side by side as they are installed,
// because the shim looks for the main program beside itself when it needs credentials that only that
// one can get. A build that fails is a failure and never a skip, since the programs are what is
// tested. Go's cache makes every build after the first a matter of a second or two.
func BuildSpillway(t testing.TB) *harness.Programs {
	t.Helper()
	programs, err := harness.Prepare("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := programs.Remove(); err != nil {
			t.Errorf("remove the programs under test: %v", err)
		}
	})
	return programs
}
