package journal

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"

	"github.com/cofferdb/coffer/internal/fsx"
)

// List reads the headers in a folder, without keys, ordered by segment number:
// which key each segment needs (State is [StateUnproven]). An unreadable header
// is listed first, with its error. A folder that is not there is an empty list.
// Nothing is authenticated. Last is known where a successor's header says it, of its segment or of its number.
func List(fsys fsx.FS, dir string) ([]SegmentInfo, error) {
	slots, err := readFolder(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	seen := map[[16]byte]bool{}
	ends := map[[16]byte]uint64{}
	type place struct {
		stream [16]byte
		number uint64
	}
	behind := map[place]uint64{} // begun after a clean end: the predecessor has a number only
	var list []SegmentInfo
	for _, s := range slots {
		i := s.info()
		if s.err == nil {
			i.State = StateUnproven
			i.Copy = seen[i.UUID]
			seen[i.UUID] = true
			ends[s.hdr.pred.segment] = s.hdr.pred.end
			if s.hdr.pred.segment == [16]byte{} {
				behind[place{s.hdr.stream, s.hdr.pred.number}] = s.hdr.pred.end
			}
		}
		list = append(list, i)
	}
	for n := range list {
		if end, ok := ends[list[n].UUID]; ok && list[n].Err == nil {
			list[n].Last = end
		} else if end, ok := behind[place{list[n].Stream, list[n].Number}]; ok && list[n].Err == nil {
			list[n].Last = end
		}
	}
	sortInfos(list)
	return list, nil
}

func sortInfos(list []SegmentInfo) {
	slices.SortStableFunc(list, func(a, b SegmentInfo) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Slot, b.Slot))
	})
}

func (h *header) info() SegmentInfo {
	if h.number == 0 {
		return SegmentInfo{}
	}
	return SegmentInfo{
		Number: h.number, UUID: h.segment, Volume: h.volume, Stream: h.stream, Session: h.session,
		Key: h.key, Bits: int(h.bits), Generation: h.generation, First: h.first,
		Created: timeOf(h.created),
	}
}
