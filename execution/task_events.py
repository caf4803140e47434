"""Events for Flower about node executions that came without a message: to it they are tasks like all others.

The worker's main process tells of the messages that it takes. What its children go on with by themselves they tell of
here, several events at a time.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from uuid import uuid4

import structlog
from celery import Celery, Task
from celery.events import EventDispatcher

from execution.planning import load_plan
from execution.store.claims import Claimed

PATIENCE: Final = 0.1
"""Seconds that an event may wait for others."""
MOST_WAITING: Final = 10_000

Waiting = deque[tuple[str, dict[str, Any]]]

logger = structlog.get_logger(__name__)


class TaskEvents:
    """Tells of tasks in the name of a worker, from a thread that is started when first needed."""

    def __init__(self) -> None:
        self._process = 0
        self._waiting: Waiting = deque(maxlen=MOST_WAITING)
        self._bell = threading.Event()

    @contextmanager
    def of(self, claimed: Claimed, *, within: Task[Any, Any]) -> Iterator[None]:
        """Tell that a task was received and started and, after the block of code, that it has ended.

        `within` is the task that came by a message, from which the process goes on. Nothing but the block of code
        raises anything.
        """
        uuid, began = self._tell_beginning(claimed, within), time.monotonic()
        try:
            yield
        except BaseException as error:
            self._tell(uuid, "task-failed", exception=type(error).__name__)
            raise
        self._tell(uuid, "task-succeeded", result="None", runtime=time.monotonic() - began)

    def _tell_beginning(self, claimed: Claimed, within: Task[Any, Any]) -> str | None:
        """Return what the task is called; None if nobody is told of it."""
        if within.request.hostname is None or not within.app.conf.worker_send_task_events:
            return None
        try:
            if self._process != os.getpid():
                self._start(within.app, within.request.hostname)
            name = load_plan(claimed.graph_version_id).specs[claimed.node_id].name
        except Exception as error:  # noqa: BLE001 - the attempt runs all the same, and will meet it if it matters
            logger.debug("nobody is told of a task", error=str(error).strip())
            return None
        # A later attempt is another task, and so is one that goes on after a wait.
        uuid = str(claimed.id) if claimed.attempt == 1 and not claimed.waits else str(uuid4())
        self._tell(uuid, "task-received", name=name, args=f"('{claimed.id}',)", kwargs="{}")
        self._tell(uuid, "task-started")
        return uuid

    def _start(self, app: Celery, worker: str) -> None:
        # A forked child inherits this object but not its thread.
        self._process = os.getpid()
        self._waiting, self._bell = deque(maxlen=MOST_WAITING), threading.Event()
        threading.Thread(target=self._publish_in_time, args=(app, worker), name="task-events", daemon=True).start()

    def _tell(self, uuid: str | None, kind: str, **fields: Any) -> None:
        if uuid is not None:
            self._waiting.append((kind, {"uuid": uuid, "timestamp": time.time(), **fields}))
            self._bell.set()

    def _publish_in_time(self, app: Celery, worker: str) -> None:
        while True:
            self._bell.wait()
            time.sleep(PATIENCE)
            self._bell.clear()
            waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
            try:
                _publish(app, worker, waiting)
            except Exception as error:  # noqa: BLE001 - brokers' libraries raise many kinds; there is no second thread
                logger.debug("events are lost", count=len(waiting), error=str(error))


def _publish(app: Celery, worker: str, events: Sequence[tuple[str, dict[str, Any]]]) -> None:
    with (
        app.producer_or_acquire() as producer,
        EventDispatcher(
            producer.connection,
            hostname=worker,
            channel=producer.channel,
            buffer_while_offline=False,
            buffer_group=["task"],
            buffer_limit=len(events) + 1,
            app=app,
        ) as dispatcher,
    ):
        for kind, fields in events:
            dispatcher.send(kind, **fields)
        dispatcher.flush()


task_events = TaskEvents()
