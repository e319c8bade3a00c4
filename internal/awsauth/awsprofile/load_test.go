package awsprofile

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/spillway/spillway/internal/awsauth"
)

// TestAuthorities checks that ca-file adds to the system's authorities, whatever AWS_CA_BUNDLE says, which replaces them.
func TestAuthorities(t *testing.T) {
	isolate(t)
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	trusted := func(o awsauth.Options) *x509.CertPool {
		t.Helper()
		loaded, err := load(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return loaded.HTTPClient.(*awshttp.BuildableClient).GetTransport().TLSClientConfig.RootCAs
	}
	beside, err := x509.SystemCertPool()
	if err != nil {
		t.Fatal(err)
	}
	if beside.Equal(x509.NewCertPool()) {
		t.Skip("not run: this system has no authorities")
	}
	beside.AddCert(server.Certificate())
	if got := trusted(awsauth.Options{CAFile: file}); !got.Equal(beside) {
		t.Error("ca-file gives other authorities than the system's and its own")
	}
	t.Setenv("AWS_CA_BUNDLE", file)
	alone := x509.NewCertPool()
	alone.AddCert(server.Certificate())
	if got := trusted(awsauth.Options{}); !got.Equal(alone) {
		t.Error("AWS_CA_BUNDLE gives other authorities than its own")
	}
	t.Setenv("AWS_CA_BUNDLE", filepath.Join(t.TempDir(), "missing.pem"))
	if got := trusted(awsauth.Options{CAFile: file}); !got.Equal(beside) {
		t.Error("beside AWS_CA_BUNDLE ca-file gives other authorities than the system's and its own")
	}
}
