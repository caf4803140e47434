"""A confined process does its work, is stopped when it has to be, and leaves nothing behind."""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from graphs.blocks.confinement import MEBIBYTE, Confined
from graphs.exceptions import BlockError
from tests.graphs.blocks.confined_work import work

# Far above the limits that the tests set, and far below what the hostile work would take.
PATIENCE = 20.0
AMPLE = 30.0
SHORT = 0.2


@pytest.fixture
def confined() -> Iterator[Confined]:
    one = Confined(work, subject="The work", memory_limit=128 * MEBIBYTE, process_limit=3)
    yield one
    one.close()


@pytest.mark.parametrize(
    "value",
    [None, 1, 2.5, "é😀\ud800\x00", {"a": [1, {"b": None}]}, "x" * 3_000_000],
    ids=["none", "integer", "float", "characters", "nested", "long"],
)
def test_a_value_comes_back_as_it_went(confined: Confined, value: object) -> None:
    assert confined("echo", value, time_limit=AMPLE) == value


def test_the_work_is_done_in_another_process_that_stays_warm(confined: Confined) -> None:
    first, second = (confined("process_id", time_limit=AMPLE) for _ in range(2))

    assert first != os.getpid()
    assert second == first
    assert confined.process_ids() == {first}


def test_a_process_that_was_started_while_sockets_had_a_time_out_waits_for_work(confined: Confined) -> None:
    socket.setdefaulttimeout(PATIENCE)
    try:
        processes = {confined("process_id", time_limit=AMPLE) for _ in range(10)}
    finally:
        socket.setdefaulttimeout(None)

    assert len(processes) == 1


def test_a_refusal_keeps_its_text(confined: Confined) -> None:
    with pytest.raises(BlockError, match=r"^not like this$"):
        confined("refuse", "not like this", time_limit=AMPLE)


def test_any_other_error_is_a_refusal_too(confined: Confined) -> None:
    with pytest.raises(BlockError, match="KeyError: 'gone'"):
        confined("fail", "gone", time_limit=AMPLE)


@pytest.mark.parametrize("task", ["loop", "hold_the_interpreter"])
def test_work_without_end_is_stopped_at_its_limit(confined: Confined, task: str) -> None:
    confined("echo", time_limit=AMPLE)
    started = time.monotonic()

    with pytest.raises(BlockError, match=r"The work took longer than 0\.2 s and was stopped\."):
        confined(task, time_limit=SHORT)

    assert time.monotonic() - started < PATIENCE
    assert confined.process_ids() == frozenset()
    assert confined("echo", "next", time_limit=AMPLE) == "next"


def test_the_start_of_a_process_does_not_count(confined: Confined) -> None:
    # No interpreter starts in a hundredth of a second.
    assert confined("echo", 1, time_limit=0.01) == 1


def test_work_that_needs_too_much_memory_is_refused(confined: Confined) -> None:
    with pytest.raises(BlockError, match="The work needs more memory than the 128 MiB it may use"):
        confined("fill_memory", 200 * MEBIBYTE, time_limit=AMPLE)

    assert confined.process_ids() == frozenset(), "what ran out of memory is not used again"
    assert confined("fill_memory", MEBIBYTE, time_limit=AMPLE) == MEBIBYTE


@pytest.mark.parametrize(("task", "argument"), [("recurse", None), ("nest", 100_000)])
def test_endless_nesting_is_refused(confined: Confined, task: str, argument: object) -> None:
    with pytest.raises(BlockError, match="nested too deeply"):
        confined(task, argument, time_limit=AMPLE)


def test_endless_nesting_of_the_input_is_refused(confined: Confined) -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]

    with pytest.raises(BlockError, match="nested too deeply"):
        confined("echo", nested, time_limit=AMPLE)


def test_a_crash_is_an_error_and_the_next_call_has_a_new_process(confined: Confined) -> None:
    with pytest.raises(BlockError, match="The work crashed the process"):
        confined("crash", time_limit=AMPLE)

    assert confined("echo", "next", time_limit=AMPLE) == "next"


def test_a_process_that_died_in_its_sleep_is_replaced(confined: Confined) -> None:
    process_id = confined("process_id", time_limit=AMPLE)
    with watching(process_id) as end:
        os.kill(process_id, signal.SIGKILL)
        end.wait()

    assert confined("echo", "next", time_limit=AMPLE) == "next"


def test_it_opens_no_file_and_no_connection(confined: Confined) -> None:
    for task, argument in (("open_file", __file__), ("open_socket", None)):
        with pytest.raises(BlockError, match="Too many open files"):
            confined(task, argument, time_limit=AMPLE)


def test_it_knows_no_secrets(confined: Confined, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "do not tell")

    assert "do not tell" not in confined("environment", time_limit=AMPLE).values()


def test_threads_get_their_own_answers_from_a_bounded_number_of_processes(confined: Confined) -> None:
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda number: confined("echo", number, time_limit=AMPLE), range(300)))

    assert answers == list(range(300))
    assert 1 <= len(confined.process_ids()) <= 3


def test_hostile_work_holds_up_nobody_but_itself(confined: Confined) -> None:
    hostile = [threading.Thread(target=refused, args=(confined,)) for _ in range(2)]
    for thread in hostile:
        thread.start()

    assert [confined("echo", number, time_limit=AMPLE) for number in range(20)] == list(range(20))
    for thread in hostile:
        thread.join(PATIENCE)


def refused(confined: Confined) -> None:
    with pytest.raises(BlockError):
        confined("loop", time_limit=SHORT)


def test_closing_stops_the_processes(confined: Confined) -> None:
    process_id = confined("process_id", time_limit=AMPLE)
    with watching(process_id) as end:
        confined.close()
        end.wait()

    assert confined.process_ids() == frozenset()


OWNER = """
import os, sys, threading
from graphs.blocks.confinement import Confined
from tests.graphs.blocks.confined_work import work

confined = Confined(work, subject="The work", memory_limit=1 << 27)
print(confined("process_id", time_limit=30), flush=True)
"""
IDLE = "sys.stdin.read()"
BUSY = """
threading.Thread(target=lambda: confined("loop", time_limit=1.0)).start()
print("busy", flush=True)
sys.stdin.read()
"""
WITH_A_FORK = """
if os.fork() == 0:
    print(os.getpid(), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("then", [IDLE, BUSY, WITH_A_FORK], ids=["idle", "busy", "its owner forked"])
def test_it_ends_when_its_owner_is_killed(then: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER + then],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
        text=True,
    ) as owner:
        assert owner.stdout
        assert owner.stdin
        process_id = int(owner.stdout.readline())
        if then != IDLE:
            owner.stdout.readline()

        with watching(process_id) as end:
            owner.kill()
            end.wait()

        # Only now: a fork of the owner lives as long as it can read.
        owner.stdin.close()


FORK = """
first = confined("process_id", time_limit=30)
if os.fork() == 0:
    second = confined("process_id", time_limit=30)
    print("own" if second != first else "shared", flush=True)
    sys.exit()
os.wait()
print("kept" if confined("process_id", time_limit=30) == first else "lost", flush=True)
"""


def test_a_fork_has_processes_of_its_own_and_leaves_its_parent_the_others() -> None:
    owner = subprocess.run(
        [sys.executable, "-W", "error", "-c", OWNER + FORK],
        capture_output=True,
        env=environment(),
        text=True,
        check=True,
        timeout=PATIENCE,
    )

    assert owner.stdout.split()[1:] == ["own", "kept"]
    assert owner.stderr == ""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}


class watching:  # noqa: N801 - reads as a verb where it is used
    """Watches a process, whoever's it is, from before the thing that should end it."""

    def __init__(self, process_id: int) -> None:
        self._descriptor = os.pidfd_open(process_id)

    def __enter__(self) -> "watching":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def wait(self) -> None:
        """Return when the process has ended."""
        ended, _, _ = select.select([self._descriptor], [], [], PATIENCE)
        assert ended, "the process is still there"
