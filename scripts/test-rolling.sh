#!/usr/bin/env bash
# A rolling update from an earlier commit to this one: builds that commit's program, then swaps three replicas one by one
# under load. The ordinary tests do the same with one program and a schema one step ahead.
#
# usage: scripts/test-rolling.sh [COMMIT]      the commit to come from; HEAD~ if it is not said
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null                                   # nothing here asks a question

commit=$(git rev-parse --verify "${1:-HEAD~}^{commit}")
tree=target/earlier
[[ -e $tree/.git ]] && git worktree remove --force "$tree"
trap 'git worktree remove --force "$tree"' EXIT
git worktree add --quiet --detach "$tree" "$commit"
[[ -e $tree/src/store/postgres ]] || { echo "$commit has no store in PostgreSQL: nothing to come from" >&2; exit 2; }

echo "==> the program of $(git log -1 --format='%h %s' "$commit")"
# Its dependencies are mostly ours: what is built for it stays for the next time.
(cd "$tree" && CARGO_TARGET_DIR=../earlier-build cargo build --locked --quiet --bin snowgate)
echo '==> the update'
SNOWGATE_EARLIER="$PWD/target/earlier-build/debug/snowgate" \
  cargo nextest run --locked --test process --no-capture -E 'test(/^rolling::/)'
