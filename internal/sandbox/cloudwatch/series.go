package cloudwatch

import "bytes"

const (
	maxSeries     = 64
	maxSeriesName = 32
	otherSeries   = "(other)"
	// headBytes is how far into a message its first digit is looked for.
	headBytes = 256
	// maxDigits is the longest number that is read; a longer one is no number of a series.
	maxDigits = 18
)

// head finds the series and the number of a message: the bytes before its first run of decimal digits, and that run.
// It works on the JSON form, and unescapes into scratch only where an escape stands before the number's end. ok is
// false for a message without a digit in its first 256 bytes, or with more than 18 digits in a row there.
func head(raw []byte, scratch *[]byte) (name []byte, number uint64, ok bool) {
	at, limit := 0, min(len(raw), headBytes)
	for at < limit && !isDigit(raw[at]) && raw[at] != '\\' {
		at++
	}
	if at == limit {
		return nil, 0, false
	}
	end := at
	for end < len(raw) && isDigit(raw[end]) {
		number = number*10 + uint64(raw[end]-'0')
		end++
	}
	// A digit can be written as an escape, too, so a number is known only once what follows it is.
	if end < len(raw) && raw[end] == '\\' && (end == at || raw[end+1] == 'u') {
		*scratch = appendUnescaped((*scratch)[:0], raw, headBytes+maxDigits+1)
		return headPlain(*scratch)
	}
	return cutName(raw[:at]), number, end-at <= maxDigits
}

// headPlain is head for a message that is written as it is meant. A backslash in it is just one.
func headPlain(message []byte) (name []byte, number uint64, ok bool) {
	at, limit := 0, min(len(message), headBytes)
	for at < limit && !isDigit(message[at]) {
		at++
	}
	if at == limit {
		return nil, 0, false
	}
	end := at
	for end < len(message) && isDigit(message[end]) {
		number = number*10 + uint64(message[end]-'0')
		end++
	}
	return cutName(message[:at]), number, end-at <= maxDigits
}

func cutName(name []byte) []byte { return name[:min(len(name), maxSeriesName)] }

func isDigit(c byte) bool { return c-'0' <= 9 }

// series is the account of one series of a stream. The caller holds the stream's lock.
type series struct {
	name        string
	count       uint64
	first, last uint64 // Smallest and largest number.
	distinct    uint64
	duplicates  uint64
	untracked   uint64
	numbers     bitmap
	order       order
}

// add accounts for one event. A number that was there before is a duplicate and nothing else: it does not count as
// being out of order, too.
func (s *series) add(seq uint64, time int64, number uint64, room *allowance) {
	s.count++
	if s.count == 1 || number < s.first {
		s.first = number
	}
	if s.count == 1 || number > s.last {
		s.last = number
	}
	switch s.numbers.add(number, room) {
	case addedAgain:
		s.duplicates++
	case addedNot:
		s.untracked++
	case addedNew:
		s.distinct++
		s.order.add(seq, time, number, room)
	}
}

// seriesSet holds the series of one stream.
type seriesSet struct {
	all    []*series
	byName map[string]*series
	recent *series // The series of the last event.
	other  uint64  // Events of series beyond the first maxSeries.
}

func (set *seriesSet) add(seq uint64, time int64, name []byte, number uint64, room *allowance) {
	s := set.recent
	if s == nil || s.name != string(name) {
		if s = set.byName[string(name)]; s == nil {
			if len(set.all) == maxSeries {
				set.other++
				return
			}
			if set.byName == nil {
				set.byName = make(map[string]*series)
			}
			s = &series{name: string(name)}
			set.byName[s.name] = s
			set.all = append(set.all, s)
		}
		set.recent = s
	}
	s.add(seq, time, number, room)
}

// The start of the record that stands in a stream for records that were dropped on the way.
const lossMarker = "spillway-loss {"

// isLossMarker reports whether a message, in JSON form, is one.
func isLossMarker(raw []byte) bool {
	return len(raw) > len(lossMarker) && raw[0] == 's' && bytes.HasPrefix(raw, []byte(lossMarker))
}
