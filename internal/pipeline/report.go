package pipeline

import (
	"os"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/deliver"
	"github.com/spillway/spillway/internal/ledger"
)

// Identity says whose pipeline it is, in reports.
type Identity struct {
	// Program is spillway or spillway-shim.
	Program string `json:"program"`
	// Container and Namespace are containerd's, where there is a container.
	Container string `json:"container_id,omitempty"`
	Name      string `json:"container_name,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	// Destination is what the log calls it, such as awslogs group/stream.
	Destination string `json:"destination"`
	Mode        string `json:"mode"`
}

// Report is how a pipeline does: its balance, under the same keys as everywhere,
// and what explains it. A process's exit line is its last report.
type Report struct {
	Time time.Time `json:"time"`
	PID  int       `json:"pid"`
	Identity
	ledger.Balance
	Buffer buffer.State   `json:"buffer"`
	Health deliver.Health `json:"health"`
}

// Report returns how the pipeline does now.
func (p *Pipeline) Report(who Identity) Report {
	report := Report{
		Time: time.Now().UTC(), PID: os.Getpid(), Identity: who,
		Balance: p.buffer.Balance(), Buffer: p.buffer.State(), Health: p.deliver.Health(),
	}
	// What was found out as documents were made is of no stream.
	report.InvalidUTF8 += report.Health.Replaced
	return report
}
