// Package indicator reads the service indicator of Go's cryptographic module:
// whether every service that a goroutine used was approved. Go keeps it to
// itself, so that this takes the linker's -checklinkname=0, and the tag
// fipsindicator; `make fips` gives both, for one test. Nothing else uses it.
package indicator
