"""What a reference leads to, in the words of the node tree.

Refuses targets at other servers and in namespaces that this one does not list: no setting could name them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from asyncua import ua

__all__ = ["OBJECTS", "Target", "here", "targets"]

OBJECTS: Final = ua.NodeId(ua.ObjectIds.ObjectsFolder)

_FOLDER: Final = ua.NodeId(ua.ObjectIds.FolderType)
_PROPERTY: Final = ua.NodeId(ua.ObjectIds.PropertyType)
_KINDS: Final = {
    ua.NodeClass.Object: "object",
    ua.NodeClass.Variable: "variable",
    ua.NodeClass.Method: "method",
    ua.NodeClass.View: "view",
    ua.NodeClass.ObjectType: "object type",
    ua.NodeClass.VariableType: "variable type",
    ua.NodeClass.ReferenceType: "reference type",
    ua.NodeClass.DataType: "data type",
}


class Target(NamedTuple):
    """One node that a reference leads to.

    Attributes:
        node: its id.
        id: the same as the settings write it.
        browse_name: its name in paths, without the namespace.
        name: its name for people.
        kind: what it is: folder, object, variable and so on.
        leaf: whether nothing can be below it that a person would look for.
    """

    node: ua.NodeId
    id: str
    browse_name: str
    name: str
    kind: str
    leaf: bool

    @property
    def is_variable(self) -> bool:
        """Whether it has a value."""
        return self.kind == "variable"


def targets(references: Iterable[ua.ReferenceDescription], namespaces: Sequence[str]) -> Iterator[Target]:
    """The nodes that references lead to, each once, in the server's order.

    Args:
        references: as the server described them; two may lead to one node.
        namespaces: the server's namespace URIs by index.
    """
    seen: set[str] = set()
    for reference in references:
        node = here(reference.NodeId, namespaces)
        if node is not None and (text := node.to_string()) not in seen:
            seen.add(text)
            yield _target(reference, node, text)


def here(node: ua.NodeId, namespaces: Sequence[str]) -> ua.NodeId | None:
    """The plain node id behind an expanded one (OPC 10000-6, 5.2.2.10)."""
    if getattr(node, "ServerIndex", 0):
        return None
    uri = getattr(node, "NamespaceUri", None)
    if not uri:
        return ua.NodeId(node.Identifier, node.NamespaceIndex)
    return ua.NodeId(node.Identifier, namespaces.index(uri)) if uri in namespaces else None


def _target(reference: ua.ReferenceDescription, node: ua.NodeId, text: str) -> Target:
    browse_name = reference.BrowseName.Name or reference.DisplayName.Text or text
    definition = ua.NodeId(reference.TypeDefinition.Identifier, reference.TypeDefinition.NamespaceIndex)
    kind = _KINDS.get(reference.NodeClass, "node")
    return Target(
        node,
        text,
        browse_name,
        reference.DisplayName.Text or browse_name,
        "folder" if kind == "object" and definition == _FOLDER else kind,
        kind == "method" or (kind == "variable" and definition == _PROPERTY),
    )
