#!/usr/bin/env bash
# Linux on amd64 is where the tests run; elsewhere everything, tests included, must at least compile and vet.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# The table: GOOS GOARCH tags. An assembler-free build is one more system.
while read -r goos goarch tags; do
	echo "   $goos/$goarch${tags:+ -tags $tags}"
	GOOS=$goos GOARCH=$goarch CGO_ENABLED=0 go build -tags "$tags" ./...
	GOOS=$goos GOARCH=$goarch CGO_ENABLED=0 go vet -tags "$tags" ./...
done <<-'EOF'
	linux amd64 purego
	linux arm64
	darwin arm64
	windows amd64
EOF

# The portable code must also be right, not only compile.
portable=()
for dir in internal/aes internal/ff1 internal/seal element; do
	[ ! -d "$dir" ] || portable+=("./$dir/...")
done
[ "${#portable[@]}" -eq 0 ] || go test -tags purego -short -timeout 10m "${portable[@]}"
