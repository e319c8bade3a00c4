package runfile

import (
	"slices"
	"strings"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/config/setting"
)

// SASL is a mechanism of SASL.
type SASL string

// The mechanisms.
const (
	SASLNone        SASL = "none"
	SASLPlain       SASL = "plain"
	SASLScramSHA256 SASL = "scram-sha-256"
	SASLScramSHA512 SASL = "scram-sha-512"
	SASLOAuthBearer SASL = "oauthbearer"
	SASLAWSMSKIAM   SASL = "aws-msk-iam"
)

// KafkaCluster is a cluster and the way to it, for source and sink alike.
type KafkaCluster struct {
	Brokers  []string // HOST:PORT, at least one
	ClientID string

	TLS bool
	ClientTLS

	SASL     SASL
	User     string
	Password Secret
	// Token is for SASLOAuthBearer; a file is read again for each connection.
	Token Secret
	// AWS is for SASLAWSMSKIAM alone.
	AWS config.AWS
}

// clusterRows are the options of a cluster.
func clusterRows[T any](c func(*T) *KafkaCluster) []row[T] {
	rows := []row[T]{
		{Option: Option{Name: "brokers", Takes: "address", List: true, Required: true,
			Help: "Names brokers as HOST:PORT; one that answers is enough, it tells the others."},
			set: func(_ *parser, t *T, v value) string {
				text := v.Text
				if !strings.Contains(text, ":") {
					text += ":9092"
				}
				host, port, ok := strings.Cut(text, ":")
				if strings.HasPrefix(text, "[") {
					host, port, ok = strings.Cut(text, "]:")
					host = strings.TrimPrefix(host, "[")
				}
				if !ok || host == "" || !goodHost(host) || !goodPort(port) {
					return "HOST:PORT of a broker, such as 10.0.0.7:9092"
				}
				if slices.Contains(c(t).Brokers, text) {
					return "each broker once"
				}
				c(t).Brokers = append(c(t).Brokers, text)
				return ""
			}},
		{Option: Option{Name: "client-id", Default: "spillway", Help: "Is the name that brokers show in logs and quotas."},
			check: func(v setting.Value) string {
				if len(v.Text) > 249 {
					return "a name of at most 249 bytes"
				}
				return ""
			},
			set: text(func(t *T) *string { return &c(t).ClientID })},
		{Option: Option{Name: "tls", Kind: setting.Bool, Default: "false", Help: "Encrypts connections to the brokers; the other options of TLS turn it on as well."},
			set: flag(func(t *T) *bool { return &c(t).TLS })},
	}
	rows = append(rows, clientTLSRows("brokers", func(t *T) *ClientTLS { return &c(t).ClientTLS })...)
	return append(rows, []row[T]{
		{Option: Option{Name: "sasl", Kind: setting.Enum, Default: string(SASLNone),
			Enum: []string{string(SASLNone), string(SASLPlain), string(SASLScramSHA256), string(SASLScramSHA512), string(SASLOAuthBearer), string(SASLAWSMSKIAM)},
			Help: "Says how to show who one is: plain and scram need username and password, oauthbearer needs token, aws-msk-iam takes the credentials of AWS."},
			set: text(func(t *T) *SASL { return &c(t).SASL })},
		{Option: Option{Name: "username", Help: "Is the user to be at the brokers."},
			set: text(func(t *T) *string { return &c(t).User })},
		{Option: Option{Name: "password", Kind: setting.Secret, Help: "Is that user's password."},
			set: secret(func(t *T) *Secret { return &c(t).Password })},
		{Option: Option{Name: "token", Kind: setting.Secret, Help: "Is the token of oauthbearer; one in a file is read again for each connection, so that something else can renew it."},
			set: secret(func(t *T) *Secret { return &c(t).Token })},
	}...)
}

func goodPort(text string) bool {
	n := 0
	for _, r := range text {
		if r < '0' || r > '9' || n > 65535 {
			return false
		}
		n = 10*n + int(r-'0')
	}
	return n > 0 && n <= 65535
}

// cluster checks what the options of a cluster say together.
func (p *parser) cluster(c *KafkaCluster, at place, have given) {
	if name, where, found := have.any(clientTLSNames...); found {
		if have.has("tls") && !c.TLS {
			p.problem(where, name+" beside tls: false", "tls: true, to which it belongs", "remove one of the two")
		}
		c.TLS = true
	}
	p.clientTLS(&c.ClientTLS, have, "is taken for a broker")
	needs := map[SASL][]string{
		SASLPlain: {"username", "password"}, SASLScramSHA256: {"username", "password"}, SASLScramSHA512: {"username", "password"}, SASLOAuthBearer: {"token"},
	}[c.SASL]
	for _, name := range []string{"username", "password", "token"} {
		switch needed := slices.Contains(needs, name); {
		case needed && !have.has(name):
			p.problem(at.where, "sasl: "+string(c.SASL)+" without "+name, "both", "")
		case !needed && have.has(name) && c.SASL != "": // Else it is its value that is wrong.
			p.problem(have[name], name+" beside sasl: "+string(c.SASL), "a mechanism to which it belongs", "say which with sasl, or remove "+name)
		}
	}
	if !c.TLS && (c.SASL == SASLPlain || c.SASL == SASLOAuthBearer) {
		p.warnings.add(have["sasl"], "sasl: "+string(c.SASL)+" without tls: whoever listens on the way learns the secret")
	}
	if c.SASL == SASLAWSMSKIAM && !c.TLS {
		if have.has("tls") {
			p.problem(have["tls"], "tls: false beside sasl: aws-msk-iam", "tls: true, which MSK demands", "")
		}
		c.TLS = true
	}
}
