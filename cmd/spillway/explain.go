package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/spillway/spillway/internal/catalog"
	"github.com/spillway/spillway/internal/config"
)

func explainCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain [options]",
		Short: "Show every option, its value, and which level set it",
		Long: `Show which value every option has and where it comes from: the container's own, which
is this command line, the node's defaults, the environment, or built in. It takes the options
of exec, which are listed here, and with --log-driver those of spillway-shim, which
"spillway-shim --help" lists. It connects to nothing. What the file of "spillway run" comes to,
"spillway check -c FILE" says.`,
		Example: `  spillway explain --to cloudwatch --mode non-blocking
  spillway explain --log-driver awslogs --config /etc/spillway/spillway.yaml`,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			var options []string
			program := config.ProgramExec
			for _, a := range args {
				switch {
				case a == "--help" || a == "-h":
					return cmd.Help()
				case a == "-c":
					return usage(errors.New("explain: found -c; expected options of exec or of a container; " +
						"what the file of spillway run comes to, spillway check -c FILE says; a node file is named by --config"))
				case a == "--json":
					asJSON = true
					continue
				case len(a) >= len("--log-driver") && a[:len("--log-driver")] == "--log-driver":
					program = config.ProgramShim
				}
				options = append(options, a)
			}
			resolved, err := config.LoadArgs(options, config.Input{
				Program: program, Getenv: os.Getenv, Checks: catalog.Checks(), Partial: true,
			})
			if err != nil {
				return usage(err)
			}
			if asJSON {
				return json.NewEncoder(os.Stdout).Encode(resolved.Explain())
			}
			return printOptions(os.Stdout, resolved)
		},
	}
	// These are for the help alone: config reads the arguments, as it does for the
	// shim.
	bindOptions(cmd, &config.Flags{}, config.ProgramExec)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the options as JSON: a list of objects")
	return cmd
}

// printOptions tells the options to a person.
func printOptions(w io.Writer, r *config.Resolved) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "OPTION\tVALUE\tSET BY\tNOTE")
	for _, row := range r.Explain() {
		level := string(row.Level)
		if row.Where != "" {
			level += " (" + row.Where + ")"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", row.Name, row.Value, level, row.Note)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, warning := range r.Warnings {
		if _, err := fmt.Fprintln(w, "warning:", warning); err != nil {
			return err
		}
	}
	return nil
}
