"""Options that say which broker is meant, for commands that speak to one without a gateway."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli_types import PATH, Command
from gateway.errors import TidegateError

if TYPE_CHECKING:
    from gateway.config.models import Config, UplinkSettings

__all__ = ["broker_options", "uplink", "uplink_of"]

_OPTIONS = (
    click.option("--broker", metavar="HOST[:PORT]", help="The broker."),
    click.option("--config", type=PATH, help="Instead of --broker: a configuration whose [uplink] tells it."),
    click.option("--username", help="With --broker: user name there."),
    click.option("--password-file", type=PATH, help="With --broker: a file that holds the password."),
    click.option("--tls", is_flag=True, help="With --broker: encrypt the connection."),
    click.option("--ca-file", type=PATH, help="With --tls: PEM file of trusted roots.  [default: the system's]"),
    click.option(
        "--protocol", type=click.Choice(["3.1.1", "5"]), default="5", show_default=True, help="With --broker."
    ),
)


def broker_options(command: Command) -> Command:
    """Adds the options that `uplink` takes."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def uplink_of(config: Config, file: Path) -> UplinkSettings:
    """The broker of a configuration.

    Raises:
        TidegateError: it has none.
    """
    if config.uplink is None:
        raise TidegateError(f"{file} has no [uplink], so there is no broker, and no topic")
    return config.uplink


def uplink(
    *,
    broker: str | None,
    config: Path | None,
    username: str | None,
    password_file: Path | None,
    tls: bool,
    ca_file: Path | None,
    protocol: str,
) -> UplinkSettings:
    """The broker that is meant.

    Raises:
        TidegateError: the password's file cannot be read, or the configuration has no broker.
    """
    import msgspec

    from gateway.config.models import TlsSettings, UplinkSettings

    if (broker is None) == (config is None):
        raise click.UsageError("which broker? Give either --broker HOST[:PORT] or --config FILE")
    if config is not None:
        if username or password_file or tls or ca_file:
            raise click.UsageError(
                "--username, --password-file, --tls and --ca-file belong to --broker, not to --config"
            )
        from gateway.check import load

        return uplink_of(load(config), config)
    if ca_file is not None and not tls:
        raise click.UsageError("--ca-file belongs to --tls")
    assert broker is not None
    host, port = _host_and_port(broker)
    try:
        return msgspec.convert(
            {
                "host": host,
                "port": port,
                "username": username,
                "password": None if password_file is None else _password(password_file),
                "tls": TlsSettings(ca_file=None if ca_file is None else str(ca_file)) if tls else None,
                "protocol": protocol,
            },
            UplinkSettings,
        )
    except msgspec.ValidationError:
        raise click.UsageError(f"--broker {broker!r}: HOST or HOST:PORT is expected, [ADDRESS]:PORT for IPv6") from None


def _host_and_port(broker: str) -> tuple[str, int | None]:
    host, colon, port = broker.rpartition(":")
    if broker.startswith("["):
        host, _, port = broker[1:].partition("]")
        colon, port = port[:1], port[1:]
    if not colon or (":" in host and not broker.startswith("[")):
        return (host if broker.startswith("[") else broker), None
    return host, int(port) if port.isdecimal() and port.isascii() else -1


def _password(file: Path) -> str:
    try:
        return file.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TidegateError(f"the password file {file} cannot be read: {getattr(error, 'strerror', error)}") from None
