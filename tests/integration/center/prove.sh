#!/usr/bin/env bash
# Runs one proof of the center against a stack of its own: prove.sh TEST [VARIABLE=VALUE...]
set -euo pipefail
cd "$(dirname "$0")/../../.."
test=$1
shift
work=$(mktemp -d)
trap 'tests/stack/stack down "$work/stack" >/dev/null 2>&1; rm -rf "$work"' EXIT
tests/stack/install.sh
tests/stack/stack up "$work/stack" --owner $$
set -a; . "$work/stack/env"; set +a
env EDGEFEED_TEST_STACK="$work/stack" CI=true "$@" \
  cargo test --release --workspace --locked --test integration "$test" -- --nocapture --include-ignored
