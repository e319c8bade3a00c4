package runcatalog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	protocol "github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/ecs"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/route"
	"github.com/spillway/spillway/internal/run"
	"github.com/spillway/spillway/internal/source/forward"
	"github.com/spillway/spillway/internal/source/seen"
	"github.com/spillway/spillway/internal/source/stdin"
	"github.com/spillway/spillway/internal/statedir"
)

// OpenSource makes a source and opens what it listens on. It takes nothing before
// its Start.
func (s *Surroundings) OpenSource(plan *runfile.Source, o run.SourceOptions) (run.Source, error) {
	var made run.Source
	var err error
	switch {
	case plan.Forward != nil:
		made, err = s.forwardSource(plan, o)
	case plan.Stdin != nil:
		made, err = stdinSource(plan.Stdin, o)
	case plan.Kafka != nil:
		made, err = s.kafkaSource(plan, o)
	default:
		err = fmt.Errorf("sources of type %s are not in this version", plan.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: open the source %q: %w", plan.Where, plan.Name, err)
	}
	return made, nil
}

// forwardSource is a source of the forward protocol, as a run sees it.
type forwardSource struct {
	*forward.Source
	reporter *reporter
	share    func(memory int64) int64 // what its server has of what it has
	asking   *asking                  // nil where ECS is not asked
}

// Close implements run.Source.
func (f forwardSource) Close() error {
	f.asking.stop()
	return f.Source.Close()
}

// Resize implements run.Resizer.
func (f forwardSource) Resize(memory int64) { f.Source.Resize(f.share(memory)) }

// Done implements run.Source.
func (forwardSource) Done() <-chan struct{} { return nil }

// Status implements run.Source.
func (f forwardSource) Status() run.SourceStatus {
	c := f.Counts()
	st := run.SourceStatus{RecordsIn: c.Records, BytesIn: c.Bytes, Waiting: c.Parts.Waiting, Detail: c}
	st.Now = fmt.Sprintf("connections: %d, chunks not answered yet: %d", c.Server.Connections, c.UnderWay)
	if st.Trouble, st.Since = f.asking.wrong(); st.Trouble == "" {
		st.Trouble = c.Trouble
	}
	st.LastError, st.LastErrorAt = f.reporter.lastError()
	return st
}

// acks are what the file calls the levels.
var acks = map[runfile.Ack]record.Level{
	runfile.AckUnset: route.AsRoute, runfile.AckMemory: record.LevelMemory, runfile.AckKernel: record.LevelKernel,
	runfile.AckPower: record.LevelPower, runfile.AckDelivered: record.LevelDelivered,
}

func (s *Surroundings) forwardSource(plan *runfile.Source, o run.SourceOptions) (run.Source, error) {
	p, reports := plan.Forward, newReporter(s.Log, plan.Name)
	cfg := forward.Config{
		Name: plan.Name, SocketMode: p.SocketMode, Allow: p.Allow, UDPHeartbeat: p.UDPHeartbeat,
		Tag: p.Tag, AddTagPrefix: p.AddTagPrefix, AddressKey: p.SourceAddressKey, HostnameKey: p.SourceHostnameKey,
		JoinPartials: p.JoinPartials, Router: o.Router, Level: acks[p.Ack], RememberChunks: p.RememberChunks,
		Report: reports.report,
	}
	for _, a := range p.Listen {
		cfg.Listen = append(cfg.Listen, forward.Address{Network: string(a.Network), Addr: a.Addr})
	}
	cfg.Durable = func(tag string) record.Level {
		level := o.Router.Level(tag)
		if level == record.LevelDelivered || cfg.Level == route.AsRoute {
			return level
		}
		return cfg.Level
	}
	if before, ok := o.Instead.(forwardSource); ok {
		cfg.Instead = before.Source
	}
	var err error
	if cfg.Server, err = s.serverConfig(p, o.Memory); err != nil {
		return nil, err
	}
	if cfg.TLS, err = serverTLS(p); err != nil {
		return nil, err
	}
	if err := s.files(&cfg, p); err != nil {
		return nil, err
	}
	var asks *asking
	if base := s.Getenv(ecs.Variable); p.ECSMetadata && base != "" {
		asks = &asking{ask: func(ctx context.Context) (ecs.Task, error) { return ecs.Ask(ctx, base) }}
		cfg.Fields = asks.first()
	}
	made, note, err := forward.New(cfg)
	if err != nil {
		return nil, err
	}
	if text, _ := asks.wrong(); text != "" {
		s.Log.Warn(text, "source", plan.Name)
		asks.goOn(func(f [][2]string) {
			made.SetFields(f)
			s.Log.Info("records get the fields of their ECS task from now on", "source", plan.Name)
		})
	}
	if note != "" {
		s.Log.Warn(note, "source", plan.Name)
	}
	share := func(memory int64) int64 { return serverShare(p, memory) }
	return forwardSource{made, reports, share, asks}, nil
}

// files says where the source keeps what it keeps.
func (s *Surroundings) files(cfg *forward.Config, p *runfile.ForwardSource) error {
	if s.StateDir == "" {
		return nil
	}
	for _, name := range []string{statedir.Chunks, statedir.Spool, statedir.Parts} {
		if err := os.Mkdir(filepath.Join(s.StateDir, name), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make a directory for what is received: %w", err)
		}
	}
	cfg.ChunksFile = filepath.Join(s.StateDir, statedir.Chunks, statedir.Hash(cfg.Name))
	cfg.PartsDir = filepath.Join(s.StateDir, statedir.Parts, statedir.Hash(cfg.Name))
	cfg.Server.Spool = protocol.NewDirSpool(filepath.Join(s.StateDir, statedir.Spool), spooledMessages*p.MaxSpoolSize)
	return nil
}

// spooledMessages is how many messages of the largest size may be put aside at
// once.
const spooledMessages = 4

// leastServer is the least that a source receives in, in bytes.
const leastServer = 4 << 20

// serverShare is what the server of a source has of the source's memory; the rest is for
// chunks to be remembered.
func serverShare(p *runfile.ForwardSource, memory int64) int64 {
	return max(memory-int64(p.RememberChunks)*seen.PerKey, leastServer)
}

func (s *Surroundings) serverConfig(p *runfile.ForwardSource, memory int64) (protocol.ServerConfig, error) {
	c := protocol.ServerConfig{
		Limits: protocol.Limits{Message: p.MaxMessageSize, Decompressed: p.MaxDecompressedSize},
		Memory: serverShare(p, memory), MaxSpooled: p.MaxSpoolSize,
		MaxConnections: p.MaxConnections, HandshakeTimeout: p.HandshakeTimeout, StallTimeout: p.MessageTimeout, WriteTimeout: p.SendTimeout,
	}
	if !p.SharedKey.Set() && len(p.Users) == 0 {
		return c, nil
	}
	name, err := hostname(p.SelfHostname)
	if err != nil {
		return c, err
	}
	c.Security = &protocol.Security{Hostname: name}
	if p.SharedKey.Set() {
		if c.Security.SharedKey, err = p.SharedKey.Read(s.Getenv); err != nil {
			return c, err
		}
	}
	for _, u := range p.Users {
		if c.Security.Users == nil {
			c.Security.Users = make(map[string]string)
		}
		if c.Security.Users[u.Name], err = u.Password.Read(s.Getenv); err != nil {
			return c, err
		}
	}
	return c, nil
}

// stdinRun is standard input, as a run sees it.
type stdinRun struct{ *stdin.Source }

// Status implements run.Source.
func (r stdinRun) Status() run.SourceStatus {
	records, size, invalid := r.Counts()
	return run.SourceStatus{RecordsIn: records, BytesIn: size, Detail: map[string]int64{"invalid": invalid}}
}

func stdinSource(p *runfile.StdinSource, o run.SourceOptions) (run.Source, error) {
	fd, err := stdin.Open()
	if err != nil {
		return nil, err
	}
	cfg := stdin.Config{Tag: p.Tag, JSON: p.Format == runfile.StdinJSON, Router: o.Router}
	if before, ok := o.Instead.(stdinRun); ok {
		cfg.Instead = before.Source
	}
	made, err := stdin.New(fd, cfg)
	if err != nil {
		return nil, err
	}
	return stdinRun{made}, nil
}
