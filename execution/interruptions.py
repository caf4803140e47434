"""Interrupting a block in the middle of its code: an exception out of a signal handler, in a process's main thread.

It is raised only while code of the block runs. What we do between its steps is never torn apart: an interruption that
comes then is raised at the block's next step, or forgotten if there is none.
"""

import threading
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")


class AttemptStoppedError(BaseException):
    """The run has ended, or another worker has the node execution: the block must end now.

    No `Exception`, so that a block that catches all of those lets it pass.
    """


class _Gate:
    """Open while code of a block runs in the main thread."""

    def __init__(self) -> None:
        self.is_open = False
        self.pending: BaseException | None = None


_gate = _Gate()


def interrupt(error: BaseException) -> None:
    """Raise `error` in the block that runs. To be called from a signal handler."""
    if not _gate.is_open:
        _gate.pending = error
        return
    # Closed first: wherever the exception comes out, our own code is safe again.
    _gate.is_open = False
    raise error


def run_open(function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
    """Call a function of a block's; it may be interrupted if this is the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return function(*arguments)
    try:
        _gate.is_open = True
        if _gate.pending is not None:
            raise _take_pending()
        return function(*arguments)
    finally:
        _gate.is_open = False


def forget_interruption() -> None:
    """Drop what has not been raised: whom it was meant for is done."""
    _gate.pending = None


def _take_pending() -> BaseException:
    error, _gate.pending = _gate.pending, None
    if error is None:
        raise RuntimeError("There is nothing to raise.")
    return error
