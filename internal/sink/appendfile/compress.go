package appendfile

import (
	"context"
	"errors"
	"io"
)

// Compress writes all of in through z and closes z, which ends the stream. It
// gives up when ctx ends; what was written is then of no use.
func Compress(ctx context.Context, z io.WriteCloser, in io.Reader) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := in.Read(buf)
		if _, err := z.Write(buf[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return z.Close()
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}
