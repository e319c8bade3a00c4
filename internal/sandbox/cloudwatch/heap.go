package cloudwatch

// heap is a binary heap whose smallest item is items[0]. It stands beside container/heap because merging needs to
// change the smallest item in place without a call through an interface for each of millions of steps.
type heap[T any] struct {
	items []T
	less  func(a, b T) bool
}

func (h *heap[T]) push(item T) {
	h.items = append(h.items, item)
	for i := len(h.items) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h.less(h.items[i], h.items[parent]) {
			break
		}
		h.items[i], h.items[parent] = h.items[parent], h.items[i]
		i = parent
	}
}

// fix restores the order after items[0] has changed.
func (h *heap[T]) fix() {
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h.items); child++ {
			if h.less(h.items[child], h.items[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		h.items[i], h.items[least] = h.items[least], h.items[i]
		i = least
	}
}

// pop removes items[0].
func (h *heap[T]) pop() {
	end := len(h.items) - 1
	h.items[0] = h.items[end]
	h.items = h.items[:end]
	h.fix()
}
