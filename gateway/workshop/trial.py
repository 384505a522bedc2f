"""A module tried outside of a gateway: some readings in, what it makes of them out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateway.batch import Batch, Kind
from gateway.config.models import FilterSettings, WasmSettings
from gateway.errors import ModuleError, TidegateError
from gateway.metrics import Metrics
from gateway.wasm.chain import Chain, build_chain
from gateway.wasm.host import Host
from gateway.wasm.library import is_built_in, resolve
from gateway.wasm.manifest import check_params, parse_manifest, read_wasm
from gateway.wasm.plan import Tag, output_mistakes
from gateway.workshop.cases import Case, Row, read_case, rows_text

__all__ = ["DEVICE", "GOLDEN", "Rig", "golden_cases", "golden_result", "settings_of", "table_text", "trial_host"]

DEVICE: Final = "bench"
GOLDEN: Final = "golden"
"""The folder beside a module's source that holds NAME.in.csv and NAME.out.csv."""


def trial_host(cache_dir: Path | None = None) -> Host:
    """A host with the limits that a configuration has by default."""
    limits = WasmSettings()
    return Host(cache_dir=cache_dir, memory_bytes=limits.memory_bytes, batch_ms=limits.batch_ms, metrics=Metrics())


def settings_of(module: str, case: Case) -> FilterSettings:
    """The filter of a case.

    Args:
        module: a built-in module's name, or the path of a file that is trusted as it is now.
        case: its parameters, outputs and tags.

    Raises:
        ModuleError: there is no such module, or it does not take the case's parameters.
    """
    path = resolve(module, Path())
    wasm = read_wasm(path)
    manifest = parse_manifest(wasm, str(path))
    wrong = [f"params.{name} {what}" for name, what in check_params(manifest, case.params)]
    settings = FilterSettings(
        module=module if is_built_in(module) else str(path.absolute()),
        sha256=None if is_built_in(module) else hashlib.sha256(wasm).hexdigest(),
        tags=case.tags,
        params=case.params,
        outputs=case.outputs,
    )
    wrong += [f"{below} {what}" for below, what in output_mistakes(settings, manifest)]
    if wrong:
        raise ModuleError("; ".join(wrong))
    return settings


class Rig:
    """A chain of filters over tags by name. A context manager.

    Args:
        host: runs the modules.
        filters: in order.
        tags: names of the tags.
        start: whether the filters are started at once, and not with the first batch.

    Raises:
        ModuleError: a filter cannot be started.
    """

    def __init__(
        self, host: Host, filters: Sequence[FilterSettings], tags: Sequence[str], *, start: bool = True
    ) -> None:
        self._names = list(tags)
        self._numbers = {name: number for number, name in enumerate(tags, 1)}
        self.chain: Chain = build_chain(
            host,
            filters,
            device=DEVICE,
            points=[(number, Tag(name)) for name, number in self._numbers.items()],
            base=Path(),
            intern=self._intern,
        )
        if start:
            self.chain.start(0)
            self.raise_failure()

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, *_: object) -> None:
        self.chain.close()

    def feed(self, rows: Sequence[Row]) -> list[Row]:
        """What the filters make of one batch.

        Raises:
            ModuleError: one failed.
        """
        batch = Batch.of(reading._replace(point=self._numbers[tag]) for tag, reading in rows)
        after = self.chain.apply(batch, 0).batch
        self.raise_failure()
        return [Row(self._names[reading.point - 1], reading) for reading in after]

    def _intern(self, tag: str, unit: str, kind: Kind) -> int:
        del unit, kind
        self._names.append(tag)
        self._numbers[tag] = len(self._names)
        return self._numbers[tag]

    def raise_failure(self) -> None:
        """Raises what went wrong in a filter so far, if anything did.

        Raises:
            ModuleError: a filter failed.
        """
        for one in self.chain.health(0):
            if one.failures:
                raise ModuleError(one.last_error)


def golden_cases(folder: Path) -> list[Path]:
    """The cases of a module: its files golden/NAME.in.csv."""
    return sorted((folder / GOLDEN).glob("*.in.csv"))


def table_text(table: Path) -> str:
    """The text of a golden table.

    Raises:
        TidegateError: it cannot be read.
    """
    try:
        return table.read_text(encoding="utf-8-sig")  # as spreadsheets write it
    except OSError as error:
        raise TidegateError(f"{table} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise TidegateError(f"{table} is no text in UTF-8; save it as CSV in UTF-8") from None


def golden_result(host: Host, module: str, case: Path) -> str:
    """What a module makes of a case, as the table that is to stand in its .out.csv.

    The readings are fed to it as one batch and then, to another instance, one by one: a module must not care.

    Raises:
        TidegateError: the case cannot be read, the module fails on it, or it cares.
    """
    read = read_case(table_text(case), str(case))
    try:
        settings = settings_of(module, read)
        tags = list(dict.fromkeys(row.tag for row in read.rows))
        with Rig(host, [settings], tags) as whole, Rig(host, [settings], tags) as piecemeal:
            out = rows_text(whole.feed(read.rows))
            other = rows_text([row for one in read.rows for row in piecemeal.feed([one])])
    except ModuleError as error:
        raise TidegateError(f"{case}: {error}") from None
    if out != other:
        raise TidegateError(f"{case}: the module answers otherwise when it gets the same readings one by one:\n{other}")
    return out
