package forward

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spillway/spillway/internal/source/seen"
)

// The parts of one line stand in a file of their own, one frame for each:
//
//	u32  length of what follows the checksum
//	u32  CRC32C of that
//	16   key of the chunk that the part was, zero where chunks are not remembered
//	i64  when the first part came, in nanoseconds since 1970
//	u16  length of the tag
//	     the tag, and the entry as it is to be handed over
//
// All numbers are little-endian. A frame that is torn at the end of the file was
// not acknowledged.
const (
	frameHead = 8
	frameBody = 16 + 8 + 2
	// maxPartsFile is the largest file that is read: parts carry other keys beside
	// the log.
	maxPartsFile = 8 << 20
	partsPattern = "line-*"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// partFrame is one part in its file.
type partFrame struct {
	key   seen.Key
	since time.Time
	tag   string
	entry []byte
}

func (f *partFrame) append(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, frameHead)...)
	dst = append(dst, f.key[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(f.since.UnixNano()))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(f.tag)))
	dst = append(append(dst, f.tag...), f.entry...)
	body := dst[at+frameHead:]
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(body)))
	binary.LittleEndian.PutUint32(dst[at+4:], crc32.Checksum(body, castagnoli))
	return dst
}

var (
	errTorn    = errors.New("torn")
	errDamaged = errors.New("damaged")
)

// nextFrame splits the first frame off. What it returns is part of text.
func nextFrame(text []byte) (f partFrame, rest []byte, err error) {
	if len(text) < frameHead {
		return f, nil, errTorn
	}
	n := binary.LittleEndian.Uint32(text)
	if uint64(n) > uint64(len(text)-frameHead) {
		return f, nil, errTorn
	}
	body := text[frameHead : frameHead+int(n)]
	if len(body) < frameBody || binary.LittleEndian.Uint32(text[4:]) != crc32.Checksum(body, castagnoli) {
		return f, nil, errDamaged
	}
	copy(f.key[:], body)
	f.since = time.Unix(0, int64(binary.LittleEndian.Uint64(body[16:])))
	tag := int(binary.LittleEndian.Uint16(body[24:]))
	if body = body[frameBody:]; tag > len(body) {
		return f, nil, errDamaged
	}
	f.tag, f.entry = string(body[:tag]), body[tag:]
	return f, text[frameHead+int(n):], nil
}

// partsFile is the file of one line. It is open only while it is written, so that
// lines which wait hold no descriptor.
type partsFile struct {
	path string
	size int64
}

// makePartsFile makes an empty file in dir, which is made where it is missing.
// With power, their names survive a loss of power.
func makePartsFile(dir string, power bool) (f partsFile, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return f, err
	}
	made, err := os.CreateTemp(dir, partsPattern)
	if err != nil {
		return f, err
	}
	f.path = made.Name()
	err = made.Close()
	for _, d := range []string{dir, filepath.Dir(dir), filepath.Dir(filepath.Dir(dir))} {
		if power && err == nil {
			err = syncDir(d)
		}
	}
	if err != nil {
		return f, errors.Join(err, f.remove())
	}
	return f, nil
}

// append puts a frame behind the others. With power, it survives a loss of power.
// After an error the file takes no more.
func (f *partsFile) append(frame []byte, power bool) error {
	file, err := os.OpenFile(f.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err = file.WriteAt(frame, f.size); err == nil && power {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	f.size += int64(len(frame))
	return nil
}

func (f *partsFile) remove() error {
	if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readPartsFile reads the parts of a line that an earlier process has left, and cuts
// off what is torn. damaged says what of it cannot be read, and was acknowledged.
func readPartsFile(path string) (f partsFile, frames []partFrame, damaged, err error) {
	f.path = path
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return f, nil, nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	text, err := io.ReadAll(io.LimitReader(file, maxPartsFile+1))
	if err == nil && len(text) > maxPartsFile {
		err = fmt.Errorf("%s has more than the %d bytes that the parts of a line may have", path, maxPartsFile)
	}
	if err != nil {
		return f, nil, nil, err
	}
	rest := text
	for len(rest) > 0 {
		frame, after, err := nextFrame(rest)
		// Blocks that the power took before they were written read as zeros.
		if errors.Is(err, errDamaged) && len(bytes.Trim(rest, "\x00")) > 0 {
			damaged = fmt.Errorf("%s is damaged at byte %d: the line goes out with the %d parts before", path, f.size, len(frames))
		}
		if err != nil {
			break
		}
		frame.entry = slices.Clone(frame.entry)
		frames, rest = append(frames, frame), after
		f.size = int64(len(text) - len(rest))
	}
	if damaged != nil && len(frames) == 0 {
		return f, nil, damaged, nil
	}
	return f, frames, damaged, file.Truncate(f.size)
}
