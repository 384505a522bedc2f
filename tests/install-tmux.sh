#!/bin/sh
# One test types on a real terminal, which tmux provides. Quiet when it is there; installs Debian's package when not.
set -eu

if command -v tmux >/dev/null 2>&1; then
    exit 0
fi

refuse() {
    echo "tmux is missing and was not installed: $1" >&2
    echo "Install a terminal multiplexer called tmux (Debian, Ubuntu: package tmux; macOS: brew install tmux)." >&2
    exit 1
}

command -v apt-get >/dev/null 2>&1 || refuse "there is no apt-get here"

as_root=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || refuse "this is not root and there is no sudo"
    as_root=sudo
fi

echo "installing tmux for the tests" >&2
$as_root apt-get update -qq || refuse "apt-get update failed"
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends tmux ||
    refuse "apt-get install failed"
command -v tmux >/dev/null 2>&1 || refuse "the package is installed, but the program is not to be found"
