// Command spillway delivers logs that must not be lost, without holding up what
// writes them. This file is the list of its commands; each has a file of its
// own.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spillway/spillway/internal/version"
)

// Exit codes, the same for all commands. exec ends with the status of the
// command that it runs.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitLoss   = 3
)

// exitError is an error that asks for an exit code.
type exitError struct {
	code int
	err  error // nil where everything has been said
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// untold is what of err is still to be told: all but what asks for an exit code alone.
func untold(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var rest []error
		for _, one := range joined.Unwrap() {
			rest = append(rest, untold(one))
		}
		return errors.Join(rest...)
	}
	var exit *exitError
	if errors.As(err, &exit) {
		return exit.err
	}
	return err
}

// refuseUnknownTopics has help refuse what is no command, as the command line does, in the place of
// showing another help.
func refuseUnknownTopics(root *cobra.Command) {
	help, _, err := root.Find([]string{"help"})
	if err != nil || help == root {
		panic("BUG: there is no command help")
	}
	show := help.Run
	help.Run, help.RunE = nil, func(cmd *cobra.Command, args []string) error {
		if topic, rest, err := root.Find(args); err == nil && len(rest) > 0 && topic.HasSubCommands() {
			return topic.RunE(topic, rest)
		}
		show(cmd, args)
		return nil
	}
}

// sayOptions writes [options] into the usage lines, where the library has
// [flags]: they are called options everywhere else.
func sayOptions(cmd *cobra.Command) {
	if !cmd.DisableFlagsInUseLine && !strings.Contains(cmd.Use, "[options]") {
		cmd.Use += " [options]"
	}
	cmd.DisableFlagsInUseLine = true
	for _, c := range cmd.Commands() {
		sayOptions(c)
	}
}

func main() { os.Exit(execute(os.Args[1:])) }

func execute(args []string) int {
	root := &cobra.Command{
		Use:   "spillway",
		Short: "Deliver logs without losing them silently and without stalling what writes them",
		Long: `Spillway stands between what writes logs and what stores them, holds what the
destination does not take yet in a bounded buffer, and accounts for every record.

Exit codes: 0 done, 1 failed, 2 wrong options or configuration, 3 finished with
counted losses where asked to fail on them (--fail-on-loss), or damage was found
(buffer, deadletter).`,
		Version:       version.String(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetArgs(args)
	root.SetFlagErrorFunc(flagError)
	group(root, runCommand(), execCommand(), logsCommand(), statusCommand(), explainCommand(), checkCommand(), drainCommand(), bufferCommand(), deadletterCommand(), convertCommand(), sandboxCommand(), credentialsCommand(), versionCommand())
	root.InitDefaultHelpCmd()
	refuseUnknownTopics(root)
	root.InitDefaultCompletionCmd(args...)
	sayOptions(root)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return exitDone
	}
	code := exitFailed
	var exit *exitError
	if errors.As(err, &exit) {
		code, err = exit.code, untold(err)
	} else if _, _, found := root.Find(args); found != nil {
		code = exitUsage
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "spillway:", err)
	}
	return code
}
