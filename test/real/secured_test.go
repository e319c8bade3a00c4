package real

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spillway/spillway/test/launcher/harness"
	"github.com/spillway/spillway/test/real/parts"
)

// What happens between a broker and a node that both let in only those who show who they are, over TLS: what
// is refused waits, health says why, nothing is lost, and it goes on by itself once it is let in.
func TestSecuredStories(t *testing.T) {
	nodes := []string{parts.Elasticsearch8}
	if harness.Long() {
		nodes = append(nodes, parts.OpenSearchSecured)
	}
	for _, name := range nodes {
		t.Run(name, func(t *testing.T) {
			parts.Need(t, parts.Kafka, name)
			broker := parts.StartKafka(t, parts.KafkaOptions{Tokens: true, Settings: map[string]string{
				"listener.name.ssl.ssl.client.auth": "required",
				"connections.max.reauth.ms":         "60000", // and not longer than a token holds
			}})
			elastic := name == parts.Elasticsearch8
			node := parts.StartSearch(t, name, parts.SearchOptions{Secured: true, Mutual: elastic})
			tell := func(title string, run func(*secured)) {
				t.Run(title, func(t *testing.T) { run(newSecured(t, broker, node, elastic)) })
			}
			tell("let in", tellLetIn)
			tell("passwords changed", tellPasswords)
			tell("no right to write", tellNoRight)
			tell("no right to create", tellNoCreate)
			tell("refused as dead letters", tellRefusedLetters)
			if elastic {
				tell("key revoked", tellRevoked)
			}
			tell("no right on the topic", tellNoTopicRight)
			tell("no right on the group", tellNoGroupRight)
			tell("token expired", tellToken)
			if harness.Long() {
				tell("tokens renewed", tellTokensRenewed)
			}
			tell("no right to produce", tellNoProduceRight)
			tell("certificates", tellCertificates)
		})
	}
}

// secured is a story of which both ends are secured.
type secured struct {
	*story
	elastic bool
	// brokerTLS and nodeTLS are options by which a client trusts, and shows a certificate.
	brokerTLS, nodeTLS string
}

func newSecured(t *testing.T, broker *parts.KafkaBroker, node *parts.SearchNode, elastic bool) *secured {
	s := &secured{story: newStory(t, broker, node), elastic: elastic}
	s.brokerTLS, s.nodeTLS = "tls-ca-file: "+broker.Certificates.CA, "tls-ca-file: "+node.Certificates.CA
	if elastic {
		s.nodeTLS += showing(node.Certificates)
	}
	return s
}

// showing are the options of a client that shows a certificate.
func showing(c *parts.Certificates) string {
	return ", tls-cert-file: " + c.ClientCertificate + ", tls-key-file: " + c.ClientKey
}

// The password of users that are made here; a node may want a good one.
const goodPassword = "correct-Horse-9-battery"

// asAlice are the options of a source that comes by SCRAM over TLS.
func (s *secured) asAlice(name string) string {
	s.keep("alice", parts.KafkaPassword)
	return fmt.Sprintf(`brokers: "%s", topics: %s, group: %[2]s, %s, sasl: scram-sha-256, username: %s, password-file: alice`, s.broker.SASLTLSAddr, name, s.brokerTLS, parts.KafkaUser)
}

// as are the options of a sink of a user.
func (s *secured) as(user, name string) string {
	s.keep(user, goodPassword)
	return fmt.Sprintf(`hosts: "$NODE", index: %s, %s, username: %s, password-file: %[3]s`, name, s.nodeTLS, user)
}

// keep writes a secret into a file.
func (s *secured) keep(name, text string) {
	s.Helper()
	writeFile(s.T, filepath.Join(s.dir, name), text+"\n")
}

func (s *secured) hangUp() {
	s.Helper()
	if err := s.run.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		s.Fatal(err)
	}
}

// tellLetIn: over TLS on both sides, by SCRAM and by PLAIN, by a password and by a key, every record is in
// each index once, and the group has come to the end.
func tellLetIn(s *secured) {
	const topic, records = "let-in", 500
	s.broker.CreateTopic(s.T, topic, 1, nil)
	s.produce(topic, counting(1, records)...)
	s.node.Grant(s.T, "writer", goodPassword, topic+"*", parts.SearchMayCreate)
	s.keep("alice", parts.KafkaPassword)
	s.keep("writer", goodPassword)
	source := func(mechanism string) string {
		return fmt.Sprintf(`{type: kafka, brokers: "%s", topics: %s, group: %s, tag: %[3]s, %s, sasl: %[3]s, username: %[5]s, password-file: alice, session-timeout: 3s}`,
			s.broker.SASLTLSAddr, topic, mechanism, s.brokerTLS, parts.KafkaUser)
	}
	key := ", username: writer, password-file: writer"
	if s.elastic {
		_, encoded := s.node.APIKey(s.T, topic+"*", parts.SearchMayCreate)
		s.keep("key", encoded)
		key = ", api-key-file: key"
	}
	s.configure(fmt.Sprintf(`memory: 96m
sources:
  one: %s
  two: %s
sinks:
  one: {type: elasticsearch, hosts: "$NODE", index: let-in-one, %s, username: writer, password-file: writer}
  two: {type: elasticsearch, hosts: "$NODE", index: let-in-two, %[3]s%s}
routes:
  - {match: scram-sha-256, to: one}
  - {match: plain, to: two}
`, source("scram-sha-256"), source("plain"), s.nodeTLS, key))
	s.start()
	s.settles(2 * records)
	want := make([]int64, 0, records)
	for n := range int64(records) {
		want = append(want, n+1)
	}
	s.indexed("let-in-one", slices.Clone(want)...)
	s.indexed("let-in-two", want...)
	s.ends(2*records, 2*records, 0)
	admin := kadm.NewClient(s.broker.Client(s.T))
	for _, group := range []string{"scram-sha-256", "plain"} {
		committed, err := admin.FetchOffsets(s.Context(), group)
		if at, ok := committed.Lookup(topic, 0); err != nil || !ok || at.At != records {
			s.Errorf("the group %s has committed %+v (%v), expected offset %d", group, committed, err, records)
		}
	}
}

// tellPasswords: wrong ones on either side are told, and right ones in the same files are taken at SIGHUP.
func tellPasswords(s *secured) {
	const name = "passwords"
	s.fill(name)
	s.node.Grant(s.T, "writer", goodPassword, name, parts.SearchMayCreate)
	config := chainFile(s.asAlice(name), s.as("writer", name))
	s.keep("alice", "wrong")
	s.keep("writer", "wrong")
	s.configure(config)
	s.start()
	s.shows("  RED: ", "the broker "+s.broker.SASLTLSAddr+" refuses the user or the password")
	s.keep("alice", parts.KafkaPassword)
	s.hangUp()
	s.shows("  RED: ", "the destination does not know who we are", "401", "pending 3")
	s.says("401")
	s.keep("writer", goodPassword)
	s.hangUp()
	s.settles(3)
	s.indexed(name, 1, 2, 3)
	s.ends(3, 3, 0)
}

// tellNoRight: a user who may not write into an index is refused item by item, until it may.
func tellNoRight(s *secured) {
	const name = "no-right"
	s.fill(name)
	s.node.Grant(s.T, "newcomer", goodPassword, name, parts.SearchMayNothing)
	s.troubled(trouble{
		topic: name, config: chainFile(s.asAlice(name), s.as("newcomer", name)),
		says: []string{"403 security_exception", "newcomer"},
		mend: func() { s.node.Grant(s.T, "newcomer", goodPassword, name, parts.SearchMayCreate) },
	})
}

// tellNoCreate: one who may write, but not make the index, waits until somebody makes it.
func tellNoCreate(s *secured) {
	const name = "no-create"
	s.fill(name)
	s.node.Grant(s.T, "newcomer", goodPassword, name, parts.SearchMayWrite)
	s.troubled(trouble{
		topic: name, config: chainFile(s.asAlice(name), s.as("newcomer", name)),
		says: []string{"403 security_exception", "newcomer"},
		mend: func() { s.node.Must(s.T, "PUT", "/"+name, "{}") },
	})
}

// tellRefusedLetters: who does not want to wait has what is refused among the dead letters, and from there in
// the index once it may be.
func tellRefusedLetters(s *secured) {
	const name = "refused-letters"
	s.fill(name)
	s.node.Grant(s.T, "newcomer", goodPassword, name, parts.SearchMayNothing)
	s.configure(chainFile(s.asAlice(name), s.as("newcomer", name)+", on-refused: dead-letter"))
	s.start()
	s.settles(3)
	letters := s.letters("search")
	for offset, l := range letters {
		if l.Status != 403 || l.Reason != "rejected-refused" || !strings.Contains(l.Detail, "security_exception") {
			s.Errorf("the dead letter of offset %d is %+v; expected status 403, and why", offset, l)
		}
		if raw, code := s.command("deadletter", "show", "--raw", fmt.Sprint(l.ID)); raw != fmt.Sprintf(`{"n":%d}`, offset+1) || code != 0 {
			s.Errorf("show --raw of offset %d prints %q", offset, raw)
		}
	}
	if len(letters) != 3 {
		s.Errorf("%d dead letters, expected 3", len(letters))
	}
	s.node.Grant(s.T, "newcomer", goodPassword, name, parts.SearchMayCreate)
	if text, code := s.command("deadletter", "replay", "--destination", "search"); code != 0 {
		s.Errorf("the replay ended with %d: %s", code, text)
	}
	s.indexed(name, 1, 2, 3)
	s.ends(6, 3, 3)
}

// tellRevoked: a key that is revoked while records move is refused; another one in its file goes on.
func tellRevoked(s *secured) {
	const name = "revoked"
	s.fill(name)
	id, encoded := s.node.APIKey(s.T, name, parts.SearchMayCreate)
	s.keep("key", encoded)
	s.configure(chainFile(s.asAlice(name), `hosts: "$NODE", index: revoked, api-key-file: key, `+s.nodeTLS))
	s.start()
	s.settles(3)
	s.node.RevokeAPIKey(s.T, id)
	s.produce(name, counting(4, 6)...)
	s.shows("  RED: ", "401", "pending 3")
	_, encoded = s.node.APIKey(s.T, name, parts.SearchMayCreate)
	s.keep("key", encoded)
	s.hangUp()
	s.settles(6)
	s.indexed(name, 1, 2, 3, 4, 5, 6)
	s.ends(6, 6, 0)
}

// allows makes rules of who may do what, of which one speaks of somebody else: whoever no rule speaks of may
// do everything where there is none.
func (s *secured) allows(build func(*kadm.ACLBuilder) *kadm.ACLBuilder) (user func(operation kadm.ACLOperation)) {
	s.Helper()
	admin := kadm.NewClient(s.broker.Client(s.T))
	allow := func(who string, operation kadm.ACLOperation) {
		s.Helper()
		rules := build(kadm.NewACLs().Allow("User:" + who).AllowHosts("*").ResourcePatternType(kadm.ACLPatternLiteral).Operations(operation))
		made, err := admin.CreateACLs(s.Context(), rules)
		if err != nil || len(made) != 1 || made[0].Err != nil {
			s.Fatalf("make a rule: %+v (%v)", made, err)
		}
	}
	allow("somebody", kadm.OpRead)
	return func(operation kadm.ACLOperation) { allow(parts.KafkaUser, operation) }
}

// forbids takes all rules about the user back.
func (s *secured) forbids(build func(*kadm.ACLBuilder) *kadm.ACLBuilder) {
	s.Helper()
	rules := build(kadm.NewACLs().Allow("User:" + parts.KafkaUser).AllowHosts("*").ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpAny))
	gone, err := kadm.NewClient(s.broker.Client(s.T)).DeleteACLs(s.Context(), rules)
	if err != nil || len(gone) != 1 || gone[0].Err != nil || len(gone[0].Deleted) == 0 {
		s.Fatalf("take rules back: %+v (%v)", gone, err)
	}
}

func tellNoTopicRight(s *secured) {
	const name = "no-topic-right"
	s.fill(name)
	s.node.Grant(s.T, "writer", goodPassword, name, parts.SearchMayCreate)
	allow := s.allows(func(b *kadm.ACLBuilder) *kadm.ACLBuilder { return b.Topics(name) })
	s.configure(chainFile(s.asAlice(name), s.as("writer", name)))
	s.start()
	const says = "grant Describe and Read on it"
	s.shows("  RED: ", `this user may not use the topic "`+name+`"`, says)
	allow(kadm.OpDescribe) // It is seen, and still not read.
	s.shows("  RED: ", says)
	allow(kadm.OpRead)
	s.settles(3)
	s.says(says)
	// It is taken back while records move, and given again.
	s.forbids(func(b *kadm.ACLBuilder) *kadm.ACLBuilder { return b.Topics(name) })
	s.produce(name, counting(4, 6)...)
	s.shows("  RED: ", `this user may not use the topic "`+name+`"`, says)
	allow(kadm.OpRead)
	s.settles(6)
	s.indexed(name, 1, 2, 3, 4, 5, 6)
	s.ends(6, 6, 0)
}

func tellNoGroupRight(s *secured) {
	const name = "no-group-right"
	s.fill(name)
	s.node.Grant(s.T, "writer", goodPassword, name, parts.SearchMayCreate)
	allow := s.allows(func(b *kadm.ACLBuilder) *kadm.ACLBuilder { return b.Groups(name) })
	s.troubled(trouble{
		topic: name, config: chainFile(s.asAlice(name), s.as("writer", name)),
		says: []string{"this user may not join the group", name, "grant Read on the group"},
		mend: func() { allow(kadm.OpRead) },
	})
}

// tellNoProduceRight: a sink of Kafka waits for a right on its topic likewise, and for a password.
func tellNoProduceRight(s *secured) {
	const from, to = "produced-from", "produced-to"
	s.fill(from)
	s.broker.CreateTopic(s.T, to, 1, nil)
	allow := s.allows(func(b *kadm.ACLBuilder) *kadm.ACLBuilder { return b.Topics(to) })
	s.keep("password", "wrong")
	s.configure(fmt.Sprintf(`memory: 64m
sources:
  orders: {type: kafka, session-timeout: 3s, %s}
sinks:
  bus: {type: kafka, brokers: "%s", topic: %s, %s, sasl: scram-sha-256, username: %s, password-file: password}
routes:
  - {match: "**", to: bus}
`, s.asAlice(from), s.broker.SASLTLSAddr, to, s.brokerTLS, parts.KafkaUser))
	s.start()
	s.shows("  RED: ", "the broker "+s.broker.SASLTLSAddr+" refuses the user or the password", "pending 3")
	s.keep("password", parts.KafkaPassword)
	s.hangUp()
	s.shows("  RED: ", `this user may not use the topic "`+to+`"`, "grant Describe and Write on it", "pending 3")
	allow(kadm.OpDescribe)
	allow(kadm.OpWrite)
	s.settles(3)
	s.ends(3, 3, 0)
	client := s.broker.Client(s.T, kgo.ConsumeTopics(to))
	var got []string
	for len(got) < 3 {
		fetches := client.PollFetches(s.Context())
		if err := fetches.Err(); err != nil {
			s.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	if want := []string{`{"n":1}`, `{"n":2}`, `{"n":3}`}; !slices.Equal(got, want) {
		s.Errorf("the topic has %q, expected %q", got, want)
	}
}

// tellToken: an expired token is refused; one that holds is taken from the same file, without a signal.
func tellToken(s *secured) {
	const name = "token"
	s.fill(name)
	s.node.Grant(s.T, "writer", goodPassword, name, parts.SearchMayCreate)
	s.keep("token", s.broker.Tokens.Token(s.T, parts.KafkaUser, time.Now().Add(-time.Minute)))
	source := fmt.Sprintf(`brokers: "%s", topics: token, group: token, %s, sasl: oauthbearer, token-file: token`, s.broker.SASLTLSAddr, s.brokerTLS)
	s.troubled(trouble{
		topic: name, config: chainFile(source, s.as("writer", name)),
		says: []string{"connect to the broker " + s.broker.SASLTLSAddr, "the token is refused"},
		mend: func() { s.keep("token", s.broker.Tokens.Token(s.T, parts.KafkaUser, time.Now().Add(time.Hour))) },
	})
}

// tellTokensRenewed: a token that is renewed in its file in time is never missed, also where the broker
// lets nobody stay for longer than it holds; one that is not is refused until it is.
func tellTokensRenewed(s *secured) {
	const name, holds = "tokens-renewed", 10 * time.Second
	s.fill(name)
	s.node.Grant(s.T, "writer", goodPassword, name, parts.SearchMayCreate)
	renew := func() { s.keep("token", s.broker.Tokens.Token(s.T, parts.KafkaUser, time.Now().Add(holds))) }
	renew()
	s.configure(chainFile(fmt.Sprintf(`brokers: "%s", topics: %s, group: %[2]s, %s, sasl: oauthbearer, token-file: token`, s.broker.SASLTLSAddr, name, s.brokerTLS),
		s.as("writer", name)))
	s.start()
	s.settles(3)
	want := []int64{1, 2, 3}
	produce := func() {
		n := len(want) + 1
		s.produce(name, counting(n, n)...)
		want = append(want, int64(n))
	}
	for range 10 {
		<-time.After(holds / 4)
		renew()
		produce()
		s.settles(int64(len(want)))
	}
	if strings.Contains(s.run.log(), "level=WARN") {
		s.Errorf("something went wrong while the token was renewed in time:\n%s", s.run.log())
	}
	<-time.After(holds)
	s.shows("  RED: ", "the token is refused")
	produce()
	renew()
	s.settles(int64(len(want)))
	s.indexed(name, want...)
	s.ends(int64(len(want)), int64(len(want)), 0)
}

// tellCertificates: authorities that did not sign, and a certificate that is not shown, are told on either
// side, and what is in the files then is taken at SIGHUP.
func tellCertificates(s *secured) {
	const name = "certificates"
	s.fill(name)
	s.node.Grant(s.T, "writer", goodPassword, name, parts.SearchMayCreate)
	copied := func(to, from string) {
		s.Helper()
		text, err := os.ReadFile(from)
		if err != nil {
			s.Fatal(err)
		}
		writeFile(s.T, filepath.Join(s.dir, to), string(text))
	}
	s.keep("writer", goodPassword)
	ours, theirs := s.broker.Certificates, s.node.Certificates
	copied("broker-ca", theirs.CA)
	copied("node-ca", ours.CA)
	show := map[string]string{"": "", "broker": showing(ours)}
	if s.elastic {
		show["node"] = showing(theirs)
	}
	config := func(broker, node string) {
		s.Helper()
		s.configure(chainFile(fmt.Sprintf(`brokers: "%s", topics: %s, group: %[2]s, tls-ca-file: broker-ca%s`, s.broker.TLSAddr, name, show[broker]),
			fmt.Sprintf(`hosts: "$NODE", index: %s, username: writer, password-file: writer, tls-ca-file: node-ca%s`, name, show[node])))
	}
	config("", "")
	s.start()
	s.shows("  RED: ", "the broker "+s.broker.TLSAddr+" has a certificate that is not trusted", "name its authority with tls-ca-file")
	copied("broker-ca", ours.CA)
	s.hangUp()
	s.shows("  RED: ", "the broker "+s.broker.TLSAddr+" refuses our certificate, or that we show none", "tls-cert-file")
	config("broker", "")
	s.hangUp()
	s.shows("  RED: ", "has a certificate that is not trusted; name its authority with tls-ca-file", "pending 3")
	copied("node-ca", theirs.CA)
	s.hangUp()
	if s.elastic {
		s.shows("  RED: ", "refuses our certificate, or that we show none", "tls-cert-file", "pending 3")
		config("broker", "node")
		s.hangUp()
	}
	s.settles(3)
	s.indexed(name, 1, 2, 3)
	s.ends(3, 3, 0)
}
