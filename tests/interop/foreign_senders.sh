#!/usr/bin/env bash
# Foreign senders: node's `web-push` and Python's `pywebpush` send in both codings to the push services of the test
# kit, and its user agents open what they sent.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

python_environment
node_environment
# With everything, as scripts/test builds it: alone, it would be another set of features.
cargo build --quiet --locked --workspace --all-features --example foreign_senders
NODE_PATH=$node_modules "$target/debug/examples/foreign_senders" \
    node tests/interop/web_push_sender.cjs "$python" tests/interop/pywebpush_sender.py
