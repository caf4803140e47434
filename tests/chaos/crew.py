"""Workers, web and beat under a supervisor that starts again what has ended, as production has one."""

import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.local import BASE_DIR
from config.stack import Addresses, find_port, list_programs
from execution.workers import READY_FILE_VARIABLE, die_with_parent, worker_command

POSTS: Final = (("cpu-1", "cpu"), ("cpu-2", "cpu"), ("io-1", "io"))
CHILDREN: Final = 2
RESTART_SECONDS: Final = 0.3
START_SECONDS: Final = 60.0
LEAVE_SECONDS: Final = 30.0
STACK_SECONDS: Final = 2.0
POLL_SECONDS: Final = 0.05
# Below the ports that the kernel gives to whoever calls: none of them may take the web server's while it is away.
LOWEST_PORT: Final = 20_000
PORTS: Final = 10_000


@dataclass(frozen=True, kw_only=True)
class Exit:
    """A process's end that nobody had asked for."""

    post: str
    code: int
    last_words: str


class Post:
    """A place that always has one process, or soon has one: a worker, unless `is_up` says when it does its work."""

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, *, is_up: Callable[[], bool] | None = None
    ) -> None:
        self.name = name
        self._command = command
        self.log = folder / f"{name}.log"
        self._ready_file = folder / f"{name}.ready"
        self.is_up = is_up or self._ready_file.exists
        self.is_asked_to_end = False
        self._asked_at: float | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ended_at = float("-inf")

    @property
    def is_running(self) -> bool:
        """Whether its main process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def is_leaving_late(self) -> bool:
        """Whether it was told to stop long ago and is still there."""
        return self.is_running and self._asked_at is not None and time.monotonic() > self._asked_at + LEAVE_SECONDS

    @property
    def pid(self) -> int:
        """The main process. RuntimeError if none was started yet."""
        if self._process is None:
            raise RuntimeError("Nothing was started yet.")
        return self._process.pid

    def children(self) -> list[int]:
        """Return the processes of its worker's pool, or the one that does the work of an `io` worker."""
        if not self.is_running:
            return []
        with suppress(OSError):
            return [int(word) for word in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        return []

    def look_after(self) -> Exit | None:
        """Start a process if there is none; return how the last one ended if nobody had asked it to."""
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
        """Kill the main process; its children end with it."""
        self.is_asked_to_end = True
        if self._process is not None:
            self._process.kill()

    def dismiss(self) -> None:
        """Tell it to stop, as a deploy does."""
        self.is_asked_to_end = True
        self._asked_at = self._asked_at or time.monotonic()
        if self._process is not None:
            self._process.terminate()

    def signal_all(self, which: signal.Signals) -> None:
        """Signal it and all its children."""
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
        self._ready_file.unlink(missing_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=BASE_DIR,
                env={**os.environ, READY_FILE_VARIABLE: str(self._ready_file)},
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
    """All workers, a web server and a beat. Use it from the main thread: the kernel ends them with their starter."""

    def __init__(self, folder: Path) -> None:
        self.web_port = find_port(LOWEST_PORT + os.getpid() % PORTS)
        self.posts: Sequence[Post] = [
            Post(name, worker_command(kind, concurrency=CHILDREN if kind == "cpu" else None), folder)
            for name, kind in POSTS
        ]
        addresses = Addresses(web_port=self.web_port, flower_port=0)
        commands = {program.name: program.command for program in list_programs(addresses, concurrency=None)}
        self.web = Post("web", commands["web"], folder, is_up=lambda: _answers(f"{addresses.web}/healthz"))
        self.beat = Post("beat", commands["beat"], folder, is_up=lambda: True)
        self.exits: list[Exit] = []
        self.killed_late = 0

    @property
    def all_posts(self) -> list[Post]:
        """The workers' and the others'."""
        return [*self.posts, self.web, self.beat]

    def look_after(self) -> None:
        """Start what has ended, kill who was told to stop and doesn't. Call it again and again."""
        for post in self.all_posts:
            if post.is_leaving_late:
                self.killed_late += 1
                post.end_late()
            if (exit_ := post.look_after()) is not None:
                self.exits.append(exit_)

    def await_ready(self) -> None:
        """Wait until every worker takes messages, and the web server requests."""
        deadline = time.monotonic() + START_SECONDS
        while not all(post.is_up() for post in self.all_posts):
            if time.monotonic() > deadline:
                raise TimeoutError("The workers, or the web server, are not ready.")
            self.look_after()
            time.sleep(POLL_SECONDS)

    def leave(self) -> list[str]:
        """Tell all to stop, and wait; return the names of those that had to be killed."""
        for post in self.all_posts:
            post.dismiss()
        deadline = time.monotonic() + LEAVE_SECONDS
        while any(post.is_running for post in self.all_posts) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        late = [post for post in self.all_posts if post.is_running]
        for post in late:
            post.end_late()
        self.kill()
        return [post.name for post in late]

    def kill(self) -> None:
        """End everything at once."""
        for post in self.all_posts:
            post.end()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False
