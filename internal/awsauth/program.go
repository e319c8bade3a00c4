package awsauth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	// failureHold is how long a failed run is remembered. Deliveries that wait for credentials ask every few seconds,
	// for every container of a node, and each run starts a program.
	failureHold = 30 * time.Second

	// closeWait is how long a program's children may hold its output open once it has ended.
	closeWait = time.Second

	fallbackPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// program is the [ProfileSource] that runs `spillway aws-credentials`. The SDK's own process provider is not used: it
// reads without limit, and its errors quote what the program printed, which may be the keys.
type program struct {
	path string
	args []string
	o    Options

	mu       sync.Mutex
	failed   error
	failedAt time.Time
}

// newProgram finds the program. It never searches PATH: the logger runs as root, with an environment that others set.
func newProgram(o Options) (*program, error) {
	path := o.ProgramPath
	if path == "" {
		own, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find the spillway program beside this one: %w", err)
		}
		path = filepath.Join(filepath.Dir(own), "spillway")
	}
	args := []string{"aws-credentials"}
	if o.CredentialsFile != "" {
		args = append(args, "--credentials-file", o.CredentialsFile)
	}
	if o.Profile != "" {
		args = append(args, "--profile", o.Profile)
	}
	if o.CAFile != "" {
		// AWS_CA_BUNDLE would replace the system's authorities.
		args = append(args, "--ca-file", o.CAFile)
	}
	return &program{path: path, args: args, o: o}, nil
}

// Credentials implements [ProfileSource].
func (p *program) Credentials(ctx context.Context) (aws.Credentials, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil && time.Since(p.failedAt) < failureHold {
		return aws.Credentials{}, p.failed
	}
	creds, err := p.fetch(ctx)
	p.failed, p.failedAt = err, time.Now()
	return creds, err
}

func (p *program) fetch(ctx context.Context) (aws.Credentials, error) {
	document, err := p.run(ctx)
	if err != nil {
		return aws.Credentials{}, err
	}
	creds, err := document.credentials()
	if err != nil {
		return aws.Credentials{}, p.wrap(err)
	}
	return creds, nil
}

// Region implements [ProfileSource].
func (p *program) Region(ctx context.Context) (string, error) {
	document, err := p.run(ctx)
	switch {
	case err != nil:
		return "", err
	case document.Region != "":
		return document.Region, nil
	case document.Reason != "" && !document.NotConfigured:
		return "", p.wrap(errors.New(printable(document.Reason)))
	}
	return "", notConfigured("it names no region")
}

// run starts the program, and reads its object whatever its exit status is: with status 1 the object has the reason.
// The program and its children are one process group, which is killed as a whole when the context ends.
func (p *program) run(ctx context.Context) (ProcessDocument, error) {
	output := &boundedBuffer{limit: maxAnswerBytes}
	cmd := exec.CommandContext(ctx, p.path, p.args...)
	cmd.Env = p.environment()
	cmd.Stdout = output
	// The program must not outlive this process. The kernel watches the thread that started it, which therefore stays
	// until the program has ended.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = closeWait
	ended := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return ProcessDocument{}, p.wrap(errors.New("it gave no answer in time"))
	case cmd.Process == nil:
		return ProcessDocument{}, fmt.Errorf("run the spillway program: %w", ended)
	case output.overflowed:
		return ProcessDocument{}, p.wrap(fmt.Errorf("it printed more than %d bytes", maxAnswerBytes))
	}
	document, err := parseProcessDocument(output.held.Bytes())
	if err != nil {
		return ProcessDocument{}, p.wrap(fmt.Errorf("%w (%s): run it by hand to see why", err, cmd.ProcessState))
	}
	return document, nil
}

func (p *program) wrap(err error) error {
	return fmt.Errorf("%s %s: %w", p.path, strings.Join(p.args, " "), err)
}

// environment gives the program what it needs and nothing else: under containerd there is no HOME and no PATH to
// inherit, and a person's shell may hold secrets that are none of its business. A user without a home directory, such as
// a bare number given as --uid, can still use a credentials file that is named.
func (p *program) environment() []string {
	set := map[string]string{"PATH": fallbackPath}
	if home, err := homeDir(); err == nil {
		set["HOME"] = home
	}
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "AWS_") || passedOn(name) {
			set[name] = value
		}
	}
	if p.o.Proxy != "" {
		set["HTTPS_PROXY"], set["HTTP_PROXY"] = p.o.Proxy, p.o.Proxy
	}
	if p.o.Region != "" {
		set["AWS_REGION"] = p.o.Region
	}
	if p.o.metadataOff() != nil {
		set["AWS_EC2_METADATA_DISABLED"] = "true"
	}
	environment := make([]string, 0, len(set))
	for name, value := range set {
		environment = append(environment, name+"="+value)
	}
	return environment
}

func passedOn(name string) bool {
	switch name {
	case "PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
		"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy":
		return true
	}
	return false
}

// boundedBuffer refuses to grow past its limit; a refused write ends the program with SIGPIPE. It does not embed its
// buffer, whose ReadFrom would go around the limit.
type boundedBuffer struct {
	held       bytes.Buffer
	limit      int
	overflowed bool
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.held.Len()+len(p) > b.limit {
		b.overflowed = true
		return 0, errors.New("too much output")
	}
	return b.held.Write(p)
}
