package runfile

// Ack is the level at which a source acknowledges what it took: when every record
// of it, in every leg that it goes to, has reached the level or is settled. A leg
// without a disk buffer reaches kernel and power by settling.
type Ack string

// The choices of Ack, from the weakest. AckUnset is that of the route: its
// durability where that is kernel or power, else delivered.
const (
	AckUnset     Ack = ""
	AckMemory    Ack = "memory"    // the buffer has it
	AckKernel    Ack = "kernel"    // it survives the death of the process
	AckPower     Ack = "power"     // it survives the loss of power
	AckDelivered Ack = "delivered" // every destination has it
)

// Compression is how a sink compresses what it sends or keeps.
type Compression string

// The kinds of compression.
const (
	CompressNone Compression = "none"
	CompressGzip Compression = "gzip"
	CompressZstd Compression = "zstd"
)

// RecordFormat is how a sink writes a record of which it sends no message of the
// forward protocol.
type RecordFormat string

// The formats of records. A text line that comes in keeps its form in FormatText,
// and is the value of TextKey in the others.
const (
	FormatJSON RecordFormat = "json"     // the record as one JSON object
	FormatText RecordFormat = "text"     // the value of one key alone, the record as JSON where it has none
	FormatEMF  RecordFormat = "json/emf" // JSON in CloudWatch's embedded metric format
	// FormatOutFile is the line of fluentd's out_file: time, tag and the record as
	// JSON, with tabs between.
	FormatOutFile RecordFormat = "out_file"
)
