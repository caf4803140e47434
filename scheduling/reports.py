"""What operators want to hear of: runs that are late, and blocks that fail."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import connection

from graphs.blocks.registry import find_interface

MOST_LATE: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class LateRun:
    """A run that waits, or runs, for longer than it should."""

    id: UUID
    status: str
    since: datetime


@dataclass(frozen=True, kw_only=True)
class FailingBlock:
    """A block of whose executions too many failed."""

    block_id: str
    executions: int
    failed: int

    @property
    def name(self) -> str:
        """What the block is called."""
        interface = find_interface(self.block_id)
        return interface.name if interface else self.block_id

    @property
    def error_rate(self) -> float:
        """The part of its executions that failed, from 0 to 1."""
        return self.failed / self.executions


# A run that waits for its turn, for a person, for credits or for a time is not late. What was before it was resumed,
# had its turn or could be paid doesn't count. When its node executions were QUEUED means nothing: those whose message
# was lost are queued anew. One that is RUNNING in one go has waited for nothing, whatever those beside it do.
#
# MATERIALIZED: for the first so many PostgreSQL would rather go through all runs in their order.
_LATE = """
  WITH going_on AS MATERIALIZED (
       SELECT id, status, created_at, started_at, limits_from FROM execution_execution
        WHERE parent_id IS NULL AND admitted AND status IN ('QUEUED', 'RUNNING')
          AND created_at < clock_timestamp() - make_interval(secs => LEAST(%(queued)s, %(running)s)))
SELECT e.id, e.status, since.at
  FROM going_on e
 CROSS JOIN LATERAL (
       SELECT bool_or(n.status IN ('QUEUED', 'RUNNING')) AS is_busy,
              bool_or(n.status = 'REVIEW' OR n.wake_at IS NOT NULL OR n.needs_credits IS NOT NULL) AS waits,
              min(n.claimed_at) FILTER (WHERE n.status = 'RUNNING') AS claimed_at
         FROM execution_nodeexecution n
        WHERE n.execution_id = ANY (ARRAY(SELECT id FROM execution_execution WHERE id = e.id OR root_id = e.id))
          AND n.status IN ('QUEUED', 'RUNNING', 'SUSPENDED', 'REVIEW')) AS tree
 CROSS JOIN LATERAL (
       SELECT CASE e.status WHEN 'QUEUED' THEN GREATEST(e.created_at, e.limits_from)
                            ELSE LEAST(GREATEST(e.started_at, e.limits_from), tree.claimed_at) END AS at,
              CASE e.status WHEN 'QUEUED' THEN %(queued)s ELSE %(running)s END AS patience) AS since
 WHERE (tree.is_busy OR tree.waits IS NOT TRUE)
   AND since.at < clock_timestamp() - make_interval(secs => since.patience)
 ORDER BY e.id LIMIT %(most)s
"""

# Ids are time-ordered, so what was opened since then is found along the primary key: what matters of a UUIDv7 are its
# first 48 bits, the milliseconds.
_FAILING = """
SELECT node.block_id, count(*), count(*) FILTER (WHERE n.status = 'FAILED')
  FROM execution_nodeexecution n
  JOIN execution_execution e ON e.id = n.execution_id
  JOIN graphs_node node ON node.version_id = e.graph_version_id AND node.node_id = n.node_id
 WHERE n.id >= (lpad(to_hex(((extract(epoch FROM clock_timestamp()) - %(window)s) * 1000)::bigint), 12, '0')
                || repeat('0', 20))::uuid
   AND n.status IN ('COMPLETED', 'FAILED') AND NOT e.simulate
 GROUP BY node.block_id
HAVING count(*) >= %(fewest)s AND count(*) FILTER (WHERE n.status = 'FAILED') >= %(rate)s * count(*)
 ORDER BY 3 DESC, 1
"""


def find_late_runs() -> list[LateRun]:
    """Return the runs that are QUEUED or RUNNING for longer than the settings allow; the oldest `MOST_LATE`."""
    with connection.cursor() as cursor:
        cursor.execute(
            _LATE,
            {"queued": settings.LATE_QUEUED_SECONDS, "running": settings.LATE_RUNNING_SECONDS, "most": MOST_LATE},
        )
        return [LateRun(id=key, status=status, since=since) for key, status, since in cursor.fetchall()]


def find_failing_blocks() -> list[FailingBlock]:
    """Return the blocks of whose executions too many failed, as the settings say; simulated ones are left out."""
    with connection.cursor() as cursor:
        cursor.execute(
            _FAILING,
            {
                "window": settings.BLOCK_REPORT_SECONDS,
                "fewest": settings.BLOCK_REPORT_EXECUTIONS,
                "rate": settings.BLOCK_REPORT_ERROR_RATE,
            },
        )
        return [FailingBlock(block_id=key, executions=count, failed=failed) for key, count, failed in cursor.fetchall()]
