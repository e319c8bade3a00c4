//go:build race

package multiline

// raceDetector says that pools drop what they hold at random, as the race
// detector makes them, so that regular expressions allocate.
const raceDetector = true
