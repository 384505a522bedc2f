"""An OPC UA server of very many variables, in stores of a hundred; prints its address, and ends with its input."""

from __future__ import annotations

import asyncio
import sys

from asyncua import Server, ua

from tests.adapters.opcua.plc import add_doubles

_STORE = 100


async def _serve(number: int) -> None:
    server = Server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    await server.register_namespace("urn:tidegate:bench")
    for store in range(0, number, _STORE):
        # asyncua looks at all children of a parent before it adds one, so a flat level would take hours.
        folder = await server.nodes.objects.add_folder(ua.NodeId(f"Store{store}", 2), f"2:Store{store}")
        await add_doubles(server, folder.nodeid, range(store, min(number, store + _STORE)), prefix="Variable")
    await server.start()
    print(f"opc.tcp://127.0.0.1:{server.bserver.port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
