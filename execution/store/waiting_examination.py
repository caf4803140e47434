"""Questions about who waits without need, or not although they should: for a turn, or for a window's room."""

from typing import Final

from execution.store.examination import Question

BEGUN_TOO_SOON: Final = Question(
    name="begun_too_soon",
    finds="runs that are RUNNING although they wait for their turn",
    statement="""
    SELECT id, id, 'RUNNING, not admitted' FROM execution_execution WHERE status = 'RUNNING' AND NOT admitted
    """,
)

TURN_MISSED: Final = Question(
    name="turn_missed",
    finds="runs that wait for their turn although their user has fewer than may go on",
    statement="""
    SELECT e.id, e.id, 'QUEUED, and ' || c.active || ' others of user ' || e.user_id || ' go on'
      FROM execution_execution e
      JOIN LATERAL (SELECT count(*) AS active FROM execution_execution a
                     WHERE a.user_id = e.user_id AND a.parent_id IS NULL AND a.admitted
                       AND a.status IN ('QUEUED', 'RUNNING')) AS c ON true
     WHERE e.status = 'QUEUED' AND NOT e.admitted AND c.active < %(most_runs)s
    """,
    is_transient=True,
)

# Who claims or records in a tree sends what its window has room for. Here nobody does: none of it runs or was sent.
HELD_BACK_IN_VAIN: Final = Question(
    name="held_back_in_vain",
    finds="trees of runs that hold node executions back although none of them is in the queue or runs",
    statement="""
    SELECT h.tree_id, h.tree_id, h.count || ' are held back from ' || h.queue
      FROM (SELECT tree_id, queue, count(*) AS count FROM execution_nodeexecution
             WHERE status = 'QUEUED' AND held_back AND queued_at < clock_timestamp() - make_interval(secs => %(long)s)
             GROUP BY tree_id, queue) AS h
      JOIN execution_execution top ON top.id = h.tree_id AND top.admitted
     WHERE NOT EXISTS (SELECT FROM execution_nodeexecution n WHERE n.tree_id = h.tree_id AND n.queue = h.queue
                          AND n.status = 'QUEUED' AND NOT n.held_back)
       AND NOT EXISTS (SELECT FROM execution_nodeexecution n WHERE n.tree_id = h.tree_id AND n.status = 'RUNNING')
    """,
    is_transient=True,
)
