"""The plant's OPC UA server: asyncua's own, anonymous and without encryption, on loopback.

Nodes stand in namespace 2 with string identifiers, `ns=2;s=Press.Force`. A value is written when it has changed, with
its source time. The counters `ns=2;s=Load.0001` and so on go up by one at each `publish`: every value 1, 2, 3 ... is
a change of its own, so that one that never arrives can be told.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, Final, cast

from asyncua import ua
from asyncua.common.node import Node
from asyncua.server.server import Server

from adapters.plant.catalogue import LOAD_NODE, NAMESPACE, NODES, NodeType, load_node
from adapters.plant.signals import PlantState
from adapters.plant.subscriptions import use_kept_subscriptions

__all__ = ["OpcUaServer"]

NAMESPACE_URI: Final = "urn:tidegate:plant"
_BREATH: Final = 250
"""Writes after which other tasks of the process (the clients' connections) get their turn."""


class OpcUaServer:
    """Serves the nodes of the catalogue, and `load_tags` counters.

    Args:
        host: address to listen on.
        port: TCP port; 0 lets the system choose.
        load_tags: how many counter nodes.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, load_tags: int = 0) -> None:
        self._host = host
        self._port = port
        self._load_tags = load_tags
        self._server: Server | None = None
        self._nodes: list[ua.NodeId] = []
        self._load_nodes: list[ua.NodeId] = []
        self._written: list[Any] = []
        self._count = 0

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        return self._port

    @property
    def url(self) -> str:
        """The endpoint's URL, once started."""
        return f"opc.tcp://{self._host}:{self._port}/plant"

    @property
    def count(self) -> int:
        """What every counter node shows."""
        return self._count

    async def start(self, state: PlantState) -> None:
        """Builds the address space with the values of `state`, and listens.

        Raises:
            OSError: the port cannot be bound.
        """
        server = Server()
        await server.init()
        use_kept_subscriptions(server)
        server.set_server_name("Tidegate plant")
        server.set_endpoint(f"opc.tcp://{self._host}:{self._port}/plant")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        server.set_identity_tokens([ua.AnonymousIdentityToken])
        index = await server.register_namespace(NAMESPACE_URI)
        assert index == NAMESPACE, f"the plant's namespace got index {index}"
        await self._add_nodes(server, state)
        try:
            await server.start()
        except OSError as error:
            what = f"OPC UA server on {self._host}:{self._port}: it cannot listen there. Is the port taken?"
            raise OSError(what) from error
        self._server = server
        assert server.bserver is not None
        self._port = server.bserver.port

    async def stop(self) -> None:
        """Closes the clients' connections and stops listening."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop()

    async def publish(self, state: PlantState, *, at: datetime) -> None:
        """Writes what has changed since the last time, and counts every counter node up by one.

        Args:
            state: the plant now.
            at: source time of the values, UTC.
        """
        server = self._server
        assert server is not None, "publish needs a started server"
        for place, node in enumerate(NODES):
            value = node.value(state)
            if value != self._written[place]:
                self._written[place] = value
                await server.write_attribute_value(self._nodes[place], _data_value(value, node.type, at))
        self._count += 1
        # One object for all: the server copies a value before it queues it for a client.
        counter = _data_value(self._count, "Int64", at)
        for place, node_id in enumerate(self._load_nodes):
            await server.write_attribute_value(node_id, counter)
            if place % _BREATH == _BREATH - 1:
                await asyncio.sleep(0)

    async def _add_nodes(self, server: Server, state: PlantState) -> None:
        folders: dict[str, Node] = {}
        for node in NODES:
            machine, _, name = node.identifier.partition(".")
            if machine not in folders:
                folders[machine] = await server.nodes.objects.add_folder(_node_id(machine), f"{NAMESPACE}:{machine}")
            value = node.value(state)
            self._written.append(value)
            self._nodes.append(await _add_variable(folders[machine], node.identifier, name, value, node.type))
        if self._load_tags:
            folder = await server.nodes.objects.add_folder(_node_id(LOAD_NODE), f"{NAMESPACE}:{LOAD_NODE}")
            for number in range(1, self._load_tags + 1):
                identifier = load_node(number)
                self._load_nodes.append(await _add_variable(folder, identifier, identifier, 0, "Int64"))


def _node_id(identifier: str) -> ua.NodeId:
    return ua.NodeId(ua.String(identifier), ua.Int16(NAMESPACE))


async def _add_variable(folder: Node, identifier: str, name: str, value: object, type_name: NodeType) -> ua.NodeId:
    variable = await folder.add_variable(_node_id(identifier), f"{NAMESPACE}:{name}", value, ua.VariantType[type_name])
    node_id: ua.NodeId = variable.nodeid
    return node_id


def _data_value(value: object, type_name: NodeType, at: datetime) -> ua.DataValue:
    return ua.DataValue(ua.Variant(value, ua.VariantType[type_name]), ua.StatusCode(), cast("ua.DateTime", at))
