"""What waits where links join, with its values: read beside the run's lock, for whoever runs ahead of a record."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from execution.engine.dataflow import Firing, Sink
from execution.store.batches import Batch
from execution.store.round_trips import Prepared

# `LIMIT` has PostgreSQL look for each by its unique key: otherwise it would rather read all that the run has. Nobody
# needs the values of what doesn't wait, which may be many.
FIRST_EXECUTIONS = Prepared(
    "first_executions",
    "run uuid, nodes uuid[]",
    """
SELECT asked.node_id, first.id, first.status = 'INCOMPLETE',
       CASE WHEN first.status = 'INCOMPLETE' THEN first.inputs END,
       CASE WHEN first.status = 'INCOMPLETE' THEN (
            SELECT json_object_agg(pin, value) FROM execution_nodeinput i WHERE i.node_execution_id = first.id) END
  FROM unnest(%(nodes)s) AS asked(node_id) CROSS JOIN LATERAL (
       SELECT n.id, n.status, n.inputs FROM execution_nodeexecution n
        WHERE n.execution_id = %(run)s AND n.node_id = asked.node_id AND n.ordinal = 0 LIMIT 1) AS first
""",
)


@dataclass(frozen=True, kw_only=True)
class FirstExecution:
    """The first execution of a node. If it `waits`, these are its `inputs` so far, as rows keep them."""

    id: UUID
    waits: bool
    inputs: dict[str, Any]

    def as_sink(self, node_id: UUID) -> Sink:
        """Return the state of its node, as if there were no other execution: what isn't the first is not foreseen."""
        firing = Firing(node_id=node_id, ordinal=0, pins=set(self.inputs))
        return Sink(opened=1, waiting=[firing] if self.waits else [])


def read_first_executions(execution_id: UUID, node_ids: Iterable[UUID]) -> dict[UUID, FirstExecution]:
    """Return the first executions of those nodes that have one. What waits stays as it is, but for more inputs."""
    rows = Batch().fetch(FIRST_EXECUTIONS, {"run": execution_id, "nodes": list(node_ids)})
    return {
        node_id: FirstExecution(id=key, waits=waits, inputs={**(inputs or {}), **(more or {})})
        for node_id, key, waits, inputs, more in rows
    }
