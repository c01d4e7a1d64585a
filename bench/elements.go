package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/element"
	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/fault"
)

// ElementOptions of a run. The zero value is the default run.
type ElementOptions struct {
	// Only measures the scenarios named: see ElementScenarios. nil is all.
	Only []string
	// Scale divides how long each side is measured, for tests; 0 is 1.
	Scale int
	// Rounds is how often both sides are measured, in turn; 0 is 301.
	Rounds int
	// Progress, if not nil, is told what is measured.
	Progress func(what string)
}

// An ElementReport is the result of a run.
type ElementReport struct {
	Results []ElementResult `json:"results"`
}

// An ElementResult compares two sides, measured in turn in one process: medians
// over the rounds of the time per operation.
type ElementResult struct {
	Name   string  `json:"name"`
	Coffer float64 `json:"coffer"`
	Plain  float64 `json:"plain"` // its baseline
	Unit   string  `json:"unit"`
	Ratio  float64 `json:"ratio"`  // Coffer's time over the plain side's, the median of the rounds: below 1 is better
	Target float64 `json:"target"` // what Ratio may be
	Low    float64 `json:"low"`    // lowest ratio of a round
	High   float64 `json:"high"`   // highest ratio of a round
	Note   string  `json:"note"`   // what the sides are
}

// A contest is two sides of a measurement. Each runs its operation n times.
type contest struct {
	name         string
	coffer, bare func(n int) error
	per          float64 // so many units of unit per nanosecond of one operation
	unit         string
	target       float64
	note         string
}

// elementScenarios in their order.
var elementScenarios = []struct {
	name string
	make func(*elementRun) ([]contest, error)
}{
	{"values", (*elementRun).values},
	{"streams", (*elementRun).streams},
}

// ElementScenarios lists what Elements measures:
//
//   - values: Encrypt and Decrypt of 16 to 1,024 bytes with AES-GCM, beside crypto/cipher with a
//     cached key, a random nonce and the same additional data
//   - streams: writing and reading streams on one core, beside the bare kernel over the
//     same segments; and on two, beside one
func ElementScenarios() []string {
	var names []string
	for _, s := range elementScenarios {
		names = append(names, s.name)
	}
	return names
}

// elementRun is one run of Elements.
type elementRun struct {
	o      ElementOptions
	c      *element.Cipher
	key    dek.ID
	report ElementReport
}

// Elements measures package element.
func Elements(ctx context.Context, o ElementOptions) (_ *ElementReport, err error) {
	for _, name := range o.Only {
		if !slices.Contains(ElementScenarios(), name) {
			return nil, fault.Hint(fmt.Errorf("bench: no scenario %q: %w", name, fault.Usage), fmt.Sprintf("There are %v.", ElementScenarios()))
		}
	}
	if o.Scale == 0 {
		o.Scale = 1
	}
	if o.Rounds == 0 {
		o.Rounds = 301
	}
	if o.Scale < 0 || o.Rounds < 0 {
		return nil, fmt.Errorf("bench: a negative scale or number of rounds: %w", fault.Usage)
	}
	if err := fips.Start(nil); err != nil {
		return nil, err
	}
	if fips.LibraryOnly() {
		return nil, fault.Hint(fmt.Errorf("bench: elements: the bare kernel: %w", fips.ErrNotApproved), "Run it without FIPS mode.")
	}
	ring := dek.NewKeyring()
	key, err := ring.CreateEncryptionKey(256, dek.Element)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer key.Destroy()
	c, err := element.New(ring)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer c.Close()
	r := &elementRun{o: o, c: c, key: key.ID(), report: ElementReport{Results: []ElementResult{}}}
	for _, s := range elementScenarios {
		if o.Only != nil && !slices.Contains(o.Only, s.name) {
			continue
		}
		contests, err := s.make(r)
		if err != nil {
			return nil, fmt.Errorf("bench: %s: %w", s.name, err)
		}
		for _, k := range contests {
			if err := r.run(ctx, k); err != nil {
				return nil, fmt.Errorf("bench: %s: %w", k.name, err)
			}
		}
	}
	return &r.report, nil
}

// sideTime is how long one side is measured in a round: short, so that few rounds are
// disturbed by what else the machine does.
const sideTime = 200 * time.Microsecond

// run measures both sides in turn.
func (r *elementRun) run(ctx context.Context, k contest) error {
	if r.o.Progress != nil {
		r.o.Progress(k.name)
	}
	n, err := r.calibrate(k)
	if err != nil {
		return err
	}
	var coffer, bare, ratios []float64
	for i := range r.o.Rounds {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		first, second := k.coffer, k.bare
		if i%2 == 1 {
			first, second = second, first
		}
		a, err := timed(first, n)
		if err != nil {
			return err
		}
		b, err := timed(second, n)
		if err != nil {
			return err
		}
		if i%2 == 1 {
			a, b = b, a
		}
		coffer, bare, ratios = append(coffer, a*k.per), append(bare, b*k.per), append(ratios, a/b)
	}
	r.report.Results = append(r.report.Results, ElementResult{Name: k.name, Coffer: median(coffer), Plain: median(bare), Unit: k.unit,
		Ratio: median(ratios), Target: k.target, Low: slices.Min(ratios), High: slices.Max(ratios), Note: k.note})
	return nil
}

// calibrate returns how many operations of the bare side fill its time, and warms both up.
func (r *elementRun) calibrate(k contest) (int, error) {
	want := float64(sideTime) / float64(r.o.Scale)
	for n := 1; ; n *= 2 {
		if _, err := timed(k.coffer, n); err != nil {
			return 0, err
		}
		t, err := timed(k.bare, n)
		if err != nil || t*float64(n) >= want/2 || n >= 1<<24 {
			return n, err
		}
	}
}

// timed returns nanoseconds per operation.
func timed(side func(n int) error, n int) (float64, error) {
	begin := time.Now()
	err := side(n)
	return max(1, float64(time.Since(begin).Nanoseconds())) / float64(n), err
}
