package runfile

import "github.com/spillway/spillway/internal/config/setting"

// ClientTLS is how a client shows and checks certificates, for all that connect.
type ClientTLS struct {
	CAFile             string // "" trusts the system's
	CertFile, KeyFile  string // the client's certificate; "" has none
	ServerName         string // to verify; "" means the host of the address
	InsecureSkipVerify bool
}

// files are those that a run must be able to read; empty names are not set.
func (c *ClientTLS) files() []string { return []string{c.CAFile, c.CertFile, c.KeyFile} }

// clientTLSNames are the options of ClientTLS.
var clientTLSNames = []string{"tls-ca-file", "tls-cert-file", "tls-key-file", "tls-server-name", "tls-insecure-skip-verify"}

// clientTLSRows are its options; servers is what those are called to whom one connects.
func clientTLSRows[T any](servers string, c func(*T) *ClientTLS) []row[T] {
	return []row[T]{
		{Option: Option{Name: "tls-ca-file", Takes: "path", Help: "Names the certificates to trust in place of the system's."},
			set: path(func(t *T) *string { return &c(t).CAFile })},
		{Option: Option{Name: "tls-cert-file", Takes: "path", Help: "Names a certificate to show to " + servers + "."},
			set: path(func(t *T) *string { return &c(t).CertFile })},
		{Option: Option{Name: "tls-key-file", Takes: "path", Help: "Names the key of that certificate."},
			set: path(func(t *T) *string { return &c(t).KeyFile })},
		{Option: Option{Name: "tls-server-name", Help: "Is the name that the certificates of " + servers + " must have; unset means the host of the address."},
			set: text(func(t *T) *string { return &c(t).ServerName })},
		{Option: Option{Name: "tls-insecure-skip-verify", Kind: setting.Bool, Default: "false", Help: "Takes any certificate, whoever shows it."},
			set: flag(func(t *T) *bool { return &c(t).InsecureSkipVerify })},
	}
}

// clientTLS checks what its options say together. Whether there is a connection with TLS
// at all is the caller's to know.
func (p *parser) clientTLS(c *ClientTLS, have given, consequence string) {
	p.bothOrNone(have, "tls-cert-file", "tls-key-file")
	if c.InsecureSkipVerify {
		p.warnings.add(have["tls-insecure-skip-verify"], "tls-insecure-skip-verify takes any certificate: whoever answers "+consequence)
	}
}

// bothOrNone asks for two options that say something only together.
func (p *parser) bothOrNone(have given, one, other string) {
	if have.has(one) != have.has(other) {
		_, where, _ := have.any(one, other)
		p.problem(where, either(have.has(one), one, other), "both or none", "")
	}
}

// either says which of two is there without the other.
func either(first bool, one, other string) string {
	if first {
		return one + " without " + other
	}
	return other + " without " + one
}
