"""What a worker process does beside running tasks, from when it is ready until it stops."""

from typing import Any

from celery.signals import worker_ready, worker_shutdown

from execution.recovery import Sweeper
from execution.tasks import send

_sweepers: list[Sweeper] = []


@worker_ready.connect
def start_sweeper(**_options: Any) -> None:
    """Take part in recovery: of all workers, one sweeps at a time."""
    sweeper = Sweeper(send)
    _sweepers.append(sweeper)
    sweeper.start()


@worker_shutdown.connect
def stop_sweepers(**_options: Any) -> None:
    """Let another worker sweep."""
    while _sweepers:
        _sweepers.pop().stop()
