package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/spillway/spillway/internal/sandbox/cloudwatch"
)

func sandboxCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sandbox",
		Short: "Run a destination on this machine, with faults on demand",
		Long: `Run a destination on this machine, with faults on demand, to try what a shipper does with
them. It listens on loopback only.`,
		Example: `  spillway sandbox cloudwatch --listen 127.0.0.1:4580
  spillway sandbox elasticsearch --listen 127.0.0.1:9200 --fault 503,at=10s,for=20s`,
	}
	return group(cmd, sandboxCloudWatchCommand(), sandboxElasticsearchCommand())
}

func sandboxCloudWatchCommand() *cobra.Command {
	var o cloudwatch.Options
	var keep string
	cmd := &cobra.Command{
		Use:   "cloudwatch",
		Short: "A CloudWatch Logs endpoint on loopback, with the service's limits and with faults",
		Long: `Serve CloudWatch Logs on a loopback address until interrupted, and then print as JSON, for
each log stream, what arrived: how many events, which numbers are missing, came twice or out of
order. The number of an event is the first run of digits in its message.

As with the service, a log group has to be created first (--awslogs-create-group), and requests
have to be signed: any AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY will do.

While it runs:  GET /report        the same
                GET /credentials   credentials for a client, as ECS gives them
                POST /sandbox/fault {"fault":"503","for":"20s"}   a fault now`,
		Example: `  spillway sandbox cloudwatch --listen 127.0.0.1:4580
  spillway sandbox cloudwatch --listen 127.0.0.1:4580 --latency 60ms --fault 503 --fault-at 10s --fault-for 20s`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := keepBytes(&o, keep); err != nil {
				return usage(err)
			}
			return runCloudWatch(cmd, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Listen, "listen", "127.0.0.1:4580", "the loopback address to serve on")
	f.DurationVar(&o.Latency, "latency", 0, "how long each answer takes, beyond reading the request")
	f.StringVar(&o.Fault, "fault", "", "what goes wrong: 503, 429 (throttling), hang, reset or denied")
	f.DurationVar(&o.FaultAt, "fault-at", 0, "when that begins, after the start")
	f.DurationVar(&o.FaultFor, "fault-for", 0, "how long it lasts; 0 is for ever")
	f.StringVar(&o.Reject, "reject", "", "reject events of each request: too-old, too-new or expired")
	f.IntVar(&o.RejectEvents, "reject-events", 1, "how many events of each request are rejected")
	f.StringVar(&o.RefuseText, "refuse-text", "", "refuse every request that holds this text as a whole")
	f.StringVar(&keep, "keep", "64m", "how many bytes of messages are kept to be read back; none keeps only the account")
	return cmd
}

func keepBytes(o *cloudwatch.Options, keep string) error {
	if keep == "none" {
		o.KeepBytes = -1
		return nil
	}
	n, err := units.RAMInBytes(keep)
	if err != nil || n <= 0 {
		return fmt.Errorf("--keep: found %q; expected a size such as 64m, or none", keep)
	}
	o.KeepBytes = int(n)
	return nil
}

func runCloudWatch(cmd *cobra.Command, o cloudwatch.Options) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	server, err := cloudwatch.New(o)
	if err != nil {
		return usage(err)
	}
	listener, err := server.Listen()
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "CloudWatch Logs on http://%s, until interrupted\n", listener.Addr())
	err = server.Serve(ctx, listener)
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	return errors.Join(err, encoder.Encode(server.Report()))
}
