package awsauth

import (
	"bytes"
	"io"
	"net/http"
)

// nodeClient asks the services that give a node its credentials. It bounds what it reads of an answer, which the SDK's
// decoders do not.
type nodeClient struct {
	client *http.Client

	// wantObject keeps answers that are not a JSON object from the decoders of the SDK's container provider, which
	// dereference a nil pointer when the answer is the word null: a success is refused, an error passed on as text.
	wantObject bool
}

// newNodeClient uses the client of the options, or makes one that keeps no connection: credentials are fetched about
// once an hour. It is for requests to URLs of the given scheme.
func newNodeClient(o Options, scheme string) (*nodeClient, error) {
	if o.HTTPClient != nil {
		return &nodeClient{client: o.HTTPClient}, nil
	}
	transport, err := newTransport(o)
	if err != nil {
		return nil, err
	}
	if scheme == "https" {
		if err := trust(transport, o); err != nil {
			return nil, err
		}
	}
	transport.DisableKeepAlives = true
	return &nodeClient{client: &http.Client{Transport: transport, CheckRedirect: noRedirect}}, nil
}

// Do sends one request and reads its whole answer, of at most maxAnswerBytes.
func (c *nodeClient) Do(request *http.Request) (*http.Response, error) {
	answer, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(http.MaxBytesReader(nil, answer.Body, maxAnswerBytes))
	if err != nil {
		return nil, err
	}
	if c.wantObject && !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		if answer.StatusCode/100 == 2 {
			return nil, errNoObject
		}
		answer.Header.Set("Content-Type", "text/plain")
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, nil
}
