#!/usr/bin/env bash
# nested.sh [FOLDER...]: vets and tests nested modules: those named, or all of them. They hold what no user of the
# library should download: heavy test data, generators, peers for benchmarks.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

modules=("$@")
if [ "$#" -eq 0 ]; then
	found=$(find . -mindepth 2 -name go.mod -not -path './.git/*' -not -path '*/testdata/*' | sort)
	while read -r mod; do
		[ -z "$mod" ] || modules+=("$(dirname "$mod")")
	done <<<"$found"
fi
[ "${#modules[@]}" -gt 0 ] || die "found no nested module"

for module in "${modules[@]}"; do
	[ -f "$module/go.mod" ] || die "$module is no module"
	if [ -z "$(find "$module" -name '*.go' -print -quit)" ]; then
		echo "   $module: no packages" # it only pins tools
		continue
	fi
	(cd "$module" && go vet ./... && go test -timeout 20m ./...)
done
