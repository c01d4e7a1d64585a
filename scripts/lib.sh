# Sourced by the other scripts: strict mode, the repository's root as working folder, messages.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Version stamping asks git about the folder, which git refuses where another user owns the clone.
case " ${GOFLAGS:-} " in
*" -buildvcs="*) ;;
*) export GOFLAGS="${GOFLAGS:+$GOFLAGS }-buildvcs=false" ;;
esac

step() { printf '== %s (%ss)\n' "$*" "$SECONDS"; }

die() {
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

# tree_state prints what differs from the last commit; nothing outside a git clone.
tree_state() {
	[ -e .git ] || return 0
	git --no-optional-locks -c safe.directory='*' status --porcelain --untracked-files=all
	git --no-optional-locks -c safe.directory='*' diff
}

# tree_unchanged BEFORE WHAT: fails when the work tree is no longer what tree_state printed before.
tree_unchanged() {
	local after
	after=$(tree_state)
	[ "$after" = "$1" ] && return 0
	diff <(printf '%s\n' "$1") <(printf '%s\n' "$after") >&2 || true
	die "$2 changed the work tree"
}
