"""What the system does by itself, each a periodic task that the settings define (CELERY_BEAT_SCHEDULE).

Recovery needs none of them: a thread of every worker sweeps all the time (`execution.recovery`), for it must not depend
on beat. Its task is there to be seen, to be sent by hand, and for the case that no thread does.
"""

from collections.abc import Sequence
from typing import Final

import structlog
from celery import current_app, shared_task
from django.conf import settings
from django.core.cache import cache
from django.core.mail import mail_admins
from django.db import connection
from redis.exceptions import RedisError

from credits.auditing import audit
from execution.broker import BrokerWatch
from execution.recovery import sweep_once
from execution.retention import clean_up_files, prune_expired
from execution.tasks import send
from graphs.lifecycle import remove_hidden_graphs
from scheduling.reports import LateRun, find_failing_blocks, find_late_runs

MOST_NAMED: Final = 20
TELL_AGAIN_SECONDS: Final = 24 * 60 * 60
PRUNE_BATCH: Final = 5_000

logger = structlog.get_logger(__name__)


@shared_task(name="upkeep.recover")
def recover() -> None:
    """Sweep, if no worker's thread does."""
    if sweep_once(send, also=[BrokerWatch(current_app).look]):
        logger.warning("no worker looked after what is lost; this task has done it")


@shared_task(name="upkeep.report_late_runs")
def report_late_runs() -> None:
    """Tell of runs that wait, or run, for longer than they should: of each once, and again after a day."""
    late = _leave_out_told(find_late_runs())
    if late:
        logger.warning("runs are late", count=len(late), first=[str(run.id) for run in late[:MOST_NAMED]])
        _tell(f"{len(late)} runs are late", [f"{run.id} {run.status} since {run.since:%Y-%m-%d %H:%M}" for run in late])


def _leave_out_told(late: Sequence[LateRun]) -> list[LateRun]:
    """Return those that nobody was told of since yesterday, and remember them: all of them while Redis is away."""
    # One that has gone on meanwhile is late anew.
    keys = {f"late:{run.id}:{run.status}:{run.since.timestamp()}": run for run in late}
    try:
        told = cache.get_many(keys)
        news = {key: run for key, run in keys.items() if key not in told}
        cache.set_many(dict.fromkeys(news, 1), timeout=TELL_AGAIN_SECONDS)
    except (RedisError, OSError) as error:
        logger.warning("Redis can't be reached; what is late is told again", error=str(error))
        return list(late)
    return list(news.values())


@shared_task(name="upkeep.report_failing_blocks")
def report_failing_blocks() -> None:
    """Tell of blocks of whose executions too many fail."""
    failing = find_failing_blocks()
    lines = [f"{each.name}: {each.failed} of {each.executions} failed ({each.error_rate:.0%})" for each in failing]
    if failing:
        logger.warning("blocks fail", blocks=lines[:MOST_NAMED])
        _tell(f"{len(failing)} blocks fail", lines)


@shared_task(name="upkeep.audit_ledger")
def audit_ledger() -> None:
    """Tell if the books don't agree."""
    faults = audit().faults
    if faults:
        lines = [f"{fault.check}: {fault.subject}: {fault.detail}" for fault in faults]
        logger.error("the books don't agree", faults=lines[:MOST_NAMED])
        _tell("The books don't agree", lines)


@shared_task(name="upkeep.prune")
def prune() -> None:
    """Delete runs, and histories of schedules, that are older than the settings keep them, and what they kept."""
    prune_expired()
    remove_hidden_graphs()
    prune_occurrences()


@shared_task(name="upkeep.clean_up_files")
def clean_up() -> None:
    """Remove files whose run is gone."""
    clean_up_files()


# Ids are time-ordered, so what is old is found along the primary key, a batch at a time: what was written down since
# then (by the first 48 bits of a UUIDv7, the milliseconds) was decided about since then as well.
_PRUNE: Final = """
DELETE FROM scheduling_occurrence WHERE id IN (
    SELECT id FROM scheduling_occurrence
     WHERE id < (lpad(to_hex(((extract(epoch FROM clock_timestamp()) - %(age)s) * 1000)::bigint), 12, '0')
                 || repeat('0', 20))::uuid
       AND state NOT IN ('WAITING', 'STARTED') AND decided_at < clock_timestamp() - make_interval(secs => %(age)s)
     ORDER BY id LIMIT %(batch)s)
"""


def prune_occurrences() -> int:
    """Delete what became of schedules' times more than OCCURRENCE_RETENTION_DAYS ago (0: never); return how many.

    Each batch is a transaction of its own.
    """
    if settings.OCCURRENCE_RETENTION_DAYS <= 0:
        return 0
    age = settings.OCCURRENCE_RETENTION_DAYS * 24 * 60 * 60
    deleted = batch = PRUNE_BATCH
    total = 0
    with connection.cursor() as cursor:
        while deleted == batch:
            cursor.execute(_PRUNE, {"age": age, "batch": batch})
            deleted = int(cursor.rowcount)
            total += deleted
    return total


def _tell(subject: str, lines: list[str]) -> None:
    """Write to the administrators (ADMINS), if there are any."""
    mail_admins(subject, "\n".join(lines), fail_silently=True)
