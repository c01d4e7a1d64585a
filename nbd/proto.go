package nbd

// Values of the protocol (NetworkBlockDevice/nbd, doc/proto.md, "Values").
const (
	magicServer     = 0x4e42444d41474943 // "NBDMAGIC"
	magicOption     = 0x49484156454f5054 // "IHAVEOPT"
	magicReply      = 0x0003e889045565a9 // to an option
	magicRequest    = 0x25609513
	magicSimple     = 0x67446698
	magicStructured = 0x668e33ef
)

// Handshake flags.
const (
	flagFixedNewstyle = 1 << 0
	flagNoZeroes      = 1 << 1
)

// Options of the handshake.
const (
	optExportName      = 1
	optAbort           = 2
	optList            = 3
	optStartTLS        = 5
	optInfo            = 6
	optGo              = 7
	optStructuredReply = 8
	optListMeta        = 9
	optSetMeta         = 10
)

// Replies to options.
const (
	repAck         = 1
	repServer      = 2
	repInfo        = 3
	repMetaContext = 4
	repErrUnsup    = 1<<31 + 1
	repErrPolicy   = 1<<31 + 2
	repErrInvalid  = 1<<31 + 3
	repErrTLSReqd  = 1<<31 + 5
	repErrUnknown  = 1<<31 + 6
	repErrShutdown = 1<<31 + 7
	repErrTooBig   = 1<<31 + 9
)

// Kinds of information in a reply to INFO and GO.
const (
	infoExport      = 0
	infoName        = 1
	infoDescription = 2
	infoBlockSize   = 3
)

// Transmission flags.
const (
	sendHasFlags    = 1 << 0
	sendReadOnly    = 1 << 1
	sendFlush       = 1 << 2
	sendFUA         = 1 << 3
	sendTrim        = 1 << 5
	sendWriteZeroes = 1 << 6
	sendDF          = 1 << 7
	sendMultiConn   = 1 << 8
	sendCache       = 1 << 10
	sendFastZero    = 1 << 11
)

// Commands.
const (
	cmdRead        = 0
	cmdWrite       = 1
	cmdDisc        = 2
	cmdFlush       = 3
	cmdTrim        = 4
	cmdCache       = 5
	cmdWriteZeroes = 6
	cmdBlockStatus = 7
)

// Flags of commands.
const (
	cmdFlagFUA      = 1 << 0
	cmdFlagNoHole   = 1 << 1
	cmdFlagDF       = 1 << 2
	cmdFlagReqOne   = 1 << 3
	cmdFlagFastZero = 1 << 4
)

// Structured replies: the flag of the last chunk, and kinds of chunks.
const (
	replyDone        = 1 << 0
	chunkNone        = 0
	chunkData        = 1
	chunkBlockStatus = 5
	chunkError       = 1<<15 + 1
)

// The metadata context base:allocation, which says what is a hole and reads as zeros.
const (
	contextAllocation = "base:allocation"
	contextID         = 1
	stateHoleZero     = 1<<0 | 1<<1
)

// Errno is an error as a client sees it.
type Errno uint32

// The errors that the protocol knows.
const (
	EPERM     Errno = 1
	EIO       Errno = 5
	ENOMEM    Errno = 12
	EINVAL    Errno = 22
	ENOSPC    Errno = 28
	EOVERFLOW Errno = 75
	ENOTSUP   Errno = 95
	ESHUTDOWN Errno = 108
)

// Bounds. The protocol has them as its defaults.
const (
	maxPayload  = 32 << 20 // bytes of a read or a write
	maxOption   = 64 << 10 // bytes of an option's data
	maxString   = 4096     // bytes of a name or a query
	maxQueries  = 64       // of one meta context option
	maxExtents  = 1024     // of one block status reply
	requestSize = 28       // bytes of a request without its data
	structSize  = 20       // bytes of a structured reply without its data
	simpleSize  = 16       // bytes of a simple reply without its data
)
