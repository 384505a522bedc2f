#!/bin/sh
# Usage: install.sh PACKAGE PROGRAM...
# The tests speak to real programs. Quiet when all of them are there; installs Debian's package when one is not.
set -eu

package=$1
shift

# Debian puts servers into /usr/sbin, which is not on every user's PATH.
PATH="$PATH:/usr/sbin"

missing() {
    for program in "$@"; do
        command -v "$program" >/dev/null 2>&1 || return 0
    done
    return 1
}

refuse() {
    echo "$package is missing and was not installed: $1" >&2
    echo "Install it by hand (Debian, Ubuntu: package $package; macOS: brew install $package)." >&2
    exit 1
}

missing "$@" || exit 0
command -v apt-get >/dev/null 2>&1 || refuse "there is no apt-get here"

as_root=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || refuse "this is not root and there is no sudo"
    as_root=sudo
fi

echo "installing $package for the tests" >&2
$as_root apt-get update -qq || refuse "apt-get update failed"
# Without what is only recommended: Prometheus brings a node exporter, which would listen on a port of this machine.
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" ||
    refuse "apt-get install failed"
if missing "$@"; then
    refuse "the package is installed, but not all of these programs are to be found: $*"
fi
