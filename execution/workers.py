"""Worker processes that somebody needs for a while: a command that runs a graph, a test."""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

# The variable that names the file a worker makes when it takes messages.
READY_FILE_VARIABLE: Final = "WORKER_READY_FILE"

KINDS: Final = ("cpu", "io")

_ROOT: Final = Path(__file__).resolve().parent.parent
_START_SECONDS: Final = 60.0
_GRACE_SECONDS: Final = 10.0
# How much of the grace period is for blocks to end; the rest is for handing back those that don't.
_SHARE_OF_BLOCKS: Final = 0.6
_POLL_SECONDS: Final = 0.01
_PR_SET_PDEATHSIG: Final = 1

_libc = ctypes.CDLL(None, use_errno=True)


class WorkersNotReadyError(Exception):
    """The workers did not start; the text tells what they said last."""


@dataclass(frozen=True)
class _Started:
    process: subprocess.Popen[bytes]
    ready_file: Path
    log: Path


class WorkerProcesses:
    """One worker for plain blocks and one for async blocks, as processes of their own while the `with` block lasts.

    Use it from a thread that lives at least as long: on Linux the workers end with the thread that started them, even
    if its process is killed.
    """

    def __init__(
        self,
        *,
        concurrency: int | None = None,
        environment: Mapping[str, str] | None = None,
        log_folder: Path | None = None,
        kinds: Sequence[str] = KINDS,
        grace_seconds: float = _GRACE_SECONDS,
    ) -> None:
        """`concurrency`: processes for plain blocks (default: the number of cores). `environment` is added to ours.

        `grace_seconds`: how long they may finish what they run, or hand it back, when they are stopped. Little harm is
        done by too short a time: what was cut off is run again by another worker.
        """
        self._concurrency = concurrency
        handing_back = {"SHUTDOWN_GRACE_SECONDS": str(grace_seconds * _SHARE_OF_BLOCKS)}
        self._environment = {**os.environ, **handing_back, **(environment or {})}
        self._own_folder = None if log_folder else tempfile.TemporaryDirectory(prefix="workers-")
        self._folder = log_folder or Path(self._own_folder.name if self._own_folder else "")
        self._kinds = kinds
        self._grace_seconds = grace_seconds
        self._started: list[_Started] = []

    def __enter__(self) -> "WorkerProcesses":
        try:
            self._started = [self._start(kind) for kind in self._kinds]
            self._await_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def processes(self) -> list[subprocess.Popen[bytes]]:
        """The main process of each worker."""
        return [started.process for started in self._started]

    def logs(self) -> str:
        """Return what the workers have written so far."""
        return "\n".join(started.log.read_text("utf-8", errors="replace") for started in self._started)

    def stop(self) -> None:
        """Stop the workers: they may finish what they run for the grace time, then they are killed."""
        for process in self.processes:
            process.terminate()
        deadline = time.monotonic() + self._grace_seconds
        for process in self.processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _kill_group(process)
        self._started = []
        if self._own_folder is not None:
            self._own_folder.cleanup()

    def _start(self, kind: str) -> _Started:
        self._folder.mkdir(parents=True, exist_ok=True)
        log, ready_file = self._folder / f"{kind}.log", self._folder / f"{kind}.ready"
        ready_file.unlink(missing_ok=True)
        environment = {**self._environment, READY_FILE_VARIABLE: str(ready_file)}
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - our own program
                worker_command(kind, concurrency=self._concurrency if kind == "cpu" else None),
                cwd=_ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # A group of its own: the terminal's Ctrl-C is for the command, which then stops the workers.
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        return _Started(process=process, ready_file=ready_file, log=log)

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        for started in self._started:
            while not started.ready_file.exists():
                if started.process.poll() is not None:
                    raise WorkersNotReadyError(f"A worker ended while it started: {_last_line(started.log)}")
                if time.monotonic() > deadline:
                    raise WorkersNotReadyError(f"The workers are not ready after {_START_SECONDS:.0f} seconds.")
                time.sleep(_POLL_SECONDS)


def worker_command(kind: str, *, concurrency: int | None = None) -> list[str]:
    """Return the command of a worker for `cpu` (plain) or `io` (async) blocks."""
    command = [sys.executable, "-m", "config.worker", kind]
    return command if concurrency is None else [*command, "--concurrency", str(concurrency)]


def die_with_parent(death_signal: signal.Signals = signal.SIGKILL) -> None:
    """Ask the kernel to send this process the signal when the thread that started it ends (Linux only)."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text("utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"
