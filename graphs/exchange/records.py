"""A graph as it stands in a document: its ids are text, and mean something only within it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class NodeRecord:
    """A node of a document."""

    id: str
    block_id: str
    input_default: Mapping[str, Any]
    metadata: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class LinkRecord:
    """A link of a document. `id` may be empty."""

    id: str
    source_id: str
    source_name: str
    sink_id: str
    sink_name: str
    is_static: bool


@dataclass(frozen=True, kw_only=True)
class GraphRecord:
    """A graph of a document. `id` may be empty."""

    id: str
    version: int
    name: str
    description: str
    settings: Mapping[str, Any]
    nodes: tuple[NodeRecord, ...]
    links: tuple[LinkRecord, ...]
