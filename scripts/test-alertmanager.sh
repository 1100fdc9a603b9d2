#!/usr/bin/env bash
# Brings the Prometheus Alertmanager of Debian's packages, which tests/pages runs, to target/tools/alertmanager.
# The package is unpacked and not installed: an installed one would be started, now and with the machine. Only the two templates that its
# program looks for at a fixed place under /usr/share are put there.
# Safe to run again: it does nothing when all of it is already there.
set -euo pipefail
cd "$(dirname "$0")/.."

package=prometheus-alertmanager
folder=target/tools/alertmanager
program="$folder/usr/bin/prometheus-alertmanager"
templates=/usr/share/prometheus/alertmanager

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "please run as root: $*" >&2
    return 1
  fi
}

if [[ ! -x "$program" ]]; then
  download=$(mktemp -d)
  trap 'rm -rf "$download"' EXIT
  # apt reads and writes as a user of its own where it can.
  chmod 755 "$download"
  fetch() { (cd "$download" && apt-get -qq -o Acquire::Retries=3 download "$package" 2>/dev/null); }
  fetch || { as_root apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 update && fetch; }
  rm -rf "$folder"
  mkdir -p "$folder"
  dpkg -x "$download/$package"_*.deb "$folder"
fi
for template in default.tmpl email.tmpl; do
  if [[ ! -e "$templates/$template" ]]; then
    as_root install -D -m 644 "$folder$templates/$template" "$templates/$template"
  fi
done
"$program" --version >/dev/null 2>&1
