#!/bin/sh
# The product and what requirements/image.txt pins, unpacked into a folder for the image's Python.
#
#   wheels.sh FOLDER
#
# Every wheel is held to its hash, and nothing but wheels is taken: no code of a dependency runs here. The product is
# built from what git knows or would know, in a folder of its own, so that neither a stale build nor a stray file gets in.
set -eu

FOLDER=$1
PYTHON=${PYTHON:-.venv/bin/python}
TAG=313
GLIBC_MINOR=41 # trixie's glibc is 2.41

rm -rf "$FOLDER" "$FOLDER.ours"
machine=$(uname -m)
set -- --platform "manylinux2014_$machine"
minor=17
while [ "$minor" -le "$GLIBC_MINOR" ]; do
    set -- "$@" --platform "manylinux_2_${minor}_$machine"
    minor=$((minor + 1))
done
"$PYTHON" -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --target "$FOLDER" \
    --require-hashes --only-binary :all: --implementation cp --python-version 3.13 \
    --abi "cp$TAG" --abi abi3 --abi none "$@" -r requirements/image.txt

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/source"
git ls-files --cached --others --exclude-standard -z -- pyproject.toml README.md LICENSE gateway adapters modules tui |
    tar --create --null --files-from=- --ignore-failed-read | tar --extract --directory="$work/source"
"$PYTHON" -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --no-build-isolation \
    --target "$FOLDER.ours" "$work/source" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
cp -R "$FOLDER.ours/." "$FOLDER/"
# Programs for the interpreter that ran pip; the image's own is written in assemble.sh.
rm -rf "$FOLDER.ours" "$FOLDER/bin"
