#!/bin/sh
# Builds the gateway's container image: build/image/tidegate.oci.tar, an OCI archive.
#
# Needs no container engine, no root rights and no base image. Debian's packages and the wheels that
# requirements/image.txt pins are the only parts; the same parts and the same commit give the same bytes.
# Builds for the architecture it runs on: the byte code is made by the very interpreter that will read it.
#
#   PYTHON   an interpreter with pip and setuptools (make image: the project's own)
#   LEVEL    zstd's level; 19 is the smallest that unpacks with little memory
set -eu
umask 022

cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}
LEVEL=${LEVEL:-19}
OUT=build/image
DEBIAN=$OUT/debian
SITE=$OUT/site
ROOT=$OUT/root

sh image/needs.sh
case $(uname -m) in
    x86_64) ARCH=amd64 ;;
    aarch64) ARCH=arm64 ;;
    *) echo "make image: there is no build for $(uname -m); it knows x86_64 and aarch64" >&2; exit 1 ;;
esac

. image/commit.sh
export SOURCE_DATE_EPOCH="$CREATED_S"

say() { echo "image: $*" >&2; }

mkdir -p "$OUT"
say "Debian's part"
sh image/debian.sh "$DEBIAN" python3.13-minimal,libpython3.13-stdlib,ca-certificates,media-types,libatomic1,libstdc++6
say "the wheels"
PYTHON=$PYTHON sh image/wheels.sh "$SITE"
say "the root"
sh image/assemble.sh "$DEBIAN" "$SITE" "$ROOT"

say "the archive"
rm -f "$OUT"/layer.tar "$OUT"/layer.tar.zst
# Nobody but /data's owner needs to own anything: the root is read-only for whoever runs it.
tar --create --file="$OUT/layer.tar" --directory="$ROOT" --sort=name --format=gnu --numeric-owner \
    --owner=0 --group=0 --mtime="@$CREATED_S" --exclude=./data .
tar --append --file="$OUT/layer.tar" --directory="$ROOT" --format=gnu --numeric-owner \
    --owner=65532 --group=65532 --mtime="@$CREATED_S" ./data
zstd --quiet --force "-$LEVEL" --threads=0 "$OUT/layer.tar" -o "$OUT/layer.tar.zst"
"$PYTHON" image/archive.py --image gateway --layer "$OUT/layer.tar" --packed "$OUT/layer.tar.zst" --out "$OUT/tidegate.oci.tar" \
    --architecture "$ARCH" --version "$VERSION" --revision "$REVISION" --created-s "$CREATED_S"
rm -f "$OUT/layer.tar" "$OUT/layer.tar.zst"
say "$OUT/tidegate.oci.tar, $(du -k "$OUT/tidegate.oci.tar" | cut -f1) kB; unpacked $(du -sk "$ROOT" | cut -f1) kB"
