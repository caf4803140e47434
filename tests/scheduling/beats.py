"""Real beat processes on the test database."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from config.local import BASE_DIR
from tests.conftest import worker_environment

LEADS = "this beat leads"


class Beat:
    """One beat, and what it says."""

    def __init__(self, log: Path, *, environment: Mapping[str, str]) -> None:
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-q", "-A", "config", "beat", "-l", "INFO", "-s", "", "--pidfile="],
                cwd=BASE_DIR,
                env={**os.environ, **worker_environment(), "LOG_LEVEL": "INFO", **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def says(self) -> str:
        """All that it has said."""
        return self._log.read_text("utf-8")

    @property
    def leads(self) -> bool:
        """Whether it has become the one that works."""
        return LEADS in self.says

    def end(self) -> None:
        """Kill it, frozen or not."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=10)


@contextmanager
def running_beats(
    folder: Path, *, count: int, environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[list[Beat]]:
    """Run some beats side by side; `environment` is added to that of tests."""
    beats = [Beat(folder / f"beat-{number}.log", environment=environment) for number in range(count)]
    try:
        yield beats
    finally:
        for beat in beats:
            beat.end()
