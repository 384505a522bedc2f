"""`tidegate pki`: look at certificates, trust and reject them. Needs no running gateway, and no restart of one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli_types import PATH, Command, config_option, json_option, say
from gateway.errors import TidegateError

if TYPE_CHECKING:
    from adapters.opcua.pki.folders import Pki

__all__ = ["pki"]


def _where(command: Command) -> Command:
    command = click.option("--pki", "folder", type=PATH, help="The folder of certificates.")(command)
    return config_option("the folder")(command)


def _open(folder: Path | None, config: Path | None) -> Pki:
    """The folders that are meant.

    Raises:
        TidegateError: there are none.
    """
    if folder is None and config is None:
        raise click.UsageError("whose certificates? Give --pki FOLDER, or --config FILE")
    if folder is None:
        from gateway.check import load

        assert config is not None
        folder = load(config).pki_dir
    elif not folder.is_dir():
        raise TidegateError(f"{folder} is no folder; the gateway makes it when it first starts with a secured device")
    # The library that reads certificates takes a moment to load.
    from adapters.opcua.pki.folders import Pki

    return Pki(folder)


@click.group()
def pki() -> None:
    """Look at certificates, trust and reject them."""


@pki.command("list")
@_where
@json_option("them")
def pki_list(folder: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Show all certificates: this gateway's, trusted and rejected ones."""
    found = _open(folder, config)
    from adapters.opcua.pki.texts import list_json, list_text

    say(list_json(found) if as_json else list_text(found, now=datetime.now(UTC)))


@pki.command("show")
@click.argument("certificate")
@_where
def pki_show(certificate: str, folder: Path | None, config: Path | None) -> None:
    """Show what stands in a CERTIFICATE: the first digits of its thumbprint, its file's name, or "own"."""
    found = _open(folder, config)
    from adapters.opcua.pki.texts import meant, show_text

    say(show_text(meant(found, certificate), now=datetime.now(UTC)))


@pki.command("trust")
@click.argument("certificate")
@_where
@click.option("--issuer", is_flag=True, help="Keep it among the issuers: it helps to check others, and is not trusted.")
def pki_trust(certificate: str, folder: Path | None, config: Path | None, *, issuer: bool) -> None:
    """Trust a server, from the next connection attempt on.

    CERTIFICATE is the first digits of the thumbprint of one that was rejected, or a file.
    """
    found = _open(folder, config)
    from adapters.opcua.pki.decide import trust

    say(trust(found, certificate, place="issuers" if issuer else "trusted", now=datetime.now(UTC)))


@pki.command("reject")
@click.argument("certificate")
@_where
def pki_reject(certificate: str, folder: Path | None, config: Path | None) -> None:
    """Trust a server no longer. A connection that is open ends within seconds.

    CERTIFICATE is the first digits of the thumbprint of one that is trusted.
    """
    found = _open(folder, config)
    from adapters.opcua.pki.decide import reject

    say(reject(found, certificate))
