"""`tidegate module`: look at Wasm modules, write one, build it, test it, measure it. Needs no running gateway."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import click

from gateway.cli_types import PATH, config_option, json_option, say
from gateway.errors import ModuleError, TidegateError

__all__ = ["module"]


@click.group()
def module() -> None:
    """Look at Wasm modules, write one, build it, test it, measure it."""


@module.command("list")
def module_list() -> None:
    """Show the modules that ship with the gateway."""
    from gateway.wasm.library import built_in, resolve
    from gateway.wasm.manifest import read_manifest

    for name in built_in():
        click.echo(f"{name:<14} {read_manifest(resolve(name, Path())).summary}")


@module.command("inspect")
@click.argument("file", metavar="MODULE")
@json_option()
def module_inspect(file: str, *, as_json: bool) -> None:
    """Show what a MODULE (a built-in name, or a .wasm file) is, takes and makes, and the lines that put it to work."""
    import hashlib
    import json

    from gateway.wasm.library import is_built_in, pin_problem, resolve
    from gateway.wasm.manifest import parse_manifest, read_wasm
    from gateway.workshop.shown import inspect_json, inspect_text

    path = resolve(file, Path())
    wasm = read_wasm(path)
    manifest = parse_manifest(wasm, str(path))
    if is_built_in(file) and (problem := pin_problem(file, None, hashlib.sha256(wasm).hexdigest())):
        raise ModuleError(f"module {path}: {problem}")
    told = inspect_json(file, wasm, manifest)
    say(json.dumps(told, indent=2) if as_json else inspect_text(file, wasm, manifest))


@module.command("new")
@click.argument("folder", type=PATH, metavar="NAME")
@click.option("--lang", type=click.Choice(["c", "zig"]), default="c", show_default=True, help="What it is written in.")
def module_new(folder: Path, lang: Literal["c", "zig"]) -> None:
    """Make the folder of a new module: a source that works, its manifest, a README and a golden test."""
    from gateway.workshop.scaffold import scaffold

    for path in scaffold(folder, lang):
        click.echo(path)


@module.command("build")
@click.argument("folder", type=PATH)
@click.option("--wasm", "bare", type=PATH, help="What another compiler made; only the manifest is put in.")
def module_build(folder: Path, bare: Path | None) -> None:
    """Compile the module in a FOLDER to FOLDER/NAME.wasm, and show the lines that put it to work."""
    from gateway.wasm.manifest import parse_manifest
    from gateway.workshop.shown import filter_text

    path = _build(folder, bare)
    wasm = path.read_bytes()
    manifest = parse_manifest(wasm, str(path))
    click.echo(f"{path}: {len(wasm)} bytes\n\n{filter_text(str(path), wasm, manifest)}")


@module.command("test")
@click.argument("folder", type=PATH)
@click.option("--update", is_flag=True, help="Write what it answers as what is expected. Look at it.")
def module_test(folder: Path, *, update: bool) -> int:
    """Build the module in a FOLDER and run its golden tests: FOLDER/golden/CASE.in.csv must give CASE.out.csv.

    Exit status: 0 all is as expected, 1 it is not.
    """
    import difflib

    from gateway.workshop.trial import golden_cases, golden_result, table_text, trial_host

    path = _build(folder)
    cases = golden_cases(folder)
    if not cases:
        raise TidegateError(f"{folder} has no golden tests: write {folder}/golden/first.in.csv (see modules/README.md)")
    wrong = 0
    with trial_host() as host:
        for case in cases:
            answer = case.with_name(case.name.removesuffix(".in.csv") + ".out.csv")
            found = golden_result(host, str(path), case)
            if update:
                with _writing(answer):
                    answer.write_text(found)
            expected = table_text(answer) if answer.exists() else ""
            if found == expected:
                click.echo(f"{case.name.removesuffix('.in.csv')}: {'written' if update else 'as expected'}")
                continue
            wrong += 1
            lines = (expected.splitlines(), found.splitlines())
            click.echo("\n".join(difflib.unified_diff(*lines, str(answer), "what it answers", lineterm="")))
    if wrong:
        click.echo(f"{wrong} of {len(cases)} cases are not as expected; --update writes what it answers", err=True)
    return 1 if wrong else 0


@module.command("bench")
@click.argument("modules", nargs=-1, required=True, metavar="MODULE...")
@click.option("--readings", type=click.IntRange(1, 100_000), default=1_000, show_default=True, help="In a batch.")
@click.option("--rounds", type=click.IntRange(10, 10_000), default=300, show_default=True, help="Batches, and starts.")
def module_bench(modules: tuple[str, ...], readings: int, rounds: int) -> None:
    """Measure MODULES (built-in names, or .wasm files): their cold starts, and a chain of them in this order.

    A cold start is all from a module's name to its first answer, with the cache of compiled modules filled.
    """
    from gateway.workshop.bench import bench, bench_text

    say(bench_text(bench(modules, readings=readings, rounds=rounds)))


@module.command("diff")
@config_option("the socket", required=True)
@json_option()
def module_diff(config: Path, *, as_json: bool) -> None:
    """Show where shadows of a running gateway differ from the modules at work, and at what cost."""
    import json

    from gateway.check import load
    from gateway.control import client
    from gateway.workshop.diff import diff_text, shadows

    found = shadows(client.status(load(config).socket_path))
    say(json.dumps(found, indent=2) if as_json else diff_text(found))


@module.command("promote")
@click.argument("name", metavar="FILTER")
@config_option("the filters", required=True)
def module_promote(name: str, config: Path) -> None:
    """Put a FILTER's shadow to work, and the module at work into its shadow. The same again rolls back.

    The running gateway changes the two between two batches and writes the file; where none runs, the file is changed.
    """
    from gateway.workshop.promote import promote

    say(promote(config, name))


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TidegateError(f"{path} cannot be made: {error.filename or path}: {error.strerror or error}") from None


def _build(folder: Path, bare: Path | None = None) -> Path:
    import tempfile

    from modules.build import build_module

    if not folder.is_dir():
        raise TidegateError(f"{folder} is no folder; `tidegate module new NAME` makes one")
    with (
        _writing(folder / f"{folder.absolute().name}.wasm"),
        tempfile.TemporaryDirectory(prefix="tidegate-build-") as scratch,
    ):
        return build_module(folder.absolute(), folder, Path(scratch), bare)
