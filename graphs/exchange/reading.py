"""From a JSON value to records: everything has its type and its place, or the error says all that hasn't.

The first record is the graph itself, the others are its sub-graphs. They stand in a list `sub_graphs`, or in the
`subgraphs` of old exports, a list or an object, at any depth.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from graphs.exceptions import GraphDocumentError
from graphs.exchange.json_text import Path, check_json, write_path
from graphs.exchange.limits import Limits
from graphs.exchange.records import GraphRecord, LinkRecord, NodeRecord
from graphs.validation import explain_settings

MAX_NAME_LENGTH: Final = 500
MAX_BLOCK_ID_LENGTH: Final = 64

KEPT_SETTINGS: Final = ("instructions", "recommended_schedule_cron")
"""What AutoGPT keeps beside a graph's name, and we among its settings."""

_MISSING: Final = object()
_KINDS: Final = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a whole number"}


def read_records(document: Any, *, limits: Limits) -> tuple[GraphRecord, ...]:
    """Return the graph and its sub-graphs.

    Raises `GraphDocumentError` if the document is no graph or too large a one, with every wrong place up to
    `limits.max_problems`.
    """
    found = _find_graphs(document, limits=limits)
    _check_counts([graph for graph, _ in found], limits=limits)
    check_json(document, limits=limits)
    reader = _Reader(limits=limits)
    try:
        records = tuple(reader.read_graph(graph, path) for graph, path in found)
    except _TooManyProblemsError:
        records = ()
    if reader.problems:
        more = " …" if len(reader.problems) >= limits.max_problems else ""
        raise GraphDocumentError(f"The document is not a graph. {' '.join(reader.problems)}{more}")
    return records


def _find_graphs(document: Any, *, limits: Limits) -> list[tuple[dict[str, Any], Path]]:
    if not isinstance(document, dict):
        raise GraphDocumentError(f"The document is not a graph: $ is {_say_kind(document)}, not an object.")
    path: Path = ()
    if isinstance(document.get("graph"), dict) and "nodes" not in document:
        document, path = document["graph"], ("graph", path)
    if "nodes" not in document:
        raise GraphDocumentError(f"The document is not a graph: {write_path(path)} has no “nodes”.")
    found = [(document, path)]
    for graph, place in found:  # grows while it is read: sub-graphs may have their own
        for below in _find_below(graph, place):
            found.append(below)
            if len(found) > limits.max_nodes:
                raise GraphDocumentError(f"The graph has more than {limits.max_nodes:,} sub-graphs; no more are read.")
    return found


def _find_below(graph: dict[str, Any], path: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    for key in ("sub_graphs", "subgraphs"):
        below = graph.get(key)
        if below is None:
            continue
        if not isinstance(below, list | dict):
            raise GraphDocumentError(f"{write_path((key, path))} is {_say_kind(below)}, not a list.")
        for step, each in below.items() if isinstance(below, dict) else enumerate(below):
            place = (step, (key, path))
            if isinstance(each, dict):
                yield each, place
            elif key == "sub_graphs" or not isinstance(each, list):  # old exports list the ids of nodes there
                raise GraphDocumentError(f"{write_path(place)} is {_say_kind(each)}, not a graph.")


def _check_counts(graphs: list[dict[str, Any]], *, limits: Limits) -> None:
    """Refuse what is too large before anything in it is looked at."""
    for key, limit in (("nodes", limits.max_nodes), ("links", limits.max_links)):
        count = sum(len(graph[key]) for graph in graphs if isinstance(graph.get(key), list))
        if count > limit:
            raise GraphDocumentError(f"The graph has {count:,} {key}, sub-graphs included; at most {limit:,} are read.")


class _TooManyProblemsError(Exception):
    """Enough has been found."""


@dataclass(kw_only=True)
class _Reader:
    """Reads values of a wanted type; where the type is wrong it notes that and goes on with an empty one."""

    limits: Limits
    problems: list[str] = field(default_factory=list)

    def tell(self, path: Path, message: str) -> None:
        self.problems.append(f"{write_path(path)} {message}.")
        if len(self.problems) >= self.limits.max_problems:
            raise _TooManyProblemsError

    def read(self, holder: dict[str, Any], key: str, kind: type, path: Path, *, default: Any = _MISSING) -> Any:
        """Return `holder[key]`; where it is absent or null and there is a default, that."""
        value = holder.get(key)
        if value is None and default is not _MISSING:
            return default
        if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
            return value
        said = "is missing" if key not in holder else f"is {_say_kind(value)}, not {_KINDS[kind]}"
        self.tell((key, path), said)
        return kind()

    def read_id(self, holder: dict[str, Any], key: str, path: Path) -> str:
        before = len(self.problems)
        value: str = self.read(holder, key, str, path)
        if not value and len(self.problems) == before:
            self.tell((key, path), "is empty")
        return value

    def read_items(self, holder: dict[str, Any], key: str, path: Path, *, default: Any = _MISSING) -> Iterator[Any]:
        """Yield the objects of a list with their places."""
        for index, item in enumerate(self.read(holder, key, list, path, default=default)):
            place = (index, (key, path))
            if isinstance(item, dict):
                yield item, place
            else:
                self.tell(place, f"is {_say_kind(item)}, not an object")

    def read_graph(self, graph: dict[str, Any], path: Path) -> GraphRecord:
        name: str = self.read(graph, "name", str, path, default="")
        if len(name) > MAX_NAME_LENGTH:
            self.tell(("name", path), f"has {len(name):,} characters; at most {MAX_NAME_LENGTH} fit")
        settings = self.read_settings(graph, path)
        nodes = tuple(self.read_node(node, place) for node, place in self.read_items(graph, "nodes", path))
        return GraphRecord(
            id=self.read(graph, "id", str, path, default=""),
            version=self.read(graph, "version", int, path, default=1),
            name=name.strip() or "Unnamed graph",
            description=self.read(graph, "description", str, path, default=""),
            settings=settings,
            nodes=nodes,
            links=self.read_links(graph, path, nodes=nodes),
        )

    def read_settings(self, graph: dict[str, Any], path: Path) -> dict[str, Any]:
        """Return the settings, those of unknown keys as they are."""
        settings = dict(self.read(graph, "settings", dict, path, default={}))
        for key, told in explain_settings(settings).items():
            self.tell((key, ("settings", path)), told)
        return settings | {key: graph[key] for key in KEPT_SETTINGS if graph.get(key) is not None}

    def read_node(self, node: dict[str, Any], path: Path) -> NodeRecord:
        block_id = self.read_id(node, "block_id", path)
        if len(block_id) > MAX_BLOCK_ID_LENGTH:
            self.tell(("block_id", path), f"has {len(block_id):,} characters; at most {MAX_BLOCK_ID_LENGTH} fit")
        return NodeRecord(
            id=self.read_id(node, "id", path),
            block_id=block_id,
            input_default=self.read(node, "input_default", dict, path, default={}),
            metadata=self.read(node, "metadata", dict, path, default={}),
        )

    def read_links(self, graph: dict[str, Any], path: Path, *, nodes: tuple[NodeRecord, ...]) -> tuple[LinkRecord, ...]:
        """Return the links; both ends of each are among the nodes, of which no two have the same id."""
        places: dict[str, Path] = {}
        for index, node in enumerate(nodes):
            place: Path = (index, ("nodes", path))
            if node.id and node.id in places:
                self.tell(("id", place), f"is that of {write_path(places[node.id])} as well")
            places.setdefault(node.id, place)
        links = []
        for link, place in self.read_items(graph, "links", path, default=[]):
            links.append(self.read_link(link, place))
            for key in ("source_id", "sink_id"):
                end = link.get(key)
                if isinstance(end, str) and end and end not in places:
                    self.tell((key, place), f"is {end[:64]!r}: no node has that id")
        return tuple(links)

    def read_link(self, link: dict[str, Any], path: Path) -> LinkRecord:
        return LinkRecord(
            id=self.read(link, "id", str, path, default=""),
            source_id=self.read_id(link, "source_id", path),
            source_name=self.read_id(link, "source_name", path),
            sink_id=self.read_id(link, "sink_id", path),
            sink_name=self.read_id(link, "sink_name", path),
            is_static=self.read(link, "is_static", bool, path, default=False),
        )


def _say_kind(value: Any) -> str:
    if value is None:
        return "null"
    return next((said for kind, said in _KINDS.items() if isinstance(value, kind)), "a number")
