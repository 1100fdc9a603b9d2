#!/usr/bin/env bash
# Makes the table of faults F01 to F52 in docs/faults.md: which tests prove each of them, and what they saw.
#
#   scripts/faults.sh           runs those tests (some minutes), keeps what they saw, writes the page
#   SNOWGATE_LONG=1 scripts/faults.sh   the same with thirty kills in ten thousand events (F13) and a PostgreSQL restarted
#                               every 5 to 40 s (F19): ten minutes more
#   scripts/faults.sh --page    only writes the page, from the sources and from what was seen the last time
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

measured=docs/faults.measured
if [[ ${1:-} != --page ]]; then
  seen=$(mktemp -d)
  trap 'rm -rf "$seen"' EXIT
  tests=$(grep -rhoP '(?s)proven\(\s*"F\w+",\s*"\K\w+' -z tests src | tr '\0' '\n' | sort -u | paste -sd '|')
  SNOWGATE_FAULTS="$seen" cargo nextest run --locked --no-fail-fast -E "test(/(^|::)($tests)\$/)"
  for file in "$seen"/F*; do
    name=${file##*/}
    printf '%s\t%s\t%s\n' "${name%%.*}" "${name#*.}" "$(cat "$file")"
  done | sort >"$measured"
fi
SNOWGATE_FAULTS_PAGE=1 cargo nextest run --locked --test doors -E 'test(the_page_shows_what_the_tests_prove)'
