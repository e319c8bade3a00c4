package parts

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// commandWithin bounds one command of a client. A container whose logger never says that it is
// ready would otherwise hold the test for ever, because containerd waits for that without a limit.
const commandWithin = 5 * time.Minute

// Output is what a command left: both of its streams and how long it took.
type Output struct {
	Stdout, Stderr string
	Took           time.Duration
}

// command runs a client's command to its end. Its error holds the command line and its stderr.
func command(program string, args ...string) (Output, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	err := cmd.Run()
	out := Output{Stdout: stdout.String(), Stderr: stderr.String(), Took: time.Since(began)}
	if err != nil {
		return out, fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(args, " "), err, strings.TrimSpace(out.Stderr))
	}
	return out, nil
}
