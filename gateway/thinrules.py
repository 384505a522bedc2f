"""What the configuration allows to be thinned, for the spool."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from adapters.registry import protocol
from gateway.config.models import Config, UplinkSettings

if TYPE_CHECKING:
    from gateway.spool import ThinningRules

__all__ = ["thinned_points", "thinning_rules"]

_ANY_HOST: Final = "localhost"


def thinned_points(config: Config) -> dict[tuple[str, str], float]:
    """By path and unit of each point that may be thinned, how far it may be off."""
    return {
        (config.point_path(device, spec.tag), spec.unit): spec.thin_error
        for device in config.devices
        for spec in protocol(device.type).points(device)
        if spec.thin_error is not None
    }


def thinning_rules(config: Config) -> ThinningRules:
    """The rules for the spool. Where no broker is configured, messages are taken to have the usual limit."""
    # Here: a check that only counts points loads neither.
    from gateway.spool import ThinningRules
    from gateway.uplink.json_format import is_whole

    uplink = config.uplink or UplinkSettings(host=_ANY_HOST)
    return ThinningRules(thinned_points(config), partial(is_whole, max_payload_bytes=uplink.max_message_bytes))
