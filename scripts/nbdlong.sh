#!/usr/bin/env bash
# PostgreSQL on ext4 on a volume: coffer serve nbd, nbdfuse, a loop device, ext4, pgbench, a re-key meanwhile; then the server
# is killed under load, and the file system, the database and the volume are checked. NBD_SECONDS (60) bounds each load.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
set -E
seconds=${NBD_SECONDS:-60}

# skip SAYS: what is not permitted or not there is said, and is no failure, unless nothing may be missing.
skip() {
	echo "nbd-long: skipped: $*"
	[ "${CI:-}" != true ] || exit 1
	exit 0
}
[ "$(uname -s)" = Linux ] || skip "loop devices and FUSE are Linux's"
[ "$(id -u)" -eq 0 ] || skip "mounting needs root"
for tool in nbdfuse losetup mkfs.ext4 fsck.ext4 runuser; do
	command -v "$tool" >/dev/null || skip "$tool is missing: apt-get install libnbd-bin util-linux e2fsprogs"
done
[ -c /dev/fuse ] || skip "there is no /dev/fuse"
bin=$(find /usr/lib/postgresql -name pgbench -printf '%h\n' 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || skip "PostgreSQL is missing: apt-get install postgresql"
id postgres >/dev/null 2>&1 || skip "there is no user postgres"

dir=$(mktemp -d)
chmod 711 "$dir"
mkdir "$dir/fs"
server="" fuse="" loop="" postmaster=""
export COFFER_KEYFILE=$dir/keys COFFER_ADMIN=alice COFFER_PASSWORD_FILE=$dir/pw
printf 'correct Horse 7 battery!\n' >"$dir/pw"

# down takes apart what is up, from the top; it never fails.
down() {
	if [ -n "$postmaster" ]; then # by its number: its files may be out of reach
		kill -QUIT "$postmaster" 2>/dev/null || true
		while kill -0 "$postmaster" 2>/dev/null; do sleep 0.1; done
	fi
	! mountpoint -q "$dir/fs" || umount "$dir/fs" || umount -l "$dir/fs" || true
	[ -z "$loop" ] || losetup -d "$loop" || true
	[ -z "$fuse" ] || { umount "$dir/disk" 2>/dev/null || kill "$fuse" 2>/dev/null || true; wait "$fuse" 2>/dev/null || true; }
	loop="" fuse="" postmaster=""
}
finish() {
	down
	[ -z "$server" ] || { kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
	rm -rf "$dir"
}
trap finish EXIT
trap 'echo "nbd-long: line $LINENO failed" >&2; tail -n 20 "$dir"/log "$dir"/fuse.log "$dir"/fs/pg.log "$dir"/bench.log >&2 2>/dev/null || true' ERR

# up serves the volume and makes a block device of it.
up() {
	rm -f "$dir/uri"
	"$dir/coffer" serve nbd "$dir/volume" --socket "$dir/s" >"$dir/uri" 2>>"$dir/log" &
	server=$!
	until [ -s "$dir/uri" ]; do
		kill -0 "$server" 2>/dev/null || { cat "$dir/log" >&2; die "the server did not start"; }
		sleep 0.1
	done
	touch "$dir/disk"
	nbdfuse "$dir/disk" "$(cat "$dir/uri")" >"$dir/fuse.log" 2>&1 &
	fuse=$!
	until [ -s "$dir/disk" ]; do
		kill -0 "$fuse" 2>/dev/null || { cat "$dir/fuse.log" >&2; skip "FUSE may not be mounted here"; }
		sleep 0.1
	done
	loop=$(losetup --find --show "$dir/disk") || { loop=""; skip "loop devices may not be used here"; }
}

postgres() { runuser -u postgres -- "$@"; }
bench() { postgres "$bin/pgbench" -h "$dir/fs" -c 4 -j 2 "$@" postgres; }
start() {
	postgres "$bin/pg_ctl" -D "$dir/fs/data" -w -o "-k $dir/fs -c listen_addresses= -c shared_buffers=32MB" -l "$dir/fs/pg.log" start >/dev/null
	postmaster=$(head -n 1 "$dir/fs/data/postmaster.pid")
}
stop() {
	postgres "$bin/pg_ctl" -D "$dir/fs/data" -m fast stop >/dev/null
	postmaster=""
}

step "build, and make a volume"
go build -o "$dir/coffer" ./cmd/coffer
"$dir/coffer" keyfile create "$dir/keys" --iterations 65536 >/dev/null 2>&1
"$dir/coffer" create "$dir/volume" --size 1G --block-size 4096 >/dev/null

step "ext4 and PostgreSQL on it"
up
mkfs.ext4 -q -b 4096 "$loop"
mount -o discard "$loop" "$dir/fs" || skip "ext4 may not be mounted here"
chown postgres: "$dir/fs"
postgres "$bin/initdb" -D "$dir/fs/data" --no-instructions -A trust >/dev/null
start
postgres "$bin/pgbench" -h "$dir/fs" -i -s 5 -q postgres >"$dir/bench.log" 2>&1

step "pgbench for $seconds s, with a re-key meanwhile"
bench -T "$seconds" >"$dir/bench.log" 2>&1 &
load=$!
"$dir/coffer" rekey "$dir/volume" --new-key 2>>"$dir/log"
"$dir/coffer" verify "$dir/volume" 2>>"$dir/log"
wait "$load" || { cat "$dir/bench.log" >&2; die "pgbench failed"; }
grep -E '^(tps|number of transactions actually)' "$dir/bench.log"
stop

step "the file system by itself"
umount "$dir/fs"
fsck.ext4 -fn "$loop" >/dev/null || die "fsck found damage"
mount -o discard "$loop" "$dir/fs"
start

step "the server is killed under pgbench"
bench -T "$seconds" >/dev/null 2>&1 &
load=$!
sleep $((seconds / 4 + 1))
kill -9 "$server"
wait "$server" 2>/dev/null || true
wait "$load" || true # its disk is gone
server=""
down
up
fsck.ext4 -p "$loop" >/dev/null || [ $? -eq 1 ] || die "fsck could not mend the file system"
mount -o discard "$loop" "$dir/fs"
rm -f "$dir/fs/data/postmaster.pid"
start
# pgbench's own invariant: each transaction adds one amount to an account, a teller and a branch, and writes it down.
sums=$(postgres "$bin/psql" -h "$dir/fs" -Atc 'select (select sum(abalance) from pgbench_accounts), (select sum(tbalance) from pgbench_tellers),
	(select sum(bbalance) from pgbench_branches), (select coalesce(sum(delta), 0) from pgbench_history)' postgres)
read -r accounts tellers branches history < <(tr '|' ' ' <<<"$sums")
[ "$accounts $accounts" = "$tellers $branches" ] || die "accounts $accounts, tellers $tellers, branches $branches"
echo "   balances agree: $accounts (history since the last vacuum: $history)"
stop

step "the end"
down
kill "$server"
wait "$server" || die "the server ended with $?"
server=""
"$dir/coffer" verify "$dir/volume"
