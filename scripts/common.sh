# Sourced by the scripts beside it: where we are, how cargo runs, and how a step is reported.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
export CI=true CARGO_INCREMENTAL=0 CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"
# One directory for everything, so that the steps share what they build.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
exec </dev/null
# What is built together. Always everything: another selection would be another set of features, and a build of its own.
everything=(--workspace --all-features)

cargo_deny_version=0.20.2
tools="$CARGO_TARGET_DIR/tools"

# Into target/, not the user's ~/.cargo/bin. Unoptimised: it builds in a fifth of the time and runs for a second.
cargo_deny() {
    if [ "$("$tools/bin/cargo-deny" --version 2>/dev/null)" = "cargo-deny $cargo_deny_version" ]; then
        return 0
    fi
    CARGO_TARGET_DIR="$tools/build" CARGO_PROFILE_DEV_DEBUG=0 CARGO_INSTALL_ROOT="$tools" \
        cargo install --quiet --locked --force --profile dev --version "$cargo_deny_version" cargo-deny || return
    rm -rf "$tools/build"
}

passed=0
failed=()
timings=()

# step TITLE COMMAND...: runs the command (a function may use `set -e` freely) and keeps going if it fails, so that
# one run shows everything that is wrong.
step() {
    local title=$1 began=$SECONDS status
    shift
    printf '\n==> %s\n' "$title"
    # Not as a condition: bash would ignore `set -e` inside.
    set +e
    (set -e; "$@")
    status=$?
    settle "$title" "$status" $((SECONDS - began))
}

# settle TITLE STATUS SECONDS: counts a step that has ended.
settle() {
    if [ "$2" -eq 0 ]; then
        passed=$((passed + 1))
        printf -- '--- ok: %s (%s s)\n' "$1" "$3"
        timings+=("$(printf '%5s s  ok      %s' "$3" "$1")")
    else
        failed+=("$1")
        printf -- '--- FAILED: %s (exit status %s, %s s)\n' "$1" "$2" "$3"
        timings+=("$(printf '%5s s  FAILED  %s' "$3" "$1")")
    fi
}

# beside TITLE COMMAND...: a step that mostly waits: it runs while the next steps do, and is reported by `collect`.
beside() {
    local title=$1 log
    shift
    log=$(mktemp)
    set +e
    (
        set +e
        (set -e; "$@") >"$log" 2>&1
        status=$?
        printf '%s %s\n' "$status" "$SECONDS" >"$log.status"
    ) &
    besides+=("$!" "$title" "$log" "$SECONDS")
}
besides=()

# collect: what the steps beside these said, in their order.
collect() {
    local pid title log began status ended
    while [ "${#besides[@]}" -gt 0 ]; do
        pid=${besides[0]} title=${besides[1]} log=${besides[2]} began=${besides[3]}
        besides=("${besides[@]:4}")
        wait "$pid"
        status=1 ended=$SECONDS
        read -r status ended <"$log.status"
        printf '\n==> %s (beside others)\n' "$title"
        cat "$log"
        settle "$title" "$status" $((ended - began))
        rm -f "$log" "$log.status"
    done
}

# finish: the table of steps and the one line that counts. Exits.
finish() {
    printf '\n'
    printf '%s\n' "${timings[@]}"
    printf '%5s s  in all\n' "$SECONDS"
    local name
    for name in "${failed[@]}"; do
        printf 'failed: %s\n' "$name"
    done
    printf '%s passed, %s failed\n' "$passed" "${#failed[@]}"
    [ "${#failed[@]}" -eq 0 ]
    exit
}

# The test kit looks for built examples (`send` is tested as a program).
build_examples() {
    cargo build "$@" --examples
}
