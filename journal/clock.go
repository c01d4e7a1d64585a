package journal

import "time"

// lastSecond is the end of the year 9999: later times have no text form.
const lastSecond = 253402300799

// seconds returns a time as it is stored: seconds since 1970, at least 0 and at
// most the end of the year 9999, whatever the clock says. Times are for people
// and decide nothing.
func seconds(t time.Time) int64 { return min(max(t.Unix(), 0), lastSecond) }

// timeOf returns a stored time. One that is out of bounds, which nobody writes,
// reads as the nearest bound, so that it can be printed.
func timeOf(stored int64) time.Time {
	return time.Unix(min(max(stored, 0), lastSecond), 0).UTC()
}
