"""A peer as a contender: a process of its own, in its own virtual environment, that is asked over its stdin."""

import json
import os
import selectors
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import psutil

from bench.contender import RunFailedError, Work
from bench.shapes import Shape
from config.local import BASE_DIR
from execution.workers import die_with_parent

READY_SECONDS: Final = 120.0
ANSWER_SECONDS: Final = 400.0
LEAVE_SECONDS: Final = 20.0


class Peer:
    """Start it from the main thread: the kernel ends it with the thread that started it.

    It stands still while others are measured: some go on working for minutes after they have answered.
    """

    def __init__(
        self,
        name: str,
        *,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        suits: Callable[[Shape, Work], bool],
    ) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self._log = log
        self._suits = suits
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Peer":
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own programs
                self._command,
                cwd=BASE_DIR,
                env={**os.environ, **self._environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        self._read(READY_SECONDS)
        self._send_signal(signal.SIGSTOP)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        self._send_signal(signal.SIGCONT)
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def pid(self) -> int:
        """The main process. RuntimeError if it was never started."""
        return self._running.pid

    def can_run(self, shape: Shape, *, work: Work = Work.NO_OP) -> bool:
        """Whether the peer has a way to run the shape."""
        return self._suits(shape, work)

    def run(self, shape: Shape, *, runs: int = 1, work: Work = Work.NO_OP) -> float:
        """Ask the peer; RunFailedError with its words if it can't."""
        request = {
            "name": shape.name,
            "size": shape.size,
            "levels": shape.levels,
            "predecessors": shape.predecessors,
            "runs": runs,
            "work": work,
        }
        if self._running.stdin is None:
            raise RuntimeError("The peer takes no requests.")
        self._send_signal(signal.SIGCONT)
        try:
            self._running.stdin.write(f"{json.dumps(request)}\n".encode())
            self._running.stdin.flush()
            return float(self._read(ANSWER_SECONDS)["seconds"])
        finally:
            self._send_signal(signal.SIGSTOP)

    def _send_signal(self, number: signal.Signals) -> None:
        """Send it to the peer and all that it has started, servers and workers."""
        with suppress(psutil.NoSuchProcess):
            main = psutil.Process(self._running.pid)
            for process in (main, *main.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("A peer is used in a `with` block.")
        return self._process

    def _read(self, seconds: float) -> dict[str, Any]:
        stdout = self._running.stdout
        if stdout is None:
            raise RuntimeError("The peer can't answer.")
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                raise RunFailedError(f"{self.name} does not answer; see {self._log}.")
        line = stdout.readline()
        if not line:
            raise RunFailedError(f"{self.name} has ended: {_last_line(self._log)}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RunFailedError(f"{self.name}: {answer['error']}")
        return answer


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text("utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
