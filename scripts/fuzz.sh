#!/usr/bin/env bash
# Finds every fuzz target in the tree and fuzzes each for FUZZTIME. Fails where one fails and where there is none.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
fuzztime=${FUZZTIME:-3s}

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# fuzz PACKAGE TARGET: quiet when it passes. One failure is not the target's: in Go 1.26 the end of -fuzztime can
# race with a worker and come out as "context deadline exceeded" with no failing input (golang/go#75804, mended in
# Go 1.27). Then, and only then, it is tried once more.
fuzz() {
	local attempt
	for attempt in 1 2; do
		if go test -run '^$' -fuzz "^$2\$" -fuzztime "$fuzztime" -fuzzminimizetime 1x -timeout 60m "$1" >"$log" 2>&1; then
			grep -qE '^fuzz: elapsed' "$log" || { cat "$log" >&2 && die "$2 in $1 was not fuzzed"; }
			return 0
		fi
		if [ "$attempt" = 2 ] || ! grep -qE '^ +context deadline exceeded$' "$log" || grep -q 'Failing input' "$log"; then
			break
		fi
		echo "   $2: golang/go#75804, once more"
	done
	cat "$log" >&2
	show_failing_input
	die "$2 in $1 failed"
}

# show_failing_input prints what the fuzzer wrote, for a reader who has the log and not the machine.
show_failing_input() {
	local input
	input=$(sed -n 's/^ *Failing input written to \(.*\)$/\1/p' "$log")
	[ -z "$input" ] || find . -path "*/$input" -exec cat {} + >&2
}

packages=$(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}' ./...)
count=0 in_packages=0
while read -r package dir; do
	[ -n "$package" ] || continue
	declared=$(grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go || [ $? -eq 1 ])
	[ -n "$declared" ] || continue
	targets=$(go test -list '^Fuzz' "$package")
	here=0
	while read -r target; do
		case "$target" in
		Fuzz*)
			fuzz "$package" "$target"
			here=$((here + 1))
			;;
		esac
	done <<<"$targets"
	# A target behind a build tag that does not hold here would otherwise go unfuzzed in silence.
	[ "$here" -eq "$(wc -l <<<"$declared")" ] || die "$package declares $(wc -l <<<"$declared") targets, go test lists $here"
	echo "   $package: $here"
	count=$((count + here)) in_packages=$((in_packages + 1))
done <<<"$packages"
[ "$count" -gt 0 ] || die "found no fuzz target"
echo "   $count fuzz targets in $in_packages packages, $fuzztime each"
