package main

import (
	"path/filepath"
	"strings"

	"github.com/spillway/spillway/test/launcher"
)

// peer is who is measured: a logger, or the disk alone.
type peer string

const (
	spillway peer = "spillway"
	docker   peer = "docker"
	bare     peer = "bare file"
)

// spec says how the peer is started for a row: with the same destination and the same options. Spillway's environment
// holds what containerd sets and nothing else; Docker's driver gets its credentials there, as a daemon would.
func (p peer) spec(r row, binaries, stateDir, url string, seed uint64) launcher.Spec {
	args := append([]launcher.Arg{
		{Key: "--awslogs-group", Value: "bench"},
		{Key: "--awslogs-stream", Value: "bench"},
		{Key: "--awslogs-region", Value: "us-east-1"},
		{Key: "--awslogs-endpoint", Value: url},
		{Key: "--awslogs-create-group", Value: "true"},
	}, r.both...)
	if p == docker {
		for i, a := range args {
			args[i] = launcher.Arg{Key: "--log-opt", Value: strings.TrimPrefix(a.Key, "--") + "=" + a.Value}
		}
		return launcher.Spec{
			Binary: filepath.Join(binaries, "dockerlogs"), Args: args, Seed: seed, CaptureStderr: true,
			ExtraEnv: []string{"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=example", "AWS_EC2_METADATA_DISABLED=true"},
		}
	}
	args = append(args, r.spillway...)
	args = append(args,
		launcher.Arg{Key: "--log-driver", Value: "awslogs"},
		launcher.Arg{Key: "--container-id", Value: "bench"},
		launcher.Arg{Key: "--container-name", Value: "bench"},
		launcher.Arg{Key: "--awslogs-credentials-endpoint", Value: url + "/credentials"},
		launcher.Arg{Key: "--config", Value: filepath.Join(stateDir, "node.yaml")},
		launcher.Arg{Key: "--state-dir", Value: stateDir})
	return launcher.Spec{
		Binary: filepath.Join(binaries, "spillway-shim"), Args: args, Seed: seed, CaptureStderr: true, StateDir: stateDir,
	}
}
