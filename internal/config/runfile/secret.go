package runfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxSecret bounds a secret, in bytes. A longer file is another one by mistake.
const maxSecret = 64 << 10

// Secret is the place where a secret is: a file, or a variable of the
// environment. It never holds the secret itself, so that nothing that prints a
// configuration can print one.
type Secret struct {
	File     string // a path, or ""
	Variable string // the name of a variable, or ""
	Where    string // "FILE:LINE:COLUMN: name" of the option that names the place
}

// Set reports whether there is one.
func (s Secret) Set() bool { return s.File != "" || s.Variable != "" }

// Read returns the secret, "" where none is set. One line break at the end of a
// file does not belong to it. An empty secret is an error. Errors name the place
// and never what is there. Getenv reads a variable of the process.
func (s Secret) Read(getenv func(string) string) (string, error) {
	switch {
	case s.Variable != "":
		text := getenv(s.Variable)
		if text == "" {
			return "", fmt.Errorf("%s: found no value in the environment variable %s; expected a secret", s.Where, s.Variable)
		}
		return text, nil
	case s.File != "":
		text, err := readSecret(s.File)
		if err != nil {
			return "", fmt.Errorf("%s: found no secret in the file %s (%w); expected a file that holds one", s.Where, s.File, err)
		}
		return text, nil
	}
	return "", nil
}

func readSecret(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", unwrapPath(err)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	if err := errors.Join(err, file.Close()); err != nil {
		return "", unwrapPath(err)
	}
	if len(text) > maxSecret {
		return "", fmt.Errorf("it is longer than %d bytes", maxSecret)
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if secret == "" {
		return "", errors.New("it is empty")
	}
	return secret, nil
}

// unwrapPath takes the path out of an error that will be told beside it.
func unwrapPath(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
