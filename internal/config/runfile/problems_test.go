package runfile

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/config/setting"
)

// Each mistake is one line that says where it is, what was found, what was
// expected and, where it helps, what to do.
func TestProblems(t *testing.T) {
	source, sink := func(text string) string { return whole(text, "", "") }, func(text string) string { return whole("", text, "") }
	route := func(text string) string { return whole("", "", "[{"+text+"}]") }
	for _, c := range []struct {
		name, text string
		want       []string // without the name of the file
	}{
		// The file.
		{"empty", "", []string{
			` found no section sources; expected a map of at least one source`,
			` found no section sinks; expected a map of at least one sink`,
			` found no section routes; expected a list of at least one route; such as: routes: [{match: "**", to: kept}]`,
		}},
		{"empty sections", "sources: {}\nsinks:\nroutes: []\n", []string{
			`1:1: found nothing in the section sources; expected at least one source`,
			`2:1: found nothing in the section sinks; expected at least one sink`,
			`3:1: found an empty list in the section routes; expected a list of at least one route; such as: routes: [{match: "**", to: kept}]`,
		}},
		{"sections of another form", "sources: [a]\nsinks: 7\nroutes: {match: a}\n", []string{
			`1:10: sources: found a list; expected a map of names, each with the settings of a source`,
			`2:8: sinks: found "7"; expected a map of names, each with the settings of a sink`,
			`3:1: found a map in the section routes; expected a list of at least one route; such as: routes: [{match: "**", to: kept}]`,
		}},
		{"not YAML", "routes:\n- match: **\n", []string{`2:10: found * at the beginning of text that is not in quotes; expected text in quotes; write " in front of it and behind it: to YAML the mark means something else`}},
		{"a section with a typing error", whole("", "", "") + "memori: 1g\n", []string{
			`4:1: found the unknown section "memori"; expected defaults, aws, memory, state-dir, shutdown-timeout, max-dead-letter-size, unmatched, compat, sources, sinks or routes, the nearest is "memory"`}},
		{"values", whole("", "", "") + "memory: 1x\nstate-dir: []\nshutdown-timeout: 0s\nmax-dead-letter-size: 1k\nunmatched: keep\n", []string{
			`4:9: memory: found "1x"; expected a size above 0 such as 512k, 10m or 1g (1k is 1024 bytes)`,
			`5:12: state-dir: found a list; expected a single value; write one behind the name, or remove the line`,
			`6:19: shutdown-timeout: found "0s"; expected a duration above 0, such as 500ms or 2s`,
			`7:23: max-dead-letter-size: found "1k"; expected a size from 1m to 1048576g`,
			`8:12: unmatched: found "keep"; expected dead-letter or drop`,
		}},
		{"the sections of a node", whole("", "", "") + "defaults: {mod: x}\naws: {imds: perhaps}\n", []string{
			`4:12: found the unknown option "mod"; expected the name of an option, the nearest is "mode"`,
			`5:13: imds: found "perhaps"; expected true or false`,
		}},
		{"repeated", whole("", "", "") + "memory: 1g\nmemory: 1g\n", []string{`5:1: found "memory" again, it is at F:4:1 already; expected each key once; remove one of the two`}},
		{"memory below its legs", "memory: 30m\n" + route("match: a, to: k, max-buffer-size: 64m"), []string{
			`1:9: memory: found 30m; expected at least 64m, the sum of max-buffer-size over all legs; raise memory, or lower max-buffer-size of some routes`}},

		// Names and types.
		{"names", "sources: {a/b: {type: stdin}}\nsinks: {'': {type: file, path: /k}, k: {type: file, path: /l}}\nroutes: [{match: a, to: k}]\n", []string{
			`1:11: found the name "a/b"; expected a name of at most 64 letters, digits and . _ -`,
			`2:9: found the name ""; expected a name of at most 64 letters, digits and . _ -`,
		}},
		{"a type with a typing error", source("type: foward, listen: [1]"), []string{`1:21: type: found "foward"; expected forward, stdin or kafka, the nearest is "forward"`}},
		{"a type of a later version", sink("type: splunk, hosts: []"), []string{
			`2:19: type: found "splunk"; expected forward, file, cloudwatch, elasticsearch, opensearch or kafka; "splunk" is not in this version of Spillway, it comes in a later one`}},
		{"a source of a later version", source("type: docker"), []string{
			`1:21: type: found "docker"; expected forward, stdin or kafka; "docker" is not in this version of Spillway, it comes in a later one`}},
		{"no type", sink("path: /x"), []string{`2:9: found the sink k without a type; expected the option type: forward, file, cloudwatch, elasticsearch, opensearch or kafka`}},
		{"no map", "sources: {a: forward, b: }\n" + strings.TrimPrefix(whole("", "", ""), "sources: {s: {type: stdin}}\n"), []string{
			`1:14: found "forward" as the source a; expected a map with the option type: forward, stdin or kafka`,
			`1:23: found nothing as the source b; expected a map with the option type: forward, stdin or kafka; write its options behind it in braces, or in the lines below it and further to the right`,
		}},
		{"an option with a typing error", source("type: forward, lisen: x"), []string{`1:30: found the unknown option "lisen"; expected an option of a source of type forward, the nearest is "listen"`}},
		{"an option of another type", source("type: stdin, listen: x"), []string{`1:28: found the unknown option "listen"; expected an option of a source of type stdin: tag or format`}},
		{"a type by another name", sink("type: es, hosts: []"), []string{
			`2:19: type: found "es"; expected forward, file, cloudwatch, elasticsearch, opensearch or kafka, the nearest is "elasticsearch"`}},
		{"a type like none", sink("type: s3"), []string{`2:19: type: found "s3"; expected forward, file, cloudwatch, elasticsearch, opensearch or kafka`}},
		{"options of other programs", source("type: kafka, bootstrap.servers: 'k:9092', auto.offset.reset: latest, brokers: 'k:9092', topics: t"), []string{
			`1:28: found the option "bootstrap.servers" of other programs; expected "brokers" in its place`,
			`1:57: found the option "auto.offset.reset" of other programs; expected "start" in its place`,
		}},
		{"options of Fluent Bit", sink("type: elasticsearch, hosts: h, index: a, Logstash_Format: On, HTTP_User: u"), []string{
			`2:54: found the option "Logstash_Format" of fluent-plugin-elasticsearch; expected "index" in its place`,
			`2:75: found the option "HTTP_User" of other programs; expected "username" in its place`,
		}},
		{"an option like none", sink("type: file, path: /k, batching: 1"), []string{
			`2:35: found the unknown option "batching"; expected an option of a sink of type file; "spillway check options sink.file" lists them`}},
		{"a topic that can be none", sink("type: kafka, brokers: 'k:1', topic: 'a {tag}'"), []string{
			`2:49: topic: found "a {tag}"; expected letters, digits and . _ - beside {tag}, {tag[N]}, {date} and {hour}`}},
		{"a date of Java in an index", sink("type: elasticsearch, hosts: h, index: 'a-{+yyyy}'"), []string{
			`2:51: index: found "a-{+yyyy}"; expected {tag}, {tag[N]} or {record[FIELD]}, or a date such as %Y.%m.%d in place of "{+yyyy}"`}},
		{"a name that no index may have", sink("type: elasticsearch, hosts: h, index: '_a'"), []string{
			`2:51: index: found a name of an index that begins with "_"; expected one that begins with none of - _ +`}},
		{"a sink like none", whole("", "", "[{match: a, to: relay}]"), []string{`3:25: to: found "relay"; expected the name of a sink: k`}},
		{"a map for a value", source("type: stdin, tag: {a: b}"), []string{`1:33: tag: found a map; expected a single value; write one behind the name, or remove the line`}},
		{"a list for a value", source("type: stdin, tag: [a]"), []string{`1:33: tag: found a list; expected a single value; write one behind the name, or remove the line`}},
		{"an anchor", source("type: stdin, tag: &x a"), []string{`1:33: tag: found an anchor or an alias; expected a single value; write one behind the name, or remove the line`}},
		{"nothing", source("type: stdin, tag: "), []string{`1:32: tag: found nothing; expected a single value; write one behind the name, or remove the line`}},
		{"a variable", source("type: stdin, tag: 'a.${HOME}'"), []string{
			`1:33: tag: found "a.${HOME}"; expected a value without variables; write the value itself: only secrets come from the environment; for what a name takes from a record write {tag}, or in index {record[FIELD]}`}},
		{"two of standard input", "sources: {a: {type: stdin}, b: {type: stdin}}\nsinks: {k: {type: file, path: /k}}\nroutes: [{match: a, to: k}]\n", []string{
			`1:29: found standard input again, which the source at F:1:11 reads already; expected each to be read once; remove one of the two`}},
		{"two at one address", "sources: {a: {type: forward, listen: ':1'}, b: {type: forward, listen: [':0', ':1']}}\nsinks: {k: {type: file, path: /k}}\nroutes: [{match: a, to: k}]\n", []string{
			`1:45: found :1 again, which the source at F:1:11 reads already; expected each to be read once; remove one of the two`}},
		{"one address within another", whole("type: forward, listen: '127.0.0.1:1'}, t: {type: forward, listen: '0.0.0.0:1'", "", ""), []string{
			`1:54: found 0.0.0.0:1 again, which the source at F:1:11 reads already; expected each to be read once; remove one of the two`}},
		{"two at one path", "sources: {a: {type: stdin}}\nsinks: {k: {type: file, path: '/{tag}'}, l: {type: file, path: '/{tag}'}}\nroutes: [{match: a, to: [k, l]}]\n", []string{
			`2:42: found the path of the sink at F:2:9 again; expected each path in one sink; let the routes name one sink, or change a path`}},

		// Secrets.
		{"a secret in the file", source("type: forward, shared-key: hunter2"), []string{
			`1:42: shared-key: found a value that is not shown; expected ${NAME}, where NAME is a variable of the environment; set the secret there, or write it to a file and name that with shared-key-file: more people read a configuration than a secret should be known to`}},
		{"a secret with a variable in it", source("type: forward, shared-key: 'x${KEY}'"), []string{
			`1:42: shared-key: found a value that is not shown; expected ${NAME}, where NAME is a variable of the environment; set the secret there, or write it to a file and name that with shared-key-file: more people read a configuration than a secret should be known to`}},
		{"a secret twice", source("type: forward, shared-key: '${A}', shared-key-file: x"), []string{
			`1:50: found the option shared-key twice, here and at F:1:30; expected each option once; remove one of the two`}},
		{"a variable for the file", source("type: forward, shared-key-file: '${A}'"), []string{`1:47: shared-key-file: found "${A}"; expected the path of a file`}},

		// The source forward.
		{"addresses", source(`type: forward, listen: ["1", "h:x", "h:70000", "http://h:1", "h:1/x", "unix:", "u@h:1", ":1", ":1"]`), []string{
			`1:39: listen: found "1"; expected HOST:PORT, tls://HOST:PORT or unix:/PATH`,
			`1:44: listen: found "h:x"; expected HOST:PORT, tls://HOST:PORT or unix:/PATH, with a port as a number`,
			`1:51: listen: found "h:70000"; expected HOST:PORT, tls://HOST:PORT or unix:/PATH, with a port as a number`,
			`1:62: listen: found "http://h:1"; expected HOST:PORT, tls://HOST:PORT or unix:/PATH`,
			`1:76: listen: found "h:1/x"; expected HOST:PORT, tls://HOST:PORT or unix:/PATH, with a port as a number`,
			`1:85: listen: found "unix:"; expected HOST:PORT, tls://HOST:PORT or unix:/PATH`,
			`1:94: listen: found a value that is not shown; expected HOST:PORT, tls://HOST:PORT or unix:/PATH`,
			`1:109: listen: found ":1"; expected each address once, and none that another covers`,
		}},
		{"a long path of a socket", source(`type: forward, listen: "unix:/` + strings.Repeat("x", 107) + `"`), []string{
			`1:38: listen: found "unix:/` + strings.Repeat("x", 94) + `"… (113 bytes); expected the path of a unix socket of at most 107 bytes`}},
		{"networks", source("type: forward, allow: [x, 10.0.0.1/8, 'fe80::1%eth0']"), []string{
			`1:38: allow: found "x"; expected a network such as 10.0.0.0/8, or an address such as 10.0.0.7`,
			`1:41: allow: found "10.0.0.1/8"; expected a network without bits behind its length: 10.0.0.0/8`,
			`1:53: allow: found "fe80::1%eth0"; expected a network such as 10.0.0.0/8, or an address such as 10.0.0.7`,
		}},
		{"users", source("type: forward, shared-key: '${K}', users: [bob, {name: a}, {name: b, password: '${B}'}, {name: b, password: '${B}'}]"), []string{
			`1:50: found the user "b" twice; expected each user once`,
			`1:58: users: found something else than a map; expected a map with the options name, password or password-file`,
			`1:63: found no password; expected a user with the option password`,
		}},
		{"a hostname without a handshake", source("type: forward, self-hostname: h"), []string{
			`1:30: found self-hostname without shared-key and users; expected one of them: then there is a handshake; add shared-key: ${NAME}, or remove self-hostname`}},
		{"TLS without a certificate", source("type: forward, listen: 'tls://:1', tls-key-file: k"), []string{
			`1:11: found an address with tls:// without a certificate and its key; expected tls-cert-file and tls-key-file`}},
		{"a certificate without TLS", source("type: forward, tls-cert-file: k"), []string{
			`1:30: found tls-cert-file without an address that begins with tls://; expected one to which it belongs; write listen: tls://HOST:PORT, or remove tls-cert-file`}},
		{"what is for a network on a socket", source("type: forward, listen: 'unix:/x', allow: '::1', udp-heartbeat: true"), []string{
			`1:49: found allow without an address of TCP or TLS; expected one to which it speaks; remove allow`,
			`1:63: found udp-heartbeat without an address of TCP or TLS; expected one to which it speaks; remove udp-heartbeat`,
		}},
		{"what is for a socket on a network", source("type: forward, socket-mode: 0660"), []string{
			`1:30: found socket-mode without a unix socket; expected one whose mode it is; remove socket-mode`}},
		{"a mode", source("type: forward, firelens: true, socket-mode: 9"), []string{
			`1:59: socket-mode: found "9"; expected the mode of a file in octal digits, such as 0660`}},
		{"sizes", source("type: forward, max-message-size: 1k, max-spool-size: 1m, remember-chunks: -1, max-connections: 0"), []string{
			`1:48: max-message-size: found "1k"; expected a size from 64k to 1g`,
			`1:89: remember-chunks: found "-1"; expected a whole number from 0 to 10000000`,
			`1:110: max-connections: found "0"; expected a whole number from 1 to 1048576`,
		}},
		{"a spool below what is in memory", source("type: forward, max-spool-size: 1m"), []string{
			`1:30: found max-spool-size 1m below max-message-size 16m; expected a limit of one message that is not below what of it is held in memory`}},
		{"an ack", source("type: forward, ack: true"), []string{`1:35: ack: found "true"; expected memory, kernel, power or delivered`}},

		// The sink forward.
		{"no servers", sink("type: forward"), []string{`2:9: found no servers; expected a sink of type forward with the option servers`}},
		{"no space behind a colon", sink("type: file, path:/x"), []string{
			`2:9: found no path; expected a sink of type file with the option path`,
			`2:25: found the unknown option "path:/x"; expected an option of a sink of type file, the nearest is "path"; write a space behind the colon`}},
		{"an empty list", sink("type: forward, servers: []"), []string{`2:37: servers: found an empty list; expected at least one value; write one, or remove the line`}},
		{"servers", sink(`type: forward, servers: [":1", "h:0", {address: x}, {adress: "h:1"}, [x], "g:1", "g:1", {address: "i:1", weight: 0}]`), []string{
			`2:38: servers: found ":1"; expected HOST:PORT, tls://HOST:PORT or unix:/PATH, such as 10.0.0.7:24224`,
			`2:44: servers: found "h:0"; expected HOST:PORT, tls://HOST:PORT or unix:/PATH, such as 10.0.0.7:24224, with a port as a number`,
			`2:61: address: found "x"; expected HOST:PORT, tls://HOST:PORT or unix:/PATH, such as 10.0.0.7:24224`,
			`2:65: found no address; expected a server with the option address`,
			`2:66: found the unknown option "adress"; expected an option of a server, the nearest is "address"`,
			`2:82: servers: found a list; expected a single value; write one behind the name, or remove the line`,
			`2:94: servers: found the server g:1 twice; expected each server once`,
			`2:126: weight: found "0"; expected a whole number from 1 to 10000`,
		}},
		{"standby alone", sink(`type: forward, servers: {address: "h:1", standby: true}`), []string{
			`2:28: found standby servers alone; expected one that is not standby; remove standby of one`}},
		{"half a user", sink(`type: forward, servers: "h:1", shared-key: "${K}", username: u`), []string{`2:9: found username without password; expected both or none`}},
		{"TLS options without TLS", sink(`type: forward, servers: "h:1", tls-ca-file: x`), []string{
			`2:44: found tls-ca-file without a server that begins with tls://; expected one to which it belongs; write tls://HOST:PORT, or remove tls-ca-file`}},
		{"half a certificate", sink(`type: forward, servers: "tls://h:1", tls-key-file: x`), []string{`2:50: found tls-key-file without tls-cert-file; expected both or none`}},
		{"acks and none", sink(`type: forward, servers: "h:1", ack: false, ack-timeout: 1s`), []string{
			`2:56: found ack-timeout beside ack: false; expected ack: true, for whose acknowledgements it is; remove ack-timeout`}},

		// The sink file.
		{"no path", sink("type: file"), []string{`2:9: found no path; expected a sink of type file with the option path`}},
		{"templates", sink("type: file, path: '/{tga}'"), []string{`2:31: path: found "/{tga}"; expected {tag}, {tag[N]}, {date} or {hour} in place of "{tga}"`}},
		{"a directory", sink("type: file, path: '/{tag}/'"), []string{`2:31: path: found "/{tag}/"; expected the path of a file, without .. in it`}},
		{"a way out", sink("type: file, path: '/a/../{tag}'"), []string{`2:31: path: found "/a/../{tag}"; expected the path of a file, without .. in it`}},
		{"nothing to keep", sink("type: file, path: /k, max-file: 3, compress: gzip, rotate-every: 5ms"), []string{
			`2:35: found max-file without max-size and rotate-every; expected one of them: without it no file is ever finished; set one, or remove max-file`,
			`2:48: found compress without max-size and rotate-every; expected one of them: without it no file is ever finished; set one, or remove compress`,
			`2:78: rotate-every: found "5ms"; expected a duration of at least 1s`,
		}},
		{"keys of the other format", sink("type: file, path: /k, log-key: x"), []string{
			`2:35: found log-key beside format json; expected format text, which is the value of that key; remove one of the two`}},
		{"keys of an object in text", sink("type: file, path: /k, format: text, tag-key: x"), []string{
			`2:49: found tag-key beside format text; expected format json, to whose object it adds; remove one of the two`}},

		{"keys of an object beside a tab", sink("type: file, path: /k, format: out_file, time-key: x"), []string{
			`2:53: found time-key beside format out_file; expected format json, to whose object it adds; remove one of the two`}},

		// The sink cloudwatch.
		{"no group", sink("type: cloudwatch"), []string{`2:9: found no group; expected a sink of type cloudwatch with the option group`}},
		{"names of AWS", sink("type: cloudwatch, group: 'a b', stream: '{tag}:x', region: 'x/y', endpoint: 'u:p@h', credentials-endpoint: x, force-flush-interval-seconds: 0"), []string{
			`2:38: group: found "a b"; expected the name of a log group: letters, digits and . _ - / #`,
			`2:53: stream: found "{tag}:x"; expected the name of a log stream: at most 512 characters, no : and no *`,
			`2:72: region: found "x/y"; expected the name of a region, such as eu-central-1`,
			`2:89: endpoint: found a value that is not shown; expected a URL such as http://127.0.0.1:4566 or https://logs.example.com`,
			`2:120: credentials-endpoint: found "x"; expected a path such as /v2/credentials/ID, or a whole URL`,
			`2:153: force-flush-interval-seconds: found "0"; expected a whole number of seconds from 1 to 86400`,
		}},

		// Routes.
		{"no route", whole("", "", "[5, {to: k}, {match: a}]"), []string{
			`3:10: found "5" as a route; expected a map with the options match and to`,
			`3:13: found no match; expected a route with the option match`,
			`3:22: found no to; expected a route with the option to`,
		}},
		{"an unknown option", route("match: a, to: k, max-bufer-size: 1m, typ: x"), []string{
			`3:28: found the unknown option "max-bufer-size"; expected an option of a route, the nearest is "max-buffer-size"`,
			`3:48: found the unknown option "typ"; expected an option of a route; "spillway check options route" lists them`,
		}},
		{"an option of containers", route("match: a, to: k, cleanup-time: 1s"), []string{
			`3:28: found the unknown option "cleanup-time"; expected an option of a route; "spillway check options route" lists them`}},
		{"sinks", route("match: a, to: [kk, k, k]"), []string{
			`3:26: to: found "kk"; expected the name of a sink, the nearest is "k"`,
			`3:33: to: found "k"; expected each sink once`,
		}},
		{"patterns", route(`match: ["a,b", "c.", {a: b}, "#{x}", "/(?=x)/"], to: k`), []string{
			`3:19: match: found "," outside of braces at character 2 of "a,b"; expected white space between patterns, or {a,b}; write \, for a comma`,
			`3:26: match: found "." at the end at character 2 of "c."; expected a part of the tag behind a dot; remove it: fluentd passes over it`,
			`3:32: match: found a map; expected a pattern such as app.**; write it in quotes: to YAML, a star and braces mean something else`,
			`3:40: match: found "#{" at character 1 of "#{x}"; expected a pattern without embedded Ruby code; write what the code gives, or \#\{ for these characters`,
			`3:48: match: found invalid or unsupported Perl syntax in a regular expression: "(?=" at character 2 of "/(?=x)/"; expected RE2 syntax, which has no look-around; write what it takes, or let an earlier route take what it must not`,
		}},
		{"one name twice", whole("", "", "[{match: a, to: k}, {match: b, name: a, to: k}]"), []string{
			`3:29: found the route "a" again, it is at F:3:10 already; expected each name once: the disk buffers of a route are found by it; give one of them another name, or remove it`}},
		{"a disk without spill", route("match: a, to: k, durability: power"), []string{
			`3:40: durability: found "power" beside mode blocking (built in); expected mode spill; set mode to spill or remove durability`}},
		{"drop and spill", "defaults: {mode: spill}\n" + route("match: a, to: k, drop: oldest"), []string{
			`4:34: drop: found "oldest" beside mode spill (node); expected when-full, which says in mode spill what happens when the disk is full; write when-full drop-oldest instead, or remove drop`}},
		{"max-block in another mode", route("match: a, to: k, mode: non-blocking, max-block: 2s"), []string{
			`3:59: max-block: found "2s" beside mode non-blocking (route); expected mode blocking, whose wait it limits; set mode to blocking or remove max-block`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("F", []byte(c.text), noEnvironment)
			if err == nil {
				t.Fatalf("it is taken:\n%s", c.text)
			}
			if diff := cmp.Diff(c.want, strings.Split(strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\nF:", "\n"), "F:"), "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s\nin\n%s", diff, c.text)
			}
			for _, problem := range setting.List(err) {
				stands(t, c.text, problem)
			}
		})
	}
}

// stands checks that a problem points at what it has found, where it shows it.
func stands(t *testing.T, text string, problem *setting.Problem) {
	t.Helper()
	line, column := Position("F", problem.Where)
	quoted, err := strconv.QuotedPrefix(problem.Found)
	if line == 0 || err != nil || strings.Contains(problem.Found, "at character") || strings.Contains(problem.Found, "…") {
		return
	}
	found, err := strconv.Unquote(quoted)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.TrimLeft(strings.Split(text, "\n")[line-1][column-1:], `"'`)
	if !strings.HasPrefix(at, found) {
		t.Errorf("%s points at %q", problem, at)
	}
}
