"""`tidegate spool`: looks into the spool, and carries what waits to a broker by hand. Needs no running gateway."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli_broker import broker_options, uplink, uplink_of
from gateway.cli_types import PATH, FiniteRange, config_option, json_option
from gateway.errors import TidegateError

if TYPE_CHECKING:
    from gateway.config.models import UplinkSettings
    from gateway.spool.carry.contents import Summary
    from gateway.spool.carry.export import Sender
    from gateway.spool.carry.reader import CarryReader
    from gateway.uplink.forward import Progress

__all__ = ["spool"]

_RATE = 50_000
_config_option = config_option("the spool")


def _print(told: Mapping[str, Any], *, as_json: bool) -> None:
    from gateway.status_text import status_text

    click.echo(json.dumps(told, indent=2) if as_json else status_text(told))


def _spool_path(file: Path | None, config: Path | None) -> Path:
    """The spool's file that is meant: the one named, or the configuration's."""
    if file is not None:
        return file
    if config is None:
        raise click.UsageError("which spool? Give FILE, or --config FILE")
    from gateway.check import load

    return Path(load(config).database.path)


def _sender(config: Path) -> tuple[Path, Sender]:
    """The spool of a configuration, and who it says that its gateway is."""
    from gateway.check import load
    from gateway.spool.carry.export import Sender
    from gateway.spool.carry.signing import key_path

    loaded = load(config)
    path = Path(loaded.database.path)
    uplink = uplink_of(loaded, config)
    return path, Sender(loaded.gateway.id, uplink.topic, uplink.max_message_bytes, key_path(path))


@click.group()
def spool() -> None:
    """Look into the spool; carry what waits in it to a broker by hand."""


@spool.command("export")
@click.argument("file", type=PATH)
@config_option("the spool, and whose it is", required=True)
@click.option("--replace", is_flag=True, help="Replace FILE where it is there.")
@json_option()
def export(file: Path, config: Path, *, replace: bool, as_json: bool) -> None:
    """Write all that waits for the broker into FILE, to be carried.

    The gateway may run meanwhile. Nothing is deleted: it sends the same again once the broker is back, under the same
    numbers, by which a receiver drops it.
    """
    import os

    from gateway.spool.carry.export import export_spool

    path, sender = _sender(config)
    os.nice(10)  # The gateway comes first.
    summary = export_spool(path, file, sender=sender, replace=replace)
    _print(_exported(file, summary), as_json=as_json)


def _contents(summary: Summary) -> dict[str, Any]:
    from msgspec import to_builtins

    told: dict[str, Any] = to_builtins(summary)
    return {"first_seq": told.pop("first"), "last_seq": told.pop("last"), **told}


def _exported(file: Path, summary: Summary) -> dict[str, Any]:
    told = _contents(summary)
    size_bytes = file.stat().st_size
    told["file_bytes"] = size_bytes
    told["bytes_per_reading"] = round(size_bytes / summary.readings, 3) if summary.readings else None
    return {"file": str(file), **told}


@spool.command("forward")
@click.argument("file", type=PATH)
@broker_options
@click.option("--key", type=PATH, help="The gateway's public key (`tidegate spool key`): proves who made FILE.")
@click.option("--any-origin", is_flag=True, help="Forward it although nobody has proven who made it.")
@click.option("--dry-run", is_flag=True, help="Print what would be sent, and send nothing.")
@click.option("--again", is_flag=True, help="Send also what this broker has acknowledged before.")
@click.option("--progress", type=PATH, help="Where it is noted what the broker has.  [default: FILE.forwarded]")
@click.option(
    "--rate", type=FiniteRange(min=1, max=1e9), default=_RATE, show_default=True, help="Most readings a second."
)
@json_option()
def forward(
    *,
    file: Path,
    key: Path | None,
    any_origin: bool,
    dry_run: bool,
    again: bool,
    progress: Path | None,
    rate: float,
    as_json: bool,
    **broker: Any,  # noqa: ANN401 - as `uplink` takes them
) -> int:
    """Send the batches of an exported FILE to a broker, just as the gateway would, marked as replayed.

    Where it was cut off, the same command goes on. A second one sends nothing.
    """
    import time

    from gateway.spool.carry.reader import CarryReader
    from gateway.uplink.forward import Progress, plan
    from gateway.uplink.session import broker_name

    settings = uplink(**broker)
    if key is not None and any_origin:
        raise click.UsageError("--key proves the origin, and --any-origin does not ask for it: give one of them")
    with CarryReader(file) as carried:
        _judge_origin(carried, key, accepted=any_origin)
        noted = Progress(
            progress or file.with_name(f"{file.name}.forwarded"),
            file=carried.seal.digest,
            broker=broker_name(settings),
            clock=time.monotonic,
            again=again,
        )
        if dry_run:
            planned = [{"topic": topic, **one.told()} for topic, one in sorted(plan(carried, noted.delivered).items())]
            _print({"broker": broker_name(settings), "topics": planned or "nothing: it has all of it"}, as_json=as_json)
            return 0
        return _forward(carried, settings, noted, rate, as_json=as_json)


def _forward(carried: CarryReader, settings: UplinkSettings, noted: Progress, rate: float, *, as_json: bool) -> int:
    import asyncio
    from dataclasses import asdict

    from gateway.errors import UplinkError
    from gateway.uplink.forward import forward as send
    from gateway.uplink.session import broker_name

    try:
        done = asyncio.run(send(carried, settings, progress=noted, rate=rate))
    except UplinkError as error:
        raise TidegateError(f"{error}\n  What it had acknowledged is noted: the same command goes on there.") from None
    _print({"broker": broker_name(settings), **asdict(done)}, as_json=as_json)
    return 1 if done.refused else 0


def _judge_origin(carried: CarryReader, key: Path | None, *, accepted: bool) -> None:
    """Ends the command where the file's origin is not as it must be."""
    from gateway.spool.carry.signing import fingerprint, read_public

    gateway = carried.header.gateway
    if key is not None:
        if not carried.seal.is_by(read_public(key)):
            raise TidegateError(
                f"{carried.path}: it was not signed with the key in {key}, but with key "
                f"{fingerprint(carried.seal.public)}. It says that it is of gateway {gateway!r}: do not trust it "
                "before you know why"
            )
    elif not accepted:
        raise TidegateError(
            f"{carried.path}: it is whole, but nothing proves that gateway {gateway!r} made it. Give --key with the "
            "public key that `tidegate spool key` prints there, or --any-origin to forward it all the same"
        )


@spool.command("verify")
@click.argument("file", type=PATH, required=False, metavar="[FILE]")
@_config_option
@click.option("--key", type=PATH, help="Of an exported file: the gateway's public key.")
@json_option()
def verify(file: Path | None, config: Path | None, key: Path | None, *, as_json: bool) -> int:
    """Read every batch of an exported FILE, or of a spool. Exit status: 0 all is whole, 1 not.

    Without FILE, the spool of --config; the gateway may run meanwhile.
    """
    path = _spool_path(file, config)
    from gateway.spool.carry.reader import is_carried

    if is_carried(path):
        return _verify_carried(path, key, as_json=as_json)
    if key is not None:
        raise click.UsageError("--key belongs to an exported file, and this is a spool")
    from gateway.spool.survey import verify as verify_spool

    told = verify_spool(path)
    _print(told, as_json=as_json)
    return 0 if told["whole"] else 1


def _verify_carried(path: Path, key: Path | None, *, as_json: bool) -> int:
    from msgspec import to_builtins

    from gateway.spool.carry.reader import CarryReader
    from gateway.spool.carry.signing import fingerprint

    with CarryReader(path) as carried:
        if key is not None:
            _judge_origin(carried, key, accepted=False)
        told = {
            "file": str(path),
            "whole": True,
            "origin": "proven by the key" if key is not None else "not proven: give --key",
            "signed_by": fingerprint(carried.seal.public),
            "header": to_builtins(carried.header),
            "contents": _contents(carried.summary),
        }
    _print(told, as_json=as_json)
    return 0


@spool.command("stats")
@click.argument("file", type=PATH, required=False, metavar="[FILE]")
@_config_option
@click.option("--by-device", is_flag=True, help="Open every block to see whose readings it holds.")
@json_option()
def stats(file: Path | None, config: Path | None, *, by_device: bool, as_json: bool) -> None:
    """Show what waits in a spool. The gateway may run meanwhile."""
    path = _spool_path(file, config)
    from gateway.spool.survey import stats as spool_stats

    _print(spool_stats(path, by_device=by_device), as_json=as_json)


@spool.command("gaps")
@click.argument("file", type=PATH, required=False, metavar="[FILE]")
@_config_option
@click.option("--since", help="Only gaps that end then or later: 36h (ago; s, m, h, d) or 2026-03-01T06:00 (UTC).")
@json_option()
def gaps(file: Path | None, config: Path | None, since: str | None, *, as_json: bool) -> None:
    """List the intervals in which readings are missing: of a spool, or as they were in an exported FILE.

    The gateway may run meanwhile. The newest 10,000 are kept, and all that the broker was not told of yet. `readings`
    -: nobody knows how many.
    """
    import time

    from gateway.spool.carry.reader import is_carried
    from gateway.spool.ledger.gaplist import listed, since_ns

    path = _spool_path(file, config)
    try:
        after_ns = 0 if since is None else since_ns(since, now_ns=time.time_ns())
    except TidegateError as error:
        raise click.UsageError(f"--since: {error}") from None
    if is_carried(path):
        _print(_carried_gaps(path, after_ns), as_json=as_json)
    else:
        _print(listed(path, since_ns=after_ns), as_json=as_json)


def _carried_gaps(path: Path, after_ns: int) -> dict[str, Any]:
    from msgspec import to_builtins

    from gateway.spool.carry.reader import CarryReader

    with CarryReader(path) as carried:
        gaps = [to_builtins(gap) for gap in carried.gaps if gap.to_ns >= after_ns]
    return {"file": str(path), "rows": len(gaps), "gaps": gaps}


@spool.command("salvage")
@click.argument("file", type=PATH)
@click.option("--into", type=PATH, help="Write it into a file as `export` does; needs --config.")
@_config_option
@click.option("--replace", is_flag=True, help="Replace the file of --into where it is there.")
@json_option()
def salvage(file: Path, into: Path | None, config: Path | None, *, replace: bool, as_json: bool) -> None:
    """Read what is whole in a damaged spool FILE, such as one that was moved aside (.corrupt-TIME).

    Without --into it only says what there is. FILE is not changed.
    """
    from dataclasses import asdict

    from gateway.spool.files import in_use

    if in_use(file):
        raise TidegateError(f"{file} is in use by a running gateway: `tidegate spool export` reads it")
    if into is None:
        from gateway.spool.repair.salvage import read_all

        _print({"file": str(file), **read_all(file)}, as_json=as_json)
        return
    if config is None:
        raise click.UsageError("whose readings are these? Give --config FILE with --into")
    from gateway.spool.carry.export import export_salvaged

    _, sender = _sender(config)
    summary, lost = export_salvaged(file, into, sender=sender, replace=replace)
    _print({"from": str(file), **_exported(into, summary), "lost": asdict(lost)}, as_json=as_json)


@spool.command("key")
@_config_option
def key(config: Path | None) -> None:
    """Print the gateway's public key, for whoever forwards its files.

    The private one is beside the spool (FILE.key); it is made where it is missing.
    """
    from gateway.spool.carry.signing import key_path, public_pem

    click.echo(public_pem(key_path(_spool_path(None, config))), nl=False)
