"""Runs a function on input that nobody trusts, in a process that is stopped when it takes too long or too much.

A template, a pattern or a document from a user can keep one C call busy for ever, holding the interpreter's lock, or
ask for all the memory there is. Only another process can be stopped in the middle of that. It must not be a
`multiprocessing` one: Celery's workers are daemonic and may not have such children.

The processes are kept warm, so a call costs a fraction of a millisecond; they start when they are first needed, hold
no secret (their environment is empty) and end with the process that owns them.
"""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graphs.blocks import confined
from graphs.exceptions import BlockError

MEBIBYTE = 1024 * 1024

# To start is to import the function's module: it takes a fraction of a second unless the machine is very busy.
START_LIMIT = 60.0
ANSWER_SIZE_LIMIT = 256 * MEBIBYTE

BOOT = (
    "import json, sys; module, function, memory_limit, path = json.loads(sys.argv[1]); sys.path[:] = path; "
    "from graphs.blocks.confined import serve; serve(module, function, memory_limit)"
)


class Confined:
    """A function of JSON values that is called in confined processes, from any thread.

    `function` must be importable by its name. `subject` begins the error texts ("The template"). At most
    `process_limit` calls run at once, further callers wait; no call may use more than `memory_limit` bytes.
    """

    def __init__(
        self, function: Callable[..., Any], *, subject: str, memory_limit: int, process_limit: int = 4
    ) -> None:
        self._function = function
        self._subject = subject
        self._memory_limit = memory_limit
        self._process_limit = process_limit
        self._reset()
        _ALL.add(self)

    def __call__(self, *arguments: Any, time_limit: float) -> Any:
        """Return `function(*arguments)`.

        Raises `BlockError` with the function's own text, or because it took longer than `time_limit` seconds, needed
        too much memory, crashed, or is nested too deeply.
        """
        try:
            request = confined.TIME_LIMIT.pack(time_limit) + confined.encode(arguments)
        except RecursionError as error:
            raise BlockError(f"{self._subject} has values that are nested too deeply.") from error
        except ValueError as error:
            raise BlockError(f"{self._subject} has values that are not JSON: {error}") from error
        with self._places:
            process = self._take()
            try:
                answer = process.ask(request, time_limit=time_limit)
            except TimeoutError as error:
                raise BlockError(f"{self._subject} took longer than {time_limit:g} s and was stopped.") from error
            except OSError as error:
                raise BlockError(f"{self._subject} crashed the process it was handled in.") from error
            finally:
                self._give_back(process)
        return self._result(answer)

    def _result(self, answer: dict[str, Any]) -> Any:
        if "out_of_memory" in answer:
            limit = self._memory_limit // MEBIBYTE
            raise BlockError(f"{self._subject} needs more memory than the {limit} MiB it may use.")
        if "error" in answer:
            raise BlockError(str(answer["error"]))
        return answer["result"]

    def _take(self) -> "_Process":
        """Return a process that nobody uses: a warm one if there is one."""
        while True:
            with self._lock:
                process = self._idle.pop() if self._idle else None
            if process is None:
                break
            if process.is_alive():
                return process
            self._discard(process)
        process = _Process(self._function, self._memory_limit)
        with self._lock:
            self._processes.add(process)
        try:
            process.wait_until_ready()
        except OSError as error:
            self._discard(process)
            raise BlockError(f"{self._subject} can't be handled: no process to handle it in would start.") from error
        return process

    def _give_back(self, process: "_Process") -> None:
        if process.is_clean:
            with self._lock:
                self._idle.append(process)
        else:
            self._discard(process)

    def _discard(self, process: "_Process") -> None:
        process.stop()
        with self._lock:
            self._processes.discard(process)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(self._process_limit)
        self._idle: list[_Process] = []
        self._processes: set[_Process] = set()

    def process_ids(self) -> frozenset[int]:
        """Return the ids of the processes that are there now."""
        with self._lock:
            return frozenset(process.id for process in self._processes)

    def close(self) -> None:
        """Stop the processes, those at work too; the next call starts new ones."""
        with self._lock:
            processes, self._processes, self._idle = self._processes, set(), []
        for process in processes:
            process.stop()

    def start_over(self) -> None:
        """Stop the processes, and forget who waits for one: callers that were cut off don't say goodbye."""
        self.close()
        self._reset()

    def forget(self) -> None:
        """Let go of processes that are our parent's: called in a fork.

        A fork that kept its parent's sockets open would keep the parent's processes alive after the parent's end.
        """
        processes = list(self._processes)
        self._reset()
        for process in processes:
            process.forget()


class _Process:
    """One warm process. `is_clean` says whether it may be used again."""

    def __init__(self, function: Callable[..., Any], memory_limit: int) -> None:
        path = [str(Path(entry).absolute()) for entry in sys.path]
        boot = json.dumps([function.__module__, function.__qualname__, memory_limit, path])
        self._connection, inside = socket.socketpair()
        with inside:
            # While a Celery worker stops, new sockets have a time-out, and the process would inherit one that never
            # waits.
            inside.setblocking(True)
            # A session of its own, so that Ctrl-C in a terminal is left to the owner.
            self._popen = subprocess.Popen(  # noqa: S603 - our own interpreter and our own code
                [sys.executable, "-I", "-S", "-W", "ignore", "-c", BOOT, boot],
                stdin=inside.fileno(),
                stdout=subprocess.DEVNULL,
                env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
                start_new_session=True,
            )
        self.id = self._popen.pid
        self.is_clean = False

    def wait_until_ready(self) -> None:
        """Return when the process takes requests; raises `OSError` if it doesn't come to that."""
        if confined.receive(self._connection, deadline=time.monotonic() + START_LIMIT) != confined.READY:
            raise OSError("The confined process ended while it was starting.")
        self.is_clean = True

    def ask(self, request: bytes, *, time_limit: float) -> dict[str, Any]:
        """Return the answer; raises `TimeoutError` after `time_limit` seconds, `OSError` if the process ended."""
        self.is_clean = False
        deadline = time.monotonic() + time_limit
        self._connection.settimeout(time_limit)
        confined.send(self._connection, request)
        content = confined.receive(self._connection, deadline=deadline, size_limit=ANSWER_SIZE_LIMIT)
        if content is None:
            raise OSError("The confined process ended.")
        answer: dict[str, Any] = json.loads(content)
        # After it ran out of memory, what it keeps is not worth keeping.
        self.is_clean = "out_of_memory" not in answer
        return answer

    def is_alive(self) -> bool:
        return self._popen.poll() is None

    def stop(self) -> None:
        self._connection.close()
        self._popen.kill()
        self._popen.wait()

    def forget(self) -> None:
        self._connection.close()
        # Not our child, so there is nothing to wait for; this keeps Popen from trying, and from complaining.
        self._popen.returncode = -signal.SIGKILL


_ALL: "weakref.WeakSet[Confined]" = weakref.WeakSet()


def _forget_all() -> None:
    for one in list(_ALL):
        one.forget()


def close_all() -> None:
    """Stop every confined process of this process."""
    for one in list(_ALL):
        one.close()


def start_over() -> None:
    """Begin anew after a caller was cut off at any point. Nobody else may be calling."""
    for one in list(_ALL):
        one.start_over()


os.register_at_fork(after_in_child=_forget_all)
atexit.register(close_all)
