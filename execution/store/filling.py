"""The inputs of node executions that wait, or have waited, for others: a row each."""

from collections.abc import Sequence

from execution.engine.dataflow import Firing
from execution.store.reach import WaitingByOrdinal
from execution.store.round_trips import Prepared
from execution.store.runs import LockedRun

_FILL = Prepared(
    "fill",
    "ids uuid[], numbers int[], pins text[], texts text[]",
    """
INSERT INTO execution_nodeinput (node_execution_id, number, pin, value)
SELECT a.id, a.number, a.pin, a.value::json
  FROM unnest(%(ids)s, %(numbers)s, %(pins)s, %(texts)s) AS a(id, number, pin, value)
""",
)


def add_inputs(run: LockedRun, firings: Sequence[Firing], known: WaitingByOrdinal) -> None:
    """Write what is added to the inputs of firings, behind those that they have."""
    added = [
        (waiting.id, number, pin, run.writer.write(value))
        for firing in firings
        for waiting in [known[firing.node_id, firing.ordinal]]
        for number, (pin, value) in enumerate(firing.added.items(), start=waiting.pin_count + 1)
    ]
    if added:
        columns = [list(column) for column in zip(*added, strict=True)]
        run.batch.ask(_FILL, dict(zip(("ids", "numbers", "pins", "texts"), columns, strict=True)))
