//go:build !race

package deadletter

const raceDetector = false
