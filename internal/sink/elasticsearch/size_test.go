package elasticsearch

import "testing"

// tries sends bodies as large as the limit says, of which those above most are cut off, until
// so many are taken, and returns how many tries that took.
func tries(l *sizeLimit, most int64, bodies int) (all int) {
	const gathered = 5 << 20
	for taken := 0; taken < bodies; all++ {
		if size := l.now(gathered); size > most {
			l.cutOff(size)
		} else {
			l.taken(size)
			taken++
		}
	}
	return all
}

// A destination that was away gets large bodies again at once, and one that cuts off what is
// too large gets few that are.
func TestSizes(t *testing.T) {
	var l sizeLimit
	const full = 2 * (5 << 20)
	for range 100 {
		l.cutOff(l.now(full / 2))
	}
	if size := l.now(full / 2); size != leastSize {
		t.Fatalf("after an outage bodies end at %d bytes, expected %d", size, leastSize)
	}
	for range 12 {
		l.taken(l.now(full / 2))
	}
	if size := l.now(full / 2); size < full {
		t.Errorf("after an outage and 12 bodies they end at %d bytes, expected %d", size, full)
	}

	l = sizeLimit{}
	const most = 100 << 10
	tries(&l, most, 1)
	if n := tries(&l, most, 1000); n > 1100 {
		t.Errorf("%d tries for 1000 bodies of a destination that cuts larger ones off", n)
	}
	if size := l.now(full / 2); size < most/2 || size > most+most/4 {
		t.Errorf("bodies end at %d bytes, of which %d are taken", size, most)
	}

	// A destination that has never room for a large body, and does not say so, gets small
	// ones; one that was full for a long time gets large ones again at once.
	l = sizeLimit{}
	for n := 0; l.now(full/2) > most; n++ {
		if l.noRoom(l.now(full / 2)); n > 8*fullAllowed {
			t.Fatalf("after %d bodies for which there is no room they end at %d bytes", n, l.now(full/2))
		}
	}
	l = sizeLimit{}
	for range fullAllowed - 1 {
		l.noRoom(full)
	}
	l.taken(full)
	l.noRoom(full)
	if size := l.now(full / 2); size != full {
		t.Errorf("under load bodies end at %d bytes, expected %d", size, full)
	}
	for range 100 {
		l.noRoom(l.now(full / 2))
	}
	for range 12 {
		l.taken(l.now(full / 2))
	}
	if size := l.now(full / 2); size < full {
		t.Errorf("after a load that lasted, and 12 bodies, they end at %d bytes, expected %d", size, full)
	}

	l = sizeLimit{}
	tries(&l, most, 1000)
	// Of small bodies nobody learns that larger ones are taken.
	before := l.now(full / 2)
	for range 10 * growAfter {
		l.taken(100)
	}
	if size := l.now(full / 2); size != before {
		t.Errorf("after small bodies they end at %d bytes, expected %d as before", size, before)
	}

	l = sizeLimit{}
	l.tooLarge(full)
	l.taken(full / 2)
	if size := l.now(full / 2); size != full/2 {
		t.Errorf("after a refusal for its size, and a body that was taken, they end at %d bytes, expected %d", size, full/2)
	}
}
