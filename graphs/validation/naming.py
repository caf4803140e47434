"""What to call a node in a message."""

from typing import Any

from graphs.blocks.interfaces import Interface
from graphs.document import NodeDocument


def describe_node(node: NodeDocument, interface: Interface | None) -> str:
    """Return what its owner calls the node, and its block: `Send mail (GmailSendBlock)`."""
    block = interface.name if interface else node.block_id
    own: Any = node.metadata.get("customized_name") or node.input_default.get("name")
    return f"{own} ({block})" if isinstance(own, str) and own.strip() else block
