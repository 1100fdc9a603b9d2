#!/usr/bin/env bash
# Fuzzes every target, or one: scripts/fuzz.sh [SECONDS [TARGET…]]. What is found is in fuzz/artifacts, and the exit code is 1.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-600}
shift || true
if [ $# -gt 0 ]; then targets=("$@"); else mapfile -t targets < <(cd fuzz/targets && ls -- *.rs | sed 's/\.rs$//'); fi
command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked

# Without sanitizers the stable compiler will do.
cargo fuzz build -s none
failed=()
for target in "${targets[@]}"; do
  # What the fuzzer finds interesting goes beside the committed corpus, which stays small.
  mkdir -p "fuzz/found/$target"
  cargo fuzz run -s none "$target" "fuzz/found/$target" "fuzz/corpus/$target" -- \
    -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 2>"fuzz/found/$target.log" || failed+=("$target")
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "fuzz/found/$target.log")
  echo "$target: ${runs:-?} inputs in $seconds s, coverage $(grep -o 'cov: [0-9]*' "fuzz/found/$target.log" | tail -1)"
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "found something in: ${failed[*]} (fuzz/found/TARGET.log, fuzz/artifacts)" >&2
  exit 1
fi
