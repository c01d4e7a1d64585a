package crashtest

// What the store does not keep yet. Each is to become what it promises when it
// does; programs stay clear of the rest.
const (
	// tails: what is added to a volume reads as zeros even where its last block
	// was written with bytes behind the length.
	tails = true
	// reserves: what is recovered has its space, so that after a power cut too no
	// checkpoint fails on a full disk that can be overwritten.
	reserves = true
)
