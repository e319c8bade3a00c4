package diskbuffer

// Store is one disk buffer.
type Store struct{}

func OpenDir(path string, owner Owner) (FS, error)    { panic("todo") }
func Create(fs FS, m Meta, o Options) (*Store, error) { panic("todo") }
func Open(fs FS, o Options) (*Store, *Found, error)   { panic("todo") }
func (s *Store) AddStream(st Stream) error            { panic("todo") }
func (s *Store) Append(payload []byte) (Place, error) { panic("todo") }
func (s *Store) Sync() (Position, error)              { panic("todo") }
func (s *Store) Seek(p Place)                         { panic("todo") }
func (s *Store) Read(dst []byte) (Chunk, error)       { panic("todo") }
func (s *Store) Next() (int, error)                   { panic("todo") }
func (s *Store) Settle(p Position) error              { panic("todo") }
func (s *Store) Offer(events uint64) error            { panic("todo") }
func (s *Store) Tidy() error                          { panic("todo") }
func (s *Store) Usage() Usage                         { panic("todo") }
func (s *Store) Close(clean bool) error               { panic("todo") }
func (s *Store) Remove() error                        { panic("todo") }
