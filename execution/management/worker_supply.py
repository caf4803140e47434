"""Workers for a command that needs some: those that run already, or its own."""

from collections.abc import Callable
from types import TracebackType

from execution.presence import find_listened
from execution.queues import QUEUES
from execution.workers import WorkerProcesses


class WorkerSupply:
    """Makes sure that somebody works while the `with` block lasts. Own workers are stopped at its end.

    `say` is told when workers have to be started.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._own: WorkerProcesses | None = None
        self._needs_own = False

    def __enter__(self) -> "WorkerSupply":
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def is_own(self) -> bool:
        """Whether this supply has started workers of its own, or was about to."""
        return self._needs_own

    def look_after(self) -> None:
        """Start workers if there are none (any more). Raises `WorkersNotReadyError`."""
        if self._own is not None:
            if all(process.poll() is None for process in self._own.processes):
                return
            self._stop()
        elif find_listened(QUEUES) == set(QUEUES):
            return
        self._say("No workers are running: starting some.")
        self._needs_own = True
        self._own = WorkerProcesses().__enter__()

    def _stop(self) -> None:
        if self._own is not None:
            self._own.stop()
