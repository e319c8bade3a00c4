package contract

import (
	"os/exec"
	"testing"

	"github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/test/launcher/harness"
)

// programs are set once, before any test runs.
var programs *harness.Programs

func TestMain(m *testing.M) { harness.Main(m, &programs) }

// ours skips a test about what only our own logger has.
func ours(t *testing.T) {
	t.Helper()
	if programs.Foreign {
		t.Skip("about a flag or an output of our own, which this logger does not have")
	}
}

// cloud starts an endpoint with the group of the tests. It verifies every signature, also those of the keys of a file.
func cloud(t *testing.T) *harness.Cloud {
	t.Helper()
	return harness.NewCloud(t, cloudwatch.Options{
		VerifyPayload: true, Keys: map[string]string{fileKey: fileSecret, harness.ForeignKey: harness.ForeignSecret}})
}

// toCloud is a logger that delivers to c, with further arguments as key, value, key, value.
func toCloud(c *harness.Cloud, pairs ...string) harness.Setup {
	return harness.Setup{Programs: programs, Cloud: c, Set: set(pairs...)}
}

// toFile is a logger that writes the given file.
func toFile(path string, pairs ...string) harness.Setup {
	return harness.Setup{Programs: programs, Set: set(append([]string{
		"--log-driver", "json-file", "--log-path", path}, pairs...)...)}
}

// shell is a process of the container.
func shell(script string) *exec.Cmd { return exec.Command("/bin/sh", "-c", script) }

func set(pairs ...string) map[string]string {
	m := make(map[string]string)
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}
