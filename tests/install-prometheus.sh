#!/bin/sh
# The tests scrape a running gateway with a real Prometheus and check its rules with promtool. Quiet when both are there;
# installs Debian's package when not.
set -eu

if command -v prometheus >/dev/null 2>&1 && command -v promtool >/dev/null 2>&1; then
    exit 0
fi

refuse() {
    echo "prometheus and promtool are missing and were not installed: $1" >&2
    echo "Install Prometheus, 2.40 or newer (Debian, Ubuntu: package prometheus; macOS: brew install prometheus)." >&2
    exit 1
}

command -v apt-get >/dev/null 2>&1 || refuse "there is no apt-get here"

as_root=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || refuse "this is not root and there is no sudo"
    as_root=sudo
fi

echo "installing prometheus for the tests" >&2
$as_root apt-get update -qq || refuse "apt-get update failed"
# Without the recommended node exporter, which would listen on a port of this machine.
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus ||
    refuse "apt-get install failed"
command -v promtool >/dev/null 2>&1 || refuse "the package is installed, but promtool is not to be found"
