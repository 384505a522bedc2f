"""An OPC UA server of very many variables, in stores of a hundred; prints its address, and ends with its input."""

from __future__ import annotations

import asyncio
import sys

from asyncua import Server, ua

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
        results = await server.iserver.isession.add_nodes(
            [_variable(folder.nodeid, at) for at in range(store, min(number, store + _STORE))]
        )
        for result in results:
            result.StatusCode.check()
    await server.start()
    print(f"opc.tcp://127.0.0.1:{server.bserver.port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()


def _variable(parent: ua.NodeId, number: int) -> ua.AddNodesItem:
    return ua.AddNodesItem(
        ParentNodeId=parent,
        ReferenceTypeId=ua.NodeId(ua.ObjectIds.HasComponent),
        RequestedNewNodeId=ua.NodeId(f"Variable{number}", 2),
        BrowseName=ua.QualifiedName(f"Variable{number}", 2),
        NodeClass=ua.NodeClass.Variable,
        NodeAttributes=ua.VariableAttributes(
            Value=ua.Variant(float(number)), DataType=ua.NodeId(ua.ObjectIds.Double), ValueRank=-1
        ),
        TypeDefinition=ua.NodeId(ua.ObjectIds.BaseDataVariableType),
    )


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
