#!/usr/bin/env bash
# Every check of the project, in one command, on a fresh Debian with git, python3 and rustup's cargo.
#
# Installs what is missing, then: format, lints, documentation, documented examples, all tests. The last lines are the
# test runner's own summary. Safe to run again; without anything to install or build it only runs the tests.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null                                   # nothing here asks a question

nextest_version=0.9.143
export DEBIAN_FRONTEND=noninteractive
export INSTA_UPDATE=no                            # a snapshot that differs is a failure, not a new file
export CARGO_NET_RETRY="${CARGO_NET_RETRY:-5}"
current='starting'
trap 'status=$?; ((status == 0)) || echo "FAILED: $current" >&2' EXIT

# step NAME COMMAND…: says what is being done and how long it took.
step() {
  current=$1
  shift
  local begun=$SECONDS
  echo "==> $current"
  "$@"
  echo "    $current: $((SECONDS - begun)) s"
}

has() { command -v "$1" >/dev/null 2>&1; }

# Installs Debian packages, as root or through sudo.
install_packages() {
  local as_root=()
  if ((EUID != 0)); then
    has sudo || { echo "please install: $*" >&2; return 1; }
    as_root=(sudo --preserve-env=DEBIAN_FRONTEND)
  fi
  local options=(-qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
  "${as_root[@]}" apt-get "${options[@]}" update
  "${as_root[@]}" apt-get "${options[@]}" install --yes --no-install-recommends "$@" >/dev/null
}

# What the tests need from the system: a linker and C compiler (the embedded database and the TLS library are C),
# strace (the tests look at what reaches the disk), PostgreSQL (the tests start servers of their own; the service that
# Debian sets up is not used), and Python environments and Node (public ServiceNow clients and webhook
# libraries are the judges; Node also runs what customers paste into ServiceNow).
system_packages() {
  local missing=()
  has cc || missing+=(gcc libc6-dev)
  has strace || missing+=(strace)
  has initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
  has node && has npm || missing+=(nodejs npm)
  ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
}

# The compiler that rust-toolchain.toml names; a rustup that does not install it by itself is told to.
toolchain() {
  cargo --version 2>/dev/null || rustup toolchain install
  cargo fmt --version >/dev/null && cargo clippy --version >/dev/null
}

# The test runner. Built without optimisation, which is much quicker; it only starts processes.
test_runner() {
  cargo nextest --version >/dev/null 2>&1 || cargo install --quiet --locked --debug \
    --no-default-features --features default-no-update "cargo-nextest@$nextest_version"
}

python_clients() {
  [[ ! -x scripts/test-python.sh ]] || ./scripts/test-python.sh
}

node_packages() {
  ./scripts/test-node.sh
}

alertmanager() {
  ./scripts/test-alertmanager.sh
}

# Alerts, dashboard, manifests, units: what other programs can judge of deploy/.
deployment() {
  ./scripts/test-deploy.sh
}

documentation() {
  RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --document-private-items --locked
}

step 'system packages' system_packages
step 'toolchain' toolchain
step 'crates' cargo fetch --locked
step 'test runner' test_runner
step 'Python clients' python_clients
step 'Node packages' node_packages
step 'Alertmanager' alertmanager
step 'deployment files' deployment
step 'format' cargo fmt --check
step 'lints' cargo clippy --locked --all-targets -- -D warnings
step 'documentation' documentation
step 'documented examples' cargo test --doc --locked --quiet
step 'build of the tests' cargo nextest run --locked --profile ci --no-run
echo "==> all tests (everything before took $SECONDS s)"
current='all tests'
cargo nextest run --locked --profile ci
