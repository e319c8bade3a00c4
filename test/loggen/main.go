// Command loggen writes numbered lines like those of a web server's access log, for the tests and the benchmarks.
//
// Every line is different, of exactly --size bytes, and carries its number, so that whoever receives the lines can
// tell loss, duplicates and disorder apart. The text shrinks about four times under zstd at its fastest level in
// blocks of 64 KiB, as real access logs do, so that a program that compresses gains here what it would gain in use.
// All lines are made before the first write; between two writes only the numbers are patched in.
//
// It refuses what it could not do exactly: a size too small for its number, a burst without a rate, an endless run.
// The tests start it as the application whose output is collected, directly or inside a container, and read the
// --report: how long its writes took is how long the application was held up.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"time"
)

// Exit codes: everything was written; a write or the report failed; the command line was wrong.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	os.Exit(mainExit(os.Args[1:], os.Stderr))
}

// mainExit runs the program and returns its exit code. Messages go to stderr, except where the lines go there.
func mainExit(args []string, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitDone
	}
	if err != nil {
		fmt.Fprintf(stderr, "loggen: %v\n", err)
		return exitUsage
	}
	out, err := openOutput(o.fd)
	if err != nil {
		fmt.Fprintf(stderr, "loggen: %v\n", err)
		return exitFailed
	}
	result, runErr := run(o.plan, newRing(o.plan), out)
	if err := errors.Join(runErr, result.save(o.report)); err != nil {
		fmt.Fprintf(stderr, "loggen: %v\n", err)
		return exitFailed
	}
	return exitDone
}

// options is the checked command line.
type options struct {
	plan   plan
	fd     int
	report string
}

// plan says what is written and when. Bytes are payload everywhere: the newline of a line is not counted.
type plan struct {
	prefix        string
	size          int           // Bytes of a line.
	start         int64         // Number of the first line.
	lines         int64         // Lines to write at most.
	linesPerWrite int           // Whole lines in one write.
	rate          int64         // Payload bytes a second; 0 is as fast as the reader takes them.
	burst         bool          // Each second's lines at once at its start.
	duration      time.Duration // Without a rate: no write starts after it.
}

// digits is the width of a line's number; maxNumber is the first number that does not fit.
const (
	digits    = 12
	maxNumber = int64(1e12)
)

// parseOptions reads the command line and checks everything that can be checked before the first write.
func parseOptions(args []string, stderr io.Writer) (options, error) {
	o := options{plan: plan{lines: math.MaxInt64}}
	p := &o.plan
	var total, writeSize, rate byteSize
	f := flag.NewFlagSet("loggen", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&p.size, "size", 250, "bytes of a line, prefix and number included, newline not (at least 16)")
	f.Int64Var(&p.lines, "lines", 0, "lines to write")
	f.Var(&total, "bytes", "payload to write, for example 1GB, rounded down to whole lines")
	f.DurationVar(&p.duration, "duration", 0, "with --rate how much is written, for example 30s worth; without, when writing stops")
	f.Var(&writeSize, "write-size", "largest write, for example 64k, of whole lines; unset: one line a write")
	f.Var(&rate, "rate", "payload a second, for example 2MB/s, evenly paced; unset: as fast as the reader takes it")
	f.BoolVar(&p.burst, "burst", false, "write each second's lines at once at the start of the second")
	f.Int64Var(&p.start, "start", 0, "number of the first line")
	f.StringVar(&p.prefix, "prefix", "", "text before the number")
	f.IntVar(&o.fd, "fd", 1, "file descriptor to write to: 1 or 2")
	f.StringVar(&o.report, "report", "", "file for the report, as JSON")
	f.Usage = func() {
		fmt.Fprintf(stderr, "Writes numbered lines.\n\n  loggen --bytes 1GB --write-size 64k --report r.json\n\n")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return options{}, err
	}
	if f.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q: every setting is a --flag", f.Arg(0))
	}
	p.rate = int64(rate)
	p.linesPerWrite = max(1, int(writeSize)/(p.size+1))
	given := map[string]bool{}
	f.Visit(func(f *flag.Flag) { given[f.Name] = true })
	return o, o.limit(given, int64(total))
}

// limit turns --lines, --bytes and --duration into one number of lines, and refuses what makes no sense together.
func (o *options) limit(given map[string]bool, total int64) error {
	p := &o.plan
	switch smallest := max(16, len(p.prefix)+digits); {
	case p.size < smallest:
		return fmt.Errorf("--size %d: a line with this prefix needs at least %d bytes", p.size, smallest)
	case o.fd != 1 && o.fd != 2:
		return fmt.Errorf("--fd %d: expected 1 or 2", o.fd)
	case given["lines"] && given["bytes"]:
		return errors.New("--lines and --bytes say the same thing: give one of them")
	case !given["lines"] && !given["bytes"] && p.duration <= 0:
		return errors.New("no end: give --lines, --bytes or --duration")
	case p.burst && p.rate == 0:
		return errors.New("--burst needs --rate: it says how much a second's worth is")
	}
	if given["bytes"] {
		p.lines = total / int64(p.size)
	} else if !given["lines"] {
		p.lines = maxNumber - p.start
	}
	// With a rate and a duration the number of lines is the same in every run, however long it is held up.
	if p.rate > 0 && p.duration > 0 {
		p.lines = min(p.lines, int64(math.Round(p.duration.Seconds()*float64(p.rate)))/int64(p.size))
	}
	if p.start < 0 || p.lines < 0 || p.lines > maxNumber-p.start {
		return fmt.Errorf("--start %d with %d lines: numbers must stay between 0 and %d", p.start, p.lines, maxNumber-1)
	}
	return nil
}
