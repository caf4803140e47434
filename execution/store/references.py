"""Which values of rows lie in the storage, for whoever looks whether they are still there.

A table is read a stretch at a time, each in a short statement: what that takes doesn't grow with the table.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db import connection

from execution.large_values import find_reference

PAGES_AT_ONCE: Final = 5_000

# A reference is short: what is longer is a value itself, and need not be fetched to be looked at.
LONGEST_REFERENCE: Final = 2_000

_OF_RUN: Final = "execution_execution e ON e.id = t.{key}"
_OF_NODE_EXECUTION: Final = (
    "execution_nodeexecution n ON n.id = t.node_execution_id JOIN execution_execution e ON e.id = n.execution_id"
)

_STRETCH: Final = """
SELECT e.id, t.{column} FROM {table} t JOIN {owner}
 WHERE t.ctid >= %(first)s::tid AND t.ctid < %(end)s::tid
   AND CASE WHEN {is_object} OR pg_column_size(t.{column}) < %(longest)s
            THEN t.{column}::text LIKE '%%{{"$stored":{{"path":%%' END
"""


@dataclass(frozen=True, kw_only=True)
class _Place:
    """A column of values: `depth` is in how many objects they are, one within the other."""

    table: str
    column: str
    owner: str
    depth: int = 0


_PLACES: Final = (
    *(
        _Place(table="execution_execution", column=column, owner=_OF_RUN.format(key="id"), depth=depth)
        for column, depth in (("input_data", 1), ("nodes_input_masks", 2), ("mocks", 1))
    ),
    _Place(table="execution_nodeexecution", column="inputs", owner=_OF_RUN.format(key="execution_id"), depth=1),
    *(
        _Place(table=table, column=column, owner=_OF_NODE_EXECUTION)
        for table, column in (
            ("execution_nodeinput", "value"),
            ("execution_output", "value"),
            ("execution_review", "data"),
            ("execution_review", "decided_data"),
        )
    ),
    *(
        _Place(table=table, column="value", owner=_OF_RUN.format(key="execution_id"))
        for table in ("execution_staticvalue", "execution_runoutput")
    ),
)


@dataclass(frozen=True, kw_only=True)
class Referred:
    """A value in the storage, by its path there, and the row that refers to it: of which run, and in which table."""

    run_id: UUID
    path: str
    table: str


def find_references() -> Iterator[Referred]:
    """Return what rows of runs refer to; the same value as often as rows do."""
    for place in _PLACES:
        for first in range(0, _count_pages(place.table), PAGES_AT_ONCE):
            for run_id, form in _read_stretch(place, first):
                for path in _find_paths(form, place.depth):
                    yield Referred(run_id=run_id, path=path, table=place.table)


def _count_pages(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_size(%s) / current_setting('block_size')::int", [table])
        return int(cursor.fetchone()[0])


def _read_stretch(place: _Place, first: int) -> list[tuple[UUID, Any]]:
    statement = _STRETCH.format(
        column=place.column, table=place.table, owner=place.owner, is_object="true" if place.depth else "false"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            statement,
            {"first": f"({first},0)", "end": f"({first + PAGES_AT_ONCE},0)", "longest": LONGEST_REFERENCE},
        )
        return list(cursor.fetchall())


def _find_paths(form: Any, depth: int) -> Iterator[str]:
    if depth:
        for each in form.values():
            yield from _find_paths(each, depth - 1)
    elif reference := find_reference(form):
        yield reference.path
