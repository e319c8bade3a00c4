package runfile

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/config/setting"
	"github.com/spillway/spillway/internal/match"
	"github.com/spillway/spillway/internal/template"
)

// noEnvironment is a process without variables.
func noEnvironment(string) string { return "" }

// parse reads a text that stands in /etc/s.yaml.
func parse(t *testing.T, text string) *File {
	t.Helper()
	f, err := Parse("/etc/s.yaml", []byte(text), noEnvironment)
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	return f
}

func pattern(t *testing.T, patterns ...string) *match.Matcher {
	t.Helper()
	m, err := match.Compile(patterns...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func templateOf(t *testing.T, text string) *template.Template {
	t.Helper()
	p, err := template.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What is compared of patterns and templates is their text.
var byText = cmp.Options{
	cmp.Transformer("patterns", func(m *match.Matcher) string { return m.String() }),
	cmp.Transformer("template", func(p *template.Template) string { return p.String() }),
	cmpopts.EquateComparable(),
}

// The file of the documentation reads as it is meant.
func TestParse(t *testing.T) {
	got := parse(t, `
memory: 300m
state-dir: /data
defaults:                        # for containers and routes that do not say otherwise
  mode: blocking
  max-buffer-size: 64m
  awslogs-region: eu-central-1
  verbose: true
aws: {imds: false}
sources:
  app:    {type: forward, listen: 127.0.0.1:24224}
  line:   {type: stdin, format: json}
sinks:
  kept:   {type: file, path: "/var/log/kept/{tag}.log"}
  relay:  {type: forward, servers: ["10.0.0.7:24224"], ack: true}
  cloud:  {type: cloudwatch, group: /app, create-group: true}
routes:                          # first match wins
  - {match: "app.**", to: [relay, kept], mode: spill, max-disk-size: 10g, durability: power}
  - {match: ["a b", "**"], to: cloud, name: rest, max-buffer-size: 10m}
`)
	want := &File{
		Path: "/etc/s.yaml", Memory: 300 << 20, StateDir: "/data", ShutdownTimeout: 8 * time.Second, MaxDeadLetters: 1 << 30,
		Unmatched: UnmatchedDeadLetter, Verbose: true,
		Sources: []Source{
			{Name: "app", Type: "forward", Where: "/etc/s.yaml:11:3", Forward: &ForwardSource{
				Listen: []Address{{TCP, "127.0.0.1:24224"}}, SocketMode: 0o660, MaxConnections: 16384,
				MaxMessageSize: 16 << 20, MaxSpoolSize: 512 << 20, MaxDecompressedSize: 256 << 20, RememberChunks: 100_000,
				HandshakeTimeout: 10 * time.Second, MessageTimeout: time.Minute, SendTimeout: 30 * time.Second, JoinPartials: true,
			}},
			{Name: "line", Type: "stdin", Where: "/etc/s.yaml:12:3", Stdin: &StdinSource{Tag: "stdin", Format: StdinJSON}},
		},
		Sinks: []Sink{
			{Name: "kept", Type: "file", Where: "/etc/s.yaml:14:3", File: &FileSink{
				Path: templateOf(t, "/var/log/kept/{tag}.log"), Format: FormatJSON, LogKey: "log", TextKey: "message", TimeKey: "time",
				Compress: CompressNone, FileMode: 0o640, DirMode: 0o750, FlushInterval: time.Second,
			}},
			{Name: "relay", Type: "forward", Where: "/etc/s.yaml:15:3", Forward: &ForwardSink{
				Servers: []Server{{Address: Address{TCP, "10.0.0.7:24224"}, Weight: 60}}, Ack: true, AckTimeout: time.Minute, InFlight: 16,
				Compress: CompressNone, MaxChunkSize: 1 << 20, FlushInterval: time.Second, TextKey: "message", Connections: 2,
				ConnectTimeout: 10 * time.Second, HandshakeTimeout: 10 * time.Second, SendTimeout: time.Minute,
			}},
			{Name: "cloud", Type: "cloudwatch", Where: "/etc/s.yaml:16:3", CloudWatch: &CloudWatchSink{
				Group: templateOf(t, "/app"), Stream: templateOf(t, "{tag}"), Region: "eu-central-1", CreateGroup: true, CreateStream: true,
				Format: FormatJSON, LogKey: "log", FlushInterval: 5 * time.Second,
			}},
		},
		Routes: []Route{
			{Name: "app.**", Where: "/etc/s.yaml:18:5", Match: pattern(t, "app.**"), To: []string{"relay", "kept"}, Buffer: config.Buffer{
				Mode: config.Spill, Limit: 64 << 20, Drop: config.DropNewest, LossMarkers: true, MaxDisk: 10 << 30, WhenFull: config.WhenFullBlock,
				Durability: config.DurabilityPower, Compression: config.DiskCompressionNone,
			}},
			{Name: "rest", Where: "/etc/s.yaml:19:5", Match: pattern(t, "a b", "**"), To: []string{"cloud"}, Buffer: config.Buffer{
				Mode: config.Blocking, Limit: 10 << 20, Drop: config.DropNewest, LossMarkers: true,
			}},
		},
	}
	if diff := cmp.Diff(want, got, byText); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Legs() != 3 || got.Sink("kept").File == nil || got.Sink("none") != nil {
		t.Error("legs or sinks cannot be found")
	}
}

// whole puts one section into a file that is good.
func whole(source, sink, routes string) string {
	if source == "" {
		source = "type: stdin"
	}
	if sink == "" {
		sink = "type: file, path: /k"
	}
	if routes == "" {
		routes = `[{match: "**", to: k}]`
	}
	return "sources: {s: {" + source + "}}\nsinks: {k: {" + sink + "}}\nroutes: " + routes + "\n"
}

func TestForwardSource(t *testing.T) {
	source := func(text string) *ForwardSource {
		t.Helper()
		return parse(t, whole("type: forward, "+text, "", "")).Sources[0].Forward
	}
	s := source(`listen: [":24224", "tls://[::1]:24284", "unix:///run/f.sock", "unix:g.sock", "tcp://localhost:0"],
  tls-cert-file: c.pem, tls-key-file: /k.pem, tls-client-ca-file: ca.pem, shared-key: "${KEY}", self-hostname: me,
  users: [{name: u, password-file: pw}, {name: v, password: "${V}"}], allow: [10.0.0.0/8, "::1"], ack: power,
  socket-mode: 0600, udp-heartbeat: true, join-partials: false, remember-chunks: 0, max-message-size: 1g`)
	wantListen := []Address{{TCP, ":24224"}, {TLS, "[::1]:24284"}, {Unix, "/run/f.sock"}, {Unix, "/etc/g.sock"}, {TCP, "localhost:0"}}
	if diff := cmp.Diff(wantListen, s.Listen); diff != "" {
		t.Errorf("listen (-want +got):\n%s", diff)
	}
	if s.CertFile != "/etc/c.pem" || s.KeyFile != "/k.pem" || s.ClientCAFile != "/etc/ca.pem" || s.SelfHostname != "me" {
		t.Errorf("%+v", s)
	}
	if s.SharedKey.Variable != "KEY" || s.Users[0].Password.File != "/etc/pw" || s.Users[1].Password.Variable != "V" || s.Users[1].Name != "v" {
		t.Errorf("secrets are %+v and %+v", s.SharedKey, s.Users)
	}
	if len(s.Allow) != 2 || s.Allow[0].String() != "10.0.0.0/8" || s.Allow[1].String() != "::1/128" {
		t.Errorf("allow is %v", s.Allow)
	}
	if s.Ack != AckPower || s.SocketMode != 0o600 || !s.UDPHeartbeat || s.JoinPartials || s.RememberChunks != 0 {
		t.Errorf("%+v", s)
	}
	if s.MaxMessageSize != 1<<30 || s.MaxSpoolSize != 1<<30 {
		t.Errorf("a message may have %d in memory and %d in all", s.MaxMessageSize, s.MaxSpoolSize)
	}

	s = source("firelens: true")
	if !slices.Equal(s.Listen, fireLens) || s.SocketMode != 0o666 || !s.ECSMetadata || !s.FireLens {
		t.Errorf("firelens: %+v", s)
	}
	s = source(`firelens: true, listen: ["127.0.0.1:24224", ":1"], ecs-metadata: false, socket-mode: 0600`)
	if len(s.Listen) != 3 || s.SocketMode != 0o600 || s.ECSMetadata {
		t.Errorf("firelens beside others: %+v", s)
	}
	for listen, n := range map[string]int{`"0.0.0.0:24224"`: 2, `":24224"`: 2, `"[::]:24224"`: 2, `"0.0.0.0:1"`: 3, `"10.0.0.7:24224"`: 3, `"[::1]:24224"`: 3} {
		if s = source("firelens: true, listen: " + listen); len(s.Listen) != n {
			t.Errorf("firelens beside %s listens at %v", listen, s.Listen)
		}
	}
	if s = parse(t, whole("type: forward", "", "")).Sources[0].Forward; len(s.Listen) != 1 || s.Listen[0].Addr != defaultListen {
		t.Errorf("without listen: %+v", s.Listen)
	}
}

func TestForwardSink(t *testing.T) {
	s := parse(t, whole("", `type: forward, servers: ["a:1", {address: "tls://b:2", weight: 3, standby: true, username: x, password-file: /x}, "unix:/s"],
  shared-key-file: /sk, username: u, password: "${P}", tls-ca-file: /ca, tls-server-name: n, ack: false, compress: zstd, max-connection-age: 1m`, "")).Sinks[0].Forward
	want := []Server{
		{Address: Address{TCP, "a:1"}, Weight: 60, Username: "u", Password: Secret{Variable: "P"}, SharedKey: Secret{File: "/sk"}},
		{Address: Address{TLS, "b:2"}, Weight: 3, Standby: true, Username: "x", Password: Secret{File: "/x"}, SharedKey: Secret{File: "/sk"}},
		{Address: Address{Unix, "/s"}, Weight: 60, Username: "u", Password: Secret{Variable: "P"}, SharedKey: Secret{File: "/sk"}},
	}
	if diff := cmp.Diff(want, s.Servers, cmpopts.IgnoreFields(Secret{}, "Where")); diff != "" {
		t.Errorf("servers (-want +got):\n%s", diff)
	}
	if s.CAFile != "/ca" || s.ServerName != "n" || s.Ack || s.Compress != CompressZstd || s.MaxConnectionAge != time.Minute {
		t.Errorf("%+v", s)
	}
	if got := s.Servers[1].Address.String() + " " + s.Servers[2].Address.String() + " " + s.Servers[0].Address.String(); got != "tls://b:2 unix:/s a:1" {
		t.Error(got)
	}
}

func TestFileSink(t *testing.T) {
	s := parse(t, whole("", `type: file, path: "out/{date}/{tag[0]}.{hour}", format: text, log-key: m, max-size: 10m, rotate-every: 1h, max-file: 7, compress: true, file-mode: 0600, dir-mode: 0o700`, "")).Sinks[0].File
	if s.Path.String() != "/etc/out/{date}/{tag[0]}.{hour}" || s.Format != FormatText || s.LogKey != "m" || s.MaxSize != 10_000_000 ||
		s.RotateEvery != time.Hour || s.MaxFile != 7 || s.Compress != CompressGzip || s.FileMode != 0o600 || s.DirMode != 0o700 {
		t.Errorf("%+v", s)
	}
	if s := parse(t, whole("", "type: file, path: /x, time-key: none, tag-key: tag", "")).Sinks[0].File; s.TimeKey != "" || s.TagKey != "tag" {
		t.Errorf("%+v", s)
	}
	if s := parse(t, whole("", "type: file, path: /x, format: out_file, text-key: m", "")).Sinks[0].File; s.Format != FormatOutFile || s.TextKey != "m" {
		t.Errorf("%+v", s)
	}
	f, err := Parse("/a{b}/s.yaml", []byte(whole("", "type: file, path: x", "")), noEnvironment)
	if err != nil {
		t.Fatal(err)
	}
	if fixed, ok := f.Sinks[0].File.Path.Fixed(); !ok || fixed != "/a{b}/x" {
		t.Errorf("beside a configuration in a directory with braces: %q", fixed)
	}
}

func TestCloudWatchSink(t *testing.T) {
	environment := func(name string) string {
		return map[string]string{"AWS_REGION": "us-west-2", "AWS_EC2_METADATA_DISABLED": "TRUE"}[name]
	}
	f, err := Parse("f", []byte("defaults: {awslogs-create-stream: false, awslogs-force-flush-interval-seconds: 2, awslogs-group: x}\n"+
		whole("", `type: cloudwatch, group: "/a/{tag[0]}", stream: "{tag}/{date}", endpoint: "http://h", credentials-endpoint: /c, format: text`, "")), environment)
	if err != nil {
		t.Fatal(err)
	}
	s := f.Sinks[0].CloudWatch
	if s.Group.String() != "/a/{tag[0]}" || s.Stream.String() != "{tag}/{date}" || s.Region != "us-west-2" || s.Endpoint != "http://h" ||
		s.CredentialsURL != "http://169.254.170.2/c" || s.CreateStream || s.CreateGroup || s.FlushInterval != 2*time.Second || s.Format != FormatText {
		t.Errorf("%+v", s)
	}
	if s.AWS.IMDS {
		t.Error("imds beside AWS_EC2_METADATA_DISABLED")
	}
}

// A route takes what the defaults say, unless it says otherwise itself.
func TestRouteDefaults(t *testing.T) {
	f := parse(t, "defaults: {mode: non-blocking, drop: oldest, max-disk-size: 2g, loss-markers: off, state-dir: st}\n"+
		whole("", "", `[{match: a, to: k}, {match: b, to: k, mode: spill, when-full: drop-oldest, min-free-disk: 1m}, {match: c, to: k, mode: blocking, max-block: 2s, max-buffer-size: 1k}]`))
	want := []config.Buffer{
		{Mode: config.NonBlocking, Limit: 10 << 20, Drop: config.DropOldest},
		{Mode: config.Spill, Limit: 10 << 20, Drop: config.DropOldest, MaxDisk: 2 << 30, MinFreeDisk: 1 << 20, WhenFull: config.WhenFullDropOldest,
			Durability: config.DurabilityMemory, Compression: config.DiskCompressionNone},
		{Mode: config.Blocking, Limit: 64 << 10, Drop: config.DropOldest, MaxBlock: 2 * time.Second},
	}
	for i := range want {
		if diff := cmp.Diff(want[i], f.Routes[i].Buffer); diff != "" {
			t.Errorf("route %d (-want +got):\n%s", i, diff)
		}
	}
	if f.Memory != 20<<20+64<<10 || f.StateDir != "/etc/st" {
		t.Errorf("memory %d, state directory %q", f.Memory, f.StateDir)
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"none", whole("", "", ""), nil},
		{"a sink of no route", "sources: {s: {type: stdin}}\nsinks:\n  k: {type: file, path: /k}\n  l: {type: file, path: /l}\nroutes: [{match: a, to: k}]\n",
			[]string{"/etc/s.yaml:4:3: the sink l is in no route and gets nothing"}},
		{"a route behind all", whole("", "", "\n- {match: '**', to: k}\n- {match: a, to: k}"),
			[]string{`/etc/s.yaml:5:3: the route "a" never gets a record: that at /etc/s.yaml:4:3 takes all of its tags`}},
		{"a route behind several", whole("", "", "\n- {match: a.b, to: k}\n- {match: a.c, to: k}\n- {match: 'a.{b,c}', to: k}"),
			[]string{`/etc/s.yaml:6:3: the route "a.{b,c}" never gets a record: those before it takes all of its tags`}},
		{"raised", whole("", "", "[{match: a, to: k, max-buffer-size: 1k}]"),
			[]string{"/etc/s.yaml:3:45: max-buffer-size 1k is raised to 64k, the smallest that holds a part of a line and a request"}},
		{"raised once for all", "defaults: {max-buffer-size: 1k}\n" + whole("", "", "[{match: a, to: k}, {match: b, to: k}]"),
			[]string{"/etc/s.yaml:1:29: max-buffer-size 1k is raised to 64k, the smallest that holds a part of a line and a request"}},
		{"raised by another", whole("", "", "[{match: a, to: k, mode: spill, max-buffer-size: 2g}]"),
			[]string{"/etc/s.yaml:3:10: max-disk-size 1g is raised to 4g, twice max-buffer-size: room for what memory holds, and for what is in flight once more"}},
		{"no effect", whole("", "", "[{match: a, to: k, drop: oldest}]"),
			[]string{"/etc/s.yaml:3:34: drop has no effect: mode blocking without max-block drops nothing"}},
		{"any certificate", whole("", `type: forward, servers: "tls://h:1", tls-insecure-skip-verify: true`, ""),
			[]string{"/etc/s.yaml:2:50: tls-insecure-skip-verify takes any certificate: whoever answers gets the records"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, parse(t, c.text).Warnings); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What a source of Kafka and an index do to each other is warned of where records of
// one get into the other, and nowhere else.
func TestWarningsOfKafkaIntoSearch(t *testing.T) {
	const deletes, twice = "tombstone: delete does nothing at the sink e", "time: now beside dates in the index of the sink e"
	const otherIndex, stream, routed, hashed = "where its index is another one", "a data stream", "which finds documents by routing-field", "time: now beside the hash-time of the sink e"
	for _, c := range []struct{ source, sink, match, want string }{
		{"topics: a, tombstone: delete", "index: i", "'**'", deletes},
		{"topics: a, tombstone: delete", "index: i, id: key, operation: index", "'**'", ""},
		{"topics: a, tombstone: delete", "index: i", "b", ""},
		{"topics: [c, b], tombstone: delete", "index: i", "b", deletes},
		{"topics-regexp: x.*, tombstone: delete", "index: i", "b", deletes},
		{"topics-regexp: x.*, tombstone: delete, tag: a", "index: i", "b", ""},
		{"topics: a, tag: 't.{partition}', time: now", "index: 'i-%Y'", "t.*", twice},
		{"topics: a, time: now", "index: i", "'**'", ""},
		{"topics: a, max-record-size: 2m", "index: i", "'**', max-buffer-size: 11m", ""},
		{"topics: a, max-record-size: 2m", "index: i", "'**', max-buffer-size: 10m", "max-buffer-size: 11m holds them"},
		{"topics: a", "index: i", "'**', max-buffer-size: 1m", ""},
		{"topics: a, time: now", "index: i, id: hash", "'**'", ""},
		{"topics: a, time: now", "index: i, id: hash, hash-time: true", "'**'", hashed},
		{"topics: a, tombstone: delete", "index: 'i-%Y', id: key, operation: index", "'**'", otherIndex},
		{"topics: a, tombstone: delete", "index: 'i-{record[a]}', id: key, operation: index", "'**'", otherIndex},
		{"topics: a, tombstone: delete", "index: 'i-{tag}', id: key, operation: index", "'**'", ""},
		{"topics: a, tombstone: delete", "index: i, index-field: f, id: key, operation: index", "'**'", otherIndex},
		{"topics: a, tombstone: delete", "index: i, id: key, data-stream: true", "'**'", stream},
		{"topics: a, tombstone: delete", "index: i, id: key, operation: index, routing-field: r", "'**'", routed},
	} {
		f := parse(t, "sources: {s: {type: kafka, brokers: 'h:1', "+c.source+"}}\nsinks:\n  e: {type: elasticsearch, hosts: 'http://h:1', "+c.sink+"}\n"+
			"  f: {type: file, path: /f}\nroutes: [{match: "+c.match+", to: e}, {match: '**', to: f, name: rest}]\n")
		got := strings.Join(slices.DeleteFunc(f.Warnings, func(w string) bool { return strings.Contains(w, "never gets") }), "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%+v: warned of %q", c, got)
		}
	}
}

// A topic that two sources read into one index is there once.
func TestWarningsOfOneTopicInOneIndex(t *testing.T) {
	for _, c := range []struct {
		second, sink string
		want         bool
	}{
		{"brokers: 'h:1', topics: [b, a]", "index: i", true},
		{"brokers: 'h:1', topics: b", "index: i", false},
		{"brokers: 'g:1', topics: a", "index: i", false},
		{"brokers: 'h:1', topics: a, tag: t", "index: 'i-{tag}'", false},
		{"brokers: 'h:1', topics: a", "index: i, id: hash", false},
	} {
		f := parse(t, "sources: {r: {type: kafka, brokers: 'h:1', topics: a}, s: {type: kafka, group: s, "+c.second+"}}\nsinks: {e: {type: elasticsearch, hosts: 'http://h:1', "+c.sink+"}}\n"+
			"routes: [{match: '**', to: e}]\n")
		if got := strings.Contains(strings.Join(f.Warnings, "\n"), "the source r reads a topic of this one"); got != c.want {
			t.Errorf("%+v: %q", c, f.Warnings)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "s.yaml")
	if err := os.WriteFile(name, []byte(whole("", "type: file, path: x", "")), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Load(name, noEnvironment)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := f.Sinks[0].File.Path.Fixed(); got != filepath.Join(dir, "x") {
		t.Errorf("x is %s", got)
	}
	_, err = Load(filepath.Join(dir, "none"), noEnvironment)
	if problems := setting.List(err); len(problems) != 1 || !strings.Contains(err.Error(), "found an unreadable configuration file (no such file or directory); expected a YAML file with the sections sources, sinks and routes") {
		t.Errorf("without a file: %v", err)
	}
	t.Chdir(dir)
	if f, err = Load("s.yaml", noEnvironment); err != nil {
		t.Fatal(err)
	}
	if got, _ := f.Sinks[0].File.Path.Fixed(); !filepath.IsAbs(got) || filepath.Base(got) != "x" {
		t.Errorf("x is %s", got)
	}
}
