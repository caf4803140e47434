"""What the importer tells about a graph that it reads all the same."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final
from uuid import UUID

from graphs.blocks.contract import Kind
from graphs.blocks.interfaces import Interface
from graphs.document import GraphDocument
from graphs.validation import describe_node, find_unavailable, knows_sink, knows_source, missing_inputs

MAX_NOTICES: Final = 100

FindInterface = Callable[[str], Interface | None]


def describe_graph(
    graph: GraphDocument, *, changes: Sequence[tuple[UUID, str]], find: FindInterface, place: str
) -> Iterator[str]:
    """Yield sentences about blocks that can't run, old pins that were renamed, unknown pins and missing inputs.

    `changes` are what was modernized, by node. `place` is the name of the sub-graph, if it is one.
    """
    prefix = f"In “{place}”: " if place else ""
    names = {node.id: describe_node(node, find(node.block_id)) for node in graph.nodes}
    told = [
        *_describe_unavailable(graph, find=find),
        *(f"“{names[node]}”: {what}." for node, what in changes),
        *_describe_pins(graph, names=names, find=find),
        *_describe_missing(graph, names=names, find=find),
    ]
    for notice, count in Counter(told).items():
        yield f"{prefix}{notice}" + (f" ({count} times)" if count > 1 else "")


def shorten(notices: Iterable[str]) -> tuple[str, ...]:
    """Return the notices, the first `MAX_NOTICES` of them if there are many."""
    listed = list(notices)
    if len(listed) <= MAX_NOTICES:
        return tuple(listed)
    return (*listed[:MAX_NOTICES], f"… and {len(listed) - MAX_NOTICES:,} more.")


def _describe_unavailable(graph: GraphDocument, *, find: FindInterface) -> Iterator[str]:
    counts = Counter(node.block_id for node in find_unavailable(graph, find=find))
    for block_id, count in counts.items():
        interface = find(block_id)
        nodes = f"{count} nodes are" if count > 1 else "its node is"
        if interface is None:
            yield f"There is no block {block_id}: {nodes} kept, but can't run."
        else:
            yield f"{interface.name} ({block_id}) can't run here: {nodes} kept, and can be simulated."


def _describe_pins(graph: GraphDocument, *, names: dict[UUID, str], find: FindInterface) -> Iterator[str]:
    nodes = {node.id: node for node in graph.nodes}
    for link in graph.links:
        if not knows_source(nodes[link.source_id], link, find=find):
            yield f"“{names[link.source_id]}” has no output “{link.source_name}”: its link is kept."
        if not knows_sink(nodes[link.sink_id], link, find=find):
            yield f"“{names[link.sink_id]}” has no input “{link.sink_name}”: its link is kept."


def _describe_missing(graph: GraphDocument, *, names: dict[UUID, str], find: FindInterface) -> Iterator[str]:
    """Blocks that can't run anyway are left out."""
    connected: dict[UUID, set[str]] = {}
    for link in graph.links:
        connected.setdefault(link.sink_id, set()).add(link.sink_name)
    for node in graph.nodes:
        interface = find(node.block_id)
        if interface is None or not interface.available or interface.kind is Kind.NOTE:
            continue
        missing = missing_inputs(node, interface, connected=connected.get(node.id, ()))
        if missing:
            yield f"“{names[node.id]}” needs a value for {', '.join(f'“{pin}”' for pin in missing)}."
