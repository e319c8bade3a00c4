package runcatalog

import (
	"fmt"
	"strings"
	"time"

	protocol "github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/catalog"
	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink/file"
	"github.com/spillway/spillway/internal/sink/forward"
)

var compressions = map[runfile.Compression]protocol.Compression{
	runfile.CompressNone: protocol.CompressionNone, runfile.CompressGzip: protocol.CompressionGzip, runfile.CompressZstd: protocol.CompressionZstd,
}

func (s *Surroundings) forwardSink(plan *runfile.ForwardSink) (*catalog.Destination, error) {
	lines := entry.NewLines(plan.TextKey, false)
	o := forward.Options{
		NoAck: !plan.Ack, Compression: compressions[plan.Compress], MaxChunk: int(plan.MaxChunkSize), InFlight: plan.InFlight,
		Connections: plan.Connections, MaxConnectionAge: plan.MaxConnectionAge,
		Lines:        func(*record.Stream) *entry.Lines { return lines },
		LineOverhead: lines.Overhead(), TextKey: plan.TextKey,
	}
	var names []string
	for i := range plan.Servers {
		server, err := s.server(plan, &plan.Servers[i])
		if err != nil {
			return nil, err
		}
		o.Servers = append(o.Servers, server)
		names = append(names, server.Name)
	}
	made, err := forward.New(o)
	if err != nil {
		return nil, err
	}
	return &catalog.Destination{
		Name: "forward " + strings.Join(names, ","), Sink: made, FlushInterval: plan.FlushInterval,
		AttemptTimeout: plan.SendTimeout + plan.AckTimeout + time.Second,
	}, nil
}

func (s *Surroundings) server(plan *runfile.ForwardSink, to *runfile.Server) (forward.Server, error) {
	server := forward.Server{Name: to.Address.String(), Weight: to.Weight, Standby: to.Standby, Dial: protocol.DialOptions{
		Network: "tcp", Address: to.Address.Addr, ConnectTimeout: plan.ConnectTimeout, HandshakeTimeout: plan.HandshakeTimeout,
		WriteTimeout: plan.SendTimeout, AckTimeout: plan.AckTimeout, Window: plan.InFlight,
	}}
	switch to.Address.Network {
	case runfile.Unix:
		server.Dial.Network = "unix"
	case runfile.TLS:
		var err error
		if server.Dial.TLS, err = clientTLS(&plan.ClientTLS); err != nil {
			return server, err
		}
	}
	if !to.SharedKey.Set() && to.Username == "" {
		return server, nil
	}
	name, err := hostname(plan.SelfHostname)
	if err != nil {
		return server, err
	}
	auth := &protocol.Credentials{Hostname: name, Username: to.Username}
	if server.Dial.AllowEmptyKey = !to.SharedKey.Set(); !server.Dial.AllowEmptyKey {
		if auth.SharedKey, err = to.SharedKey.Read(s.Getenv); err != nil {
			return server, err
		}
	}
	if auth.Password, err = to.Password.Read(s.Getenv); err != nil {
		return server, err
	}
	server.Dial.Auth = auth
	return server, nil
}

var fileCompressions = map[runfile.Compression]file.Compression{
	runfile.CompressNone: file.NoCompression, runfile.CompressGzip: file.Gzip, runfile.CompressZstd: file.Zstd,
}

func (s *Surroundings) fileSink(plan *runfile.FileSink) (*catalog.Destination, error) {
	o := file.Options{
		Path: plan.Path, LogKey: plan.LogKey, TextKey: plan.TextKey, TimeKey: plan.TimeKey, TagKey: plan.TagKey,
		MaxSize: plan.MaxSize, RotateEvery: plan.RotateEvery, MaxFile: plan.MaxFile, Compress: fileCompressions[plan.Compress],
		FileMode: plan.FileMode, DirMode: plan.DirMode,
	}
	switch plan.Format {
	case runfile.FormatJSON:
		o.Format = file.JSON
	case runfile.FormatText:
		o.Format = file.Text
	case runfile.FormatOutFile:
		o.Format = file.OutFile
	default:
		return nil, fmt.Errorf("the format %s is not in this version", plan.Format)
	}
	made, err := file.New(o)
	if err != nil {
		return nil, err
	}
	return &catalog.Destination{Name: "file " + plan.Path.String(), Sink: made, FlushInterval: plan.FlushInterval}, nil
}
