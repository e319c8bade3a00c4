package deliver

import "time"

// begins notes that an attempt is under way, and until when it may be.
func (d *Deliverer) begins(t *try, start time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.due[t] = start.Add(t.timeout)
}

func (d *Deliverer) ends(t *try) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.due, t)
}

// Overdue is for how long an attempt is under way that was cut off, the longest of
// all; 0 where there is none. A sink ends its attempts soon after their context ends,
// unless something hangs which it cannot cut off, such as a disk.
func (d *Deliverer) Overdue() (longest time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, due := range d.due {
		longest = max(longest, time.Since(due))
	}
	return longest
}

// Forsake settles what is in flight in the place of attempts that do not come back;
// see buffer.Forsake. Abandon must be called before. Run does not return until they do.
func (d *Deliverer) Forsake() { d.tell(d.buffer.Forsake()) }
