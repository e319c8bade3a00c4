package runfile

import (
	"os"
	"slices"
)

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
		if s := &f.Sources[i]; s.Forward != nil {
			missing.unreadable(s.Where, s.Forward.CertFile, s.Forward.KeyFile, s.Forward.ClientCAFile)
		} else if s.Kafka != nil {
			missing.unreadable(s.Where, s.Kafka.files()...)
		}
	}
	for i := range f.Sinks {
		if s := &f.Sinks[i]; s.Forward != nil {
			missing.unreadable(s.Where, s.Forward.files()...)
		} else if s.Kafka != nil {
			missing.unreadable(s.Where, s.Kafka.files()...)
		} else if s.Search != nil {
			missing.unreadable(s.Where, s.Search.files()...)
			for _, list := range s.Search.documents() {
				for i := range list {
					missing.unreadable(list[i].at, list[i].File)
				}
			}
		}
	}
	return missing.sorted(f.Path)
}

// unreadable adds those of the files that cannot be opened.
func (r *remarks) unreadable(where string, paths ...string) {
	for _, path := range paths {
		if path == "" {
			continue
		}
		file, err := os.Open(path)
		if err != nil {
			r.add(where, "found no file "+path+" ("+unwrapPath(err).Error()+"); expected one that can be read")
			continue
		}
		file.Close() //nolint:errcheck // nothing was read or written
	}
}

// Secrets returns the places of all secrets, each once.
func (f *File) Secrets() []Secret {
	var all []Secret
	add := func(s Secret) {
		if s.Set() && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	for i := range f.Sources {
		if s := f.Sources[i].Forward; s != nil {
			add(s.SharedKey)
			for _, u := range s.Users {
				add(u.Password)
			}
		}
		if s := f.Sources[i].Kafka; s != nil {
			add(s.Password)
			add(s.Token)
		}
	}
	for i := range f.Sinks {
		if s := f.Sinks[i].Kafka; s != nil {
			add(s.Password)
			add(s.Token)
		}
		if s := f.Sinks[i].Search; s != nil {
			add(s.Password)
			add(s.APIKey)
			add(s.Bearer)
		}
		if s := f.Sinks[i].Forward; s != nil {
			for _, server := range s.Servers {
				add(server.SharedKey)
				add(server.Password)
			}
		}
	}
	return all
}
