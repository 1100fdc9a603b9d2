#!/usr/bin/env bash
# Makes the Node packages that tests/pages and tests/servicenow use, from the lock files beside the code that they are for, in target/test-node.
# Safe to run again: it does nothing when the packages of these lock files are already there.
set -euo pipefail
cd "$(dirname "$0")/.."

# name of the folder in target/test-node, and where its package.json and lock file are
places=(
  'receiver      examples/receivers/node'
  'business-rule deploy/servicenow/test'
  'issuer        tests/issuer'
  'oauth-server  tests/clients/oauth_server'
)

for place in "${places[@]}"; do
  read -r name source <<<"$place"
  folder="target/test-node/$name"
  stamp="$folder/.lock"
  if cmp -s "$stamp" "$source/package-lock.json"; then
    continue
  fi
  rm -rf "$folder"
  mkdir -p "$folder"
  cp "$source/package.json" "$source/package-lock.json" "$folder/"
  npm --prefix "$folder" ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
  cp "$source/package-lock.json" "$stamp"
done
