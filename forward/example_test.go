package forward_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/spillway/spillway/forward"
)

// fluentd stands for a server that acknowledges every chunk, and counts. The
// function that it returns ends it.
func fluentd() (address string, stop func() (records int64)) {
	var records atomic.Int64
	server, err := forward.NewServer(forward.ServerConfig{
		Receiver: forward.ReceiverFunc(func(r *forward.Received, done func(ok bool)) {
			records.Add(int64(r.Count))
			done(true)
		}),
	})
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	ended := make(chan error)
	go func() { ended <- server.Serve(listener) }()
	return listener.Addr().String(), func() int64 {
		if err := server.Close(context.Background()); err != nil {
			panic(err)
		}
		if err := <-ended; !errors.Is(err, forward.ErrServerClosed) {
			panic(err)
		}
		return records.Load()
	}
}

// A client for one fluentd, without acknowledged losses: what Close could not
// deliver it hands back.
func Example() {
	address, stop := fluentd()
	client, err := forward.NewClient(forward.ClientOptions{
		Servers: forward.Endpoints(address),
	})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	for i := range 1000 {
		if err := client.Post(ctx, "app.access", time.Now(), map[string]any{"path": "/", "status": 200, "n": i}); err != nil {
			panic(err)
		}
	}
	closing, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := client.Close(closing); err != nil {
		var left *forward.UndeliveredError
		if errors.As(err, &left) {
			fmt.Println(left.Left.Records, "records were not delivered") // left.Chunks has them
		}
	}
	stats := client.Stats()
	fmt.Println("accepted", stats.Accepted.Records, "acknowledged", stats.Acked.Records, "received", stop())
	// Output: accepted 1000 acknowledged 1000 received 1000
}

// The log/slog package through a client.
func ExampleNewHandler() {
	address, stop := fluentd()
	client, err := forward.NewClient(forward.ClientOptions{
		Servers:  forward.Endpoints(address),
		WhenFull: forward.DropOldest, // a log call never waits
	})
	if err != nil {
		panic(err)
	}
	log := slog.New(forward.NewHandler(client, "app.log", nil))
	log.Info("started", "pid", os.Getpid())
	log.With("user", "ada").Warn("slow", slog.Group("query", "rows", 17, "took", time.Second))
	if err := client.Close(context.Background()); err != nil {
		panic(err)
	}
	fmt.Println("received", stop())
	// Output: received 2
}

// For programs of fluent-logger-golang: the same methods, on a client.
func ExampleNewLogger() {
	address, stop := fluentd()
	client, err := forward.NewClient(forward.ClientOptions{
		Servers: forward.Endpoints(address),
	})
	if err != nil {
		panic(err)
	}
	logger := forward.NewLogger(client, forward.LoggerOptions{TagPrefix: "app"})
	if err := logger.Post("access", map[string]string{"path": "/"}); err != nil {
		panic(err)
	}
	if err := logger.Close(); err != nil {
		panic(err)
	}
	fmt.Println("received", stop())
	// Output: received 1
}

// Two servers share the work, the first with twice as much of it, and a third takes
// the place of one that is away. All want a user and a shared key, and the records go
// through TLS.
func ExampleClientOptions() {
	secure := &tls.Config{} // the system's roots; Certificates has the client's own, for mutual TLS
	auth := &forward.Credentials{SharedKey: "from a file or the environment", Username: "app", Password: "likewise"}
	at := func(address string) forward.DialOptions {
		return forward.DialOptions{Address: address, TLS: secure, Auth: auth}
	}
	client, err := forward.NewClient(forward.ClientOptions{
		Servers: []forward.Endpoint{
			{DialOptions: at("logs-1.example.org:24224"), Weight: 120},
			{DialOptions: at("logs-2.example.org:24224"), Weight: 60},
			{DialOptions: at("logs-3.example.org:24224"), Standby: true},
			// One on this host would be {DialOptions: forward.DialOptions{Network: "unix", Address: "/run/fluent.sock"}}.
		},
		ConnectionAge: 10 * time.Minute, // follows the names also while the connections work
		Compression:   forward.CompressionZstd,
		BufferBytes:   16 << 20,
		WhenFull:      forward.DropNewest, // Post then returns ErrBufferFull
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(client.BufferedBytes(), "bytes waiting")
	if err := client.Close(context.Background()); err != nil {
		panic(err)
	}
	// Output: 0 bytes waiting
}

// A connection by itself, for those who buffer and retry on their own.
func ExampleConn() {
	address, stop := fluentd()
	conn, err := forward.Dial(context.Background(), forward.DialOptions{Address: address})
	if err != nil {
		panic(err)
	}
	entry := forward.AppendTime([]byte{0x92}, time.Now())
	entry, err = forward.AppendRecord(entry, map[string]string{"log": "a line"})
	if err != nil {
		panic(err)
	}
	err = conn.Deliver(context.Background(), &forward.OutChunk{Tag: "app", Entries: [][]byte{entry}, Records: 1, ID: "chunk-1"})
	var sending *forward.SendError
	if errors.As(err, &sending) {
		fmt.Println("not acknowledged; it may have arrived:", sending.Unsure)
	}
	if err := conn.Close(); err != nil {
		panic(err)
	}
	fmt.Println("received", stop())
	// Output: received 1
}
