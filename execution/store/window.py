"""How many messages of one run are in the broker at most: the rest of its QUEUED node executions are held back as rows.

So a run of 100,000 node executions neither floods the broker nor stands in the way of others: what fills its window
goes by a queue of its own (see `execution.queues`), which the messages of smaller runs pass. A run and all runs below
it share one window: they are one tree, called by the id of its first run. Whoever claims or records in it sends the
next ones; the sweeper does where nobody is left to.

A message costs more than a quick block: of those only a few are sent. They call processes, and who comes goes on with
what is held back, several at a time; in the end with what is on its way to others.
"""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from django.conf import settings

from execution.queues import CPU_QUEUE, QUEUES
from execution.store.batches import Answer, Batch
from execution.store.ready import Ready, describe_ready
from execution.store.round_trips import Prepared

FEW_MESSAGES: Final = 2

# `IS TRUE` keeps PostgreSQL from the index that lists a queue's messages: those of all runs.
#
# They are sent when half of the room is free, so that they go several at a time. Where there is enough to fill the
# window they are of the backlog: there is more to come, or as good as.
_RELEASE: Final = Prepared(
    "release_next",
    "tree uuid, queues text[], sizes int[], rooms int[], shared bool",
    """
WITH free AS MATERIALIZED (
    SELECT q.queue, q.room, q.room - sent.count AS places, (SELECT count(*) FROM (
           SELECT FROM execution_nodeexecution
            WHERE tree_id = %(tree)s AND queue = q.queue AND status = 'QUEUED' AND held_back
            LIMIT q.size - sent.count) AS held) >= q.size - sent.count AS fills
      FROM unnest(%(queues)s, %(sizes)s, %(rooms)s) AS q(queue, size, room), LATERAL (
           SELECT count(*) FROM (
           SELECT FROM execution_nodeexecution n
            WHERE n.tree_id = %(tree)s AND (n.queue = q.queue) IS TRUE AND n.status = 'QUEUED' AND NOT n.held_back
            LIMIT q.size) AS each) AS sent
), next AS MATERIALIZED (
    SELECT n.id, free.fills FROM free, LATERAL (
           SELECT id FROM execution_nodeexecution
            WHERE tree_id = %(tree)s AND queue = free.queue AND status = 'QUEUED' AND held_back
            ORDER BY id LIMIT GREATEST(free.places, 0) FOR UPDATE SKIP LOCKED) AS n
     WHERE free.places * 2 >= free.room
)
UPDATE execution_nodeexecution n SET held_back = false, is_backlog = next.fills,
       is_shared = %(shared)s AND n.queue = 'cpu', queued_at = clock_timestamp()
  FROM next, execution_execution e, execution_execution top
 WHERE n.id = next.id AND (n.status = 'QUEUED') IS TRUE AND e.id = n.execution_id AND top.id = %(tree)s AND top.admitted
RETURNING n.id, n.node_id, e.graph_version_id, e.resumptions = 0, next.fills
""",
)

# A step from tree to tree through the index, however many each holds back.
_HOLDING_BACK: Final = """
WITH RECURSIVE tree(id) AS (
    (SELECT tree_id FROM execution_nodeexecution WHERE status = 'QUEUED' AND held_back ORDER BY tree_id LIMIT 1)
     UNION ALL
    SELECT (SELECT n.tree_id FROM execution_nodeexecution n
             WHERE n.status = 'QUEUED' AND n.held_back AND n.tree_id > tree.id ORDER BY n.tree_id LIMIT 1)
      FROM tree WHERE tree.id IS NOT NULL
)
SELECT tree.id FROM tree JOIN execution_execution e ON e.id = tree.id WHERE e.admitted
"""


def room_in_window(queue: str, *, for_few: bool = False) -> int:
    """Return how many messages of a tree of runs may be in this queue; `for_few`, if a few of them do."""
    size = int(settings.RUN_WINDOW[queue])
    return min(size, FEW_MESSAGES) if for_few and queue == CPU_QUEUE else size


def may_exceed_window(unfinished: int, *, queues: Iterable[str]) -> bool:
    """Whether something for these queues may have to be held back in a run with so many unfinished node executions.

    Of a sub-run that can't be told without looking at the others in its tree.
    """
    return any(unfinished > room_in_window(queue) for queue in set(queues))


def ask_to_release(batch: Batch, tree_id: UUID, *, few: bool = False) -> Answer:
    """Ask for what the window of a tree has room for: rows for `describe_ready`, to be sent after the commit.

    `few`: for as many as do where each is quick, or where nobody knows.

    It locks node executions of any run of the tree, so ask last: nobody is waited for, but runs come before them.
    """
    sizes = [room_in_window(queue) for queue in QUEUES]
    rooms = [room_in_window(queue, for_few=few) for queue in QUEUES]
    return batch.ask(_RELEASE, {"tree": tree_id, "queues": list(QUEUES), "sizes": sizes, "rooms": rooms, "shared": few})


def release(tree_ids: Iterable[UUID], *, few: bool = False) -> list[Ready]:
    """Return what the windows of these trees have room for; `few`: see `ask_to_release`."""
    batch = Batch()
    answers = [ask_to_release(batch, key, few=few) for key in tree_ids]
    return [ready for answer in answers for ready in describe_ready(answer.rows)]


def release_forgotten() -> list[Ready]:
    """Return what is held back although there is room for it: whoever should have sent it could not know."""
    return release((key for (key,) in Batch().fetch(_HOLDING_BACK)), few=True)
