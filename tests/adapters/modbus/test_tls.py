"""Modbus over TLS, against pymodbus's TLS server."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.modbus import PROTOCOL
from adapters.modbus.settings import ModbusSettings, TlsClientSettings
from gateway.errors import SourceLost
from tests.adapters.modbus.rig import LOOPBACK, Plc, Site, device, numbered, plc, settings
from tests.gateway.uplink.certificates import Authority
from tests.waiting import until


@asynccontextmanager
async def secured(folder: Path, *, asks: bool = False, address: str = LOOPBACK) -> AsyncIterator[tuple[Plc, Authority]]:
    authority = Authority(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(address))
    if asks:
        context.load_verify_locations(authority.certificate)
        context.verify_mode = ssl.CERT_REQUIRED
    async with plc(device(holding={0: [4, 5]}), tls=context) as server:
        yield server, authority


def over_tls(server: Plc, **tls: Any) -> ModbusSettings:
    return settings(server.port, [*numbered(2)], transport="tls", tls=TlsClientSettings(**tls))


async def test_a_device_is_read_and_written_over_tls(tmp_path: Path) -> None:
    async with secured(tmp_path) as (server, authority):
        site = Site(over_tls(server, ca_file=str(authority.certificate)))
        async with site.running():
            await until(lambda: len(site.inbox.batches) >= 3)
            assert (await site.adapter.write("t1", 6)).value == 6
        assert site.inbox.batches[0].values() == [4, 5]


async def test_a_device_that_asks_for_a_certificate_is_shown_one(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    async with secured(tmp_path, asks=True) as (server, authority):
        cert, key = authority.issue(LOOPBACK)
        own = {"ca_file": str(authority.certificate), "cert_file": str(cert), "key_file": str(key)}
        site = Site(over_tls(server, **own))
        async with site.running():
            await until(lambda: len(site.inbox.batches) >= 2)


@pytest.mark.parametrize(
    ("address", "own_root", "why"),
    [
        (LOOPBACK, False, r"its certificate is not trusted: .*Check tls\.ca_file"),
        ("10.1.2.3", True, r"its certificate is not trusted: IP address mismatch.*tls\.server_name"),
    ],
)
async def test_a_certificate_is_checked_unless_that_is_switched_off(
    address: str, own_root: bool, why: str, tmp_path: Path
) -> None:
    async with secured(tmp_path, address=address) as (server, authority):
        tls = {"ca_file": str(authority.certificate)} if own_root else {}
        with pytest.raises(SourceLost, match=why):
            await Site(over_tls(server, **tls)).run()
        assert server.requests == []
        named = Site(over_tls(server, ca_file=str(authority.certificate), server_name=address))
        unchecked = Site(over_tls(server, verify=False))
        for site in (named, unchecked):
            async with site.running():
                await until(lambda site=site: site.inbox.batches)
            assert site.inbox.batches[0].values() == [4, 5]


async def test_a_device_without_tls_says_so() -> None:
    async with plc(device(holding={0: [4, 5]})) as server:
        with pytest.raises(SourceLost, match=r"speak TLS on this port|closed the connection|no answer within"):
            await Site(settings(server.port, [*numbered(1)], transport="tls", timeout_s=0.5)).run()


async def test_a_file_that_is_gone_by_now_is_named(tmp_path: Path) -> None:
    async with secured(tmp_path) as (server, authority):
        site = Site(over_tls(server, ca_file=str(authority.certificate)))
        authority.certificate.unlink()
        with pytest.raises(SourceLost, match=r"tls\.ca_file: .* cannot be read: No such file"):
            await site.run()


def test_files_of_the_section_are_checked(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    what = settings(1, [*numbered(1)], transport="tls", tls=TlsClientSettings(ca_file=str(tmp_path / "empty.pem")))
    assert [where for where, _ in PROTOCOL.check(what)] == ["tls.ca_file"]
    what = settings(1, [*numbered(1)], transport="tls", tls=TlsClientSettings(cert_file=str(tmp_path / "empty.pem")))
    assert PROTOCOL.check(what) == [("tls.key_file", "this key is missing; it goes with cert_file")]
