package kafka

import (
	"fmt"
	"strings"

	"github.com/spillway/spillway/internal/record"
)

// topicName makes a name of a topic of what a template gives.
func topicName(dst []byte, text string) []byte {
	for i := range len(text) {
		c := text[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
			dst = append(dst, c)
		default:
			dst = append(dst, '_')
		}
	}
	return dst
}

// goodTopic says what is wrong with a topic's name.
func goodTopic(name string) error {
	if name == "" || len(name) > record.MaxTopic || strings.Trim(name, ".") == "" && len(name) < 3 {
		return fmt.Errorf("found the topic %q, expected a name of 1 to %d bytes that is not dots alone", name, record.MaxTopic)
	}
	return nil
}
