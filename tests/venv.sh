#!/usr/bin/env bash
# venv.sh NAME: installs what tests/NAME/requirements.txt names into a venv of its own, outside the clone. Prints where its
# programs are.
set -euo pipefail
requirements=$(cd "$(dirname "$0")" && pwd)/$1/requirements.txt
home=$HOME/.cache/edgefeed/$1
stamp=$( (cat "$requirements"; python3 -c 'import sys; print(sys.version, sys.base_prefix)') | sha256sum | cut -d' ' -f1)

mkdir -p "$home"
# Two test runs may start at once; the second waits and then finds the work done.
exec 9>"$home/lock"
flock 9
if [ "$(cat "$home/stamp" 2>/dev/null || true)" != "$stamp" ]; then
  rm -rf "$home/venv" "$home/stamp"
  if ! python3 -m venv "$home/venv" >/dev/null 2>&1; then
    # Debian keeps venv in a package of its own.
    as_root=(); [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq python3-venv >/dev/null
    rm -rf "$home/venv"
    python3 -m venv "$home/venv"
  fi
  "$home/venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" >&2
  echo "$stamp" >"$home/stamp"
fi
echo "$home/venv/bin"
