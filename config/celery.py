"""The Celery app."""

import os
import signal
from pathlib import Path
from typing import Any, Final

from celery import Celery
from celery.fixups.django import DjangoWorkerFixup  # type: ignore[attr-defined]
from celery.signals import beat_init, celeryd_init, setup_logging, worker_init, worker_process_init, worker_ready
from celery.worker.consumer import Consumer
from django.db import connections
from kombu.transport.redis import Channel as RedisChannel

from config.startup import STARTUP_ERRORS, require_broker, require_database
from execution.workers import READY_FILE_VARIABLE, die_with_parent
from graphs.blocks.registry import all_interfaces

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def _close_broken_connections(_fixup: DjangoWorkerFixup, **_options: Any) -> None:
    for connection in connections.all(initialized_only=True):
        if connection.errors_occurred:
            connection.close_if_unusable_or_obsolete()


# The fix-up as it comes opens a new connection for each task (twice the time of a hop). A connection is kept, and
# closed after an error. It is not asked each time whether it still lives: what a task does first, it does patiently.
DjangoWorkerFixup.close_database = _close_broken_connections

# When its connection breaks, a channel would send its unacknowledged messages again. That fails while the broker is
# away, which ends the worker; and our rows know better what is lost.
RedisChannel.do_restore = False

_make_client = RedisChannel._create_client  # type: ignore[attr-defined] # newer than its stubs


def _keep_client(channel: Any, asynchronous: bool = False) -> Any:
    pool = channel.async_pool if asynchronous else channel.pool
    kept = vars(channel).setdefault("kept_clients", {})
    if asynchronous not in kept or kept[asynchronous].connection_pool is not pool:
        kept[asynchronous] = _make_client(channel, asynchronous=asynchronous)
    return kept[asynchronous]


# As it comes a channel makes itself a client for each command, a fifth of what sending a message takes. All of them
# share the channel's pool of connections anyway.
RedisChannel._create_client = _keep_client  # type: ignore[attr-defined]

# What Celery asks its settings for with each message.
ASKED_PER_MESSAGE: Final = (
    "broker_pool_acquire_timeout",
    "task_always_eager",
    "task_repr_maxlevels",
    "task_send_sent_event",
)

# Seconds that an event for Flower may wait for others.
EVENT_PATIENCE: Final = 0.1


def _flush_events_later(consumer: Any) -> None:
    if consumer.hub is None or getattr(consumer, "flush_is_due", False):
        return

    def flush() -> None:
        consumer.flush_is_due = False
        consumer._flush_events()

    consumer.flush_is_due = True
    consumer.hub.call_later(EVENT_PATIENCE, flush)


# As it comes a worker sends its events in each turn of its loop: half of the processor time of its main process.
Consumer.on_send_event_buffered = _flush_events_later  # type: ignore[method-assign,assignment]

app = Celery("config")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.autodiscover_tasks(related_name="worker_life")
app.autodiscover_tasks(related_name="upkeep")


@app.on_after_configure.connect
def remember_settings(sender: Celery, **_options: Any) -> None:
    """Keep what is asked for with each message in front: the way through Django's settings is a sixth of the time.

    They don't change any more then, not even if Django's settings do.
    """
    sender.conf.update({name: sender.conf[name] for name in ASKED_PER_MESSAGE})


@setup_logging.connect
def keep_django_logging(**_options: Any) -> None:
    """Let the worker log as settings.LOGGING says: with a receiver here Celery does not set up its own."""


@celeryd_init.connect
@beat_init.connect
def require_servers(**_options: Any) -> None:
    """Start the embedded servers for a worker or beat that was started by hand."""
    try:
        require_database()
        require_broker()
    except STARTUP_ERRORS as error:
        raise SystemExit(str(error)) from error


@worker_init.connect
def load_blocks(**_options: Any) -> None:
    """Import the blocks before the pool's processes are forked: each would take half a second for it."""
    all_interfaces()


@worker_process_init.connect
def end_with_worker(**_options: Any) -> None:
    """Leave no child behind when a worker is killed."""
    die_with_parent(signal.SIGKILL)


@worker_ready.connect
def announce_ready(**_options: Any) -> None:
    """Tell whoever started this worker that it takes messages, and which process does."""
    if path := os.environ.get(READY_FILE_VARIABLE):
        Path(path).write_text(str(os.getpid()))
