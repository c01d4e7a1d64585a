#!/usr/bin/env bash
# setup.sh go|test|arm64: what the target needs on this machine, installed where that is possible and named where it is not.
# Idempotent; where everything is there it does nothing and asks no network.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

command -v go >/dev/null || die "Go is missing: install Go 1.26 or newer, https://go.dev/dl"
# A toolchain that is too old and may not fetch a newer one says so here, once, in Go's own words.
go list -m >/dev/null || die "this Go cannot build the module: see go.mod for the version it needs"
target=${1:-test}
[ "$target" != go ] || exit 0

# missing prints the packages of the commands that are not there.
missing() {
	local packages=()
	if [ "$target" = arm64 ]; then
		[ "$(uname -m)" = aarch64 ] || command -v qemu-aarch64 >/dev/null || packages+=(qemu-user) # runs the tests for arm64
		echo "${packages[*]}"
		return
	fi
	command -v sqlite3 >/dev/null || packages+=(sqlite3)            # judges databases that went through encrypt and decrypt
	command -v openssl >/dev/null || packages+=(openssl)            # the independent implementation the suites are compared with
	command -v pykmip-server >/dev/null || packages+=(python3-pykmip) # a real KMIP server to test against
	command -v nbdcopy >/dev/null && command -v nbdinfo >/dev/null || packages+=(libnbd-bin) # clients that judge the NBD server
	command -v qemu-io >/dev/null && command -v qemu-img >/dev/null || packages+=(qemu-utils) # the same
	command -v fio >/dev/null || packages+=(fio) # writes with checksums over NBD, and checks them
	command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || packages+=(postgresql) # tables are re-keyed in it
	command -v "${CC:-gcc}" >/dev/null || packages+=(gcc libc6-dev) # the race detector links with cgo
	echo "${packages[*]}"
}

wanted=$(missing)
[ -n "$wanted" ] || exit 0

hint="apt-get install -y --no-install-recommends $wanted"
command -v apt-get >/dev/null || die "missing: $wanted. Install them with this system's package manager (on Debian: $hint)"
[ "$(id -u)" -eq 0 ] || die "missing: $wanted. As root: $hint"

echo "setup: installing $wanted"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || die "apt-get update failed; the tests need: $wanted"
read -ra packages <<<"$wanted"
apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2 || die "could not install: $hint"
wanted=$(missing)
[ -z "$wanted" ] || die "installed, but the commands are still not found: $wanted (CC=${CC:-})"
