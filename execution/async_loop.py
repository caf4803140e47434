"""The event loop of an `io` worker process, and the few threads that do its database work."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, Final

from execution.loop_board import board

DATABASE_THREADS: Final = 8
BEAT_SECONDS: Final = 0.1

_handed_over = threading.local()


class BackgroundLoop:
    """An event loop in a thread of its own. Created when first needed, one per process."""

    def __init__(self) -> None:
        self.executor = ThreadPoolExecutor(max_workers=DATABASE_THREADS, thread_name_prefix="database")
        self._loop = asyncio.new_event_loop()
        self._loop.call_soon(self._beat)
        threading.Thread(target=self._loop.run_forever, name="event-loop", daemon=True).start()

    def submit(self, coroutine: Coroutine[Any, Any, None]) -> "Future[None]":
        """Run a coroutine on the loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def _beat(self) -> None:
        """Show whoever watches that the loop goes round."""
        board.beat()
        self._loop.call_later(BEAT_SECONDS, self._beat)


_lock = threading.Lock()
_background: BackgroundLoop | None = None


def background_loop() -> BackgroundLoop:
    """Return the loop of this process."""
    global _background
    with _lock:
        if _background is None:
            _background = BackgroundLoop()
        return _background


def run_in_background(work: Callable[[Executor], Coroutine[Any, Any, None]]) -> None:
    """Start `work(executor)` on the loop and note it as what the current task left behind (see `take_handed_over`)."""
    loop = background_loop()
    _handed_over.future = loop.submit(work(loop.executor))


def take_handed_over() -> "Future[None] | None":
    """Return what the task that has just run in this thread left running, if anything."""
    future: Future[None] | None = getattr(_handed_over, "future", None)
    _handed_over.future = None
    return future
