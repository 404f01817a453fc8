#!/usr/bin/env bash
# The figures against a stack of its own: prove.sh [FIGURE...]
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'tests/stack/stack down "$work/stack" >/dev/null 2>&1; rm -rf "$work"' EXIT
tests/stack/install.sh
tests/stack/stack up "$work/stack" postgres clickhouse --owner $$
set -a; . "$work/stack/env"; set +a
cargo bench --locked --workspace --bench figures -- "$@"
