"""How much of a document is read before it is refused."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Nodes and links are counted over the graph and its sub-graphs; `max_bytes` is the size of the JSON text."""

    max_bytes: int = 10 * 1024 * 1024
    max_depth: int = 100
    max_values: int = 2_000_000
    max_nodes: int = 5_000
    max_links: int = 20_000
    max_problems: int = 20
