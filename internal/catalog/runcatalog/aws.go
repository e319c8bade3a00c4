package runcatalog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spillway/spillway/internal/awsauth"
	"github.com/spillway/spillway/internal/config"
)

// section takes what the section aws says. A credentials file that is not there is an
// error, though it is read only when the first request is signed: like that of every other
// secret, so that a reload which names it changes nothing.
func section(auth *awsauth.Options, aws *config.AWS) error {
	auth.CredentialsFile, auth.Profile, auth.IMDS, auth.Proxy, auth.CAFile = aws.CredentialsFile, aws.Profile, aws.IMDS, aws.Proxy, aws.CAFile
	if aws.CredentialsFile == "" {
		return nil
	}
	file, err := os.Open(aws.CredentialsFile)
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return fmt.Errorf("aws: credentials-file: found no file %s (%w); expected the credentials of AWS", aws.CredentialsFile, err)
	}
	return file.Close()
}
