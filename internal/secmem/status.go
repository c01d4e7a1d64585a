package secmem

// Status says how well secrets are kept, over all memory in use.
type Status struct {
	Locked     bool   // all of it is locked: none can reach a swap device
	DontDump   bool   // all of it is left out of core dumps
	WipeOnFork bool   // all of it is zero in a forked child
	Reason     string // what the system refused and why; empty when all three hold
}

// StatusNow returns the present state. Where nothing has been allocated yet it
// maps the first chunk, so that the answer is an observation, not a guess.
func StatusNow() Status { return defaultArena.status() }

func (a *arena) status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.chunks) == 0 {
		a.grow(1)
	}
	s := Status{Locked: true, DontDump: true, WipeOnFork: true}
	for _, c := range a.chunks {
		s.Locked = s.Locked && c.state.Locked
		s.DontDump = s.DontDump && c.state.DontDump
		s.WipeOnFork = s.WipeOnFork && c.state.WipeOnFork
		if s.Reason == "" {
			s.Reason = c.state.Reason
		}
	}
	return s
}
