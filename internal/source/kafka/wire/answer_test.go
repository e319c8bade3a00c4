package wire_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"
	"testing/iotest"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spillway/spillway/internal/source/kafka/wire"
)

// fetched is an answer with everything in it that one may have.
func fetched(version int16, batches int) *kmsg.FetchResponse {
	r := kmsg.NewPtrFetchResponse()
	r.Version, r.ThrottleMillis, r.ErrorCode, r.SessionID = version, 7, 1, 9
	for i, name := range []string{"first", "second"} {
		t := kmsg.NewFetchResponseTopic()
		t.Topic, t.TopicID = name, [16]byte{1, byte(i)}
		for j := range int32(3) {
			p := kmsg.NewFetchResponseTopicPartition()
			p.Partition, p.HighWatermark, p.LastStableOffset, p.LogStartOffset = j, 100, 90, 10
			for k := range j {
				a := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
				a.ProducerID, a.FirstOffset = int64(k), 5
				p.AbortedTransactions = append(p.AbortedTransactions, a)
			}
			if j == 1 {
				p.RecordBatches = bytes.Repeat([]byte{byte(i), 2, 3}, batches)
				p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset = 3, 4
			} else if j == 2 {
				p.RecordBatches = []byte("a short one that is none")
			}
			t.Partitions = append(t.Partitions, p)
		}
		r.Topics = append(r.Topics, t)
	}
	if version >= 16 {
		b := kmsg.NewFetchResponseBroker()
		b.NodeID, b.Host, b.Port = 4, "host", 9092
		r.Brokers = append(r.Brokers, b)
	}
	return r
}

// headed puts the response header before an answer.
func headed(version int16, body []byte) []byte {
	if version >= wire.FlexibleVersion {
		return append([]byte{0}, body...)
	}
	return body
}

// places is a Place that keeps everything.
type places [][]byte

func (p *places) put(in io.Reader, n int) (uint64, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(in, b)
	*p = append(*p, b)
	return uint64(len(*p) - 1), err
}

// fill puts batches back in the place of their tokens.
func (p places) fill(r *kmsg.FetchResponse) bool {
	for i := range r.Topics {
		for j := range r.Topics[i].Partitions {
			part := &r.Topics[i].Partitions[j]
			if len(part.RecordBatches) == 0 {
				continue
			}
			token, ok := wire.Token(part.RecordBatches)
			if !ok || token >= uint64(len(p)) {
				return false
			}
			part.RecordBatches = p[token]
		}
	}
	return true
}

// TestTakeApart: an answer that was taken apart says what it said, in every version and
// however it comes.
func TestTakeApart(t *testing.T) {
	for version := int16(0); version <= wire.MaxAnswerVersion; version++ {
		whole := headed(version, fetched(version, 10_000).AppendTo(nil))
		for name, in := range map[string]io.Reader{
			"at once": bytes.NewReader(append(whole[:len(whole):len(whole)], "the next answer"...)), "by bytes": iotest.OneByteReader(bytes.NewReader(whole)),
			"with its end": iotest.DataErrReader(bytes.NewReader(whole)),
		} {
			var kept places
			out, err := wire.TakeApart([]byte("before"), in, version, len(whole), kept.put)
			if err != nil {
				t.Fatalf("version %d, %s: %v", version, name, err)
			}
			out, _ = bytes.CutPrefix(out, []byte("before"))
			if version >= wire.FlexibleVersion {
				out = out[1:]
			}
			want, got := kmsg.NewPtrFetchResponse(), kmsg.NewPtrFetchResponse()
			want.Version, got.Version = version, version
			if err := errors.Join(want.ReadFrom(whole[len(whole)-len(fetched(version, 10_000).AppendTo(nil)):]), got.ReadFrom(out)); err != nil || !kept.fill(got) {
				t.Fatalf("version %d, %s: %v", version, name, err)
			}
			if !reflect.DeepEqual(want, got) || len(kept) != 4 {
				t.Errorf("version %d, %s: %d places, found %+v, expected %+v", version, name, len(kept), got, want)
			}
			if name == "at once" {
				if rest, err := io.ReadAll(in); string(rest) != "the next answer" || err != nil {
					t.Errorf("version %d: %q is left, %v", version, rest, err)
				}
			}
		}
	}
}

// TestTakeApartBad: an answer that does not fit its size is refused, and so is what would
// not fit into memory.
func TestTakeApartBad(t *testing.T) {
	whole := headed(13, fetched(13, 10_000).AppendTo(nil))
	lazy := func(io.Reader, int) (uint64, error) { return 0, nil }
	failing := func(io.Reader, int) (uint64, error) { return 0, io.ErrShortWrite }
	var kept places
	for name, c := range map[string]struct {
		in    []byte
		size  int
		place wire.Place
	}{
		"cut":                 {whole[:len(whole)-1], len(whole), kept.put},
		"a smaller size":      {whole, len(whole) - 1, kept.put},
		"a larger size":       {append(whole[:len(whole):len(whole)], 0), len(whole) + 1, kept.put},
		"nothing is read":     {whole, len(whole), lazy},
		"no room":             {whole, len(whole), failing},
		"a tag of 16 MiB":     {append([]byte{1, 0, 0x80, 0x80, 0x80, 8}, make([]byte, 16<<20)...), 6 + 16<<20, kept.put},
		"endless topics":      {append(make([]byte, 11), 0xff, 0xff, 0xff, 0xff, 0x0f), 16, kept.put},
		"a number of 6 bytes": {[]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, 6, kept.put},
	} {
		if out, err := wire.TakeApart(nil, bytes.NewReader(c.in), 13, c.size, c.place); err == nil {
			t.Errorf("%s: %d bytes are taken", name, len(out))
		}
	}
}

// FuzzTakeApart: what the library reads is the same in pieces, and nothing else is taken
// that it would not.
func FuzzTakeApart(f *testing.F) {
	for version := int16(0); version <= wire.MaxAnswerVersion; version++ {
		f.Add(byte(version), headed(version, fetched(version, 10).AppendTo(nil)))
	}
	f.Fuzz(func(t *testing.T, v byte, whole []byte) {
		version := int16(v % (wire.MaxAnswerVersion + 1))
		var kept places
		out, err := wire.TakeApart(nil, bytes.NewReader(whole), version, len(whole), kept.put)
		if err != nil {
			return
		}
		if version >= wire.FlexibleVersion {
			if whole[0] != 0 {
				return // Tags of the header, which are skipped.
			}
			whole, out = whole[1:], out[1:]
		}
		want, got := kmsg.NewPtrFetchResponse(), kmsg.NewPtrFetchResponse()
		want.Version, got.Version = version, version
		if want.ReadFrom(whole) != nil {
			return
		}
		if err := got.ReadFrom(out); err != nil || !kept.fill(got) {
			t.Fatalf("the library reads the answer, and not what is left of it: %v", err)
		}
		for i := range want.Topics {
			for j := range want.Topics[i].Partitions {
				a, b := want.Topics[i].Partitions[j], got.Topics[i].Partitions[j]
				if !bytes.Equal(a.RecordBatches, b.RecordBatches) || a.HighWatermark != b.HighWatermark || a.Partition != b.Partition {
					t.Fatalf("found %+v, expected %+v", b, a)
				}
			}
		}
	})
}
