package real

import (
	"os"
	"path/filepath"
	"strings"
)

// A process with a disk buffer is killed before it has committed anything. What Kafka hands over once more
// is on the disk already, or was delivered, and a file knows no ids: it has every record twice, and the
// balance says of just as many that they may be there twice.
func tellKilledWithDisk(s *story) {
	const records = 1000
	s.broker.CreateTopic(s.T, "refetched", 1, nil)
	s.produce("refetched", counting(1, records)...)
	const config = `memory: 64m
sources:
  orders: {type: kafka, brokers: "$BROKER", topics: refetched, group: GROUP, session-timeout: 3s, commit-interval: 1h}
sinks:
  kept: {type: file, path: "GROUP/kept.log"}
routes:
  - {match: "**", to: kept, mode: spill, durability: kernel}
`
	for _, group := range []string{"delivered", "waiting"} {
		dir := s.dir
		s.dir = filepath.Join(dir, group)
		if err := mkdir(s.dir); err != nil {
			s.Fatal(err)
		}
		s.configure(strings.ReplaceAll(config, "GROUP", group))
		inTheWay := filepath.Join(s.dir, group)
		if group == "waiting" {
			writeFile(s.T, inTheWay, "no directory")
		}
		s.start()
		await(s, "all are received", func() (storyStatus, bool) {
			p := s.status()
			return p, p.Received == records && (p.Pending == 0 || group == "waiting")
		})
		if err := s.run.cmd.Process.Kill(); err != nil {
			s.Fatal(err)
		}
		<-s.run.ended
		if group == "waiting" {
			if err := os.Remove(inTheWay); err != nil {
				s.Fatal(err)
			}
		}
		s.start()
		p := s.settles(records)
		if p.Unaccounted != 0 || p.Delivered != records+p.Recovered || p.DeadLettered != 0 {
			s.Errorf("%s: %+v", group, p)
		}
		// What was in a request when the process was killed may be there once more than we know.
		lines := int64(s.lines(filepath.Join(group, "kept.log")))
		if twice := lines - records; p.PossibleDuplicates < twice || twice < records {
			s.Errorf("%s: the file has %d lines of %d records, and %d may be there twice: %+v", group, lines, records, p.PossibleDuplicates, p)
		}
		if b := s.run.stop(); b.Unaccounted != 0 || b.Pending != 0 || b.Dropped != 0 || b.Received != records {
			s.Errorf("%s: %+v", group, b)
		}
		s.dir = dir
	}
}
