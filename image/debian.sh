#!/bin/sh
# Packages of Debian trixie, unpacked into a folder; no script of any package is run.
#
#   debian.sh FOLDER PACKAGE,PACKAGE...
#
# Everything that the packages depend on is unpacked too, a shell and Perl's tools among them: what the image gets of it
# is decided in assemble.sh, which takes what it names and nothing else.
# The mirror is the one this machine uses, with its proxy settings; mmdebstrap's own default where it is no Debian.
# A folder that the same packages have filled less than a day ago is kept: a build is not a download.
set -eu

FOLDER=$1
PACKAGES=$2
SUITE=trixie
KEEP_MIN=1440

stamp=$FOLDER.made
if [ -d "$FOLDER" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$SUITE $PACKAGES" ] &&
    [ -n "$(find "$stamp" -mmin "-$KEEP_MIN")" ]; then
    exit 0
fi

# One line for each archive of Debian's that apt knows here, with our suite in place of the machine's.
sources() {
    . /etc/os-release
    [ "${ID:-}" = debian ] && command -v apt-get >/dev/null 2>&1 || return 0
    # shellcheck disable=SC2016 # the dollars are apt's
    apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | sort -u |
        while read -r uri release; do
            case $release in
                "$VERSION_CODENAME") echo "deb $uri $SUITE main" ;;
                "$VERSION_CODENAME"-updates) echo "deb $uri $SUITE-updates main" ;;
                "$VERSION_CODENAME"-security) echo "deb $uri $SUITE-security main" ;;
            esac
        done
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sources >"$work/sources.list"
apt-config dump 2>/dev/null | grep -E '^Acquire::(Check-Valid-Until|Check-Date|Retries|https?::)' >"$work/apt.conf" || :

set --
[ ! -s "$work/sources.list" ] || set -- "$work/sources.list"
# A tar in between: mmdebstrap then needs no root rights, and the files are ours.
mmdebstrap --quiet --variant=extract --include="$PACKAGES" --aptopt="$work/apt.conf" --skip=output/dev \
    "$SUITE" "$work/debian.tar" "$@"
rm -rf "$FOLDER"
mkdir -p "$FOLDER"
tar --extract --file="$work/debian.tar" --directory="$FOLDER" --no-same-owner
find "$FOLDER" -type f -perm /6000 -exec chmod u-s,g-s {} + # it lies open to every user of this machine
echo "$SUITE $PACKAGES" >"$stamp"
