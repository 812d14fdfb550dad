# Sourced by the scripts beside it: throw-away environments with what others wrote, in target/. Each is made once for
# its pins. Needs python3 with venv and PyPI, and node with npm and its registry (tried with apt, as root on Debian or
# Ubuntu).

cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
target=${CARGO_TARGET_DIR:-$PWD/target}

install_packages() {
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "$@"
    fi
}

has_python() {
    python3 -c 'import ensurepip, venv' 2>/dev/null
}

# The interpreter of an environment with http-ece and pywebpush, which is built on it: $python.
python_environment() {
    local venv=$target/interop-python
    local pins=(http-ece==1.2.1 cryptography==50.0.2 setuptools==80.9.0 py-vapid==1.9.6 pywebpush==2.5.0)
    has_python || install_packages python3 python3-venv
    if ! has_python; then
        echo "missing: python3 with its modules venv and ensurepip (Debian: apt-get install python3-venv)" >&2
        return 1
    fi
    python=$venv/bin/python
    [ "$(cat "$venv/pins" 2>/dev/null)" != "${pins[*]}" ] || return 0
    python3 -m venv --clear "$venv"
    local pip=("$python" -m pip --quiet --disable-pip-version-check --no-input)
    # http-ece comes as source only: it is built with the pinned setuptools, not with whatever is newest.
    "${pip[@]}" install "${pins[@]:1:2}"
    "${pip[@]}" install --no-build-isolation "${pins[0]}"
    "${pip[@]}" install "${pins[@]:3}"
    echo "${pins[*]}" >"$venv/pins"
}

# A directory for NODE_PATH with node's web-push: $node_modules.
node_environment() {
    local dir=$target/interop-node pin=web-push@3.6.7
    command -v node >/dev/null && command -v npm >/dev/null || install_packages nodejs npm
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
        echo "missing: node with npm (Debian: apt-get install nodejs npm)" >&2
        return 1
    fi
    node_modules=$dir/node_modules
    [ "$(cat "$dir/pins" 2>/dev/null)" != "$pin" ] || return 0
    rm -rf "$dir"
    npm install --prefix "$dir" --silent --no-audit --no-fund --ignore-scripts "$pin"
    echo "$pin" >"$dir/pins"
}
