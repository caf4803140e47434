"""Our own engine as a contender: real workers, runs started and awaited as a caller does it."""

import time
from collections.abc import Collection, Iterable
from types import TracebackType
from typing import Any, Final
from uuid import UUID

from django.contrib.auth.models import User
from psycopg import Connection

from bench.blocks import FibBlock, NoOpBlock
from bench.contender import FIB_NUMBER, RunFailedError, Work
from bench.documents import write_document
from bench.shapes import Shape
from execution.engine.statuses import ENDED, Status
from execution.models import Execution, Output
from execution.services import accept_execution
from execution.store.sessions import open_session
from execution.store.trees import ENDED_CHANNEL
from execution.workers import WorkerProcesses
from graphs.blocks.contract import ERROR_PIN
from graphs.document import GraphDocument
from graphs.models import GraphVersion
from graphs.services import create_graph

PROCESSES: Final = 2
DEADLINE_SECONDS: Final = 900.0
LOOK_SECONDS: Final = 2.0


class Engine:
    """One `cpu` worker with two processes and one `io` worker, as `make run` starts them, with events for Flower."""

    name = "engine"

    def __init__(self, user: User) -> None:
        self.user = user
        self._workers = WorkerProcesses(concurrency=PROCESSES)
        self._ends: Connection[Any] | None = None
        self._versions: dict[str, GraphVersion] = {}

    def __enter__(self) -> "Engine":
        self._ends = open_session()
        self._ends.execute(f"LISTEN {ENDED_CHANNEL}")
        self._workers.__enter__()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._workers.stop()
        if self._ends is not None:
            self._ends.close()

    def worker_pids(self) -> dict[str, int]:
        """Return the main process of each worker."""
        return {kind: process.pid for kind, process in zip(("cpu", "io"), self._workers.processes, strict=True)}

    def can_run(self, shape: Shape, *, work: Work = Work.NO_OP) -> bool:
        """Say yes: any graph without cycles, and others too."""
        del shape, work
        return True

    def run(self, shape: Shape, *, runs: int = 1, work: Work = Work.NO_OP) -> float:
        """Run it; RunFailedError if one run doesn't COMPLETE with every node executed once."""
        version = self.save(_document(shape, work))
        began = time.perf_counter()
        ids = [self.start(version) for _ in range(runs)]
        self.await_ends(ids)
        seconds = time.perf_counter() - began
        check_runs(ids, nodes=shape.size)
        return seconds

    def save(self, document: GraphDocument, *, again: bool = False) -> GraphVersion:
        """Return the saved graph of this name; the first time, or if asked to do it `again`, it is saved."""
        if again or document.name not in self._versions:
            self._versions[document.name] = create_graph(owner=self.user, document=document)
        return self._versions[document.name]

    def start(self, version: GraphVersion) -> UUID:
        """Start a run as the API does."""
        return accept_execution(user=self.user, version=version, input_data={})

    def await_ends(self, execution_ids: Collection[UUID]) -> None:
        """Return when all runs have ended, told by the database; RunFailedError if that takes too long.

        A notice that came before the wait is not lost: the session has listened since its start.
        """
        if self._ends is None:
            raise RuntimeError("The engine is used in a `with` block.")
        waiting = {str(key) for key in execution_ids}
        deadline = time.monotonic() + DEADLINE_SECONDS
        while waiting:
            for notice in self._ends.notifies(timeout=LOOK_SECONDS, stop_after=1):
                waiting.discard(notice.payload)
            if time.monotonic() > deadline:
                raise RunFailedError(f"{len(waiting)} runs have not ended after {DEADLINE_SECONDS:.0f} s.")


def _document(shape: Shape, work: Work) -> GraphDocument:
    if work is Work.FIB:
        return write_document(shape, block_id=FibBlock.id, constants={"n": FIB_NUMBER})
    return write_document(shape, block_id=NoOpBlock.id)


def check_runs(execution_ids: Iterable[UUID], *, nodes: int) -> None:
    """Make sure that what was measured was done: RunFailedError otherwise."""
    ids = list(execution_ids)
    for run in Execution.objects.filter(pk__in=ids).only("status", "error", "node_count", "node_error_count"):
        if run.status not in ENDED:
            raise RunFailedError(f"The run {run.pk} is {run.status}.")
        if run.status != Status.COMPLETED or run.node_count != nodes or run.node_error_count:
            raise RunFailedError(
                f"The run {run.pk} is {run.status} with {run.node_count} of {nodes} nodes,"
                f" {run.node_error_count} failed: {run.error or _first_error(run)}"
            )


def _first_error(run: Execution) -> str:
    values = Output.objects.filter(node_execution__execution=run, pin=ERROR_PIN).values_list("value", flat=True)
    return str(values.first())
