#!/usr/bin/env bash
# Makes the Python environment of the tests, pinned, in target/test-python: public ServiceNow clients (tests/sim_clients.rs)
# and what the example receiver needs (tests/pages).
# Safe to run again: it does nothing when the pinned versions are already there.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=target/test-python
pins=(
  pysnc==1.2.1          # ServiceNow's own Python client
  pysnow==0.7.17        # the most used third-party client
  "$(cat examples/receivers/python/requirements.txt)"
)
stamp="$venv/.pins"

if [[ -x "$venv/bin/python" && -f "$stamp" && "$(cat "$stamp")" == "${pins[*]}" ]]; then
  exit 0
fi
rm -rf "$venv"
"${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${pins[@]}"
"$venv/bin/python" -c 'import pysnc'
# pysnow warns when libmagic is missing; it only guesses attachment types with it.
printf '%s' "${pins[*]}" > "$stamp"
