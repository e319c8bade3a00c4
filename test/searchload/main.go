// Command searchload sends ready-made bulk requests to a node of Elasticsearch, as
// fast as it answers them: it is what a sender reaches that has nothing to do. It
// knows nothing of what is measured beside it, and shares no code with it.
//
// Each request is the same body: actions with an index and an id of 24 bytes, and
// documents of --size bytes. Requests of one connection follow each other. In the end it
// prints one JSON object: what was sent, by the bytes of its documents, and taken.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// sent is what is reported.
type sent struct {
	Requests int64     `json:"requests"`
	Records  int64     `json:"records"`
	Bytes    int64     `json:"bytes"` // of documents
	Begin    time.Time `json:"begin"`
	Seconds  float64   `json:"seconds"` // from the first request to the last answer
}

// load is what to send.
type load struct {
	to                         string
	connections, records, size int
	bytes                      int64
}

func main() {
	report, err := run(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(report)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "searchload:", err)
		os.Exit(1)
	}
}

func run(args []string) (*sent, error) {
	var l load
	f := flag.NewFlagSet("searchload", flag.ContinueOnError)
	f.StringVar(&l.to, "to", "", "URL of the node")
	f.IntVar(&l.connections, "connections", 2, "connections")
	f.IntVar(&l.records, "records", 4000, "records in a request")
	f.IntVar(&l.size, "size", 250, "bytes of a document")
	f.Int64Var(&l.bytes, "bytes", 1e9, "bytes of documents to send")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	body := l.body()
	requests := l.bytes / int64(l.records*l.size)
	report := &sent{Requests: requests, Records: requests * int64(l.records), Bytes: requests * int64(l.records*l.size), Begin: time.Now()}
	client := &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: l.connections, DisableCompression: true, WriteBufferSize: 256 << 10, ReadBufferSize: 64 << 10,
	}}
	errs := make([]error, l.connections)
	var all sync.WaitGroup
	for i := range l.connections {
		n := requests / int64(l.connections)
		if int64(i) < requests%int64(l.connections) {
			n++
		}
		all.Go(func() {
			for ; n > 0 && errs[i] == nil; n-- {
				errs[i] = l.send(client, body)
			}
		})
	}
	all.Wait()
	report.Seconds = time.Since(report.Begin).Seconds()
	client.CloseIdleConnections()
	return report, errors.Join(errs...)
}

func (l *load) body() []byte {
	head, tail := `{"container_name":"/bench","source":"stdout","log":"`, `","@timestamp":"2025-05-01T00:00:00.000000000Z"}`
	var log strings.Builder
	for i := range l.size - len(head) - len(tail) {
		log.WriteByte('a' + byte(i*7%26))
	}
	var b bytes.Buffer
	for i := range l.records {
		fmt.Fprintf(&b, `{"create":{"_index":"bench","_id":"%024d"}}`+"\n%s%s%s\n", i, head, log.String(), tail)
	}
	return b.Bytes()
}

// send sends the body and reads the answer.
func (l *load) send(client *http.Client, body []byte) error {
	request, err := http.NewRequest(http.MethodPost, l.to+"/_bulk?filter_path=errors,error,status,items.*.status,items.*.error", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(response.Body)
	err = errors.Join(err, response.Body.Close())
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || !bytes.Contains(answer, []byte(`"errors":false`)) {
		return fmt.Errorf("a request was answered %s: %.200s", response.Status, answer)
	}
	return nil
}
