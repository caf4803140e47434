"""Hundreds of coroutines that wait at the same time, on one `io` worker, and what memory that takes."""

import threading
import time
from typing import Final

from bench.blocks import WaitBlock
from bench.costs import MIB, resident_bytes
from bench.documents import write_document
from bench.engine import Engine, check_runs
from bench.results import Measured
from bench.shapes import apart

WAITS: Final = 500
WAIT_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 0.1


def many_waits(engine: Engine, *, repeats: int) -> list[Measured]:
    """Run 500 nodes that wait 1 s each; return the seconds until all have ended, and the worker's peak of memory."""
    version = engine.save(write_document(apart(WAITS), block_id=WaitBlock.id, constants={"seconds": WAIT_SECONDS}))
    seconds, peaks = [], []
    for number in range(repeats + 1):
        with _Watch(engine.worker_pids()["io"]) as watch:
            began = time.perf_counter()
            key = engine.start(version)
            engine.await_ends([key])
            took = time.perf_counter() - began
        check_runs([key], nodes=WAITS)
        if number:  # the first one warms up
            seconds.append(took)
            peaks.append(watch.peak / MIB)
    return [
        Measured(workload=f"{WAITS} × 1 s of waiting", contender="engine", samples=tuple(seconds), nodes=WAITS),
        Measured(workload="memory of the io worker", contender="engine", samples=tuple(peaks), unit="MiB"),
    ]


class _Watch:
    """Looks at a process's memory again and again; `peak` is the most that was seen (bytes)."""

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._pid = pid
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            self.peak = max(self.peak, resident_bytes(self._pid))
            if self._is_over.wait(LOOK_SECONDS):
                return
