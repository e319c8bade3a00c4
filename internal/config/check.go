package config

import (
	"encoding/json"
	"math"
	"time"

	"github.com/spillway/spillway/internal/config/setting"
)

// The functions of this file are the checks that this table alone has. Each
// returns what was expected, or nothing if the value is good.

// maxCleanupTime is the longest cleanup-time: containerd kills a logger 12 s
// after SIGTERM.
const maxCleanupTime = 12 * time.Second

func cleanupTime(v setting.Value) string {
	if v.Duration < 0 || v.Duration > maxCleanupTime {
		return "a duration from 0s to 12s, because containerd kills the logger 12 s after SIGTERM"
	}
	return ""
}

// userID refuses root: who gives the option wants to drop privileges. The
// largest 32-bit number is the kernel's "no change".
func userID(v setting.Value) string {
	if v.Number == -1 || v.Number >= 1 && v.Number < math.MaxUint32 {
		return ""
	}
	return "-1 (keep) or an id from 1 to 4294967294; 0 (root) is refused"
}

func jsonObject(v setting.Value) string {
	if _, err := parseObject(v.Text); err != nil {
		return `a JSON object of strings, such as {"name":"value"}`
	}
	return ""
}

// parseObject reads container-env and container-labels; unset is an empty map.
func parseObject(text string) (map[string]string, error) {
	var object map[string]string
	if text == "" {
		return object, nil
	}
	err := json.Unmarshal([]byte(text), &object)
	return object, err
}

func absolutePath(v setting.Value) string {
	if expected := setting.AbsolutePath(v); expected != "" {
		return expected + ", because the logger runs in a directory that goes away with the container"
	}
	return ""
}
