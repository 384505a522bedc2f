"""`tidegate probe`: looks at a device that does not say what its values mean. Reads only; needs no running gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gateway.cli_types import PATH, FiniteRange, json_option, say

__all__ = ["probe"]


@click.group()
def probe() -> None:
    """Look at a device that speaks in riddles."""


@probe.command("modbus")
@click.argument("host", required=False)
@click.option("--port", type=click.IntRange(1, 65_535), help="TCP port.  [default: 502]")
@click.option("--rtu-over-tcp", is_flag=True, help="HOST is a serial device server that passes frames of RTU through.")
@click.option("--serial", type=PATH, help="Instead of HOST: a serial port, such as /dev/ttyUSB0.")
@click.option("--baudrate", type=int, help="With --serial.  [default: 19200]")
@click.option("--parity", type=click.Choice(["even", "odd", "none"]), help="With --serial.  [default: even]")
@click.option("--stop-bits", type=click.Choice(["1", "2"]), help="With --serial.  [default: 1]")
@click.option("--config", type=PATH, help="Instead of HOST: a configuration that has the device; with --device.")
@click.option("--device", help="The device's name in the configuration.")
@click.option("--unit", "unit_id", type=click.IntRange(0, 255), help="Unit id.  [default: 1, or the device's]")
@click.option("--address", required=True, help="40001, or counted from 0: 0 or 0x0.")
@click.option("--register", "table", type=click.Choice(["holding", "input"]), help="Which registers.")
@click.option("--count", type=click.IntRange(1, 16), default=2, show_default=True, help="How many registers.")
@click.option("--times", type=click.IntRange(1, 100), default=5, show_default=True, help="How often to read them.")
@click.option("--every", type=FiniteRange(min=0, max=60), default=0.3, show_default=True, help="Seconds in between.")
@click.option("--timeout", type=FiniteRange(min=0.01, max=60), help="In seconds.  [default: 1, or the device's]")
@click.option("--min", "low", type=FiniteRange(), help="The value cannot be less.")
@click.option("--max", "high", type=FiniteRange(), help="The value cannot be more.")
@click.option("--all", "whole", is_flag=True, help="Show what is not plausible, too.")
@json_option()
def probe_modbus(
    *,
    config: Path | None,
    whole: bool,
    as_json: bool,
    **asked: Any,  # noqa: ANN401 - as `options` takes them
) -> None:
    """Read registers and rank every type and byte order they may have.

    Reads only. Give --min and --max where you know them: that tells most.
    """
    import asyncio
    import json

    from adapters.modbus.probe import probe as read
    from adapters.modbus.probe import probe_json, probe_text
    from adapters.modbus.probe_options import OptionError, options

    devices = None
    if config is not None:
        from gateway.check import load

        devices = load(config).devices
    try:
        wanted = options(**asked, devices=devices)
    except OptionError as error:
        raise click.UsageError(str(error)) from None
    found = asyncio.run(read(**wanted))
    say(json.dumps(probe_json(found), indent=2) if as_json else probe_text(found, whole=whole))
