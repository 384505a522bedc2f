"""Builds the Wasm modules that ship with the product: `python -m modules.build [--check]`.

Every folder in modules/filters is one module: NAME.c and manifest.toml. The compiler is the pinned `ziglang` wheel, its
flags stand here, and everything a compiler says about itself or its paths is taken out, so the same sources give the
same bytes on any machine. The built files are committed: neither a user nor an edge box needs a compiler.

`--check` builds into a temporary folder and fails unless every byte of modules/dist is the same.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess  # nosec: runs the pinned compiler on our own sources
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec

from gateway.errors import ModuleError
from gateway.wasm.manifest import SECTION, parse_manifest
from gateway.wasm.sections import with_custom_section

__all__ = ["FLAGS", "build_all", "build_module", "compile_c", "differences", "main"]

MODULES: Final = Path(__file__).resolve().parent
DIST: Final = MODULES / "dist"
SUMS: Final = "SHA256SUMS"

FLAGS: Final = (
    "-target",
    "wasm32-freestanding",
    "-mcpu=generic",
    "-std=c17",
    "-Os",
    "-g0",
    "-nostdlib",
    "-ffreestanding",
    "-fno-ident",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Werror",
    "-Isdk",
    "-Wl,--no-entry",
    "-Wl,--strip-all",
    "-Wl,-z,stack-size=16384",
)
"""16 KiB of stack are ample for filters without recursion and keep an instance small."""


ZIG_FLAGS: Final = (
    "-target",
    "wasm32-freestanding",
    "-mcpu=generic",
    "-O",
    "ReleaseSmall",
    "-fstrip",
    "-fno-entry",
    "-rdynamic",
    "--stack",
    "16384",
    "--dep",
    "tidegate",
)


def compile_zig(source: Path, out: Path, scratch: Path) -> None:
    """Compiles one Zig file to Wasm; `@import("tidegate")` is the SDK. Like `compile_c`."""
    root = os.path.relpath(source, MODULES)
    modules = [f"-Mroot={root}", f"-Mtidegate={Path('sdk') / 'tidegate.zig'}"]
    _compile(["build-exe", *ZIG_FLAGS, *modules, f"-femit-bin={out}"], source, scratch)


def compile_c(source: Path, out: Path, scratch: Path) -> None:
    """Compiles one C file to Wasm.

    Args:
        source: the C file.
        out: the Wasm file to write.
        scratch: a folder for the compiler's own caches.

    Raises:
        ModuleError: the compiler is missing or refuses the source.
    """
    _compile(["cc", *FLAGS, "-o", str(out), os.path.relpath(source, MODULES)], source, scratch)


def _compile(words: Sequence[str], source: Path, scratch: Path) -> None:
    if find_spec("ziglang") is None:
        raise ModuleError("the compiler is not installed here: pip install ziglang (requirements/build.txt pins it)")
    caches = {name: str(scratch / name.lower()) for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")}
    done = subprocess.run(  # noqa: S603 - our own compiler on a source that its author wants compiled, no shell
        [sys.executable, "-m", "ziglang", *words],
        cwd=MODULES,
        env={**os.environ, **caches},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ModuleError(f"{source.name} does not compile:\n{done.stderr.strip()}")


def build_module(folder: Path, out: Path, scratch: Path, bare: Path | None = None) -> Path:
    """Builds the module in a folder, NAME.c or NAME.zig and manifest.toml, into `out`/NAME.wasm.

    Args:
        folder: named like the module.
        out: where the Wasm file goes.
        scratch: a folder for the compiler's own caches.
        bare: what another compiler made of the module; nothing is compiled, and only the manifest is put in.

    Raises:
        ModuleError: a file is missing, the source does not compile, or the manifest cannot be used.
    """
    name = folder.name
    manifest, source = folder / "manifest.toml", folder / f"{name}.zig"
    if not source.is_file():
        source = folder / f"{name}.c"
    for needed in (manifest, bare or source):
        if not needed.is_file():
            raise ModuleError(f"{folder} is no module's folder: there is no {needed.name} in it")
    try:
        described = tomllib.loads(manifest.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModuleError(f"{manifest} is no TOML: {error}") from None
    if bare is None:
        bare = scratch / f"{name}.wasm"
        (compile_zig if source.suffix == ".zig" else compile_c)(source, bare, scratch)
    wasm = with_custom_section(bare.read_bytes(), SECTION, msgspec.json.encode(described, order="deterministic"))
    found = parse_manifest(wasm, str(manifest)).name
    if found != name:
        raise ModuleError(f'{manifest} has name = "{found}", and the folder is named {name}; name both alike')
    path = out / f"{name}.wasm"
    path.write_bytes(wasm)
    return path


def build_all(out: Path) -> list[Path]:
    """Builds every filter into `out`, with SHA256SUMS; returns the Wasm files.

    Raises:
        ModuleError: a source does not compile, or a manifest cannot be used.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="tidegate-build-") as scratch,
        ThreadPoolExecutor(max_workers=os.cpu_count()) as workers,  # each waits for a compiler of its own
    ):
        built = list(workers.map(lambda folder: build_module(folder, out, Path(scratch)), _folders()))
    sums = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in built)
    (out / SUMS).write_text(sums)
    return built


def differences(ours: Path, theirs: Path) -> list[str]:
    """Names of files that are not the same in both folders, or stand in one only."""
    names = {path.name for folder in (ours, theirs) for path in folder.iterdir() if not path.name.startswith(".")}
    return sorted(name for name in names if _content(ours / name) != _content(theirs / name))


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m modules.build", description="Build the Wasm modules.")
    parser.add_argument("--check", action="store_true", help="fail unless modules/dist is what the sources give")
    check: bool = parser.parse_args(argv).check
    try:
        if check:
            return _check()
        for path in build_all(DIST):
            sys.stdout.write(f"{path.name}: {path.stat().st_size} bytes\n")
    except ModuleError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _check() -> int:
    with tempfile.TemporaryDirectory(prefix="tidegate-check-") as fresh:
        build_all(Path(fresh))
        stale = differences(Path(fresh), DIST)
    if stale:
        sys.stderr.write(f"modules/dist is not what the sources give: {', '.join(stale)}. Run: make modules\n")
    return 1 if stale else 0


def _folders() -> list[Path]:
    return sorted(manifest.parent for manifest in (MODULES / "filters").glob("*/manifest.toml"))


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


if __name__ == "__main__":
    raise SystemExit(main())
