package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// ringBytes is how much text is made beforehand. It is twice the window of the common compressors, so that none of
// them finds a line again when the ring starts over.
const ringBytes = 8 << 20

// ring is a block of whole lines, each with its newline, that is written over and over with new numbers.
type ring struct {
	text   []byte
	stride int // Bytes from one line to the next.
	offset int // Bytes from the start of a line to its number.
	lines  int
}

// newRing makes the lines of a run. The same plan gives the same lines.
func newRing(p plan) *ring {
	stride := p.size + 1
	lines := max(2, ringBytes/stride)
	lines = (lines + p.linesPerWrite - 1) / p.linesPerWrite * p.linesPerWrite
	lines = int(min(int64(lines), max(1, p.lines)))
	r := &ring{text: make([]byte, 0, lines*stride), stride: stride, offset: len(p.prefix), lines: lines}
	w := newWriter()
	for range lines {
		end := len(r.text) + p.size
		r.text = append(r.text, p.prefix...)
		r.text = append(r.text, "000000000000"...)
		r.text = w.appendLine(r.text, end)
		r.text = append(r.text, '\n')
	}
	return r
}

// take numbers up to n lines for position i of the run, from number on, and returns them. They are valid until the
// next call. Fewer than n come where the ring starts over.
func (r *ring) take(i int64, n int, number int64) []byte {
	first := int(i % int64(r.lines))
	n = min(n, r.lines-first)
	block := r.text[first*r.stride : (first+n)*r.stride]
	digit := decimal(number)
	for at := r.offset; at < len(block); at += r.stride {
		*(*[digits]byte)(block[at:]) = digit
		digit.increment()
	}
	return block
}

// number is a line's number as text. Counting in text is several times cheaper than formatting each number.
type number [digits]byte

// decimal formats n, which must be below maxNumber.
func decimal(n int64) (d number) {
	for i := digits - 1; i >= 0; i-- {
		d[i] = byte('0' + n%10)
		n /= 10
	}
	return d
}

// increment adds one, and wraps to zero after the last number.
func (d *number) increment() {
	for i := digits - 1; i >= 0; i-- {
		if d[i] != '9' {
			d[i]++
			return
		}
		d[i] = '0'
	}
}

// writer makes the text behind the number from a small world of clients, paths and browsers.
type writer struct {
	rng     *rand.Rand
	clients []string
	clock   time.Time
}

func newWriter() *writer {
	w := &writer{rng: rand.New(rand.NewPCG(3, 1)), clock: time.Date(2026, 11, 20, 19, 40, 14, 0, time.UTC)}
	for range 4000 {
		w.clients = append(w.clients, fmt.Sprintf("10.%d.%d.%d", w.rng.IntN(8), w.rng.IntN(256), w.rng.IntN(256)))
	}
	return w
}

var (
	methods  = []string{"GET", "GET", "GET", "GET", "POST", "PUT", "DELETE"}
	paths    = []string{"orders", "customers", "carts", "products", "payments/intents", "shipments", "sessions"}
	statuses = []string{"200", "200", "200", "200", "201", "204", "304", "404", "500"}
	referers = []string{"-", "-", "https://shop.example.com/", "https://shop.example.com/search?q=lamp"}
	browsers = []string{
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/142.0",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) Firefox/145.0",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) Safari/605.1",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Mobile/15E148",
		"okhttp/4.12", "python-requests/2.32", "curl/8.11", "kube-probe/1.34",
	}
	zones = []string{"eu-west-1a", "eu-west-1b", "eu-west-1c"}
)

// appendLine appends one line's text up to the length end, and cuts it there. Where the line is longer than an
// access log's, fields of a proxy's log follow, so that a long line shrinks like a short one.
func (w *writer) appendLine(b []byte, end int) []byte {
	pick := func(from []string) string { return from[w.rng.IntN(len(from))] }
	w.clock = w.clock.Add(time.Duration(w.rng.IntN(9)) * time.Millisecond)
	b = fmt.Appendf(b, " %s - - [%s] \"%s /api/v1/%s/%016x HTTP/1.1\" %s %d \"%s\" \"%s.%d\" rt=0.%06d id=%016x%016x",
		pick(w.clients), w.clock.Format("02/Jan/2006:15:04:05 +0000"), pick(methods), pick(paths),
		w.rng.Uint64(), pick(statuses), 200+w.rng.IntN(40_000), pick(referers), pick(browsers),
		w.rng.IntN(2000), w.rng.IntN(1_000_000), w.rng.Uint64(), w.rng.Uint64())
	for len(b) < end {
		b = fmt.Appendf(b, " upstream=10.8.0.%d:8080 zone=%s tls=TLSv1.3 session=%016x%016x in=%d",
			w.rng.IntN(40), pick(zones), w.rng.Uint64(), w.rng.Uint64(), w.rng.IntN(20_000))
	}
	return b[:end]
}
