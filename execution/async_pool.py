"""A Celery pool for tasks that leave a coroutine behind: hundreds at once in one process, no thread each.

A task's function runs in one of a few threads. If it hands a coroutine to the event loop, the task counts as running
until the coroutine is done, so prefetching, `inspect active` and Flower's run times are right.
"""

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Final

from celery.concurrency.base import BasePool
from django.conf import settings
from kombu.asynchronous import Hub

from execution.async_loop import take_handed_over

CLAIMING_THREADS: Final = 4
LAST_WORDS_SECONDS: Final = 3.0


class TaskPool(BasePool):
    """Selected with `--pool custom` and `CELERY_CUSTOM_WORKER_POOL=execution.async_pool:TaskPool`."""

    body_can_be_buffer = True
    signal_safe = False
    task_join_will_block = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._threads = ThreadPoolExecutor(max_workers=CLAIMING_THREADS, thread_name_prefix="claim")
        self._hub: Hub | None = None
        self._left_behind: set[Future[None]] = set()

    def register_with_event_loop(self, hub: Hub) -> None:
        """Keep the worker's own loop: callbacks are run there, which also wakes it to take more messages."""
        self._hub = hub

    def on_stop(self) -> None:
        """Take no more tasks, and wait for those that run: they end within the grace period, or are cancelled then."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        wait(self._left_behind.copy(), timeout=settings.SHUTDOWN_GRACE_SECONDS + LAST_WORDS_SECONDS)

    def on_apply(self, *task: Any, **callbacks: Any) -> None:
        """Run a task (its function, arguments and keyword arguments) in a thread, and follow what it leaves behind.

        It counts as accepted at once: a message that is acknowledged later than a broker outage begins ends the worker.
        """
        callbacks["accept_callback"](os.getpid(), time.monotonic())
        self._threads.submit(self._run, task, callbacks)

    def _run(self, task: tuple[Any, ...], callbacks: Mapping[str, Any]) -> None:
        target, arguments, keyword_arguments = task
        began = time.monotonic()
        take_handed_over()
        failed, result, _runtime = target(*arguments, **keyword_arguments)
        left_behind = take_handed_over()

        def finish(future: "Future[None] | None" = None) -> None:
            if future is not None:
                self._left_behind.discard(future)
            self._call_soon(callbacks["callback"], (failed, result, time.monotonic() - began))

        if left_behind is None:
            finish()
        else:
            self._left_behind.add(left_behind)
            left_behind.add_done_callback(finish)

    def _call_soon(self, function: Callable[..., Any], *args: Any) -> None:
        if self._hub is None:
            function(*args)
        else:
            self._hub.call_soon(function, *args)
