"""What a worker process does beside running tasks, from when it is ready until it stops."""

from typing import Any

from billiard.process import current_process
from celery.signals import (
    celeryd_after_setup,
    worker_init,
    worker_process_init,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)
from celery.worker.control import control_command
from celery.worker.state import revoked

from execution.broker import BrokerWatch
from execution.coroutines import coroutines
from execution.departure import Departure
from execution.endings import end_overdue
from execution.loop_watch import take_left_behind
from execution.places import MAX_PLACES, Places, take_place
from execution.pool_leases import PoolLeases
from execution.presence import Presence
from execution.queues import QUEUES, backlog_of
from execution.recovery import Sweeper
from execution.stopper import Stopper, Workplace
from execution.tasks import DROP_MESSAGES, send

_beside: list[Sweeper | Presence | PoolLeases | Stopper | Departure] = []
_places: list[Places] = []


@control_command(name=DROP_MESSAGES, args=[("message_ids", list)])
def drop_messages(_state: Any, message_ids: list[str]) -> dict[str, str]:
    """Revoke messages: this worker drops them when they come."""
    revoked.update(message_ids)
    return {"ok": f"{len(message_ids)} messages will be dropped"}


@celeryd_after_setup.connect
def take_backlogs(instance: Any, **_options: Any) -> None:
    """Let the worker take from the backlogs of its queues, too."""
    queues = instance.app.amqp.queues
    for queue in set(QUEUES) & set(queues.consume_from):
        queues.select_add(backlog_of(queue))


@worker_init.connect
def lay_places(sender: Any, **_options: Any) -> None:
    """Make the table in which the pool's processes say what they run, before there are any."""
    _places.append(Places(replace_dead=lambda: sender.hub.call_soon(sender.pool.maintain_pool)))


@worker_process_init.connect
def take_own_place(**_options: Any) -> None:
    """Let the worker know what this process of its pool runs, and end it."""
    take_place(_places[0], getattr(current_process(), "index", MAX_PLACES))


@worker_ready.connect
def start_beside(sender: Any, **_options: Any) -> None:
    """Take part in recovery (of all workers, one sweeps at a time), say that somebody listens, stop blocks."""
    watch = BrokerWatch(sender.app)
    queues = sender.app.amqp.queues.consume_from
    workplaces: list[Workplace] = [*_places, coroutines]
    stopper = Stopper(workplaces, end_overdue=lambda running: end_overdue(running, publish=send))
    sweeper = Sweeper(send, also=[watch.look])
    for each in (sweeper, Presence(queues), PoolLeases(_places), stopper, Departure(workplaces, send)):
        _beside.append(each)
        each.start()
    send(take_left_behind())


@worker_shutting_down.connect
def begin_departure(**_options: Any) -> None:
    """Let what runs end within the grace period."""
    for each in _beside:
        if isinstance(each, Departure):
            each.begin()


@worker_shutdown.connect
def stop_beside(**_options: Any) -> None:
    """Let another worker sweep, and be gone."""
    while _beside:
        _beside.pop().stop()
