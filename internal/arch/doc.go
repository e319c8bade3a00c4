// Package arch holds the architecture to its description, in tests alone: which
// package may import which, that the paths and names in the documents exist,
// that files stay small, and the house rules that a machine can check. It needs
// nothing but the go command, so that a plain test run holds the lines even
// where the linter is not installed.
//
// It has no code that programs could use, and refuses to grow any. Nobody
// imports it.
package arch

// What is made from code is made here, from the root of the repository.
//go:generate go -C ../.. run ./internal/config/gendoc
//go:generate go -C ../.. test ./internal/arch -run TestLinterRules -update
