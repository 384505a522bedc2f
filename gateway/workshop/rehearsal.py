"""Whether the modules of a configuration start with the parameters that it gives them: asked of themselves.

A manifest tells what each parameter may be by itself. Whether they go together only the module knows, so each filter of
each device is started once, in the sandbox and within the limits that it will have, and is given no batch. Only its
time is more: a machine that is busy with something else must not make a good configuration a wrong one.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path

from gateway.check import chains_of, tags_of
from gateway.config import keypath
from gateway.config.models import Config
from gateway.errors import ConfigError, Problem
from gateway.metrics import Metrics
from gateway.wasm.chain import build_chain
from gateway.wasm.host import Host

__all__ = ["rehearse"]

_PATIENCE_MS = 2_000


def rehearse(config: Config, source: str) -> None:
    """Starts each filter once.

    Args:
        config: a checked configuration with absolute paths.
        source: the file, as it was named.

    Raises:
        ConfigError: some do not start; carries the first device of each.
    """
    if not config.filters:
        return
    with Host(
        cache_dir=None,
        memory_bytes=config.wasm.memory_bytes,
        batch_ms=max(config.wasm.batch_ms, _PATIENCE_MS),
        metrics=Metrics(),
    ) as host:
        problems = _problems(config, host)
    if problems:
        raise ConfigError(source, [problems[where] for where in sorted(problems, key=_place)])


def _problems(config: Config, host: Host) -> dict[str, Problem]:
    """What does not start, by key path."""
    found: dict[str, Problem] = {}
    plans = chains_of(config, config.devices)
    for device in config.devices:
        numbers = count(1)
        chain = build_chain(
            host,
            config.filters,
            device=device.name,
            points=[(next(numbers), tag) for tag in tags_of(device)],
            base=Path(),
            intern=lambda *_, numbers=numbers: next(numbers),
        )
        chain.start(0)
        for step, health in zip(plans[device.name], chain.health(0), strict=True):
            below = keypath.item("filters", step.place)
            for where, told in ((below, health), (keypath.key(below, "shadow"), health.shadow)):
                if told is not None and told.failures:
                    found.setdefault(where, Problem(where, told.last_error))
        chain.close()
    return found


def _place(where: str) -> tuple[int, str]:
    return len(where), where
