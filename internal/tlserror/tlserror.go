// Package tlserror says in words what a failed handshake of TLS means to those who
// configure a client: what to write where. It knows no destination; its callers name
// the other side.
package tlserror

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
)

// Explain says what is wrong between us and the other side, which is called who, such
// as "the broker 10.0.0.7:9092"; what to do stands before the library's words. Where
// err is not about TLS it is nil.
func Explain(who string, err error) error {
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &name):
		return fmt.Errorf("%s has a certificate for another name; give that name with tls-server-name, or the certificate this one: %w", who, err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("%s has a certificate that does not hold now; have it renewed, or look at the clock: %w", who, err)
	case untrusted(err):
		return fmt.Errorf("%s has a certificate that is not trusted; name its authority with tls-ca-file: %w", who, err)
	case alerts(err, "handshake failure"): // Of TLS 1.2, which has no alert for a certificate that is missing.
		return fmt.Errorf("%s refuses the handshake; where it wants a certificate, name one with tls-cert-file and tls-key-file: %w", who, err)
	case refused(err):
		return fmt.Errorf("%s refuses our certificate, or that we show none; name one that it trusts with tls-cert-file and tls-key-file: %w", who, err)
	case plain(err):
		return fmt.Errorf("%s does not speak TLS at this port; take the port that does, or no TLS: %w", who, err)
	}
	return nil
}

// OfCertificate reports whether a certificate was refused, theirs or ours: nothing goes
// on before somebody acts.
func OfCertificate(err error) bool { return untrusted(err) || refused(err) }

func untrusted(err error) bool {
	var verification *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &verification) || errors.As(err, &unknown) || errors.As(err, &name) || errors.As(err, &invalid)
}

// refused reports that the other side ended the handshake because of our certificate.
func refused(err error) bool {
	return alerts(err, "certificate") || alerts(err, "access denied") || alerts(err, "handshake failure")
}

// alerts reports that the other side has sent an alert (RFC 8446, section 6.2) of which
// the library's text has these words; it has no other way to tell them apart.
func alerts(err error, words string) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error" && op.Err != nil && strings.Contains(op.Err.Error(), words)
}

// plain reports that the other side answers without TLS.
func plain(err error) bool {
	var header tls.RecordHeaderError
	return errors.As(err, &header) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}
