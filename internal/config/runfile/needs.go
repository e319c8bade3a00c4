package runfile

import (
	"errors"
	"hash/maphash"
	"io"
	"os"
	"slices"

	"github.com/spillway/spillway/internal/config"
)

// reading is a file that a source or a sink reads when it is made, and where the
// configuration says so.
type reading struct{ where, path string }

func readings(where string, paths ...string) (all []reading) {
	for _, path := range paths {
		if path != "" {
			all = append(all, reading{where, path})
		}
	}
	return all
}

// files are those that a source reads, but for secrets.
func (s *Source) files() []reading {
	switch {
	case s.Forward != nil:
		return readings(s.Where, s.Forward.CertFile, s.Forward.KeyFile, s.Forward.ClientCAFile)
	case s.Kafka != nil:
		return s.Kafka.readings(s.Where)
	}
	return nil
}

// readings are the files that name a cluster's certificates and credentials.
func (c *KafkaCluster) readings(where string) []reading {
	return append(readings(where, c.ClientTLS.files()...), ofAWS(where, &c.AWS)...)
}

// ofAWS are the files of the section aws; the place is that of who uses it.
func ofAWS(where string, aws *config.AWS) []reading {
	return readings(where, aws.CredentialsFile, aws.CAFile)
}

// files are those that a sink reads, but for secrets.
func (s *Sink) files() []reading {
	switch {
	case s.Forward != nil:
		return readings(s.Where, s.Forward.ClientTLS.files()...)
	case s.CloudWatch != nil:
		return ofAWS(s.Where, &s.CloudWatch.AWS)
	case s.Kafka != nil:
		return s.Kafka.readings(s.Where)
	case s.Search != nil:
		all := append(readings(s.Where, s.Search.ClientTLS.files()...), ofAWS(s.Where, &s.Search.AWS)...)
		for _, list := range s.Search.documents() {
			for i := range list {
				all = append(all, readings(list[i].at, list[i].File)...)
			}
		}
		return all
	}
	return nil
}

// secrets are those that a source reads: when it is made, and again for each
// connection.
func (s *Source) secrets() (made, again []Secret) {
	switch {
	case s.Forward != nil:
		made = append(made, s.Forward.SharedKey)
		for _, u := range s.Forward.Users {
			made = append(made, u.Password)
		}
	case s.Kafka != nil:
		return s.Kafka.secrets()
	}
	return made, nil
}

// secrets are likewise those of a sink.
func (s *Sink) secrets() (made, again []Secret) {
	switch {
	case s.Forward != nil:
		for _, server := range s.Forward.Servers {
			made = append(made, server.SharedKey, server.Password)
		}
	case s.Kafka != nil:
		return s.Kafka.secrets()
	case s.Search != nil:
		made = append(made, s.Search.Password, s.Search.APIKey, s.Search.Bearer)
	}
	return made, nil
}

func (c *KafkaCluster) secrets() (made, again []Secret) {
	return []Secret{c.Password}, []Secret{c.Token}
}

// Missing names what the configuration needs and cannot be read now: secrets,
// certificates and keys. A file may be checked where they are not; a run needs
// them. Each line begins with FILE:LINE:COLUMN, and none shows a secret.
func (f *File) Missing(getenv func(string) string) []string {
	var missing remarks
	for _, s := range f.Secrets() {
		if _, err := s.Read(getenv); err != nil {
			missing = append(missing, err.Error())
		}
	}
	for i := range f.Sources {
		missing.unreadable(f.Sources[i].files())
	}
	for i := range f.Sinks {
		missing.unreadable(f.Sinks[i].files())
	}
	return missing.sorted(f.Path)
}

// unreadable adds those of the files that cannot be opened.
func (r *remarks) unreadable(files []reading) {
	for _, one := range files {
		file, err := os.Open(one.path)
		if err != nil {
			r.add(one.where, "found no file "+one.path+" ("+unwrapPath(err).Error()+"); expected one that can be read")
			continue
		}
		file.Close() //nolint:errcheck // nothing was read or written
	}
}

// Secrets returns the places of all secrets, each once.
func (f *File) Secrets() []Secret {
	var all []Secret
	add := func(made, again []Secret) {
		for _, s := range slices.Concat(made, again) {
			if s.Set() && !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	for i := range f.Sources {
		add(f.Sources[i].secrets())
	}
	for i := range f.Sinks {
		add(f.Sinks[i].secrets())
	}
	return all
}

// Look notes of each source and sink, in Contents, what is now in the files that it
// reads when it is made: secrets, certificates, keys, templates. After it two plans
// differ where one of these has changed, although the configuration says the same. It
// is called before they are made, so that what changes meanwhile is seen the next time.
func (f *File) Look() {
	for i := range f.Sources {
		s := &f.Sources[i]
		made, _ := s.secrets()
		s.Contents = contents(made, s.files())
	}
	for i := range f.Sinks {
		s := &f.Sinks[i]
		made, _ := s.secrets()
		s.Contents = contents(made, s.files())
	}
}

// seed makes sums of contents say nothing about secrets outside of this process.
var seed = maphash.MakeSeed()

// contents sums up what is in files, and that one cannot be read. Whoever makes a
// source or a sink of them says why not.
func contents(secrets []Secret, files []reading) uint64 {
	for _, s := range secrets {
		files = append(files, readings(s.Where, s.File)...)
	}
	if len(files) == 0 {
		return 0
	}
	var sum maphash.Hash
	sum.SetSeed(seed)
	for _, one := range files {
		size, err := sumUp(&sum, one.path)
		if err != nil {
			size = -1
		}
		maphash.WriteComparable(&sum, size)
	}
	return sum.Sum64()
}

func sumUp(sum *maphash.Hash, path string) (size int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	size, err = io.Copy(sum, io.LimitReader(file, maxContents))
	return size, errors.Join(err, file.Close())
}

// maxContents bounds what is looked at of a file, in bytes.
const maxContents = 16 << 20
