#!/bin/sh
# Make or bring up to date the virtual environment: ./scripts/make_venv.sh PYTHON VENV
# Says what is missing on this machine and how to get it, instead of failing somewhere inside pip.
set -eu

python=$1
venv=$2
pip_version=26.3

fail() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

is_new_enough() {
    command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

if ! is_new_enough "$python"; then
    for candidate in python3.14 python3.13 python3.12 python3.11; do
        if is_new_enough "$candidate"; then
            python=$candidate
            break
        fi
    done
fi
is_new_enough "$python" || fail "Python 3.11 or newer is needed, and $python is not." \
    "Debian and Ubuntu: apt install python3.11 python3.11-venv; or name one with: make setup PYTHON=/path/to/python3"

# An environment that was left half-made, or whose interpreter has gone or is too old, cannot be mended.
if [ -e "$venv" ] && ! { is_new_enough "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; }; then
    [ -e "$venv/pyvenv.cfg" ] || fail "$venv exists and is not a virtual environment; move it away"
    rm -rf "$venv"
fi

if [ ! -e "$venv" ]; then
    # Debian's python3 has the module venv but, without its own package, not what venv needs to install pip.
    if "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        "$python" -m venv "$venv"
    elif "$python" -m virtualenv --version >/dev/null 2>&1; then
        "$python" -m virtualenv --quiet "$venv"
    elif command -v virtualenv >/dev/null 2>&1; then
        virtualenv --quiet --python "$python" "$venv"
    else
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        fail "$python cannot make virtual environments." "Debian and Ubuntu: apt install python$version-venv"
    fi
fi

echo "setup: installing the pinned packages into $venv (about a minute the first time)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "pip==$pip_version"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement requirements/dev.lock
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --editable .
