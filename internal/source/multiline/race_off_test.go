//go:build !race

package multiline

const raceDetector = false
