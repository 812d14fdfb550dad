#!/usr/bin/env bash
# A second foreign receiver: Python's `http-ece` (what `pywebpush` is built on) opens what this project's encryptors
# make, in both codings, at every size.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

python_environment
# With everything, as scripts/test builds it: alone, it would be another set of features.
cargo build --quiet --locked --workspace --all-features --example vectors
"$target/debug/examples/vectors" | "$python" tests/interop/http_ece_receiver.py
