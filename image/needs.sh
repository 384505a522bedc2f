#!/bin/sh
# Says everything that `make image` needs and that is not here, at once. Installs nothing.
set -eu

PYTHON=${PYTHON:-.venv/bin/python}
missing=
need() {
    command -v "$1" >/dev/null 2>&1 || missing="$missing
  $1 (Debian: package $2)"
}
need mmdebstrap mmdebstrap
need zstd zstd
need strip binutils
need git git
need tar tar
need "$PYTHON" "python3, then: make demo or make check, which fill .venv"
[ -e /usr/share/keyrings/debian-archive-trixie-stable.gpg ] || missing="$missing
  the signing keys of Debian 13 (Debian, Ubuntu: package debian-archive-keyring, version 2023.3 or newer)"

if [ -n "$missing" ]; then
    echo "make image needs what is not on this machine:$missing" >&2
    exit 1
fi
