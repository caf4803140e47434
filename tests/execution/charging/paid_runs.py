"""Runs that cost something, for tests."""

from typing import Any

from django.contrib.auth.models import User

from credits.models import LedgerEntry
from execution.models import Execution, NodeExecution
from execution.services import start_execution
from graphs.models import GraphVersion
from graphs.services import import_graph
from tests.execution.small_graphs import draw


def save(user: User, nodes: dict[str, Any], arrows: list[str] | None = None, **settings: Any) -> GraphVersion:
    return import_graph(owner=user, document=draw(nodes, arrows or [], **settings)).version


def start(user: User, nodes: dict[str, Any] | GraphVersion, arrows: list[str] | None = None, **asked: Any) -> Execution:
    version = nodes if isinstance(nodes, GraphVersion) else save(user, nodes, arrows)
    return start_execution(user=user, version=version, input_data={}, **asked)


def statuses(run: Execution) -> dict[str, int]:
    found: dict[str, int] = {}
    for status in NodeExecution.objects.filter(execution=run).values_list("status", flat=True):
        found[status] = found.get(status, 0) + 1
    return found


def charges(user: User) -> list[int]:
    used = LedgerEntry.objects.filter(account__user=user, type="USAGE").order_by("sequence")
    return [entry.owed - entry.amount for entry in used]
