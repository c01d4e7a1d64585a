#!/usr/bin/env bash
# Builds with the validated version of Go's cryptographic module and runs the tests of everything that encrypts: once with the
# mode not asked for, where the tests that ask for it do so in children, and once in FIPS mode throughout.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

export GOFIPS140=v1.0.0 # CMVP certificate 5247; package fips lists the versions that count
unset GODEBUG COFFER_FIPS

go build ./...

# FIPS mode without the validated module must not start; what this build makes says itself which module it has.
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -o "$bin/coffer" ./cmd/coffer
"$bin/coffer" version --fips
if GOFIPS140=off go run ./cmd/coffer version --fips >/dev/null 2>&1; then
	die "a build without the validated module starts in FIPS mode"
fi

echo "   the module's own indicator: every service used is an approved one"
COFFER_FIPS=1 go vet -tags fipsindicator ./fips/internal/indicator
COFFER_FIPS=1 go test -tags fipsindicator -ldflags=-checklinkname=0 ./fips/internal/indicator

if [ -n "${FIPS_SHORT:-}" ]; then
	echo "   FIPS mode"
	COFFER_FIPS=1 go test -short -timeout 20m ./fips ./dek ./keyfile ./internal/seal ./element
	exit 0
fi
packages=(./fips ./dek ./keyfile ./kms ./kmip ./nbd ./control ./internal/seal ./element ./element/retable ./internal/tabletest ./journal ./blockstore ./internal/plainfile ./pebblefs ./internal/crashtest ./sqlitevfs ./internal/sqlitetest ./cmd/coffer)
echo "   the module is there, FIPS mode is not asked for"
go test -short -timeout 20m ./fips ./dek ./keyfile ./internal/seal ./element ./blockstore ./cmd/coffer
echo "   FIPS mode"
COFFER_FIPS=1 go test -short -timeout 20m "${packages[@]}"
