"""Keeps a few programs running, shows what they say, and leaves none behind."""

import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from config.local import BASE_DIR, open_folder
from execution.workers import die_with_parent

_CHECK_SECONDS: Final = 0.2
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_STEADY_SECONDS: Final = 30.0
_RESET: Final = "\033[0m"
_COLOURS: Final = ("\033[36m", "\033[32m", "\033[33m", "\033[35m", "\033[34m")


@dataclass(frozen=True, kw_only=True)
class Program:
    """What is kept running. `last_signal` is sent to it if the supervisor itself is killed."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    last_signal: signal.Signals = signal.SIGTERM


class _Child:
    """One program: the process it is now, how often it had to be started again."""

    def __init__(self, program: Program, *, label: str) -> None:
        self.program = program
        self.log = open_folder("log") / f"{program.name}.log"
        self._label = label
        self._pause = _FIRST_PAUSE
        self._start_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def look_after(self) -> None:
        """Start the program if it doesn't run; after a fall not at once, and later each time it falls soon."""
        now = time.monotonic()
        if self.is_running:
            return
        if self._process is not None and self._start_at <= now:
            code = self._process.wait()
            steady = now - self._start_at > _STEADY_SECONDS
            self._pause = _FIRST_PAUSE if steady else min(self._pause * 2, _LONGEST_PAUSE)
            self._say(f"ended with exit code {code}, starts again in {self._pause:g} seconds")
            self._start_at = now + self._pause
            _kill_group(self._process)  # what it may have left behind
            self._process = None
        elif self._start_at <= now:
            self._start(now)

    def send(self, which: signal.Signals) -> None:
        """Signal the program's main process."""
        if self._process is not None and self.is_running:
            self._process.send_signal(which)

    def kill(self) -> None:
        """End the program and whatever else is left of its group, now."""
        if self._process is not None:
            _kill_group(self._process)
            self._process.wait()

    def _start(self, now: float) -> None:
        self._start_at = now
        self._process = process = subprocess.Popen(  # noqa: S603 - our own programs
            self.program.command,
            cwd=BASE_DIR,
            env={**os.environ, **self.program.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # A group of its own: Ctrl-C is for the supervisor, which stops all in order.
            start_new_session=True,
            preexec_fn=functools.partial(die_with_parent, self.program.last_signal),
        )
        threading.Thread(target=self._relay, args=(process,), daemon=True).start()

    def _relay(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdout is None:
            return
        with process.stdout as lines, self.log.open("ab") as log:
            for line in lines:
                log.write(line)
                log.flush()
                self._say(line.decode(errors="replace").rstrip())

    def _say(self, line: str) -> None:
        print_line(f"{self._label} {line}")


class Supervisor:
    """Use it from the main thread: the kernel ends the programs with the thread that started them."""

    def __init__(self, programs: Sequence[Program]) -> None:
        width = max(len(program.name) for program in programs)
        self._children = [
            _Child(program, label=_label(program.name, width=width, index=index))
            for index, program in enumerate(programs)
        ]

    def look_after(self) -> None:
        """Start what doesn't run. Call it again and again."""
        for child in self._children:
            child.look_after()

    def run_until(self, stopping: threading.Event) -> None:
        """Keep the programs running until the event is set."""
        while not stopping.wait(_CHECK_SECONDS):
            self.look_after()

    def stop(self, *, grace: float, hurry: threading.Event) -> None:
        """End all programs: they have `grace` seconds, or less if somebody is in a hurry, before they are killed."""
        deadline = time.monotonic() + grace
        for child in self._children:
            child.send(signal.SIGTERM)
        while any(child.is_running for child in self._children) and time.monotonic() < deadline:
            if hurry.wait(_CHECK_SECONDS / 4):
                break
        for child in self._children:
            child.kill()


def print_line(line: str) -> None:
    """Print a whole line at once, whatever thread it comes from; nothing happens if nobody listens any more."""
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        pass


def _label(name: str, *, width: int, index: int) -> str:
    text = f"{name:<{width}} |"
    return f"{_COLOURS[index % len(_COLOURS)]}{text}{_RESET}" if sys.stdout.isatty() else text


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
