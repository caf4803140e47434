"""A graph as plain data: what is imported, validated, stored and exported.

`models` keeps it in rows, `exchange` reads and writes it as AutoGPT's JSON, `validation` looks for problems in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID


@dataclass(frozen=True, kw_only=True)
class NodeDocument:
    """One use of a block. `block_id` is kept as it was when we have no such block."""

    id: UUID
    block_id: str
    input_default: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LinkDocument:
    """`source_id.source_name` → `sink_id.sink_name`. The order of a graph's links is part of its meaning."""

    id: UUID
    source_id: UUID
    source_name: str
    sink_id: UUID
    sink_name: str
    is_static: bool = False


@dataclass(frozen=True, kw_only=True)
class GraphDocument:
    """One version of a graph, without its sub-graphs: those are graphs of their own.

    `settings` holds what the graph asks of its runs (see `graphs.validation.settings`), and whatever else came along.
    """

    name: str
    description: str = ""
    nodes: tuple[NodeDocument, ...] = ()
    links: tuple[LinkDocument, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
