package seal

import (
	"testing"

	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/aes"
)

// The tests that go through kernels, again for every set of them that this
// machine has, below the best, which they ran on by themselves.
func TestEveryTier(t *testing.T) {
	if fips.LibraryOnly() {
		t.Skip("no kernels in FIPS mode")
	}
	best := aes.Best()
	for _, tier := range aes.Available() {
		if tier == best {
			continue
		}
		t.Run(tier.String(), func(t *testing.T) {
			defer aes.Force(tier)()
			for name, test := range map[string]func(*testing.T){
				"RoundTrip": TestRoundTrip, "RaggedBatch": TestRaggedBatch, "Runs": TestRuns, "TwoSealsDiffer": TestTwoSealsDiffer,
				"RefusedBatches": TestRefusedBatches, "Closed": TestClosed, "Concurrent": TestConcurrent,
				"EveryBit": TestEveryBitOfCiphertextAndRecord, "LastUnit": TestLastUnitOfALargeBlock,
				"FormatBlocks": TestFormatBlocks, "FormatFrames": TestFormatFrames,
				"FrameRoundTrip": TestFrameRoundTrip, "FrameInPlace": TestFrameInPlace, "EveryBitOfAFrame": TestEveryBitOfAFrame,
				"OpenSSLBlocks": TestOpenSSLBlocks, "OpenSSLFrames": TestOpenSSLFrames,
				"CAVPGCM": TestCAVPGCM, "CAVPGMAC": TestCAVPGMAC, "CAVPCBC": TestCAVPCBC, "CAVPXTS": TestCAVPXTS,
				"NoAllocations": TestNoAllocations, "FrameNoAllocations": TestFrameNoAllocations,
				"GCMDrawingItsOwnNonces": TestGCMDrawingItsOwnNonces, "ScratchKeepsNoPlaintext": TestScratchKeepsNoPlaintext,
				"TiersReadEachOther": testReadsBest,
			} {
				t.Run(name, test)
			}
		})
	}
}

// testReadsBest seals on the tier that is forced and opens on the others.
func testReadsBest(t *testing.T) {
	for _, v := range variants() {
		from := newCipher(t, v, testScope(v))
		for _, other := range aes.Available() {
			restore := aes.Force(other)
			to := newCipher(t, v, testScope(v))
			restore()
			if v.suite.Encrypted() {
				roundTripBetween(t, from, to, true)
				roundTripBetween(t, to, from, false)
			}
		}
	}
}
