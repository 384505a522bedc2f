#!/bin/sh
# Packs the built Wasm modules as a container image from scratch: build/image/tidegate-modules.oci.tar, an OCI archive.
#
# For pods of a RuntimeClass that runs Wasm (image/k3s/base/runtimeclass.yaml). The files are those of modules/dist, the
# same that the gateway loads; the same commit gives the same bytes.
#
#   PYTHON   an interpreter (make modules-image: the project's own)
set -eu
umask 022

cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}
OUT=build/image

for program in zstd tar git sha256sum "$PYTHON"; do
    command -v "$program" >/dev/null 2>&1 || { echo "make modules-image needs $program" >&2; exit 1; }
done
. image/commit.sh

mkdir -p "$OUT"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/root"
# What was built and committed, and no other file that lies there.
(cd modules/dist && sha256sum --quiet --check SHA256SUMS)
sed 's/.* //' modules/dist/SHA256SUMS | while read -r name; do cp "modules/dist/$name" "$work/root/"; done
cp LICENSE "$work/root/"
chmod 0444 "$work"/root/*
# Executable, since a runtime asks the kernel before it looks what kind of program it is.
chmod 0555 "$work"/root/*.wasm
tar --create --file="$work/layer.tar" --directory="$work/root" --sort=name --format=gnu --numeric-owner \
    --owner=0 --group=0 --mtime="@$CREATED_S" .
zstd --quiet -19 "$work/layer.tar" -o "$work/layer.tar.zst"
"$PYTHON" image/archive.py --image modules --layer "$work/layer.tar" --packed "$work/layer.tar.zst" \
    --out "$OUT/tidegate-modules.oci.tar" --architecture amd64 --architecture arm64 \
    --version "$VERSION" --revision "$REVISION" --created-s "$CREATED_S"
echo "image: $OUT/tidegate-modules.oci.tar, $(wc -c <"$OUT/tidegate-modules.oci.tar") bytes" >&2
