import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.errors import ModuleError
from gateway.metrics import Metrics
from gateway.wasm.chain import Chain
from gateway.wasm.failure import GuestFailure
from gateway.wasm.host import Host
from gateway.wasm.instance import Instance
from tests.gateway.wasm.guests import BATCH, KNOWN, LOOP_FOR_EVER, built_in, described, guest


def wait_until_idle(host: Host) -> None:
    deadline = time.monotonic() + 30
    while not host.idle:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_it_sleeps_without_calls_and_still_stops_a_loop_after_that(tmp_path: Path) -> None:
    path = tmp_path / "loop.wasm"
    path.write_bytes(described(guest(LOOP_FOR_EVER)))
    with Host(cache_dir=None, memory_bytes=1 << 20, batch_ms=5, metrics=Metrics()) as host:
        for _ in range(3):
            wait_until_idle(host)
            instance = Instance(host, host.load_bytes(path.read_bytes(), path), [1], [()])
            wait_until_idle(host)
            with pytest.raises(GuestFailure, match="within 5 ms") as caught:
                instance.process(BATCH)
            assert caught.value.cause == "timeout"
            instance.close()


def test_a_loop_beside_it_stops_no_other_call(tmp_path: Path) -> None:
    path = tmp_path / "loop.wasm"
    path.write_bytes(described(guest(LOOP_FOR_EVER)))
    with Host(cache_dir=None, memory_bytes=1 << 20, batch_ms=200, metrics=Metrics()) as host:
        chain = Chain(host, [built_in("scale", factor=2.0)], device="d", known=KNOWN)
        chain.start(0)
        with ThreadPoolExecutor(1) as pool:
            instance = Instance(host, host.load_bytes(path.read_bytes(), path), [1], [()])
            looping = pool.submit(instance.process, BATCH)
            while not looping.done():
                assert chain.apply(BATCH, 0).batch.values()[0] == 3.0
            assert isinstance(looping.exception(), GuestFailure)
        assert chain.health(0)[0].failures == 0
        instance.close()
        chain.close()


def test_a_closed_host_calls_nothing() -> None:
    with Host(cache_dir=None, memory_bytes=1 << 20, batch_ms=50, metrics=Metrics()) as host:
        chain = Chain(host, [built_in("scale")], device="d", known=KNOWN)
        chain.start(0)
    with pytest.raises(ModuleError, match="closed"):
        chain.apply(BATCH, 0)
    chain.close()
