#!/usr/bin/env bash
# Measures what the project promises about speed and memory, and ends with one table: figure, value, target, verdict.
#
# Every target in benches/ runs in the release profile, and prints lines that begin with `figure`. A missed target is a
# result, so it does not fail the script; a measurement that could not be made does. Words given to this script go to
# the side-by-side bench: `--quick` for half a minute instead of two, `--references` to leave the gateway out.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

results=$(mktemp)
trap 'rm -f "$results"' EXIT

echo "==> machine: $(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg), $(uname -sr)"
begun=$SECONDS
echo '==> build, release profile'
cargo bench --locked --bench '*' --no-run
echo "    build: $((SECONDS - begun)) s"

failed=()
# measure BENCH WORD…: runs one bench, shows its output and keeps its figures.
measure() {
  local bench=$1 begun=$SECONDS
  shift
  echo "==> $bench"
  cargo bench --quiet --locked --bench "$bench" -- "$@" | tee -a "$results" || failed+=("$bench")
  echo "    $bench: $((SECONDS - begun)) s"
}

# The small ones first: they need the processor for themselves.
for file in benches/*.rs; do
  bench=$(basename "$file" .rs)
  [[ $bench == gateway ]] || measure "$bench"
done
measure gateway "$@"

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
