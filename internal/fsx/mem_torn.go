package fsx

import (
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
)

// outcome is what becomes of one unsettled sector.
type outcome uint8

const (
	isOld  outcome = iota // as last durable; beyond the durable size perhaps garbage
	isNew                 // as last written
	isAny                 // as some write since left it
	isTorn                // garbage, if a write was under way there
)

// odds are the chances, in percent, that hold for one file in one crash.
type odds struct {
	keep, garbage int
	stale         bool // what is lost beyond the durable size shows what the disk had there
}

func drawOdds(rng *rand.Rand) odds {
	return odds{
		keep:    []int{5, 50, 95}[rng.IntN(3)],
		garbage: []int{0, 0, 10, 50}[rng.IntN(4)],
		stale:   rng.IntN(3) == 0,
	}
}

// crashPages decides for every unsettled sector of the old one what the new one finds there.
func (n *node) crashPages(old *node, w weather) {
	if len(old.unset) == 0 {
		return
	}
	at := slices.Sorted(maps.Keys(old.unset)) // the same decisions for the same seed
	fate, o := w.draw(), drawOdds(w.rng)
	var whole map[int]outcome // by unit
	if fate == inUnits {
		whole = drawUnits(w.rng, o, at)
	}
	for _, i := range at {
		pick := func() outcome { return o.sector(w.rng) }
		switch what, decided := whole[i]; {
		case fate == allLost:
			pick = func() outcome { return isOld }
		case fate == allKept:
			pick = func() outcome { return isNew }
		case decided:
			pick = func() outcome { return what }
		}
		n.pages[i] = old.unset[i].found(w.rng, pick, staleFrom(old, i, o))
	}
}

// staleFrom is the first sector of page i that lies beyond the durable size,
// if this crash shows stale data there; else there is none.
func staleFrom(n *node, i int, o odds) int {
	const none = pageSize / sectorSize
	if !o.stale {
		return none
	}
	beyond := n.diskSize - int64(i)*pageSize
	return int(min(none, max(0, (beyond+sectorSize-1)/sectorSize)))
}

func (o odds) sector(rng *rand.Rand) outcome {
	if rng.IntN(100) < o.garbage {
		return isTorn
	}
	return o.unit(rng)
}

func (o odds) unit(rng *rand.Rand) outcome {
	switch {
	case rng.IntN(100) >= o.keep:
		return isOld
	case rng.IntN(3) == 0:
		return isAny
	}
	return isNew
}

// drawUnits keeps or loses units of 4,096 bytes whole, but for one that is torn:
// its own sectors are decided one by one, and its neighbours are garbage, as far
// as they were being written too.
func drawUnits(rng *rand.Rand, o odds, at []int) map[int]outcome {
	whole := make(map[int]outcome, len(at))
	for _, i := range at {
		whole[i] = o.unit(rng)
	}
	torn := at[rng.IntN(len(at))]
	delete(whole, torn)
	for _, i := range []int{torn - 1, torn + 1} {
		if _, unsettled := whole[i]; unsettled {
			whole[i] = isTorn
		}
	}
	return whole
}

// found makes the page that is on the disk. Sectors from stale on were never
// durable: where they are lost they read as garbage.
func (u *unsettled) found(rng *rand.Rand, pick func() outcome, stale int) *page {
	doubt := u.sectors()
	last := u.versions[len(u.versions)-1].data // in all other sectors the same as disk
	var kept, older, spoilt sectors
	for s := range pageSize / sectorSize {
		bit := sectors(1 << s)
		if doubt&bit == 0 {
			continue
		}
		written := u.written&bit != 0
		switch what := pick(); {
		case what == isNew:
			kept |= bit
		case what == isTorn && written, what == isOld && written && s >= stale:
			spoilt |= bit
		case what != isOld:
			older |= bit
		}
	}
	if kept == doubt {
		return last
	}
	found := mix(u.disk, last, kept)
	if older|spoilt == 0 {
		return found
	}
	fresh := new(page)
	copy(fresh[:], found.bytes())
	for s := range pageSize / sectorSize {
		if bit := sectors(1 << s); (older|spoilt)&bit != 0 {
			sector := fresh[s*sectorSize : (s+1)*sectorSize]
			copy(sector, u.candidate(rng, bit).bytes()[s*sectorSize:])
			if spoilt&bit != 0 {
				spoil(rng, sector, u.disk.bytes()[s*sectorSize:])
			}
		}
	}
	return fresh
}

// candidate returns one of the versions that touched the sector.
func (u *unsettled) candidate(rng *rand.Rand, bit sectors) *page {
	k := 0
	var chosen *page
	for _, v := range u.versions {
		if v.set&bit == 0 {
			continue
		}
		if k++; rng.IntN(k) == 0 {
			chosen = v.data
		}
	}
	return chosen
}

// spoil turns a sector that holds new content into what an interrupted write
// may leave. old is the durable content.
func spoil(rng *rand.Rand, sector, old []byte) {
	switch rng.IntN(5) {
	case 0:
		clear(sector)
	case 1:
		for i := range sector {
			sector[i] = 0xff
		}
	case 2: // torn in the middle
		copy(sector[rng.IntN(sectorSize):], old[rng.IntN(sectorSize):sectorSize])
	case 3:
		sector[rng.IntN(sectorSize)] ^= 1 << rng.IntN(8)
	default:
		for i := 0; i < sectorSize; i += 8 {
			binary.LittleEndian.PutUint64(sector[i:], rng.Uint64())
		}
	}
}
