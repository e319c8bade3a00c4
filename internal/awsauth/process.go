package awsauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// ProcessDocument is what `spillway aws-credentials` prints: the JSON object of a credential process, version 1
// (https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html), and three keys of ours that other
// readers pass over. When there are no credentials the program prints an object without keys and ends with status 1.
type ProcessDocument struct {
	Version         int
	AccessKeyID     string     `json:"AccessKeyId,omitempty"`
	SecretAccessKey string     `json:",omitempty"`
	SessionToken    string     `json:",omitempty"`
	Expiration      *time.Time `json:",omitempty"`
	AccountID       string     `json:"AccountId,omitempty"`

	// Region is the profile's, if it has one.
	Region string `json:",omitempty"`

	// NotConfigured says that there is no profile, or none with credentials.
	NotConfigured bool `json:",omitempty"`

	// Reason says why there are no credentials. It holds nothing secret.
	Reason string `json:",omitempty"`
}

// NewProcessDocument says what became of a search for credentials and a region; err is nil if there are credentials.
func NewProcessDocument(creds aws.Credentials, region string, err error) ProcessDocument {
	d := ProcessDocument{Version: 1, Region: region}
	if err != nil {
		d.NotConfigured = errors.Is(err, ErrNotConfigured)
		d.Reason = err.Error()
		return d
	}
	d.AccessKeyID, d.SecretAccessKey, d.SessionToken = creds.AccessKeyID, creds.SecretAccessKey, creds.SessionToken
	d.AccountID = creds.AccountID
	if creds.CanExpire {
		ends := creds.Expires.UTC()
		d.Expiration = &ends
	}
	return d
}

// Format prints the document without its keys.
func (d ProcessDocument) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "{version:%d keys:%t region:%s}", d.Version, d.AccessKeyID != "", d.Region)
}

var errNoDocument = errors.New("it printed no credential process object of version 1")

// parseProcessDocument reads what a program printed. Its errors quote nothing of that, because it may be the keys.
func parseProcessDocument(text []byte) (ProcessDocument, error) {
	var d ProcessDocument
	if err := json.Unmarshal(text, &d); err != nil || d.Version != 1 {
		return ProcessDocument{}, errNoDocument
	}
	return d, nil
}

// credentials gives the keys of the document, or the reason why it has none.
func (d ProcessDocument) credentials() (aws.Credentials, error) {
	switch {
	case d.NotConfigured:
		return aws.Credentials{}, notConfigured(d.Reason)
	case d.Reason != "":
		return aws.Credentials{}, errors.New(printable(d.Reason))
	case d.AccessKeyID == "" || d.SecretAccessKey == "":
		return aws.Credentials{}, errors.New("it printed an object without keys")
	}
	creds := aws.Credentials{
		AccessKeyID: d.AccessKeyID, SecretAccessKey: d.SecretAccessKey, SessionToken: d.SessionToken,
		AccountID: d.AccountID, Source: "profile",
	}
	if d.Expiration != nil {
		creds.CanExpire, creds.Expires = true, *d.Expiration
	}
	return creds, nil
}
