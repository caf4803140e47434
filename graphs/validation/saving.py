"""What makes a document no graph at all: such a document is never saved."""

from collections import Counter
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from graphs.document import GraphDocument
from graphs.exceptions import GraphInvalidError
from graphs.validation.settings import explain_settings

Problems = dict[UUID, dict[str, str]]

WHOLE_GRAPH: Final = UUID(int=0)
"""Stands for the graph itself where a problem belongs to no node."""


def add_problem(problems: Problems, *, node: UUID, field: str, message: str) -> None:
    """Add a message to a field; a field may have several, but none twice."""
    fields = problems.setdefault(node, {})
    if message not in fields.get(field, ""):
        fields[field] = f"{fields[field]} {message}" if field in fields else message


def problems_for_saving(document: GraphDocument) -> Problems:
    """Return what is structurally wrong: ids that occur twice, links to nodes that don't exist, impossible settings.

    A dangling link is reported at the end that exists, or at its source if neither does.
    """
    problems: Problems = {}
    for key, told in explain_settings(document.settings).items():
        add_problem(problems, node=WHOLE_GRAPH, field=f"settings.{key}", message=f"settings.{key} {told}.")
    _check_ids(problems, document)
    _check_ends(problems, document)
    return problems


def _check_ids(problems: Problems, document: GraphDocument) -> None:
    for node_id, count in Counter(node.id for node in document.nodes).items():
        if count > 1:
            add_problem(problems, node=node_id, field="id", message=f"{count} nodes have this id.")
    for link_id, count in Counter(link.id for link in document.links).items():
        if count > 1:
            add_problem(problems, node=WHOLE_GRAPH, field="links", message=f"{count} links have the id {link_id}.")


def _check_ends(problems: Problems, document: GraphDocument) -> None:
    known = {node.id for node in document.nodes}
    for link in document.links:
        if link.sink_id not in known:
            message = f"A link from “{link.source_name}” leads to node {link.sink_id}, which doesn't exist."
            add_problem(problems, node=link.source_id, field=link.source_name, message=message)
        if link.source_id not in known:
            node = link.sink_id if link.sink_id in known else link.source_id
            message = f"A link to “{link.sink_name}” comes from node {link.source_id}, which doesn't exist."
            add_problem(problems, node=node, field=link.sink_name, message=message)


def refuse_unsavable(document: GraphDocument) -> None:
    """Raise `GraphInvalidError` if the document can't be saved."""
    refuse(problems_for_saving(document), what="can't be saved")


def refuse(problems: Mapping[UUID, Mapping[str, str]], *, what: str) -> None:
    """Raise `GraphInvalidError` if there are problems. Those of the whole graph are said in its text."""
    if not problems:
        return
    of_graph = " ".join(problems.get(WHOLE_GRAPH, {}).values())
    of_nodes = {str(node): fields for node, fields in problems.items() if node != WHOLE_GRAPH}
    count = sum(map(len, of_nodes.values()))
    told = f"{count} problem{'s' * (count > 1)} in its nodes." if count else ""
    raise GraphInvalidError(f"The graph {what}: {' '.join(filter(None, [of_graph, told]))}", node_errors=of_nodes)
