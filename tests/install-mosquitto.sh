#!/bin/sh
# The tests speak to a real mosquitto. Quiet when it is there; installs Debian's package when it is not.
set -eu

# Debian puts it into /usr/sbin, which is not on every user's PATH.
PATH="$PATH:/usr/sbin"
if command -v mosquitto >/dev/null 2>&1; then
    exit 0
fi

refuse() {
    echo "mosquitto is missing and was not installed: $1" >&2
    echo "Install an MQTT broker called mosquitto (Debian, Ubuntu: package mosquitto; macOS: brew install mosquitto)." >&2
    exit 1
}

command -v apt-get >/dev/null 2>&1 || refuse "there is no apt-get here"

as_root=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || refuse "this is not root and there is no sudo"
    as_root=sudo
fi

echo "installing mosquitto for the tests" >&2
$as_root apt-get update -qq || refuse "apt-get update failed"
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mosquitto ||
    refuse "apt-get install failed"
command -v mosquitto >/dev/null 2>&1 || refuse "the package is installed, but the program is not to be found"
