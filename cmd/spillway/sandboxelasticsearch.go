package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/spillway/spillway/internal/sandbox/elasticsearch"
)

// elasticsearchFlags are the flags that need more than a parse.
type elasticsearchFlags struct {
	keep, maxBody, user string
	json                bool
}

func sandboxElasticsearchCommand() *cobra.Command {
	var o elasticsearch.Options
	var flags elasticsearchFlags
	cmd := &cobra.Command{
		Use:     "elasticsearch",
		Aliases: []string{"opensearch"},
		Short:   "An Elasticsearch or OpenSearch node on loopback that checks, counts, and gives every bad answer",
		Long: `Serve bulk requests, templates and policies on a loopback address until interrupted, and
then print what arrived: documents by index, ids that came twice, what was refused and why.

--fault KIND[,NAME=VALUE…] may be given more than once; the first that is on takes a request.
` + elasticsearch.FaultKinds + `

When: at=10s, for=20s, nth=2, every=3, times=1, over=1m (size of the body), on=bulk|other|all.
Which items: ok=5 (so many first ones are spared), part=20 (so many are carried out at a
time), share=0.1, match=TEXT, index=NAME.
How: type=NAME, stored=yes (refused, but stored), retry-after=2, delay=50ms (slow, slow-read).

While it runs:  GET /_sandbox/report   the same as JSON
                POST /_sandbox/fault {"faults":["item-429,ok=5"]}   other faults; [] for none`,
		Example: `  spillway sandbox elasticsearch --listen 127.0.0.1:9200
  spillway sandbox elasticsearch --fault 503,at=10s,for=20s --fault item-429,ok=5,every=7
  spillway sandbox elasticsearch --product opensearch --server-version 2.19.6 --fault mapping,match=poison`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flags.apply(&o); err != nil {
				return usage(err)
			}
			return runElasticsearch(cmd, o, flags.json)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Listen, "listen", "127.0.0.1:9200", "the loopback address to serve on")
	f.StringVar(&o.Product, "product", elasticsearch.Elasticsearch, "which product answers: elasticsearch or opensearch")
	f.StringVar(&o.Version, "server-version", "", "and which version of it (default 8.19.21, or 2.19.6)")
	f.StringArrayVar(&o.Faults, "fault", nil, "what goes wrong, and when; see above")
	f.DurationVar(&o.Latency, "latency", 0, "how long each answer takes, beyond reading the request")
	f.BoolVar(&o.CountOnly, "count-only", false, "count actions and sum their ids, and look at nothing else")
	f.BoolVar(&o.NoAutoCreate, "no-auto-create", false, "refuse documents for an index that was not created")
	f.StringVar(&flags.maxBody, "max-content-length", "100m", "the largest body, unpacked")
	f.StringVar(&flags.keep, "keep", "64m", "how many bytes of documents are kept to be read back; none keeps only the account")
	f.StringVar(&flags.user, "user", "", "USER:PASSWORD that requests must show")
	f.StringVar(&o.APIKey, "api-key", "", "an API key that is taken instead, as sent behind \"ApiKey \"")
	f.BoolVar(&flags.json, "json", false, "print the report as JSON")
	return cmd
}

// apply puts the flags into the options.
func (f *elasticsearchFlags) apply(o *elasticsearch.Options) error {
	limit, err := units.RAMInBytes(f.maxBody)
	if err != nil || limit <= 0 {
		return fmt.Errorf("--max-content-length: found %q; expected a size such as 100m", f.maxBody)
	}
	o.MaxContentLength = int(limit)
	if o.KeepBytes = -1; f.keep != "none" {
		n, err := units.RAMInBytes(f.keep)
		if err != nil || n <= 0 {
			return fmt.Errorf("--keep: found %q; expected a size such as 64m, or none", f.keep)
		}
		o.KeepBytes = int(n)
	}
	if f.user != "" {
		var found bool
		if o.User, o.Password, found = strings.Cut(f.user, ":"); !found {
			return errors.New("--user: found no colon; expected USER:PASSWORD")
		}
	}
	return nil
}

func runElasticsearch(cmd *cobra.Command, o elasticsearch.Options, asJSON bool) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	server, err := elasticsearch.New(o)
	if err != nil {
		return usage(err)
	}
	listener, err := server.Listen()
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s on http://%s, until interrupted\n", o.Product, listener.Addr())
	err = server.Serve(ctx, listener)
	report := server.Report()
	if asJSON {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		return errors.Join(err, encoder.Encode(report))
	}
	return errors.Join(err, printSearchReport(os.Stdout, &report))
}

// printSearchReport prints a report for people.
func printSearchReport(w io.Writer, r *elasticsearch.Report) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "documents\tcreated\tupdated\tdeleted\tconflicts\tchecksum\tindex\t")
	for _, ix := range r.Indices {
		fmt.Fprintf(tw, "%d\t%d\t%d\t%d\t%d\t%016x\t%s\t\n", ix.Documents, ix.Created, ix.Updated, ix.Deleted, ix.Conflicts, ix.Checksum, ix.Index)
	}
	fmt.Fprintf(tw, "%d\t%d\t%d\t\t%d\t%016x\tall\t\n", r.Totals.Documents, r.Totals.Created, r.Totals.Updated, r.Totals.Conflicts, r.Totals.Checksum)
	err := tw.Flush()
	for _, line := range []struct {
		title  string
		counts map[string]uint64
	}{{"items by status", r.Bulk.Statuses}, {"items by error", r.Bulk.Errors}, {"bulk requests", r.Requests["_bulk"]}, {"faults met", r.Faults}} {
		if len(line.counts) == 0 {
			continue
		}
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(line.counts)) {
			parts = append(parts, fmt.Sprintf("%s %d", name, line.counts[name]))
		}
		fmt.Fprintf(w, "%s: %s\n", line.title, strings.Join(parts, ", "))
	}
	if r.Counted.Items > 0 {
		fmt.Fprintf(w, "counted: %d items, %d bytes, checksum %016x\n", r.Counted.Items, r.Counted.Bytes, r.Counted.Checksum)
	}
	return err
}
