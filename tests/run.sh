#!/usr/bin/env bash
# `make test`: everything, the real stack included. What could not be proved here is listed at the end, and is a
# failure when CI=true.
set -uo pipefail
cd "$(dirname "$0")/.."
flags=(--release --workspace --locked)
work=$(mktemp -d)
export EDGEFEED_TEST_UNPROVED="$work/unproved"
: > "$EDGEFEED_TEST_UNPROVED"

finish() {
  tests/stack/stack down "$work/stack" >/dev/null 2>&1
  rm -rf "$work"
}
trap finish EXIT

fail() { echo "edgefeed: FAILED: $1" >&2; exit 1; }
unproved() { echo "$1" >> "$EDGEFEED_TEST_UNPROVED"; }

step() { printf '\n== %s (%ss)\n' "$1" "$SECONDS"; }

step "format"
cargo fmt --all --check || fail "cargo fmt --all"

step "lints"
cargo clippy "${flags[@]}" --all-targets -- -D warnings || fail "clippy"

step "licences, sources and arrows"
tests/deny.sh || fail "cargo deny"

step "real stack"
# Serial: the JVMs start while nothing else wants the processor.
if tests/stack/install.sh && tests/stack/stack up "$work/stack" --owner $$; then
  set -a; . "$work/stack/env"; set +a
  export EDGEFEED_TEST_STACK="$work/stack"
  tests/stack/test_clickhouse.py || fail "the stack's ClickHouse server"
else
  unproved "real stack: PostgreSQL, Kafka, Debezium or ClickHouse could not be installed or started; see above"
fi

step "a stand-in for a bucket"
tests/venv.sh moto >/dev/null || unproved "moto could not be installed; see above"

step "tests"
cargo test "${flags[@]}" --no-fail-fast || fail "tests"

if [ -n "${EDGEFEED_TEST_KAFKA:-}" ]; then
  step "what only a real broker has"
  cargo test "${flags[@]}" --test real_kafka -- --ignored || fail "real Kafka"
fi

step "the README's demo command"
make --no-print-directory demo DEMO_ARGS="--users 300 --posts 3000 --port 0 --admin-port 0 --seconds 1" >/dev/null || fail "make demo"

if [ -s "$EDGEFEED_TEST_UNPROVED" ]; then
  printf '\n== NOT PROVED HERE\n'
  sort -u "$EDGEFEED_TEST_UNPROVED" | sed 's/^/  - /'
  [ "${CI:-}" = true ] && fail "promises without proof"
fi
printf '\n== done in %ss\n' "$SECONDS"
