#!/usr/bin/env bash
# Runs the body of every benchmark once: they compile, run and do not fail. Figures come from `make bench`.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

log=$(mktemp)
trap 'rm -f "$log"' EXIT
go test -run '^$' -bench . -benchtime 1x -short -timeout 20m ./... >"$log" 2>&1 || {
	cat "$log" >&2
	die "a benchmark failed"
}
count=$(grep -cE '^Benchmark.*(ns/op|B/op| MB/s)' "$log" || [ $? -eq 1 ])
[ "$count" -gt 0 ] || die "found no benchmark"
echo "   $count benchmarks"
