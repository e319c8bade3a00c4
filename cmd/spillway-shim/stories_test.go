package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this binary the logger as well. What it does with a container's
// output is the business of test/contract, which plays containerd.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"spillway-shim": main})
}

// TestWithoutContainerd runs the logger as a person does who tries it by hand.
func TestWithoutContainerd(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Files: []string{stories(t)},
		Setup: func(env *testscript.Env) error {
			env.Setenv("SPILLWAY_STATE_DIR", filepath.Join(env.WorkDir, "state"))
			// Under the race detector each process would end a second late.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
		RequireExplicitExec: true,
	})
}

// stories writes the story down, since only its own program has a folder for them.
func stories(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "byhand.txt")
	text := strings.TrimLeft(byHand, "\n")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const byHand = `
# The help shows a log URI and the options.
exec spillway-shim --help
stdout 'binary:///usr/local/bin/spillway-shim\?--log-driver=awslogs'
stdout 'Exit codes: 0 done, 1 failed, 2 the options are wrong'
stdout '^  --log-driver enum'
exec spillway-shim --version
stdout '^spillway-shim '

# Wrong options end with 2, and all that is wrong is told at once.
exec sh -c 'spillway-shim --log-driver awslogs --mode sometimes; echo ended with $?'
stdout '^ended with 2$'
! stderr panic
stderr '--awslogs-group: found nothing'
stderr '--mode: found "sometimes"; expected blocking, non-blocking or spill'
`
