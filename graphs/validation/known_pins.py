"""Which pins a node has: its block's, and those of the graph that an agent node runs."""

from collections.abc import Callable, Collection
from typing import Final

from graphs.agents import read_reference
from graphs.blocks.contract import ERROR_PIN, Kind
from graphs.blocks.interfaces import Interface
from graphs.blocks.registry import find_interface
from graphs.document import LinkDocument, NodeDocument
from graphs.pins import base_of, is_tool

AGENT_SETTINGS: Final = frozenset({"graph_id", "graph_version", "input_schema", "output_schema", "inputs", "user_id"})

FindInterface = Callable[[str], Interface | None]


def knows_source(node: NodeDocument, link: LinkDocument, *, find: FindInterface = find_interface) -> bool:
    """Whether the node has the pin that the link comes from. Of an unknown block nothing is known to be missing."""
    interface = find(node.block_id)
    if interface is None or is_tool(link.source_name):
        return True
    pins: Collection[str] = {*interface.outputs, ERROR_PIN}
    if is_agent(interface):
        pins = {*pins, *read_reference(node.input_default).outputs}
    return base_of(link.source_name, known=pins) in pins


def knows_sink(node: NodeDocument, link: LinkDocument, *, find: FindInterface = find_interface) -> bool:
    """Whether the node has the pin that the link leads to."""
    return knows_input(node, link.sink_name, interface=find(node.block_id))


def knows_input(node: NodeDocument, name: str, *, interface: Interface | None) -> bool:
    """Whether the node has the input pin that `name` is, or is a part of. An unknown block may have any."""
    if interface is None:
        return True
    pins = list_inputs(node, interface)
    return base_of(name, known=pins) in pins


def list_inputs(node: NodeDocument, interface: Interface) -> Collection[str]:
    """Return the names of the node's input pins."""
    if not is_agent(interface):
        return interface.inputs.keys()
    return {*interface.inputs, *AGENT_SETTINGS, *read_reference(node.input_default).inputs}


def is_agent(interface: Interface | None) -> bool:
    """Whether nodes of this block run another graph."""
    return interface is not None and interface.kind is Kind.AGENT
