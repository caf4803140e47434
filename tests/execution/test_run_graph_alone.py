"""`manage.py run_graph` without a running stack: it has workers of its own, and leaves none."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from config.local import open_lock, try_lock
from execution.models import Review
from tests.config.processes import wait_until
from tests.conftest import worker_environment
from tests.execution.run_graph_command import ASKING, DEADLINE_SECONDS
from tests.execution.small_graphs import ADDING
from tests.left_behind import await_end_of_others

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def alone() -> Iterator[dict[str, str]]:
    """The environment of a command on the test database and a broker where nobody listens."""
    locks = []
    for number in range(1, 16):
        lock = open_lock(f"test-broker-{number}.lock")
        locks.append(lock)
        if try_lock(lock):
            break
    yield {**os.environ, **worker_environment(), "REDIS_DATABASE": str(number)}
    # Workers that PostgreSQL has not missed yet would be there for the next command.
    await_end_of_others()
    for lock in locks:
        os.close(lock)


@pytest.fixture
def begin(alone: dict[str, str]) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start the command as a process where nobody listens; what a failed test leaves is killed."""
    begun: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "manage.py", "run_graph", *arguments]
        pipe = subprocess.PIPE
        begun.append(
            subprocess.Popen(
                command, cwd=ROOT, env=alone, stdout=pipe, stderr=pipe, text=True, preexec_fn=heed_interrupts
            )
        )
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def heed_interrupts() -> None:
    """Have the new process die of SIGINT by default: tests that run in the background ignore it, and hand that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def find_workers(command: "subprocess.Popen[str]") -> set[int]:
    """Return the processes that the command has started, and those that they have."""
    parents = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(file.parent.name)] = int(file.read_text().rpartition(")")[2].split()[1])
    found: set[int] = set()
    level = {command.pid}
    while level:
        level = {child for child, parent in parents.items() if parent in level}
        found |= level
    return found


def are_gone(processes: set[int]) -> bool:
    return not any(Path(f"/proc/{process}").exists() for process in processes)


def test_without_workers_the_command_has_its_own_and_leaves_none(
    begin: Callable[..., "subprocess.Popen[str]"], save: Callable[..., str]
) -> None:
    command = begin(save(ADDING), "--input", "Number=7", "--json")
    workers: set[int] = set()
    while command.poll() is None:
        workers |= find_workers(command)
        time.sleep(0.05)
    out, err = command.communicate(timeout=DEADLINE_SECONDS)

    assert (command.returncode, json.loads(out)["outputs"]) == (0, {"Sum": [41.0]})
    assert "No workers are running: starting some." in err
    assert len(workers) >= 2
    # Those that the workers had started follow them, and go when somebody has heard of it.
    assert wait_until(lambda: are_gone(workers), seconds=DEADLINE_SECONDS)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_stops_its_workers_and_says_how_the_run_stands(
    begin: Callable[..., "subprocess.Popen[str]"], save: Callable[..., str], sent: signal.Signals
) -> None:
    command = begin(save(ASKING), "--json")
    assert wait_until(lambda: Review.objects.exists() or command.poll() is not None, seconds=DEADLINE_SECONDS)
    workers = find_workers(command)

    command.send_signal(sent)
    out, err = command.communicate(timeout=DEADLINE_SECONDS)

    assert out, err
    shown = json.loads(out)
    assert (command.returncode, shown["status"]) == (1, "REVIEW")
    assert "It goes on as soon as workers are running" in shown["error"]
    assert len(workers) >= 2
    # Those that the workers had started follow them, and go when somebody has heard of it.
    assert wait_until(lambda: are_gone(workers), seconds=DEADLINE_SECONDS)
