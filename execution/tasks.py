"""What is sent: one message per node execution, with its id and nothing else; and probes of the queues."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

import structlog
from celery import Task, current_app, shared_task
from django.db import Error as DatabaseError
from kombu.exceptions import BatchPublishError, KombuError  # type: ignore[attr-defined] # newer than its stubs
from redis.exceptions import RedisError

from execution.async_loop import run_in_background
from execution.beginning import begin, begin_next, begin_with_others
from execution.queues import IO_QUEUE, backlog_of
from execution.runner import Told, run_async, run_plain
from execution.stay import Stay
from execution.store.claims import Claimed
from execution.store.messages import note_passed
from execution.store.ready import Ready
from execution.task_events import task_events
from execution.undelivered import note_undelivered

# What the client libraries raise while the broker is away.
BROKER_AWAY = (KombuError, RedisError, OSError)

# Workers remember 50,000 revoked messages altogether.
MOST_REVOKED: Final = 1000

# The workers' command (see `execution.worker_life`). Celery's own `revoke` warns of each message that there is no
# result backend.
DROP_MESSAGES: Final = "drop_messages"

logger = structlog.get_logger(__name__)


@shared_task(name="execution.execute_node", bind=True)
def execute_node(self: Task[Any, Any], node_execution_id: str) -> None:
    """Run a node execution whose block is plain, with others if it is quick; send its successors as they become ready.

    For a while the process goes on with what comes of it, without messages (see `execution.stay`).
    """
    began = time.monotonic()
    key, tell = UUID(node_execution_id), partial(task_events.of, within=self)
    attempts = begin_with_others(key, publish=send)

    def tell_of_others(claimed: Claimed) -> AbstractContextManager[None]:
        # Of what came by the message Celery tells.
        return nullcontext() if claimed.id == key else tell(claimed)

    if not attempts:
        return
    stay = Stay(attempts[0].claimed.tree_id, since=began)
    told: Told = tell_of_others
    while attempts:
        taker = run_plain(attempts, goes_on=stay.goes_on, told=told)
        attempts, told = begin_next(taker, publish=send), tell


@shared_task(name="execution.execute_node_async")
def execute_node_async(node_execution_id: str) -> None:
    """Claim a node execution whose block is a coroutine and hand it to the event loop of this process."""
    attempt = begin(UUID(node_execution_id), publish=send)
    if attempt is not None:
        run_in_background(lambda executor: run_async(attempt, executor=executor))


@shared_task(name="execution.probe")
def probe(queue: str, sent_at: str) -> None:
    """Note that this message has come out of its queue, so all that were sent before it have, too."""
    try:
        note_passed([queue], sent_at=datetime.fromisoformat(sent_at))
    except DatabaseError as error:
        logger.warning("a probe was in vain", queue=queue, error=str(error).strip())


def send_probe(queue: str, *, sent_at: datetime) -> None:
    """Send a probe through a queue. Raises what `BROKER_AWAY` lists."""
    probe.apply_async(args=(queue, sent_at.isoformat()), queue=queue)


def send(ready: Sequence[Ready]) -> None:
    """Send a message for each node execution that became QUEUED. Call it after the commit.

    Never raises for a broker that can't be reached: the rows are the promise, recovery sends again.
    """
    if not ready:
        return
    try:
        with current_app.producer_or_acquire() as producer:
            try:
                # The first goes by itself: somebody may begin with it while the others are put together.
                _publish(ready[:1], producer)
                with producer.batch() if len(ready) > 1 else nullcontext():
                    _publish(ready[1:], producer)
            except (BatchPublishError, RuntimeError):
                # Some may have arrived. Twice does no harm.
                _publish(ready, producer)
    except BROKER_AWAY as error:
        note_undelivered(len(ready))
        logger.warning("broker can't be reached; recovery will send", count=len(ready), error=str(error))


def _publish(ready: Sequence[Ready], producer: Any) -> None:
    for each in ready:
        task = execute_node_async if each.queue == IO_QUEUE else execute_node
        # The shadow name is what logs and Flower show: the block.
        message_id = str(each.id) if each.is_revocable else None
        queue = backlog_of(each.queue) if each.is_backlog else each.queue
        task.apply_async(
            args=(str(each.id),),
            queue=queue,
            shadow=each.name,
            task_id=message_id,
            producer=producer,
            **_describe(each),
        )


def _describe(each: Ready) -> dict[str, Any]:
    """Return what Flower shows of the arguments. Celery would find it out with care for what can't be shown."""
    return {"argsrepr": f"('{each.id}',)", "kwargsrepr": "{}"}


def revoke(node_execution_ids: Sequence[UUID]) -> None:
    """Have the workers drop messages about these without asking the database. At most `MOST_REVOKED`: a short cut.

    What is not revoked finds nothing to claim. Workers remember what they dropped for hours: call it only for node
    executions whose later messages, if there are any, are not `is_revocable`.
    """
    if not node_execution_ids:
        return
    try:
        message_ids = [str(key) for key in node_execution_ids[:MOST_REVOKED]]
        with current_app.connection_for_write() as connection:
            # The broadcast itself would try again without end, and whoever stops a run waits for it.
            connection.ensure_connection(max_retries=1, interval_start=0)
            current_app.control.broadcast(DROP_MESSAGES, arguments={"message_ids": message_ids}, connection=connection)
    except BROKER_AWAY as error:
        logger.warning("broker can't be reached; the messages will be in vain", error=str(error))
