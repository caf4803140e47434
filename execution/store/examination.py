"""Questions to the rows about what should not be there.

Each question is one statement, so it sees one moment: what is recorded together is seen together, and a run in
progress answers like any other. Where an answer depends on the time that has passed (`is_transient`), a living system
may be about to put it right by itself: ask twice.
"""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from execution.queues import NAMED_QUEUES, name_queues

# No more hits than that are fetched at once.
MOST_HITS: Final = 10_000

# How many leases long something may last that recovery should have ended.
LEASES_OF_PATIENCE: Final = 6.0

# The statements read whole tables; with the usual memory they would sort on disk.
_WORK_MEMORY: Final = "64MB"

_GOING_ON: Final = "IN ('QUEUED', 'RUNNING')"
_UNFINISHED: Final = "IN ('QUEUED', 'RUNNING', 'SUSPENDED', 'REVIEW')"


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One thing that should not be: `subject` says what (most often an id), `run_id` in which run, `detail` how so."""

    subject: str
    detail: str
    run_id: UUID | None = None

    @property
    def subject_id(self) -> UUID:
        """The subject, where it is a row's id."""
        return UUID(self.subject)


@dataclass(frozen=True, kw_only=True)
class Question:
    """A statement that selects `(run, subject, detail)` of what should not be. `finds` says what that is.

    Its parameters: `long` is how long (seconds) is too long, `patience` how long a message may be on its way,
    `most_runs` how many runs of one user may go on.
    """

    name: str
    finds: str
    statement: str
    is_transient: bool = False


UNFINISHED_IN_ENDED_RUN: Final = Question(
    name="unfinished_in_ended_run",
    finds="node executions that are not finished, in runs that have ended",
    # What never got all its pins stays INCOMPLETE in a run that COMPLETED, and nowhere else.
    statement=f"""
    SELECT n.execution_id, n.id, n.status || ' in a run that is ' || e.status
      FROM execution_nodeexecution n JOIN execution_execution e ON e.id = n.execution_id
     WHERE n.status IN ('INCOMPLETE', 'QUEUED', 'RUNNING', 'SUSPENDED', 'REVIEW') AND NOT e.status {_GOING_ON}
       AND (n.status <> 'INCOMPLETE' OR e.status <> 'COMPLETED')
    """,  # noqa: S608 - made of constants
)

UNFINISHED_COUNT: Final = Question(
    name="unfinished_count",
    finds="runs that count more or fewer unfinished node executions than they have",
    statement=f"""
    SELECT e.id, e.id, 'counts ' || e.unfinished || ', has ' || COALESCE(c.actual, 0)
      FROM execution_execution e
      LEFT JOIN (SELECT execution_id, count(*) AS actual FROM execution_nodeexecution
                  WHERE status {_UNFINISHED} GROUP BY execution_id) AS c ON c.execution_id = e.id
     WHERE CASE WHEN e.status {_GOING_ON} THEN e.unfinished <> COALESCE(c.actual, 0) ELSE e.unfinished <> 0 END
    """,  # noqa: S608 - made of constants
)

NODE_COUNTS: Final = Question(
    name="node_counts",
    finds="runs whose numbers of opened, ended or failed node executions are not what they have",
    statement="""
    SELECT e.id, e.id, 'counts ' || e.opened || ' opened, ' || e.node_count || ' ended, ' || e.node_error_count
           || ' failed; has ' || COALESCE(c.opened, 0) || ', ' || COALESCE(c.ended, 0) || ', ' || COALESCE(c.failed, 0)
      FROM execution_execution e
      LEFT JOIN (SELECT execution_id, count(*) AS opened,
                        count(*) FILTER (WHERE status IN ('COMPLETED', 'FAILED')) AS ended,
                        count(*) FILTER (WHERE status = 'FAILED') AS failed
                   FROM execution_nodeexecution GROUP BY execution_id) AS c ON c.execution_id = e.id
     WHERE (e.opened, e.node_count, e.node_error_count)
        <> (COALESCE(c.opened, 0), COALESCE(c.ended, 0), COALESCE(c.failed, 0))
    """,
)

OUTPUT_POSITIONS: Final = Question(
    name="output_positions",
    finds="node executions whose outputs have gaps, or are not as many as they count",
    statement="""
    SELECT n.execution_id, n.id, 'counts ' || n.output_count || ' outputs, has ' || COALESCE(o.actual, 0)
           || COALESCE(', the last at position ' || o.last, '')
      FROM execution_nodeexecution n
      LEFT JOIN (SELECT node_execution_id, count(*) AS actual, max(position) AS last
                   FROM execution_output GROUP BY node_execution_id) AS o ON o.node_execution_id = n.id
     WHERE (n.output_count <> COALESCE(o.actual, 0) OR o.last <> o.actual - 1)
       AND EXISTS (SELECT FROM execution_execution e WHERE e.id = n.execution_id)
    """,
)

RUN_OUTPUT_POSITIONS: Final = Question(
    name="run_output_positions",
    finds="runs whose outputs have gaps, or are not as many as they count",
    statement="""
    SELECT e.id, e.id, 'counts ' || e.output_count || ' outputs, has ' || COALESCE(o.actual, 0)
           || COALESCE(', the last at position ' || o.last, '')
      FROM execution_execution e
      LEFT JOIN (SELECT execution_id, count(*) AS actual, max(position) AS last
                   FROM execution_runoutput GROUP BY execution_id) AS o ON o.execution_id = e.id
     WHERE e.output_count <> COALESCE(o.actual, 0) OR o.last <> o.actual - 1
    """,
)

ORDINALS: Final = Question(
    name="ordinals",
    finds="nodes whose firings in a run are not numbered without gaps",
    statement="""
    SELECT execution_id, node_id, 'has ' || firings || ' firings, the last is number ' || last
      FROM (SELECT execution_id, node_id, count(*) AS firings, max(ordinal) AS last
              FROM execution_nodeexecution GROUP BY execution_id, node_id HAVING max(ordinal) <> count(*) - 1) AS f
     WHERE EXISTS (SELECT FROM execution_execution e WHERE e.id = f.execution_id)
    """,
)

ROWS_WITHOUT_RUN: Final = Question(
    name="rows_without_run",
    finds="node executions and outputs whose run is gone and that nobody clears away",
    statement="""
    SELECT r.execution_id, r.execution_id, 'it has ' || r.what
      FROM (SELECT execution_id, count(*) || ' node executions' AS what FROM execution_nodeexecution GROUP BY 1
            UNION ALL SELECT execution_id, count(*) || ' outputs' FROM execution_runoutput GROUP BY 1) AS r
     WHERE NOT EXISTS (SELECT FROM execution_execution e WHERE e.id = r.execution_id)
       AND NOT EXISTS (SELECT FROM execution_deletedrun d WHERE d.execution_id = r.execution_id)
    """,
)

NOT_CLEARED_AWAY: Final = Question(
    name="not_cleared_away",
    finds="runs that were deleted more than a day ago and of which something is left",
    statement="""
    SELECT d.execution_id, d.execution_id, 'deleted at ' || d.deleted_at
      FROM execution_deletedrun d WHERE d.deleted_at < clock_timestamp() - interval '25 hours'
    """,
)

TREES: Final = Question(
    name="trees",
    finds="sub-runs whose root or depth is not what their parent says",
    statement="""
    SELECT e.id, e.id, CASE WHEN e.parent_id IS NULL THEN 'has a root but no parent'
                            WHEN e.root_id IS NULL THEN 'has a parent but no root'
                            ELSE 'its root or its depth is wrong' END
      FROM execution_execution e
      LEFT JOIN LATERAL (SELECT COALESCE(p.root_id, p.id) AS root_id, p.depth
                           FROM execution_nodeexecution n JOIN execution_execution p ON p.id = n.execution_id
                          WHERE n.id = e.parent_id) AS above ON true
     WHERE (e.parent_id IS NOT NULL OR e.root_id IS NOT NULL)
       AND (e.parent_id IS NULL OR e.root_id IS NULL OR e.root_id <> above.root_id OR e.depth <> above.depth + 1)
    """,
)

QUEUED_WITHOUT_TIME: Final = Question(
    name="queued_without_time",
    finds="node executions that are QUEUED and don't say since when, so that nobody misses their message",
    statement=f"""
    SELECT n.execution_id, n.id, 'QUEUED without a time'
      FROM execution_nodeexecution n JOIN execution_execution e ON e.id = n.execution_id
     WHERE n.status = 'QUEUED' AND n.queued_at IS NULL AND e.status {_GOING_ON}
    """,  # noqa: S608 - made of constants
)

SUB_RUN_OVER: Final = Question(
    name="sub_run_over",
    finds="node executions that wait for a sub-run that has ended",
    statement=f"""
    SELECT n.execution_id, n.id, 'its sub-run ' || c.id || ' is ' || c.status
      FROM execution_nodeexecution n JOIN execution_execution e ON e.id = n.execution_id
      JOIN LATERAL (SELECT id, status FROM execution_execution
                     WHERE parent_id = n.id ORDER BY parent_wait DESC LIMIT 1) AS c ON true
     WHERE n.status = 'SUSPENDED' AND n.wake_at IS NULL AND e.status {_GOING_ON} AND NOT c.status {_GOING_ON}
    """,  # noqa: S608 - made of constants
)

NOTHING_TO_WAIT_FOR: Final = Question(
    name="nothing_to_wait_for",
    finds="node executions that are SUSPENDED without a time, a sub-run or a need for credits",
    statement=f"""
    SELECT n.execution_id, n.id, 'SUSPENDED, with nothing that would wake it'
      FROM execution_nodeexecution n JOIN execution_execution e ON e.id = n.execution_id
     WHERE n.status = 'SUSPENDED' AND n.wake_at IS NULL AND n.needs_credits IS NULL AND e.status {_GOING_ON}
       AND NOT EXISTS (SELECT FROM execution_execution c WHERE c.parent_id = n.id)
    """,  # noqa: S608 - made of constants
)

REVIEW_WITHOUT_QUESTION: Final = Question(
    name="review_without_question",
    finds="node executions in REVIEW about which nobody is asked (any more)",
    statement=f"""
    SELECT n.execution_id, n.id, 'REVIEW without an open question'
      FROM execution_nodeexecution n JOIN execution_execution e ON e.id = n.execution_id
     WHERE n.status = 'REVIEW' AND n.wake_at IS NULL AND e.status {_GOING_ON}
       AND NOT EXISTS (SELECT FROM execution_review r WHERE r.node_execution_id = n.id AND r.approved IS NULL)
    """,  # noqa: S608 - made of constants
)

OVERSLEPT: Final = Question(
    name="overslept",
    finds="node executions whose time came long ago and whom nobody has woken",
    statement=f"""
    SELECT n.execution_id, n.id, n.status || ' until ' || n.wake_at
      FROM execution_nodeexecution n JOIN execution_execution e ON e.id = n.execution_id
     WHERE n.status = 'SUSPENDED' AND e.status {_GOING_ON}
       AND n.wake_at < clock_timestamp() - make_interval(secs => %(long)s)
    """,  # noqa: S608 - made of constants
    is_transient=True,
)

LEASE_RUN_OUT: Final = Question(
    name="lease_run_out",
    finds="node executions that are RUNNING although their worker was lost long ago",
    statement=f"""
    SELECT n.execution_id, n.id, 'RUNNING on ' || n.worker || ' with a lease until ' || n.lease_until
      FROM execution_nodeexecution n JOIN execution_execution e ON e.id = n.execution_id
     WHERE n.status = 'RUNNING' AND e.status {_GOING_ON}
       AND n.lease_until < clock_timestamp() - make_interval(secs => %(long)s)
    """,  # noqa: S608 - made of constants
    is_transient=True,
)

MESSAGE_LOST: Final = Question(
    name="message_lost",
    finds="node executions that are QUEUED although all messages of their time have come out of the queue long ago",
    statement=f"""
    SELECT n.execution_id, n.id, 'QUEUED in ' || q.name || ' since ' || n.queued_at
      FROM {NAMED_QUEUES} JOIN execution_queueprobe p ON p.queue = q.name
      JOIN execution_nodeexecution n ON n.queue = q.queue AND n.is_backlog = q.is_backlog
      JOIN execution_execution e ON e.id = n.execution_id
     WHERE n.status = 'QUEUED' AND NOT n.held_back AND e.status {_GOING_ON}
       AND n.queued_at < p.passed - make_interval(secs => %(patience)s)
       AND p.passed_at < clock_timestamp() - make_interval(secs => %(long)s)
    """,  # noqa: S608 - made of constants
    is_transient=True,
)

SUB_RUN_ALONE: Final = Question(
    name="sub_run_alone",
    finds="sub-runs that go on although what started them has ended",
    statement=f"""
    SELECT c.id, c.id, 'its parent is ' || n.status || ', in a run that is ' || p.status
      FROM execution_execution c JOIN execution_nodeexecution n ON n.id = c.parent_id
      JOIN execution_execution p ON p.id = n.execution_id
     WHERE c.status {_GOING_ON}
       AND (n.status IN ('COMPLETED', 'FAILED', 'TERMINATED') OR NOT p.status {_GOING_ON})
    """,  # noqa: S608 - made of constants
)

NOTHING_TO_DO: Final = Question(
    name="nothing_to_do",
    finds="runs that have not ended although nothing in them is left to do",
    statement=f"""
    SELECT e.id, e.id, e.status || ', and nothing is queued, running or suspended'
      FROM execution_execution e
     WHERE e.status {_GOING_ON}
       AND NOT EXISTS (SELECT FROM execution_nodeexecution n WHERE n.execution_id = e.id AND n.status {_UNFINISHED})
    """,  # noqa: S608 - made of constants
)

HOLD_ALONE: Final = Question(
    name="hold_alone",
    finds="credits that are held for node executions that are not under way",
    statement=f"""
    SELECT h.execution_id, h.key, h.amount || ' credits are held for what is ' || COALESCE(n.status, 'gone')
      FROM credits_hold h LEFT JOIN execution_nodeexecution n ON n.id = h.key
      LEFT JOIN execution_execution e ON e.id = n.execution_id
     WHERE n.id IS NULL OR NOT n.status {_UNFINISHED} OR NOT e.status {_GOING_ON}
    """,  # noqa: S608 - made of constants
)

RUN_COST: Final = Question(
    name="run_cost",
    finds="runs that say that they cost something else than the ledger",
    statement="""
    SELECT e.id, e.id, 'cost ' || e.cost || ', charged ' || COALESCE(l.cost, 0)
      FROM execution_execution e
      LEFT JOIN (SELECT execution_id, sum(owed - amount) AS cost FROM credits_ledgerentry
                  WHERE type = 'USAGE' AND execution_id IS NOT NULL GROUP BY execution_id) l ON l.execution_id = e.id
     WHERE e.cost <> COALESCE(l.cost, 0)
    """,
)


_ASK: Final = """
WITH f(run_id, subject, detail) AS MATERIALIZED ({statement})
SELECT run_id, subject, detail FROM f ORDER BY subject LIMIT {limit}
"""


def ask(question: Question) -> list[Hit]:
    """Return what a question finds, `MOST_HITS` at most."""
    # Materialized: to have the first in order quickly, the planner would walk whole tables in the order of an index.
    statement = _ASK.format(statement=question.statement, limit=MOST_HITS)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL work_mem = '{_WORK_MEMORY}'")
        cursor.execute(statement, _parameters())
        return [Hit(run_id=run_id, subject=str(subject), detail=detail) for run_id, subject, detail in cursor]


def still_holds(question: Question, hit: Hit) -> bool:
    """Whether a question finds this hit now. Quick only where the question doesn't count anything."""
    statement = f"SELECT 1 FROM ({question.statement}) AS f(run_id, subject, detail) WHERE subject = %(subject)s"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement, {**_parameters(), "subject": hit.subject_id})
        return cursor.fetchone() is not None


def _parameters() -> dict[str, Any]:
    return {
        "long": LEASES_OF_PATIENCE * settings.LEASE_SECONDS,
        "patience": settings.MESSAGE_PATIENCE_SECONDS,
        **name_queues(),
        "most_runs": settings.MAX_CONCURRENT_RUNS_PER_USER,
    }
