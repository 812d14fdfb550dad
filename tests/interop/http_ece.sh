#!/usr/bin/env bash
# A second foreign receiver: Python's `http-ece` (what `pywebpush` is built on) opens what this project's encryptors
# make, at every size. Needs python3 with venv (tried with apt, as root on Debian or Ubuntu) and PyPI.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

target=${CARGO_TARGET_DIR:-$PWD/target}
venv=$target/http-ece
pins=(http-ece==1.2.1 cryptography==50.0.2 setuptools==80.9.0)

has_python() {
    python3 -c 'import ensurepip, venv' 2>/dev/null
}

if ! has_python && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends python3 python3-venv
fi
if ! has_python; then
    echo "missing: python3 with its modules venv and ensurepip (Debian: apt-get install python3-venv)" >&2
    exit 1
fi

if [ "$(cat "$venv/pins" 2>/dev/null)" != "${pins[*]}" ]; then
    python3 -m venv --clear "$venv"
    pip=("$venv/bin/python" -m pip --quiet --disable-pip-version-check --no-input)
    # http-ece comes as source only: it is built with the pinned setuptools, not with whatever is newest.
    "${pip[@]}" install "${pins[@]:1}"
    "${pip[@]}" install --no-build-isolation "${pins[0]}"
    echo "${pins[*]}" >"$venv/pins"
fi

# With everything, as scripts/test builds it: alone, it would be another set of features.
cargo build --quiet --locked --workspace --all-features --example vectors
"$target/debug/examples/vectors" | "$venv/bin/python" tests/interop/http_ece_receiver.py
