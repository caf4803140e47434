"""Worker processes are ready when they say so, and gone when nobody needs them."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kombu import Connection

from config.celery import app
from config.local import BASE_DIR
from execution.queues import QUEUES, both_of
from execution.workers import WorkerProcesses, WorkersNotReadyError
from tests.config.processes import wait_until
from tests.conftest import worker_environment

STARTER = """
import sys, time
from pathlib import Path
from execution.workers import WorkerProcesses
with WorkerProcesses(log_folder=Path(sys.argv[1]), concurrency=1) as workers:
    print(*(process.pid for process in workers.processes), flush=True)
    time.sleep(600)
"""


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.django_db(transaction=True)
def test_workers_take_messages_from_their_queues_once_they_are_ready(
    workers: WorkerProcesses, broker: Connection
) -> None:
    queues = app.control.inspect(timeout=2).active_queues() or {}

    served = {name.partition("-")[0]: {queue["name"] for queue in found} for name, found in queues.items()}
    assert served == {queue: set(both_of(queue)) for queue in QUEUES}


@pytest.mark.django_db(transaction=True)
def test_workers_that_cannot_start_are_reported_with_their_last_words(tmp_path: Path, broker: Connection) -> None:
    impossible = {**worker_environment(), "REDIS_URL": "nonsense"}

    with pytest.raises(WorkersNotReadyError, match="REDIS_URL must begin with"):
        WorkerProcesses(environment=impossible, log_folder=tmp_path).__enter__()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
def test_workers_die_with_the_process_that_started_them(
    tmp_path: Path, broker: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in worker_environment().items():
        monkeypatch.setenv(name, value)
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path)], cwd=BASE_DIR, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    pids = [int(pid) for pid in starter.stdout.readline().split()]
    assert len(pids) == 2

    starter.send_signal(signal.SIGKILL)
    starter.communicate()

    assert wait_until(lambda: not any(map(is_alive, pids)), seconds=30)
