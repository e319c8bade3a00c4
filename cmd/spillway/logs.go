package main

import "github.com/spf13/cobra"

func logsCommand() *cobra.Command { return &cobra.Command{Use: "logs"} }
