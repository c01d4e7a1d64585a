#!/usr/bin/env bash
# Builds for arm64 and runs the tests of what depends on the processor under user-mode emulation (Debian's qemu-user).
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

export GOOS=linux GOARCH=arm64 CGO_ENABLED=0
go build ./...
go vet ./...

emulator=qemu-aarch64
if [ "$(uname -m)" = aarch64 ]; then
	emulator=
else
	command -v "$emulator" >/dev/null || die "$emulator is missing: apt-get install -y --no-install-recommends qemu-user"
fi
# What depends on the processor: the rest is the same code, and slow here.
go test -short -timeout 20m ${emulator:+-exec "$emulator"} ./fips ./dek ./internal/aes/... ./internal/ff1 ./internal/seal ./element ./bench
