"""What a worker process does beside running tasks, from when it is ready until it stops."""

from typing import Any

from celery.signals import worker_ready, worker_shutdown

from execution.broker import BrokerWatch
from execution.presence import Presence
from execution.recovery import Sweeper
from execution.tasks import send

_beside: list[Sweeper | Presence] = []


@worker_ready.connect
def start_beside(sender: Any, **_options: Any) -> None:
    """Take part in recovery (of all workers, one sweeps at a time), and let others know that somebody listens."""
    watch = BrokerWatch(sender.app)
    for each in (Sweeper(send, also=[watch.look]), Presence(sender.app.amqp.queues.consume_from)):
        _beside.append(each)
        each.start()


@worker_shutdown.connect
def stop_beside(**_options: Any) -> None:
    """Let another worker sweep, and be gone."""
    while _beside:
        _beside.pop().stop()
