#!/bin/sh
# Compiles the pinned, hashed requirement files. Run by `make lock`; registry hosts are never written down.
set -eu
compile() {
    out=$1
    shift
    CUSTOM_COMPILE_COMMAND="make lock" ../.venv/bin/python -m piptools compile --quiet --strip-extras --allow-unsafe \
        --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-annotate \
        --output-file "$out" "$@"
}
compile run.txt ../pyproject.toml
compile image.txt --extra policy --constraint run.txt ../pyproject.toml
compile demo.txt --extra demo --constraint run.txt ../pyproject.toml
compile tui.txt --extra tui --extra policy --constraint run.txt ../pyproject.toml
compile dev.txt --extra demo --extra policy --extra tui --constraint demo.txt --constraint tui.txt ../pyproject.toml dev.in
compile build.txt --constraint dev.txt build.in
