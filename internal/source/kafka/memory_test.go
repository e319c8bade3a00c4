package kafka

import (
	"math/rand/v2"
	"testing"
)

// TestBlocksAreUsedAgain: while one answer is handed over, one waits and one comes, blocks
// are used again, also of answers that are of another size each.
func TestBlocksAreUsedAgain(t *testing.T) {
	const room = 2 << 20
	m := newMemory(4*room, "")
	r := rand.New(rand.NewPCG(1, 2))
	var answers [][]*block
	made, used := 0, 0
	seen := make(map[*byte]bool)
	for range 500 {
		if ok, _ := m.take(room); !ok {
			t.Fatal("there is no memory for the next answer")
		}
		var answer []*block
		for left := room - room/blockWaste; ; {
			n := 200<<10 + r.IntN(800<<10)
			if n > left {
				break
			}
			left -= n
			b := m.block(n)
			if len(b.data) != n || b.size > int64(class(n)+class(n)/2) || b.size != int64(len(b.whole)) {
				t.Fatalf("a block for %d bytes has %d, and counts %d", n, len(b.data), b.size)
			}
			if used++; !seen[&b.whole[0]] {
				seen[&b.whole[0]] = true
				made++
			}
			answer = append(answer, b)
		}
		m.untake(room)
		if answers = append(answers, answer); len(answers) > 2 {
			for _, b := range answers[0] {
				b.release()
			}
			answers = answers[1:]
		}
		checkMemory(t, m, answers)
	}
	if made > used/5 {
		t.Errorf("%d of %d blocks were made, expected at most a fifth", made, used)
	}
}

// checkMemory holds what there is, in use or not, to what there may be.
func checkMemory(t *testing.T, m *memory, answers [][]*block) {
	t.Helper()
	inUse, spare := int64(0), int64(0)
	for _, answer := range answers {
		for _, b := range answer {
			inUse += int64(len(b.whole))
		}
	}
	for size, kept := range m.spare {
		spare += int64(size * len(kept))
	}
	if m.taken != 0 || m.free != m.all-inUse || m.inSpare != spare || inUse+spare > m.all {
		t.Fatalf("%d bytes are taken, %d free, %d spare; there are %d, of which blocks in use have %d and spare ones %d", m.taken, m.free, m.inSpare, m.all, inUse, spare)
	}
}

// TestSpareBlocksGiveWay: what is spare is let go of where memory is wanted.
func TestSpareBlocksGiveWay(t *testing.T) {
	m := newMemory(4<<20, "")
	blocks := []*block{m.block(1 << 20), m.block(1 << 20), m.block(1 << 20)}
	for _, b := range blocks {
		b.release()
	}
	checkMemory(t, m, nil)
	if m.inSpare != 3<<20 {
		t.Fatalf("%d bytes are spare, expected all that was used", m.inSpare)
	}
	m.overdraw(7 << 19)
	if m.inSpare > 1<<19 {
		t.Errorf("%d bytes are spare, %d are free", m.inSpare, m.free)
	}
	m.give(7 << 19)
	m.rest()
	checkMemory(t, m, nil)
	if m.inSpare != 0 {
		t.Errorf("%d bytes are spare although nothing comes", m.inSpare)
	}
}
