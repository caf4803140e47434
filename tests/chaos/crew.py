"""Worker processes under a supervisor that starts again what has ended, as production has one."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.local import BASE_DIR
from execution.workers import READY_FILE_VARIABLE, die_with_parent, worker_command

POSTS: Final = (("cpu-1", "cpu"), ("cpu-2", "cpu"), ("io-1", "io"))
CHILDREN: Final = 2
RESTART_SECONDS: Final = 0.3
START_SECONDS: Final = 60.0
LEAVE_SECONDS: Final = 30.0
STACK_SECONDS: Final = 2.0
POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class Exit:
    """A worker's end that nobody had asked for."""

    post: str
    code: int
    last_words: str


class Post:
    """A place that always has one worker, or soon has one."""

    def __init__(self, name: str, kind: str, folder: Path) -> None:
        self.name = name
        self.kind = kind
        self.log = folder / f"{name}.log"
        self.ready_file = folder / f"{name}.ready"
        self.is_asked_to_end = False
        self._asked_at: float | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ended_at = float("-inf")

    @property
    def is_running(self) -> bool:
        """Whether its worker's main process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def is_leaving_late(self) -> bool:
        """Whether its worker was told to stop long ago and is still there."""
        return self.is_running and self._asked_at is not None and time.monotonic() > self._asked_at + LEAVE_SECONDS

    @property
    def pid(self) -> int:
        """The main process. RuntimeError if none was started yet."""
        if self._process is None:
            raise RuntimeError("No worker was started yet.")
        return self._process.pid

    def children(self) -> list[int]:
        """Return the processes of its worker's pool, or the one that does the work of an `io` worker."""
        if not self.is_running:
            return []
        with suppress(OSError):
            return [int(word) for word in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        return []

    def look_after(self) -> Exit | None:
        """Start a worker if there is none; return how the last one ended if nobody had asked it to."""
        if self._process is None:
            if time.monotonic() >= self._ended_at + RESTART_SECONDS:
                self._start()
            return None
        code = self._process.poll()
        if code is None:
            return None
        self._kill_group()  # what it may have left behind
        self._process, self._ended_at, was_asked = None, time.monotonic(), self.is_asked_to_end
        return None if was_asked else Exit(post=self.name, code=code, last_words=self._last_words())

    def kill(self) -> None:
        """Kill the worker's main process; its children end with it."""
        self.is_asked_to_end = True
        if self._process is not None:
            self._process.kill()

    def dismiss(self) -> None:
        """Tell the worker to stop, as a deploy does."""
        self.is_asked_to_end = True
        self._asked_at = self._asked_at or time.monotonic()
        if self._process is not None:
            self._process.terminate()

    def signal_all(self, which: signal.Signals) -> None:
        """Signal the worker and all its children."""
        with suppress(ProcessLookupError):
            if self._process is not None and self.is_running:
                os.killpg(self._process.pid, which)

    def end_late(self) -> None:
        """Kill a worker that should have stopped; before, it may write the stacks of its threads into its log."""
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            if self._process is not None:
                self._process.send_signal(signal.SIGUSR1)
                self._process.wait(STACK_SECONDS)
        self.end()

    def end(self) -> None:
        """Kill whatever is left."""
        if self._process is not None:
            self._kill_group()
            self._process.wait()

    def _start(self) -> None:
        self.is_asked_to_end, self._asked_at = False, None
        self.ready_file.unlink(missing_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                worker_command(self.kind, concurrency=CHILDREN if self.kind == "cpu" else None),
                cwd=BASE_DIR,
                env={**os.environ, READY_FILE_VARIABLE: str(self.ready_file)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError):
            if self._process is not None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def _last_words(self) -> str:
        lines = self.log.read_text("utf-8", errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


class Crew:
    """All workers. Use it from the main thread: the kernel ends them with the thread that started them."""

    def __init__(self, folder: Path) -> None:
        self.posts: Sequence[Post] = [Post(name, kind, folder) for name, kind in POSTS]
        self.exits: list[Exit] = []
        self.killed_late = 0

    def look_after(self) -> None:
        """Start what has ended, kill who was told to stop and doesn't. Call it again and again."""
        for post in self.posts:
            if post.is_leaving_late:
                self.killed_late += 1
                post.end_late()
            if (exit_ := post.look_after()) is not None:
                self.exits.append(exit_)

    def await_ready(self) -> None:
        """Wait until every worker takes messages."""
        deadline = time.monotonic() + START_SECONDS
        while not all(post.ready_file.exists() for post in self.posts):
            if time.monotonic() > deadline:
                raise TimeoutError("The workers are not ready.")
            self.look_after()
            time.sleep(POLL_SECONDS)

    def leave(self) -> list[str]:
        """Tell all to stop, and wait; return the names of those that had to be killed."""
        for post in self.posts:
            post.dismiss()
        deadline = time.monotonic() + LEAVE_SECONDS
        while any(post.is_running for post in self.posts) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        late = [post for post in self.posts if post.is_running]
        for post in late:
            post.end_late()
        self.kill()
        return [post.name for post in late]

    def kill(self) -> None:
        """End everything at once."""
        for post in self.posts:
            post.end()
