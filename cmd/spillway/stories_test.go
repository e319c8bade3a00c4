package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/spillway/spillway/internal/sandbox/cloudwatch"
)

// TestMain makes this binary the program as well: a story runs spillway as a
// person does, in a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"spillway": main,
		"fill":     func() { helper(fillBuffer(os.Args[1:])) },
		"letters":  func() { helper(putLetters(os.Args[1:])) },
		"scribble": func() { helper(scribble(os.Args[1:])) },
		"forward":  func() { helper(sendForward(os.Args[1:])) },
		"await":    func() { helper(await(os.Args[1:])) },
		"hold":     func() { helper(holdBuffer(os.Args[1:])) },
		"sandbox":  func() { helper(askSandbox(os.Args[1:])) },
		"keys":     func() { helper(printKeys(os.Stdin, os.Stdout)) },
		"value":    func() { helper(printValue(os.Stdin, os.Stdout, os.Args[1])) },
	})
}

// helper ends a helper's process.
func helper(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, filepath.Base(os.Args[0])+":", err)
		os.Exit(1)
	}
}

// TestStories tells how the commands are used. Each story is a file, with a state
// directory of its own and with a CloudWatch Logs endpoint at $SANDBOX.
func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Setup:               surroundings,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// surroundings keep a story away from the machine's AWS settings and from its
// state directory.
func surroundings(env *testscript.Env) error {
	server, err := cloudwatch.New(cloudwatch.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	listener, err := server.Listen()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listener) }()
	env.Defer(func() {
		stop()
		if err := <-served; err != nil {
			env.T().Log(err)
			env.T().FailNow()
		}
	})
	env.Vars = slices.DeleteFunc(env.Vars, func(v string) bool {
		return strings.HasPrefix(v, "AWS_") || strings.HasPrefix(v, "SPILLWAY_") || strings.HasPrefix(v, "CONTAINER_ID=")
	})
	env.Setenv("SPILLWAY_STATE_DIR", filepath.Join(env.WorkDir, "state"))
	env.Setenv("SANDBOX", "http://"+listener.Addr().String())
	env.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	env.Setenv("AWS_CONFIG_FILE", os.DevNull)
	env.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	// Under the race detector each of the many processes would end a second late.
	env.Setenv("GORACE", "atexit_sleep_ms=0")
	return nil
}

// exits is the script command "exits CODE PROGRAM [ARGUMENT ...]": the program
// must end with just this code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARGUMENT ...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("%s ended with %d, expected %d", args[1], code, want)
	}
}

// askSandbox is the helper "sandbox fault KIND", which breaks the endpoint until
// "sandbox heal", and "sandbox report", which prints what has arrived there.
func askSandbox(args []string) error {
	path, method, body := "/sandbox/fault", http.MethodPost, "{}"
	switch {
	case slices.Equal(args, []string{"report"}):
		path, method, body = "/report", http.MethodGet, ""
	case len(args) == 2 && args[0] == "fault":
		body = fmt.Sprintf("{%q:%q}", "fault", args[1])
	case !slices.Equal(args, []string{"heal"}):
		return fmt.Errorf("found %q; expected fault KIND, heal or report", args)
	}
	req, err := http.NewRequest(method, os.Getenv("SANDBOX")+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	_, err = io.Copy(os.Stdout, resp.Body)
	return err
}

// lastObject reads the object on the last line.
func lastObject(r io.Reader) (object any, err error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	return object, json.Unmarshal([]byte(lines[len(lines)-1]), &object)
}

// printKeys is the helper that prints the keys of the object on the last line of
// its standard input: each once, with those around it, in order.
func printKeys(r io.Reader, w io.Writer) error {
	object, err := lastObject(r)
	if err != nil {
		return err
	}
	all := paths(object, "")
	slices.Sort(all)
	_, err = fmt.Fprintln(w, strings.Join(slices.Compact(all), "\n"))
	return err
}

func paths(v any, above string) (all []string) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			path := strings.TrimPrefix(above+"."+key, ".")
			all = append(append(all, path), paths(value, path)...)
		}
	case []any:
		for _, value := range v {
			all = append(all, paths(value, above+"[]")...)
		}
	}
	return all
}

// printValue is the helper that prints what stands in that object under a path
// such as bytes.received or streams.0.stream.
func printValue(r io.Reader, w io.Writer, path string) error {
	v, err := lastObject(r)
	if err != nil {
		return err
	}
	for key := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(in) {
				return fmt.Errorf("%s: a list of %d values has no %q", path, len(in), key)
			}
			v = in[i]
		}
	}
	return json.NewEncoder(w).Encode(v)
}
