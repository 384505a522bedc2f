"""A secured server and a gateway that do not know each other yet, and the person in between."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.control import client
from gateway.demo.gateway_process import GatewayProcess
from gateway.errors import TidegateError
from tests.adapters.opcua.certificates import make
from tests.adapters.opcua.secured import SecuredPlc
from tests.waiting import until

TIDEGATE = Path(sys.executable).with_name("tidegate")


def config(folder: Path, port: int) -> dict[str, Any]:
    return {
        "gateway": {"id": "cell-1"},
        "database": {"path": str(folder / "spool.db")},
        "devices": [
            {
                "name": "press",
                "type": "opcua",
                "url": f"opc.tcp://127.0.0.1:{port}",
                "security": "auto",
                "username": "op",
                "password": "right",
                "tags": [{"name": "speed", "node": "ns=2;s=Speed"}],
            }
        ],
    }


def told(*args: str, folder: Path) -> str:
    done = subprocess.run([TIDEGATE, *args], cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


async def test_trust_on_both_sides_and_it_reads_without_a_restart(tmp_path: Path) -> None:
    plc = await SecuredPlc.open(make())
    await plc.add("Speed", 1.5)
    settings = config(tmp_path, plc.port)
    try:
        async with GatewayProcess(folder=tmp_path, config=settings) as gateway:

            async def press() -> dict[str, Any]:
                return (await gateway.status() or {}).get("devices", {}).get("press", {})

            async def reason() -> str:
                return json.dumps((await gateway.status() or {}).get("components", {}))

            async def refused() -> bool:
                return "check trust" in await reason()

            await until(refused, what="the server's certificate is refused")
            command = re.search(r"run: tidegate (pki trust \w+ --pki [^ \"]+)", await reason())
            assert command is not None
            assert plc.seen.users == []

            # What a screen asks for goes the same way, and is refused with the same words.
            socket = Path(settings["database"]["path"]).with_name("control.sock")
            with pytest.raises(TidegateError, match="check trust"):
                await asyncio.to_thread(client.call, socket, "POST", "/browse", {"device": settings["devices"][0]})

            said = await asyncio.to_thread(told, *command[1].split(), folder=tmp_path)
            assert "trusted: 'plc'" in said

            async def reads() -> bool:
                return (await press()).get("state") == "up"

            await until(reads, within_s=90.0, what="the press is read, in the same process")
            assert plc.seen.users[-1] == ("op", "right")
            assert ("Aes256_Sha256_RsaPss", "SignAndEncrypt") in plc.policies_in_use
            found = await asyncio.to_thread(client.call, socket, "POST", "/browse", {"device": settings["devices"][0]})
            assert "Speed" in [node["name"] for node in found["nodes"]]

            file = str(tmp_path / "gateway.json")
            listed = await asyncio.to_thread(told, "browse", "--config", file, "--device", "press", folder=tmp_path)
            assert re.search(r"^Objects/Speed  .*ns=2;s=Speed$", listed, re.MULTILINE)

            shown = await asyncio.to_thread(
                told, "pki", "list", "--config", str(tmp_path / "gateway.json"), folder=tmp_path
            )
            assert "urn:tidegate:cell-1" in shown
            assert plc.seen.uris[0] == "urn:tidegate:cell-1"
            assert await gateway.stop() == 0
        assert "right" not in gateway.log.read_text()
    finally:
        await until(lambda: plc.connections == 0)
        await plc.stop()
