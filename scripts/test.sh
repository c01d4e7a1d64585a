#!/usr/bin/env bash
# Everything CI runs. The quick checks come first; go test comes last, so that a run ends with its lines.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

step "set-up"
scripts/setup.sh test
before=$(tree_state)

step "lint"
scripts/lint.sh

step "other systems, purego"
scripts/cross.sh

step "FIPS mode, the short form of make fips"
FIPS_SHORT=1 scripts/fips.sh

step "race detector"
scripts/race.sh

step "short fuzz"
FUZZTIME=${FUZZTIME:-3s} scripts/fuzz.sh

step "each benchmark once"
scripts/benchonce.sh

step "nested modules"
scripts/nested.sh

step "tests"
go test -timeout 30m ./...
tree_unchanged "$before" "the run"
