package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/cofferdb/coffer/internal/fault"
)

// EngineOptions of a run. The zero value is the default run.
type EngineOptions struct {
	// Dir is where the volumes are made, some 5 GB for the default run; "" is the system's folder for temporary files.
	Dir string
	// Only measures the scenarios named: see EngineScenarios. nil is all.
	Only []string
	// Scale divides every size and duration, for tests; 0 is 1.
	Scale int
	// Rounds is how often both sides are measured, in turn; 0 is 5.
	Rounds int
	// Progress, if not nil, is told what is measured.
	Progress func(what string)
}

// An EngineReport is the result of a run.
type EngineReport struct {
	Results []EngineResult `json:"results"`
}

// An EngineResult compares two sides, measured in turn in one process. Figures
// are medians over the rounds: of times (s), or of memory (MiB).
type EngineResult struct {
	Name   string  `json:"name"`
	Coffer float64 `json:"coffer"` // the side in question
	Plain  float64 `json:"plain"`  // its baseline
	Unit   string  `json:"unit"`
	Ratio  float64 `json:"ratio"`  // Coffer over Plain: below 1 is better
	Target float64 `json:"target"` // what Ratio may be
	Low    float64 `json:"low"`    // lowest ratio of a round
	High   float64 `json:"high"`   // highest ratio of a round
	Note   string  `json:"note"`   // what the sides are
}

// scenarios in their order.
var scenarios = []struct {
	name string
	run  func(*engineRun, context.Context) error
}{
	{"rekey-load", (*engineRun).rekeyLoad},
	{"rekey-idle", (*engineRun).rekeyIdle},
	{"open", (*engineRun).open},
	{"memory", (*engineRun).memory},
}

// EngineScenarios lists what Engine measures:
//
//   - rekey-load: 16 goroutines that read and commit, while a re-key runs at the
//     default rate, beside the same without: time per operation, and its 99th percentile
//   - rekey-idle: a re-key of a volume beside a copy of its file with a sync
//   - open: opening a volume of 10 GiB after a crash, beside one of 1 GiB with as much redo
//   - memory: the heap that a volume of 64 GiB needs, beside the bound
func EngineScenarios() []string {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return names
}

// engineRun is one run of Engine.
type engineRun struct {
	o      EngineOptions
	dir    string
	report EngineReport
}

// Engine measures the engine. It writes and removes files in o.Dir.
func Engine(ctx context.Context, o EngineOptions) (_ *EngineReport, err error) {
	for _, name := range o.Only {
		if !slices.Contains(EngineScenarios(), name) {
			return nil, fault.Hint(fmt.Errorf("bench: no scenario %q: %w", name, fault.Usage), fmt.Sprintf("There are %v.", EngineScenarios()))
		}
	}
	if o.Scale == 0 {
		o.Scale = 1
	}
	if o.Rounds == 0 {
		o.Rounds = 5
	}
	if o.Scale < 0 || o.Rounds < 0 {
		return nil, fmt.Errorf("bench: a negative scale or number of rounds: %w", fault.Usage)
	}
	dir, err := os.MkdirTemp(o.Dir, "coffer-bench-")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := &engineRun{o: o, dir: dir, report: EngineReport{Results: []EngineResult{}}}
	for _, s := range scenarios {
		if o.Only != nil && !slices.Contains(o.Only, s.name) {
			continue
		}
		if err := s.run(r, ctx); err != nil {
			return nil, fmt.Errorf("bench: %s: %w", s.name, err)
		}
	}
	return &r.report, nil
}

func (r *engineRun) progress(format string, args ...any) {
	if r.o.Progress != nil {
		r.o.Progress(fmt.Sprintf(format, args...))
	}
}

// sides are what both sides gave, by round.
type sides struct{ coffer, plain []float64 }

func (s *sides) add(coffer, plain float64) {
	s.coffer, s.plain = append(s.coffer, coffer), append(s.plain, plain)
}

// put adds the medians of s to the report.
func (r *engineRun) put(name, unit string, s *sides, target float64, note string) {
	ratios := make([]float64, len(s.coffer))
	for i := range ratios {
		ratios[i] = s.coffer[i] / s.plain[i]
	}
	r.report.Results = append(r.report.Results, EngineResult{Name: name, Coffer: median(s.coffer), Plain: median(s.plain), Unit: unit,
		Ratio: median(ratios), Target: target, Low: slices.Min(ratios), High: slices.Max(ratios), Note: note})
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
