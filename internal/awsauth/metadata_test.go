package awsauth

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

const rolePath = "/latest/meta-data/iam/security-credentials/"

// metadataAnswers is a stand-in for the instance metadata service that answers what the test says.
func metadataAnswers(t *testing.T, answers map[string]string) *endpoint {
	t.Helper()
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if r.URL.Path == "/latest/api/token" {
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300")
		}
		// A client that has read enough hangs up, so the write may fail.
		if _, err := io.WriteString(w, answer); err != nil {
			return
		}
	})
	t.Setenv("AWS_EC2_METADATA_DISABLED", "")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", e.URL)
	return e
}

// TestMetadataAnswers checks that each answer becomes one clear line that quotes no key, without retries.
func TestMetadataAnswers(t *testing.T) {
	for name, c := range map[string]struct{ roles, role, want string }{
		"no role":     {"-", "-", "answered HTTP 404"},
		"empty list":  {"", "-", "empty EC2 IMDS role list"},
		"role gone":   {"r", "-", "answered HTTP 404"},
		"refused":     {"r", `{"Code":"AssumeRoleUnauthorizedAccess","Message":"EC2 cannot assume\nthe role"}`, "AssumeRoleUnauthorizedAccess: EC2 cannot assume the role"},
		"null":        {"r", "null", "answered with an error"},
		"number":      {"r", `{"Code":"Success","SecretAccessKey":47114711}`, errNoObject.Error()},
		"date":        {"r", `{"Code":"Success","Expiration":"s3cr3t"}`, errNoObject.Error()},
		"half":        {"r", `{"Code":"Success","SecretAccessKey":"s3cr3t`, "unexpected EOF"},
		"no keys":     {"r", `{"Code":"Success"}`, "holds no access key"},
		"flood":       {"r", strings.Repeat("s3cr3t", 20_000), "longer than 65536 bytes"},
		"page":        {"r", "<html>s3cr3t</html>", errNoObject.Error()},
		"long list":   {strings.Repeat("r", 70_000), "-", "longer than 65536 bytes"},
		"odd in list": {"r\x1b[31m", "-", "answered HTTP 404"},
	} {
		t.Run(name, func(t *testing.T) {
			isolate(t)
			answers := map[string]string{"/latest/api/token": "metadata-t0ken"}
			if c.roles != "-" {
				answers[rolePath] = c.roles
			}
			if c.role != "-" {
				answers[rolePath+"r"] = c.role
			}
			server := metadataAnswers(t, answers)
			_, err := retrieve(t, Options{IMDS: true, HTTPClient: loopbackClient(t)})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want it to say %q", err, c.want)
			}
			for _, secret := range []string{"s3cr3t", "47114711", "t0ken", "\n", "\x1b"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("error shows %q: %v", secret, err)
				}
			}
			if asked := server.asked.Load(); asked > 3 {
				t.Errorf("asked %d times, want each of the three paths once at most", asked)
			}
		})
	}
}

// TestMetadataVersion1 checks the switch that forbids the service's first version, which needs no token.
func TestMetadataVersion1(t *testing.T) {
	for _, disabled := range []bool{false, true} {
		t.Run(fmt.Sprintf("disabled=%t", disabled), func(t *testing.T) {
			isolate(t)
			metadataAnswers(t, map[string]string{
				rolePath: "r", rolePath + "r": `{"Code":"Success","AccessKeyId":"V1","SecretAccessKey":"s","Expiration":"2099-01-01T00:00:00Z"}`,
			})
			t.Setenv("AWS_EC2_METADATA_V1_DISABLED", fmt.Sprint(disabled))
			got, err := retrieve(t, Options{IMDS: true, HTTPClient: loopbackClient(t)})
			if (got == "V1") == disabled || (err != nil) != disabled {
				t.Errorf("credentials of %q, %v", got, err)
			}
		})
	}
}

func TestMetadataRegionFails(t *testing.T) {
	for body, want := range map[string]string{`{"region":47114711}`: errNoObject.Error(), `{}`: "region value", `null`: "region value"} {
		isolate(t)
		metadataAnswers(t, map[string]string{"/latest/dynamic/instance-identity/document": body})
		_, err := Region(t.Context(), Options{IMDS: true, HTTPClient: loopbackClient(t)})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "47114711") {
			t.Errorf("%s: error %v, want it to say %q", body, err, want)
		}
	}
}

// FuzzMetadataAnswer feeds any answers to the metadata decoders: they must not panic, and an error is one short line.
func FuzzMetadataAnswer(f *testing.F) {
	f.Add(200, []byte(`{"Code":"Success","AccessKeyId":"k","SecretAccessKey":"s","region":"eu-west-1"}`))
	f.Add(200, []byte(`null`))
	f.Add(503, []byte(``))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 200 || status > 599 {
			status = http.StatusOK
		}
		t.Setenv("AWS_EC2_METADATA_DISABLED", "")
		o := Options{IMDS: true, HTTPClient: &http.Client{Transport: answering{status, "text/plain", body}, CheckRedirect: noRedirect}}
		_, credsErr := metadataPlace(o).fetch(t.Context())
		_, regionErr := metadataRegion(t.Context(), o)
		for _, err := range []error{credsErr, regionErr} {
			if err != nil && (strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > maxAnswerText+100) {
				t.Errorf("error is not one short line: %q", err)
			}
		}
	})
}
