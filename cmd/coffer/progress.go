package main

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// progressStyle is how long work shows how far it is: auto, none or json. It is
// a flag; "" is auto.
type progressStyle string

var _ pflag.Value = (*progressStyle)(nil)

func (s *progressStyle) register(c *cobra.Command) {
	*s = "auto"
	c.Flags().Var(s, "progress", "auto (a bar on a terminal), none, or json (lines on standard error)")
}

// Set implements [pflag.Value].
func (s *progressStyle) Set(text string) error {
	switch text {
	case "auto", "none", "json":
		*s = progressStyle(text)
		return nil
	}
	return usagef("not auto, none or json")
}

// String implements [pflag.Value].
func (s *progressStyle) String() string { return string(*s) }

// Type implements [pflag.Value].
func (s *progressStyle) Type() string { return "style" }

// progressEvery is the time between two reports.
const progressEvery = 250 * time.Millisecond

// meter shows progress on standard error. Its methods may be called by several
// goroutines.
type meter struct {
	json bool
	bars bool
	out  io.Writer

	mu    sync.Mutex // guards the rest
	bar   *progressbar.ProgressBar
	stage string
	total int64
	start time.Time // of the stage
	last  time.Time // report
	speed float64   // bytes per second, where it is known
	left  float64   // seconds, where the work itself has an estimate
}

func (p *program) meter(s progressStyle) *meter {
	_, tty := terminal(p.stderr)
	return &meter{json: s == "json", bars: s == "auto" && tty, out: p.stderr}
}

// progressLine is one line of --progress json.
type progressLine struct {
	Stage     string  `json:"stage"`
	Unit      string  `json:"unit"`
	Done      int64   `json:"done"`
	Total     int64   `json:"total"`
	Seconds   float64 `json:"seconds"`             // since the stage began
	Remaining float64 `json:"remaining,omitempty"` // seconds, at the rate of late, or so far
	Speed     float64 `json:"bytes_per_second,omitempty"`
}

// set says how far a stage is.
func (m *meter) set(stage string, done, total int64, unit string) {
	if !m.bars && !m.json {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if stage != m.stage || total != m.total {
		m.begin(stage, total, unit, now)
	} else if now.Sub(m.last) < progressEvery && done < total {
		return
	}
	m.last = now
	if m.bars {
		_ = m.bar.Set64(done) // a bar that cannot be drawn is no reason to stop
		return
	}
	l := progressLine{Stage: stage, Unit: unit, Done: done, Total: total, Seconds: now.Sub(m.start).Seconds(), Speed: m.speed}
	switch {
	case done >= total:
	case m.left > 0:
		l.Remaining = m.left
	case done > 0:
		l.Remaining = l.Seconds / float64(done) * float64(total-done)
	}
	_ = json.NewEncoder(m.out).Encode(l) // likewise
}

// pace tells the meter how fast the work goes of late, in bytes per second, and
// how long it takes still at that; 0 where it cannot tell. What is skipped fast at
// the start of a work that goes on, and a time in which it was halted, say nothing about that.
func (m *meter) pace(speed float64, left time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.speed, m.left = speed, left.Seconds()
}

// begin starts another stage. Callers hold mu.
func (m *meter) begin(stage string, total int64, unit string, now time.Time) {
	m.clear()
	m.stage, m.total, m.start = stage, total, now
	if !m.bars {
		return
	}
	m.bar = progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(m.out), progressbar.OptionSetDescription(stage),
		progressbar.OptionShowBytes(unit == "bytes"), progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(true), progressbar.OptionFullWidth(),
		progressbar.OptionThrottle(progressEvery), progressbar.OptionClearOnFinish(),
	)
}

// clear takes the bar away. Callers hold mu.
func (m *meter) clear() {
	if m.bar != nil {
		_ = m.bar.Clear() // as above
		m.bar = nil
	}
}

// finish takes the bar away, so that what is printed next has the line to itself.
func (m *meter) finish() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear()
	m.stage = ""
}
