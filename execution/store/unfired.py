"""Node executions that have all their pins and are INCOMPLETE all the same. The engine says which pins they lack."""

from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction

from execution.engine.dataflow import Deliveries, Firing, lacking_pins
from execution.engine.statuses import ENDED
from execution.large_values import Kept
from execution.planning import load_plan
from execution.store.examination import MOST_HITS, Hit
from execution.store.flow import write_deliveries
from execution.store.reach import Waiting
from execution.store.ready import Ready
from execution.store.runs import lock_run, save_run

_WAITING: Final = """
SELECT n.id, n.execution_id, n.node_id, e.graph_version_id, e.nodes_input_masks, e.simulate,
       n.inputs, ARRAY(SELECT pin FROM execution_nodeinput i WHERE i.node_execution_id = n.id),
       ARRAY(SELECT pin FROM execution_staticvalue s WHERE s.execution_id = n.execution_id AND s.node_id = n.node_id)
  FROM execution_execution e
  JOIN execution_nodeexecution n ON CASE WHEN n.status = 'INCOMPLETE' THEN n.execution_id END = e.id
 WHERE e.status IN ('QUEUED', 'RUNNING') AND n.status = 'INCOMPLETE'
"""

_ONE: Final = """
SELECT n.node_id, n.ordinal, n.inputs, ARRAY(SELECT pin FROM execution_nodeinput i WHERE i.node_execution_id = n.id)
  FROM execution_nodeexecution n WHERE n.id = %s AND n.status = 'INCOMPLETE'
"""

_STATICS: Final = "SELECT pin, value FROM execution_staticvalue WHERE execution_id = %s AND node_id = %s"


def find_unfired() -> list[Hit]:
    """Return what should have been queued, `MOST_HITS` at most. Reads what waits piece by piece, as of one moment."""
    hits: list[Hit] = []
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(_WAITING)
        for key, run_id, node_id, version_id, masks, simulate, first, later, statics in cursor:
            graph = load_plan(version_id)
            masked = graph.mask_pins(masks, simulate=simulate).get(node_id, frozenset())
            node = graph.plan.nodes[node_id]
            if not lacking_pins(node, delivered=[*first, *later], statics=statics, masked=masked):
                hits.append(Hit(run_id=run_id, subject=str(key), detail=f"“{node.name}” lacks nothing"))
            if len(hits) == MOST_HITS:
                break
    return hits


def queue_unfired(hit: Hit) -> list[Ready] | None:
    """Queue it as a delivery would have done; None if it lacks something or is no longer INCOMPLETE."""
    if hit.run_id is None:
        return None
    with transaction.atomic():
        run = lock_run(hit.run_id)
        if run is None or run.status in ENDED:
            return None
        row = _fetch(_ONE, [hit.subject])
        if not row:
            return None
        node_id, ordinal, first, later = row[0]
        delivered = [*first, *later]
        statics = {pin: Kept(form) for pin, form in _fetch(_STATICS, [run.id, node_id])}
        masked = run.masks.get(node_id, frozenset())
        if lacking_pins(run.graph.plan.nodes[node_id], delivered=delivered, statics=statics, masked=masked):
            return None
        added = {pin: value for pin, value in statics.items() if pin not in delivered}
        known = Waiting(id=UUID(hit.subject), pin_count=len(delivered))
        firing = Firing(node_id=node_id, ordinal=ordinal, pins=set(delivered), added=added, is_ready=True)
        write_deliveries(run, Deliveries(firings=(firing,), statics={}), {(node_id, ordinal): known})
        save_run(run)
        run.release_next()
        return list(run.all_ready())


def _fetch(statement: str, parameters: list[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())
