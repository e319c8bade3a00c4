package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/spillway/spillway/internal/version"
)

// versionCommand says what --version does, for those who look for a command.
func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Say which version this is",
		Long:    "Say which version this is, and which Go it was built with.",
		Example: "  spillway version",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Printf("spillway version %s, %s\n", version.String(), runtime.Version())
			return err
		},
	}
}
