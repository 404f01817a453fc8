#!/usr/bin/env bash
# cargo deny: the arrows between crates, licences and sources always; advisories where their database can be had.
set -uo pipefail
cd "$(dirname "$0")/.."
if ! command -v cargo-deny >/dev/null; then
  echo "edgefeed: installing cargo-deny"
  cargo install cargo-deny --version '~0.20' --locked --quiet || { echo "edgefeed: cargo-deny cannot be installed" >&2; exit 1; }
fi
cargo deny --locked check bans licenses sources || exit 1
if timeout 60 cargo deny --locked fetch db >/dev/null 2>&1; then
  cargo deny --locked check advisories
else
  # Said aloud, not skipped in silence: the machine has no way to the database.
  message="advisories: the RustSec database cannot be had on this machine; run 'cargo deny check advisories' where it can"
  echo "edgefeed: NOT CHECKED: $message"
fi
