package main

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/spillway/spillway/internal/convert"
)

func convertCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "convert",
		Short: "Write a configuration of spillway run from that of another program",
		Long: `Write a configuration of "spillway run" from that of another program, to standard output,
with a comment for each line. Warnings go to standard error.`,
		Example: `  spillway convert kafka-fluentd-consumer fluentd-consumer.properties --brokers 10.0.0.7:9092 >spillway.yaml`,
	}
	return group(cmd, convertKafkaFluentdCommand())
}

func convertKafkaFluentdCommand() *cobra.Command {
	var o convert.Options
	var to string
	cmd := &cobra.Command{
		Use:   "kafka-fluentd-consumer FILE.properties",
		Short: "From the properties of kafka-fluentd-consumer 0.3.2",
		Long: `Write what kafka-fluentd-consumer 0.3.2 does with FILE.properties as a configuration of
"spillway run": to standard output, with a comment for each line that says which property it
comes from, and a list of what has no counterpart and why. What is different from before, or
needs somebody's hand, is a warning on standard error.

--to fluentd keeps the destination. --to elasticsearch removes fluentd from the middle; with
--fluentd FILE the sink does what the output for Elasticsearch or OpenSearch in fluentd's
configuration did. Secrets are not copied: the result names variables of the environment.

Exit codes: 0 converted, 1 the file cannot be read or is none with which the old program starts,
2 wrong options.`,
		Example: `  spillway convert kafka-fluentd-consumer fluentd-consumer.properties --brokers 10.0.0.7:9092 >spillway.yaml
  spillway convert kafka-fluentd-consumer old.properties --to elasticsearch --brokers k1:9092,k2:9092 --hosts https://es:9200 --index 'app-%Y.%m.%d'
  spillway convert kafka-fluentd-consumer old.properties --to elasticsearch --brokers k1:9092 --fluentd /etc/fluent/fluentd.conf >spillway.yaml`,
		Args: oneArg("file of properties"),
		RunE: func(_ *cobra.Command, args []string) error {
			o.File, o.To = args[0], convert.Destination(to)
			if err := convertible(&o); err != nil {
				return usage(err)
			}
			content, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			if o.Fluentd != "" {
				if o.FluentdContent, err = os.ReadFile(o.Fluentd); err != nil {
					return err
				}
			}
			result, err := convert.KafkaFluentdConsumer(content, o)
			if err != nil {
				return err
			}
			for _, w := range result.Warnings {
				fmt.Fprintln(os.Stderr, "warning:", w)
			}
			_, err = os.Stdout.WriteString(result.YAML)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&to, "to", string(convert.ToFluentd), "where records go: fluentd, as before, or elasticsearch")
	f.StringSliceVar(&o.Brokers, "brokers", nil, "Kafka's brokers as HOST:PORT; the old file knows ZooKeeper alone (default 127.0.0.1:9092, with a warning)")
	f.StringSliceVar(&o.Hosts, "hosts", nil, "with --to elasticsearch: URLs of nodes (default those of --fluentd, or http://127.0.0.1:9200, with a warning)")
	f.StringVar(&o.Index, "index", "", "with --to elasticsearch: the template of index names (default that of --fluentd, or logs-%Y.%m.%d)")
	f.StringVar(&o.Fluentd, "fluentd", "", "with --to elasticsearch: fluentd's configuration `FILE`, whose output becomes the sink")
	return cmd
}

// convertible checks the options; what is wrong in the old file is found later.
func convertible(o *convert.Options) error {
	switch o.To {
	case convert.ToElasticsearch:
	case convert.ToFluentd:
		if len(o.Hosts) > 0 || o.Index != "" || o.Fluentd != "" {
			return errors.New("found --hosts, --index or --fluentd; expected --to elasticsearch with them")
		}
	default:
		return fmt.Errorf("--to: found %q; expected %s or %s", string(o.To), convert.ToFluentd, convert.ToElasticsearch)
	}
	for _, b := range o.Brokers {
		if host, port, err := net.SplitHostPort(b); err != nil || host == "" || port == "" {
			return fmt.Errorf("--brokers: found %q; expected HOST:PORT, such as 10.0.0.7:9092", b)
		}
	}
	return nil
}
