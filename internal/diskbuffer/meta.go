package diskbuffer

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"time"
)

// maxMeta bounds buffer.json, in bytes.
const maxMeta = 1 << 20

// metaJSON is the form of Meta in buffer.json.
type metaJSON struct {
	Version     int             `json:"version"`
	Identity    string          `json:"identity"`
	Made        time.Time       `json:"made"`
	Incarnation string          `json:"incarnation"`
	Limit       int64           `json:"limit"`
	About       json.RawMessage `json:"about,omitempty"`
}

// sumKey begins the last key of buffer.json: the CRC32C, in hexadecimal, of all
// that is before it in the file. A changed destination must not be believed.
const sumKey = `,"sum":"`

// errMeta says that buffer.json was read, and that it is damaged.
var errMeta = errors.New("it is damaged")

var errSum = errors.New("its sum does not agree with what it says")

func (m *Meta) encode() ([]byte, error) {
	text, err := json.Marshal(metaJSON{version, m.Identity, m.Made.UTC(), hex.EncodeToString(m.Incarnation[:]), m.Limit, m.About})
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", metaName, err)
	}
	text = text[:len(text)-1] // The closing brace.
	return fmt.Appendf(text, "%s%08x\"}\n", sumKey, crc32.Checksum(text, castagnoli)), nil
}

// decodeMeta reads buffer.json; err says what is wrong with it. Even then there
// may be an identity, to be compared to what the segments say of it.
func decodeMeta(text []byte) (m Meta, err error) {
	var j metaJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return m, err
	}
	m.Identity = j.Identity
	incarnation, err := hex.DecodeString(j.Incarnation)
	at := max(bytes.LastIndex(text, []byte(sumKey)), 0)
	switch {
	case string(text[at:]) != fmt.Sprintf("%s%08x\"}\n", sumKey, crc32.Checksum(text[:at], castagnoli)):
		return m, errSum
	case err != nil || len(incarnation) != len(m.Incarnation):
		return m, fmt.Errorf("its incarnation is %q, not 24 hexadecimal digits", j.Incarnation)
	case j.Version != version:
		return m, fmt.Errorf("its version is %d, want %d", j.Version, version)
	}
	m = Meta{Identity: j.Identity, Made: j.Made, Limit: j.Limit, About: j.About}
	copy(m.Incarnation[:], incarnation)
	return m, nil
}

// readMeta reads buffer.json. Damage is errMeta.
func readMeta(dir FS) (m Meta, err error) {
	f, err := dir.Open(metaName, false)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	text, err := readAll(f, maxMeta)
	if err != nil {
		return m, err
	}
	m, err = decodeMeta(text)
	if err != nil {
		err = fmt.Errorf("%w: %w", errMeta, err)
	}
	return m, err
}

// readAll reads a small file.
func readAll(f File, limit int) ([]byte, error) {
	buf := make([]byte, 0, 4096)
	for len(buf) < limit {
		if len(buf) == cap(buf) {
			buf = append(buf, make([]byte, len(buf))...)[:len(buf)]
		}
		n, err := readFull(f, buf[len(buf):cap(buf)], int64(len(buf)))
		buf = buf[:len(buf)+n]
		if err != nil || len(buf) < cap(buf) {
			return buf, err
		}
	}
	return buf, nil
}

// writeMeta puts buffer.json in place, durably and at once.
func writeMeta(dir FS, text []byte) error {
	// One that was not finished may be there.
	if err := dir.Remove(metaTempName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := dir.Create(metaTempName)
	if err != nil {
		return err
	}
	err = f.WriteAt(0, text)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := dir.Rename(metaTempName, metaName); err != nil {
		return err
	}
	return dir.Sync()
}

// identitySum is how a segment header names the identity.
func identitySum(identity string) [32]byte { return sha256.Sum256([]byte(identity)) }

// newIncarnation draws a name for a new buffer.
func newIncarnation() (id [12]byte) {
	rand.Read(id[:]) // It ends the program rather than fail.
	return id
}
