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
# Beside our own builds, since most dependencies are the same; its program is set aside before ours takes the name again.
CARGO_TARGET_DIR="$PWD/target" cargo build --manifest-path "$tree/Cargo.toml" --locked --quiet --bin snowgate
cp target/debug/snowgate target/snowgate-earlier
echo '==> the update'
SNOWGATE_EARLIER="$PWD/target/snowgate-earlier" \
  cargo nextest run --locked --test process --no-capture -E 'test(/^rolling::/)'
