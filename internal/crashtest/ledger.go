package crashtest

import "sync"

// ledger is what the volume may hold, as a row of states that are numbered in
// the order of their commits: the last acknowledged one and those begun after
// it. A commit is entered by the function of its transaction, so that the
// writer lock of the store, which it runs under, gives the order.
type ledger struct {
	mu       sync.Mutex // guards the fields below
	states   []state    // those up to a slice's length never change
	first    int64      // number of states[0]
	base     int64      // number of the last acknowledged
	made     int64      // number of the last whose commit has returned, durable or not
	watchers int        // of whom each may ask for all states since it began
}

// reset makes s the only possible state.
func (l *ledger) reset(s state) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.first = l.first + int64(len(l.states))
	l.states, l.base, l.made = []state{s}, l.first, l.first
}

// last returns the number of the last state whose commit has returned: what
// makes everything durable from now on makes that durable, and perhaps no more.
func (l *ledger) last() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.made, l.base)
}

// done says that the commit of state n has returned.
func (l *ledger) done(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made = max(l.made, n)
}

// head is the newest state.
func (l *ledger) head() state {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.states[len(l.states)-1]
}

// possible returns the states that the volume may be found in now, oldest first.
func (l *ledger) possible() []state {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.states[l.base-l.first : len(l.states) : len(l.states)]
}

// begin makes a state possible before its commit is made, and returns its number.
func (l *ledger) begin(s state) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.states = append(l.states[:len(l.states):len(l.states)], s)
	return l.first + int64(len(l.states)) - 1
}

// withdraw says that the commit of the newest state is known not to have
// happened. It reports false if n is not the newest.
func (l *ledger) withdraw(n int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n != l.first+int64(len(l.states))-1 || n <= l.base {
		return false
	}
	l.states = l.states[: len(l.states)-1 : len(l.states)-1]
	return true
}

// settle says that everything up to state n is acknowledged.
func (l *ledger) settle(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.base = max(l.base, n)
	l.drop()
}

func (l *ledger) drop() {
	if l.watchers == 0 {
		l.states, l.first = l.states[l.base-l.first:], l.base
	}
}

// watch keeps every state from now on until unwatch; the number is for since.
func (l *ledger) watch() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers++
	return l.base
}

func (l *ledger) unwatch() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers--
	l.drop()
}

// since returns all states that were possible at some time since watch returned n.
func (l *ledger) since(n int64) []state {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.states[n-l.first : len(l.states) : len(l.states)]
}
