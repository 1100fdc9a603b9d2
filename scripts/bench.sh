#!/usr/bin/env bash
# Measures what the project promises about speed and memory, and ends with one table: figure, value, target, verdict.
#
# Every target in benches/ runs in the release profile, and prints lines that begin with `figure`. A missed target is a
# result, so it does not fail the script; a measurement that could not be made does, after all the others were made.
# Words given to this script go to every bench: `--quick` for a few minutes instead of half an hour, with rounds too short
# to quote. Needs what scripts/test.sh installs and nothing else; what listens does so on loopback, at ports of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

results=$(mktemp)
trap 'rm -f "$results"' EXIT

# machine WHEN: what the figures were measured on; the load besides ours is in the figures too.
machine() {
  echo "==> machine, $1: $(nproc) processors, $(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)," \
    "load $(cut -d' ' -f1-3 /proc/loadavg), $(uname -sr)"
}

begun=$SECONDS
echo '==> build, release profile'
cargo bench --locked --bench '*' --no-run
echo "    build: $((SECONDS - begun)) s"
machine 'before'

failed=()
# measure BENCH WORD…: runs one bench, shows its output and keeps its figures. What is not known to a bench it ignores.
measure() {
  local bench=$1 begun=$SECONDS
  shift
  echo "==> $bench"
  cargo bench --quiet --locked --bench "$bench" -- "$@" 2>&1 | tee -a "$results" || failed+=("$bench")
  echo "    $bench: $((SECONDS - begun)) s"
}

# The small ones first: they need the processor for themselves.
benches=()
for first in mapping store gateway; do
  [[ ! -f benches/$first.rs ]] || benches+=("$first")
done
for file in benches/*.rs; do
  bench=$(basename "$file" .rs)
  [[ " ${benches[*]} " == *" $bench "* ]] || benches+=("$bench")
done
for bench in "${benches[@]}"; do
  measure "$bench" "$@"
done
machine 'after'

echo
awk -F'\t' '
  function pad(text, width) { return sprintf("%-" width "s", text) }
  $1 == "figure" {
    rows++
    for (column = 2; column <= 6; column++) {
      cell[rows, column] = $column
      if (length($column) > width[column]) width[column] = length($column)
    }
  }
  END {
    split("x figure value ratio target verdict", title, " ")
    for (row = 0; row <= rows; row++) {
      line = ""
      for (column = 2; column <= 6; column++) {
        text = row == 0 ? title[column] : cell[row, column]
        if (length(title[column]) > width[column]) width[column] = length(title[column])
        line = line pad(text, width[column]) "  "
      }
      sub(/ +$/, "", line)
      print line
    }
  }' "$results"

if ((${#failed[@]} > 0)); then
  echo "could not be measured: ${failed[*]}" >&2
  exit 1
fi
