#!/usr/bin/env bash
# What it takes to build edgefeed: a C++ compiler, cmake, libclang, OpenSSL headers, and Rust.
set -euo pipefail

need=(build-essential cmake pkg-config libssl-dev libclang-dev git)
missing=()
for package in "${need[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ] && ! command -v apt-get >/dev/null; then
  # No Debian: believe the tools themselves.
  tools=()
  for tool in c++ cmake pkg-config git; do command -v "$tool" >/dev/null || tools+=("$tool"); done
  pkg-config --exists openssl 2>/dev/null || tools+=("OpenSSL headers (pkg-config openssl)")
  ls /usr/lib*/libclang*.so* /usr/lib/*/libclang*.so* /usr/lib/llvm*/lib/libclang*.so* >/dev/null 2>&1 || tools+=("libclang")
  if [ ${#tools[@]} -gt 0 ]; then
    printf 'edgefeed: there is no apt-get here; install these by hand and run again:\n' >&2
    printf '  %s\n' "${tools[@]}" >&2
    exit 1
  fi
elif [ ${#missing[@]} -gt 0 ]; then
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "edgefeed: run as root or install by hand: ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
  fi
  echo "edgefeed: installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq "${missing[@]}" >/dev/null
fi

if ! command -v cargo >/dev/null; then
  echo "edgefeed: no cargo here; install Rust 1.94 or newer from https://rustup.rs and run again" >&2
  exit 1
fi
