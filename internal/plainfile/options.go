package plainfile

import (
	"log/slog"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// Options are what both directions have in common. The zero value is usable.
type Options struct {
	// FS is the file system; nil is the operating system's.
	FS fsx.FS
	// Progress, if set, is called now and then with how many bytes of the
	// present pass are done, and how many there are. A pass builds or compares.
	Progress func(pass Pass, done, total int64)
	// Note, if set, is told in a sentence what people should know: that an
	// interrupted run is continued, that the work starts again.
	Note func(message string)
	// Logger is handed to the volume; nil is silent.
	Logger *slog.Logger
	// Workers is how many goroutines seal; 0 is one for each processor.
	Workers int
}

// EncryptOptions say what volume is made. The zero value is usable.
type EncryptOptions struct {
	Options
	// Suite of the volume. 0 is what an interrupted run began with, else AES-GCM.
	Suite blockstore.Suite
	// Key that the volume is written under. Zero is what an interrupted run
	// began with, else the keyring's default key.
	Key dek.ID
	// BlockSize in bytes. 0 is what an interrupted run began with, else a
	// SQLite database's page size (4,096 for smaller pages), else 8,192.
	BlockSize int
}

// DecryptOptions say which volume is accepted. The zero value is usable.
type DecryptOptions struct {
	Options
	// AllowPlain accepts a volume under suite none.
	AllowPlain bool
	// Accept, if set, is shown what the volume's label says once that is
	// authenticated; an error ends the work before anything is written beside it.
	Accept func(*blockstore.Info) error
	// ExpectAnchor, if set, refuses any other history.
	ExpectAnchor *blockstore.Anchor
}

// Pass names what is going on. The zero value is invalid.
type Pass uint8

// The passes, in their order.
const (
	Build   Pass = 1 // the new file is written
	Compare Pass = 2 // the new file is compared with the old one
)

// String returns "build" or "compare".
func (p Pass) String() string {
	switch p {
	case Build:
		return "build"
	case Compare:
		return "compare"
	}
	return "invalid"
}

// Result says what was done.
type Result struct {
	Path      string          `json:"path"`       // the file itself, symbolic links followed
	Bytes     int64           `json:"bytes"`      // length of the content
	Written   int64           `json:"written"`    // of these, how many this run wrote
	Resumed   bool            `json:"resumed"`    // an interrupted run was continued
	Restarts  int             `json:"restarts"`   // how often the file changed under the work
	SQLite    bool            `json:"sqlite"`     // the content is a SQLite database
	BlockSize int             `json:"block_size"` // of the volume, bytes
	Suite     string          `json:"suite"`      // of the volume
	Key       dek.ID          `json:"key"`        // the volume's write key; zero under suite none
	Volume    blockstore.UUID `json:"volume"`     // the volume's UUID
}

func (o *Options) fs() fsx.FS {
	if o.FS == nil {
		return fsx.OS()
	}
	return o.FS
}

func (o *Options) note(message string) {
	if o.Note != nil {
		o.Note(message)
	}
}

func (o *Options) progress(pass Pass, done, total int64) {
	if o.Progress != nil {
		o.Progress(pass, done, total)
	}
}
