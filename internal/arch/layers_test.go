package arch

import (
	"slices"
	"strings"
)

// module is what import paths of ours begin with.
const module = "github.com/spillway/spillway/"

// layer is one package and all that it may import beyond the standard library.
// Test files may import more.
type layer struct {
	name   string   // the package's path below the module
	ours   []string // packages of ours, each by its exact path below the module
	theirs []string // of others, by the beginning of their import path
	why    string
}

// layers is THE table of who may import whom; the rules of depguard in
// .golangci.yml are made from it. A package that is missing here fails the test,
// and so does a line that no package needs.
var layers = []layer{
	// Data, numbers and memory: they import nothing of ours.
	{"internal/record", nil, nil, "a record is data; whoever holds one decides what becomes of it"},
	{"internal/ledger", nil, nil, "numbers only; it must not be able to ask what it counts"},
	{"internal/budget", nil, []string{"golang.org/x/sys/"}, "memory only; it must not know what is in it"},
	{
		"forward", nil, []string{"github.com/klauspost/compress/", "github.com/tinylib/msgp/msgp"},
		"public: whoever imports it gets the protocol, and nothing of ours",
	},
	{"internal/jsontext", nil, nil, "bytes to bytes"},
	{"internal/jsonscan", []string{"internal/jsontext"}, nil, "bytes to bytes; what becomes of a value that is no object is its callers' business"},
	{"internal/rawconn", nil, nil, "connections that are what they were; what is on them its callers know"},
	{"internal/tlserror", nil, nil, "errors into words; who is on the other side its callers know"},
	{"internal/version", nil, nil, "one string"},
	{"internal/statedir", nil, nil, "names of files, nothing of what is in them"},
	{"internal/tag", nil, nil, "templates of foreign text, kept away from everything"},
	{"internal/template", nil, nil, "tag and time into names; files and destinations are its callers' business"},
	{"internal/timepattern", nil, nil, "text to moments and back"},
	{"internal/indexname", nil, nil, "tag, time and fields into names; destinations and records are its callers' business"},
	{"internal/match", nil, nil, "patterns and tags; what a route is, it need not know"},
	{"internal/selflog", nil, []string{"github.com/coreos/go-systemd/v22/journal"}, "it must never log what passes through"},
	{"internal/console", nil, nil, "it shows what it is given and can change nothing"},
	{
		"internal/diskbuffer", []string{"internal/record"}, []string{"github.com/klauspost/compress/", "golang.org/x/sys/"},
		"files of batches; what a full disk means, and what is written to it, is its caller's business",
	},
	{"internal/diskbuffer/disktest", []string{"internal/diskbuffer"}, nil, "a disk that goes wrong, for tests alone"},

	// The contracts, and the queue between them.
	{"internal/source", []string{"internal/ledger", "internal/record"}, nil, "a source is handed an intake and never sees a buffer"},
	{"internal/sink", []string{"internal/record"}, nil, "a sink returns outcomes; it cannot count what it is not given"},
	{
		"internal/buffer", []string{"internal/budget", "internal/diskbuffer", "internal/ledger", "internal/record", "internal/sink"},
		[]string{"github.com/klauspost/compress/zstd"},
		"it knows a destination's limits, and neither destinations nor sources",
	},

	// Sources, sinks and the effort between.
	{"internal/source/multiline", nil, nil, "lines to events; reading, waiting and time are its caller's"},
	{
		"internal/source/pipe", []string{"internal/ledger", "internal/record", "internal/source", "internal/source/multiline"},
		[]string{"golang.org/x/sys/"}, "a source never imports the buffer",
	},
	{"internal/source/seen", nil, nil, "keys alone: how one is made, and what an answer looks like, is its callers' business"},
	{
		"internal/source/forward", []string{"forward", "internal/ledger", "internal/record", "internal/source/seen"},
		[]string{"github.com/cespare/xxhash/", "github.com/tinylib/msgp/"}, "a source never imports the buffer, nor the routes to it",
	},
	{
		"internal/source/stdin", []string{"forward", "internal/ledger", "internal/record", "internal/source/pipe"}, []string{"golang.org/x/sys/"},
		"a source never imports the buffer, nor the routes to it",
	},
	{
		"internal/source/kafka/wire", nil, []string{"github.com/klauspost/compress/", "github.com/pierrec/lz4/"},
		"bytes of brokers; topics and groups are its caller's business",
	},
	{
		"internal/source/kafka",
		[]string{
			"internal/entry", "internal/jsonscan", "internal/jsontext", "internal/kafkaclient", "internal/ledger", "internal/rawconn", "internal/record",
			"internal/source/kafka/wire", "internal/timepattern",
		},
		[]string{"github.com/tinylib/msgp/", "github.com/twmb/franz-go/", "golang.org/x/sys/unix"}, "a source never imports the buffer, nor the routes to it",
	},
	{"internal/kafkaclient", []string{"internal/tlserror"}, []string{"github.com/twmb/franz-go/pkg/"}, "the way to a cluster, for source and sink; what they do there, it need not know"},
	{"internal/source/sourcetest", []string{"internal/record"}, nil, "the conformance suite knows the contract alone"},
	{"internal/ecs", nil, nil, "one question to the node's agent"},
	{"internal/route", []string{"internal/ledger", "internal/record"}, nil, "it joins sources and legs by contracts, so it knows neither"},
	{
		"internal/entry", []string{"internal/jsonscan", "internal/jsontext", "internal/record"}, nil,
		"bytes to bytes: it must not know who sent an entry, nor decide what becomes of a bad one",
	},
	{"internal/sink/appendfile", []string{"internal/jsontext"}, nil, "bytes into files; records are its callers' business"},
	{
		"internal/sink/cloudwatch", []string{"internal/jsontext", "internal/ledger", "internal/record", "internal/sink"}, nil,
		"a sink neither retries nor counts: of the ledger it takes the names of reasons; signing comes in by an interface, so no SDK either",
	},
	{
		"internal/sink/cloudwatch/streams",
		[]string{
			"internal/entry", "internal/jsonscan", "internal/ledger", "internal/record", "internal/sink", "internal/sink/cloudwatch",
			"internal/template",
		}, nil,
		"it sorts and cuts; the service is known by the sink of one log stream alone",
	},
	{
		"internal/sink/elasticsearch",
		[]string{
			"internal/entry", "internal/indexname", "internal/jsonscan", "internal/jsontext", "internal/ledger", "internal/record",
			"internal/sink", "internal/tlserror",
		},
		[]string{"github.com/elastic/elastic-transport-go/", "github.com/klauspost/compress/gzip"},
		"a sink neither retries nor counts; bodies and verdicts are its own, and signing comes in by an interface",
	},
	{
		"internal/sink/file",
		[]string{
			"internal/entry", "internal/jsonscan", "internal/jsontext", "internal/ledger", "internal/record", "internal/sink",
			"internal/sink/appendfile", "internal/template",
		},
		[]string{"github.com/klauspost/compress/", "golang.org/x/sys/"}, "a sink neither retries nor counts: of the ledger it takes the names of reasons",
	},
	{
		"internal/sink/forward",
		[]string{"forward", "internal/entry", "internal/ledger", "internal/record", "internal/sink", "internal/tlserror"}, nil,
		"a sink neither retries nor counts, so it drives connections and not the client, which does both",
	},
	{
		"internal/sink/kafka",
		[]string{
			"internal/entry", "internal/jsonscan", "internal/jsontext", "internal/kafkaclient", "internal/ledger", "internal/record", "internal/sink",
			"internal/template",
		},
		[]string{"github.com/twmb/franz-go/pkg/"}, "a sink neither retries nor counts; the library's producer repeats what has no answer, within the window of requests",
	},
	{
		"internal/sink/jsonfile", []string{"internal/jsontext", "internal/record", "internal/sink", "internal/sink/appendfile"},
		[]string{"github.com/klauspost/compress/gzip"}, "a sink neither retries nor counts",
	},
	{
		"internal/sink/local", []string{"internal/jsontext", "internal/record", "internal/sink", "internal/sink/appendfile"},
		[]string{"golang.org/x/sys/"}, "a sink neither retries nor counts",
	},
	{"internal/sink/sinktest", []string{"internal/record", "internal/sink"}, nil, "the conformance suite knows the contract alone"},
	{
		"internal/deliver", []string{"internal/buffer", "internal/ledger", "internal/record", "internal/sink"}, []string{"github.com/cenkalti/backoff/"},
		"the only place that retries; it knows the contract of sinks and no sink",
	},

	{
		"internal/deadletter", []string{"internal/entry", "internal/record"}, []string{"modernc.org/sqlite"},
		"a store of letters; who puts them there and what becomes of them is its callers' business, and nobody else knows its database",
	},

	// AWS without its SDK's weight.
	{
		"internal/awsauth", nil,
		[]string{
			"github.com/aws/aws-sdk-go-v2/aws", "github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds",
			"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds", "github.com/aws/aws-sdk-go-v2/feature/ec2/imds",
			"github.com/aws/smithy-go",
		},
		"the containerd logger links it once for each container, so it takes the SDK's light parts alone",
	},
	{
		"internal/awsauth/awsprofile", []string{"internal/awsauth"},
		[]string{"github.com/aws/aws-sdk-go-v2/", "github.com/aws/smithy-go"},
		"the only place for the SDK's configuration module and the services that it brings",
	},

	// Choice and configuration.
	{"internal/config/setting", nil, []string{"github.com/docker/go-units"}, "what a value may be; it knows no option"},
	{"internal/config/yamlfile", []string{"internal/config/setting"}, []string{"github.com/goccy/go-yaml/"}, "the only place that knows the YAML library"},
	{
		"internal/config", []string{"internal/config/setting", "internal/config/yamlfile"}, nil,
		"options are text and types; what they lead to is the catalogue's business",
	},
	{
		"internal/config/gendoc", []string{"internal/config", "internal/config/runfile", "internal/config/setting"}, nil,
		"it writes the pages of options from the tables",
	},
	{
		"internal/config/runfile",
		[]string{
			"internal/config", "internal/config/setting", "internal/config/yamlfile", "internal/indexname", "internal/match", "internal/template",
			"internal/timepattern",
		}, nil,
		"what the file of a run says, in types; a containerd logger reads the same file and must not link it",
	},
	{
		"internal/catalog",
		[]string{
			"forward", "internal/awsauth", "internal/config", "internal/entry", "internal/record", "internal/sink",
			"internal/sink/cloudwatch", "internal/sink/forward", "internal/sink/jsonfile", "internal/sink/local",
			"internal/source/multiline", "internal/tag",
		},
		[]string{"github.com/aws/aws-sdk-go-v2/aws"}, "THE list of destinations; it makes them and starts nothing",
	},

	// Assembly.
	{
		"internal/pipeline",
		[]string{
			"internal/buffer", "internal/catalog", "internal/config", "internal/deliver", "internal/diskbuffer", "internal/ledger",
			"internal/sink", "internal/statedir",
		}, nil,
		"it assembles by the contracts, so it names no source and no sink",
	},
	{
		"internal/catalog/runcatalog",
		[]string{
			"forward", "internal/awsauth", "internal/catalog", "internal/config", "internal/config/runfile", "internal/ecs", "internal/entry",
			"internal/kafkaclient", "internal/ledger", "internal/rawconn",
			"internal/record", "internal/route", "internal/run", "internal/sink/cloudwatch", "internal/sink/cloudwatch/streams",
			"internal/sink/elasticsearch", "internal/sink/file", "internal/sink/forward", "internal/sink/kafka", "internal/source/forward", "internal/source/kafka",
			"internal/source/seen", "internal/source/stdin", "internal/statedir", "internal/timepattern", "internal/version",
		},
		[]string{"github.com/aws/aws-sdk-go-v2/aws", "github.com/twmb/franz-go/pkg/kgo"}, "THE list of a run's sources and sinks; the shim must not link it",
	},
	{
		"internal/run",
		[]string{
			"forward", "internal/buffer", "internal/catalog", "internal/config", "internal/config/runfile", "internal/deliver", "internal/diskbuffer",
			"internal/entry", "internal/ledger", "internal/pipeline", "internal/record", "internal/route", "internal/sink", "internal/source/seen",
			"internal/statedir",
		}, nil,
		"it assembles what the catalogue makes, so it names no source and no sink",
	},
	{
		"internal/sandbox/cloudwatch", []string{"internal/sandbox/host"}, nil,
		"a destination to test against must share no code with what it tests",
	},
	{
		"internal/convert", []string{"internal/timepattern"}, []string{"github.com/magiconair/properties"},
		"from foreign files to text; what the text means is the configuration's business",
	},
	{
		"internal/sandbox/cloudwatch/cloudwatchtest",
		[]string{"internal/awsauth", "internal/sandbox/cloudwatch", "internal/sandbox/host/hosttest", "internal/sink/sinktest"},
		[]string{"github.com/aws/aws-sdk-go-v2/aws"}, "what the tests of those who send there have in common",
	},
	{
		"internal/sandbox/host", nil, []string{"github.com/klauspost/compress/gzip"},
		"the life of a server, and the bodies of requests; what it answers is the sandboxes' business",
	},
	{"internal/sandbox/host/hosttest", nil, nil, "a server for as long as a test runs"},
	{
		"internal/sandbox/elasticsearch", []string{"internal/sandbox/host"},
		[]string{"github.com/cespare/xxhash/", "github.com/docker/go-units", "github.com/klauspost/compress/gzip"},
		"a destination to test against must share no code with what it tests",
	},
	{"internal/arch", nil, nil, "tests alone"},

	// The programs.
	{
		"cmd/spillway-shim",
		[]string{
			"internal/buffer", "internal/catalog", "internal/config", "internal/console", "internal/diskbuffer", "internal/pipeline",
			"internal/selflog", "internal/source/pipe", "internal/statedir", "internal/version",
		},
		[]string{"golang.org/x/sys/"}, "one runs for each container: no command-line library, no profiles, no sandbox",
	},
	{
		"cmd/spillway",
		[]string{
			"internal/awsauth", "internal/awsauth/awsprofile", "internal/buffer", "internal/catalog", "internal/catalog/runcatalog",
			"internal/config", "internal/config/runfile", "internal/config/setting",
			"internal/console", "internal/convert", "internal/deadletter", "internal/diskbuffer", "internal/entry", "internal/ledger", "internal/match",
			"internal/pipeline", "internal/record", "internal/run", "internal/sandbox/cloudwatch", "internal/sandbox/elasticsearch",
			"internal/sink/local", "internal/source/pipe", "internal/statedir", "internal/version",
		},
		[]string{
			"github.com/docker/go-units", "github.com/schollz/progressbar/", "github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/sys/", "golang.org/x/term",
		},
		"what a person types; the only place for a command-line library and a progress bar",
	},

	// Tools and tests that are programs or packages of their own.
	{
		"bench", []string{"internal/diskbuffer", "internal/record", "internal/sandbox/cloudwatch", "internal/sandbox/elasticsearch", "test/launcher", "test/real/parts"},
		[]string{"github.com/docker/go-units", "golang.org/x/sys/"}, "it measures programs from outside, and beside them the disk buffer",
	},
	{"test/launcher", nil, []string{"golang.org/x/sys/"}, "it plays containerd for any logger, so it knows none"},
	{
		"test/launcher/harness", []string{"internal/sandbox/cloudwatch", "test/launcher"}, []string{"github.com/aws/aws-sdk-go-v2/aws"},
		"it drives programs from outside and looks into none of their packages",
	},
	{"test/forwardload", nil, nil, "both ends of a measurement share no code with what is between them"},
	{"test/kafkaload", nil, []string{"github.com/twmb/franz-go/"}, "both ends of a measurement share no code with what is between them"},
	{"test/searchload", nil, nil, "both ends of a measurement share no code with what is between them"},
	{"test/contract", nil, nil, "black-box cases"},
	{"test/faults", nil, nil, "black-box cases"},
	{"test/loggen", nil, nil, "the application whose output is collected knows nothing of the collector"},
	{"test/real", nil, nil, "black-box cases"},
	{"test/real/parts", []string{"test/launcher"}, []string{"github.com/twmb/franz-go/", "golang.org/x/sys/"}, "it starts programs that others wrote"},
}

// restricted are packages of the standard library that not everybody may
// import, and who may.
var restricted = []struct {
	path string
	only []string // directories below the module, with all below them
	why  string
}{
	{
		"log/slog", []string{"cmd", "forward", "internal/catalog/runcatalog", "internal/deliver", "internal/pipeline", "internal/run", "internal/selflog"},
		"lower layers return errors and outcomes; who logs and who returns must not be the same; forward has a handler for other programs",
	},
	{"log", []string{"internal/sandbox"}, "the program's own log is log/slog; a sandbox needs it to silence net/http"},
	{"unsafe", []string{"internal/rawconn"}, "a call of the system that the runtime is not told of takes an address; nothing else here needs one"},
	{
		"os/exec", []string{"cmd/spillway", "internal/awsauth", "bench", "test"},
		"a logger starts no program but the one that fetches credentials",
	},
}

// testsAlone are libraries that no program links.
var testsAlone = []string{"go.uber.org/", "pgregory.net/", "github.com/google/go-cmp/", "github.com/rogpeppe/"}

// neverInShim must not be in the closure of cmd/spillway-shim, of which a node
// runs one for each container.
var neverInShim = []struct{ prefix, why string }{
	{"github.com/spf13/", "a command-line library costs each container memory"},
	{"github.com/schollz/progressbar", "nobody watches"},
	{"modernc.org/", "a database costs each container memory; the shim drops what is rejected, and counts it"},
	{"github.com/aws/aws-sdk-go-v2/config", "profiles are asked for by running spillway aws-credentials"},
	{"github.com/aws/aws-sdk-go-v2/service/", "the calls to CloudWatch Logs are our own; no service client is needed"},
	{"github.com/aws/aws-sdk-go-v2/credentials/processcreds", "it quotes in errors what the program printed, which may be keys"},
	{module + "internal/awsauth/awsprofile", "it brings the configuration module"},
	{module + "internal/catalog/runcatalog", "the sources and sinks of a run are not for a container's logger"},
	{module + "internal/sandbox", "a sandbox is for tests and demonstrations"},
	{module + "internal/config/runfile", "a logger has no sources, sinks and routes"},
	{module + "internal/sink/sinktest", "tests alone"},
	{module + "internal/source/sourcetest", "tests alone"},
	{"testing", "tests alone"},
}

// allowed reports whether a package may import path, which is not of the
// standard library.
func (l *layer) allowed(path string) bool {
	if rest, ours := strings.CutPrefix(path, module); ours {
		return slices.Contains(l.ours, rest)
	}
	return slices.ContainsFunc(l.theirs, func(prefix string) bool { return below(path, prefix) })
}
