"""What people type to run a graph: names with values, files of JSON, a graph by its file or its id."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.core.management.base import CommandError

from graphs.blocks.aliases import resolve
from graphs.exceptions import GraphNotFoundError
from graphs.management.commands.import_graph import find_owner
from graphs.models import Graph, GraphVersion
from graphs.services import get_version, import_graph, read_limits

USAGE_ERROR: Final = 2
STANDARD_INPUT: Final = "-"


@dataclass(frozen=True, kw_only=True)
class FoundGraph:
    """The graph to run, who runs it, and what its import has to say."""

    user: AbstractBaseUser
    version: GraphVersion
    warnings: tuple[str, ...] = ()
    node_ids: Mapping[str, tuple[UUID, ...]] = field(default_factory=dict)


def find_graph(graph: str, *, user_name: str | None, number: int | None) -> FoundGraph:
    """Return a saved graph by its id, or import a file as the user's.

    Raises `CommandError` for what doesn't exist, and `GraphDocumentError` for a file that is no graph.
    """
    graph_id = _as_uuid(graph)
    if graph_id is not None:
        return _find_saved(graph_id, user_name=user_name, number=number)
    if number is not None:
        _refuse("--version-number is for a graph that is given by its id: a file becomes a new graph.")
    document = _read_file(graph)
    user = _find_user(user_name)
    imported = import_graph(owner=user, document=document)
    return FoundGraph(user=user, version=imported.version, warnings=imported.warnings, node_ids=imported.node_ids)


def read_inputs(pairs: Sequence[str], *, file: str | None) -> dict[str, Any]:
    """Return the inputs of `--inputs FILE`, overlaid by those of `--input NAME=JSON`."""
    inputs = dict(_read_object(file, what="--inputs")) if file else {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            _refuse(f"--input {pair}: write NAME=JSON, for example --input Amount=7 or --input Name=Ada.")
        inputs[name] = _parse_value(text)
    return inputs


def read_mocks(file: str, *, node_ids: Mapping[str, tuple[UUID, ...]]) -> dict[str, Any]:
    """Return the mocks of a file, with the ids that the nodes have now and that the blocks have today."""
    mocks: dict[str, Any] = {}
    for key, mock in _read_object(file, what="--mock").items():
        if not _is_mock(mock):
            _refuse(f"--mock {file}: “{key}” must be {{pin: value}} or [[pin, value], …].")
        targets = [str(node_id) for node_id in node_ids.get(key, ())] or [resolve(key)]
        mocks.update(dict.fromkeys(targets, mock))
    return mocks


def _find_saved(graph_id: UUID, *, user_name: str | None, number: int | None) -> FoundGraph:
    """Run it as its owner unless another user is named: an operator may run anybody's graph."""
    graph = Graph.objects.select_related("owner").filter(pk=graph_id).first()
    if graph is None:
        _refuse(f"There is no graph {graph_id}.")
    user = graph.owner if user_name is None else _find_user(user_name)
    try:
        return FoundGraph(user=user, version=get_version(user=user, graph_id=graph_id, version=number))
    except GraphNotFoundError as error:
        _refuse(str(error))


def _find_user(name: str | None) -> AbstractBaseUser:
    try:
        return find_owner(name)
    except CommandError as error:
        _refuse(str(error))


def _read_file(name: str) -> bytes:
    """Read no more than the importer would take: one byte beyond that tells it that there is too much."""
    limit = read_limits().max_bytes + 1
    try:
        if name == STANDARD_INPUT:
            return sys.stdin.buffer.read(limit)
        with Path(name).open("rb") as file:
            return file.read(limit)
    except OSError as error:
        _refuse(f"{name}: {error.strerror or error}")


def _read_object(name: str, *, what: str) -> dict[str, Any]:
    try:
        value = json.loads(_read_file(name))
    except (ValueError, RecursionError) as error:
        _refuse(f"{what} {name} is not JSON: {error}")
    if not isinstance(value, dict):
        _refuse(f"{what} {name} must hold a JSON object.")
    return value


def _parse_value(text: str) -> Any:
    """Return the JSON value, or the text itself if it isn't one."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return text


def _refuse_constant(name: str) -> NoReturn:
    """NaN and Infinity are words, not JSON."""
    raise ValueError(name)


def _is_mock(mock: Any) -> bool:
    if isinstance(mock, list):
        return all(isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in mock)
    return isinstance(mock, dict)


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _refuse(message: str) -> NoReturn:
    raise CommandError(message, returncode=USAGE_ERROR)
