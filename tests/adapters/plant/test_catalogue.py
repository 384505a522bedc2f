from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import pytest

from adapters.plant.catalogue import LINE, NODES, TANK, Register, load_node, pack_bits, pack_words, words
from adapters.plant.config import LOAD_DEVICE, devices, gateway_config
from adapters.plant.signals import PlantState, Tank

MACHINES = [TANK, LINE]


@pytest.mark.parametrize("machine", MACHINES)
def test_registers_of_a_table_do_not_overlap(machine: tuple[Register, ...]) -> None:
    for table in ("input", "holding", "coil", "discrete"):
        ends = [(r.address, words([r], table)) for r in machine if r.table == table]
        assert all(end <= start for (_, end), (start, _) in pairwise(sorted(ends)))


def test_values_are_packed_high_word_first() -> None:
    state = PlantState(tank=Tank(level_pct=12.5, valve_open=True))
    assert pack_words(TANK, "input", state)[:2] == list(struct.unpack(">2H", struct.pack(">f", 12.5)))
    assert pack_words(TANK, "holding", state) == [60]
    assert pack_bits(TANK, "coil", state) == [True]
    assert pack_bits(TANK, "discrete", state) == [True]


def test_tag_names_are_unique_in_their_device() -> None:
    for names in ([n.tag for n in NODES], [r.tag for r in TANK], [r.tag for r in LINE]):
        assert len(set(names)) == len(names)


def config(tags: int) -> dict[str, Any]:
    return gateway_config(
        gateway_id="g",
        database="/x/t.db",
        opcua_url="opc.tcp://127.0.0.1:1/plant",
        modbus_port=2,
        broker_port=3,
        tags=tags,
    )


def test_load_devices_are_there_only_with_tags() -> None:
    assert [device["name"] for device in config(0)["devices"]] == ["press", "tank", "line"]
    loaded = devices(opcua_url="u", modbus_port=1, tags=12, interval_s=1)
    assert [device["name"] for device in loaded] == ["press", "tank", "line", "load-opcua", "load-modbus"]
    counters = next(device for device in loaded if device["name"] == LOAD_DEVICE)["tags"]
    assert counters[-1] == {"name": load_node(12), "node": "ns=2;s=Load.0012", "unit": ""}
