package real

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/spillway/spillway/test/launcher/harness"
)

// built are both programs as they are shipped. They are built once, when the first test wants them:
// without real parts none does.
var built = sync.OnceValues(func() (*harness.Programs, error) {
	builds = true
	return harness.Prepare("")
})

// builds says, after the tests, whether there is something to remove.
var builds bool

func TestMain(m *testing.M) {
	code := m.Run()
	if builds {
		if programs, err := built(); err == nil {
			if err := programs.Remove(); err != nil {
				fmt.Fprintln(os.Stderr, "remove the programs under test:", err)
				code = max(code, 1)
			}
		}
	}
	os.Exit(code)
}

// buildSpillway builds the programs. A build that fails is a failure and never a skip, since they are
// what is tested.
func buildSpillway(t *testing.T) *harness.Programs {
	t.Helper()
	programs, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return programs
}
