#!/usr/bin/env bash
# gofmt, go vet, staticcheck, go.mod, generated code.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

unformatted=$(gofmt -l .)
[ -z "$unformatted" ] || die "gofmt -w these: $unformatted"

go vet ./...

# The tool runs in its own module, so that no user of the library downloads it. -n prints where its binary is:
# run through `go tool` it would itself be built for GOOS.
staticcheck=$(go tool -modfile=tools/go.mod -n staticcheck)
"$staticcheck" ./...
GOOS=windows GOARCH=amd64 CGO_ENABLED=0 "$staticcheck" -tests=false ./...
GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 "$staticcheck" -tests=false ./...

go mod tidy -diff || die "go.mod or go.sum is not tidy: go mod tidy"

# Generated code is committed, and making it again changes nothing.
generators=$(grep -rlE '^//go:generate ' --include='*.go' . || [ $? -eq 1 ])
if [ -n "$generators" ]; then
	before=$(tree_state)
	go generate ./...
	tree_unchanged "$before" "go generate"
fi
