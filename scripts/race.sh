#!/usr/bin/env bash
# The race detector over every package of the library, in short form: everything but the command, the repository's rules, and the
# tests named below.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

all=$(go list ./...)
packages=()
while read -r package; do
	case "$package" in
	*/cmd | */cmd/* | */internal/layers) ;;
	*) packages+=("$package") ;;
	esac
done <<<"$all"
[ "${#packages[@]}" -gt 0 ] || die "found no packages"

# One goroutine, many rounds: the detector has nothing to see there and makes them four times as long. They run without it in the last stage.
rounds='^(TestFaultAt|TestFullDisk|TestFailedSync|TestIgnoredWrite|TestKillIn|TestMisdirected|TestManySessions|TestAttack|TestSalvage|TestCopiesOn|TestExportCut'
rounds+='|TestBackupAltered|TestBackupFlipped|TestRollForward|TestRestore|TestConversionTurnedAround|TestReadersAgree|TestRandomAlterations)'
CGO_ENABLED=1 go test -race -short -timeout 20m -skip "$rounds" "${packages[@]}"
