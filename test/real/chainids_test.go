package real

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash/maphash"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// idSum counts documents and sums up which number has which id, in any order.
type idSum struct {
	count int64
	sum   uint64
}

var idSeed = maphash.MakeSeed()

func (s *idSum) add(id string, n int64) {
	s.count++
	s.sum += maphash.Comparable(idSeed, struct {
		id string
		n  int64
	}{id, n})
}

// originID is the id of a message, worked out from what is said of it alone: it must be the same for
// every release, or an upgrade in mid-stream would bring records twice.
func originID(topic [16]byte, partition int32, offset int64) string {
	place := binary.LittleEndian.AppendUint32(append([]byte("spillway partition 1"), topic[:]...), uint32(partition))
	key := sha256.Sum256(place)
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(key[:16:16], uint64(offset)))
}

func TestOriginID(t *testing.T) {
	var s, other idSum
	s.add(originID([16]byte{1}, 0, 7), 1)
	s.add(originID([16]byte{1}, 1, 7), 2)
	other.add(originID([16]byte{1}, 1, 7), 1)
	other.add(originID([16]byte{1}, 0, 7), 2)
	if s == other {
		t.Error("ids that have changed places are not seen")
	}
}

// topicIDs reads all that the broker has of the topic: what the ids in the index should be.
func (c *chain) topicIDs() (want idSum) {
	c.t.Helper()
	client := c.broker.Client(c.t, kgo.ConsumeTopics(c.name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	admin := kadm.NewClient(client)
	topics, err := admin.ListTopics(c.t.Context(), c.name)
	if err != nil {
		c.t.Fatal(err)
	}
	ends, err := admin.ListEndOffsets(c.t.Context(), c.name)
	if err != nil {
		c.t.Fatal(err)
	}
	all := int64(0)
	ends.Each(func(end kadm.ListedOffset) { all += end.Offset })
	topic := [16]byte(topics[c.name].ID)
	for want.count < all {
		fetched := client.PollFetches(c.t.Context())
		if err := fetched.Err(); err != nil {
			c.t.Fatal(err)
		}
		fetched.EachRecord(func(r *kgo.Record) {
			var order struct {
				N int64 `json:"n"`
			}
			if err := json.Unmarshal(r.Value, &order); err != nil {
				c.t.Fatalf("partition %d, offset %d: %v", r.Partition, r.Offset, err)
			}
			want.add(originID(topic, r.Partition, r.Offset), order.N)
		})
	}
	return want
}
