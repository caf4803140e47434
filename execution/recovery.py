"""Going on with what waits: timers that are due and promises whose worker or message is lost.

Any process may do it; one at a time does, by a lock that the database gives back when its holder dies. Nothing here
relies on being alone: each change is one guarded statement, so two at once merely share the work.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from execution.engine.outputs import ERROR_PIN
from execution.engine.statuses import Status
from execution.leader_watch import LEADS, LeaderWatch
from execution.store.admission import admit_forgotten
from execution.store.claims import Hold
from execution.store.clock import ClockWatch
from execution.store.losses import correct_leases, queue_lost_again, take_over_hopeless
from execution.store.messages import correct_queue_times, take_lost
from execution.store.parking import queue_what_can_be_paid
from execution.store.parts import End
from execution.store.ready import Ready
from execution.store.recording import record
from execution.store.run_limits import end_overdue, find_overdue
from execution.store.waits import seconds_to_next_wake, wake_due
from execution.store.window import release, release_forgotten

Send = Callable[[Sequence[Ready]], None]
Step = Callable[[], None]

LEADER_LOCK: Final = 0x0C3A_11ED
LONGEST_PAUSE: Final = 1.0
# Timers ring as soon as they are due, at most so often; what else a sweep does is done once in a while.
SHORTEST_PAUSE: Final = 0.01
REST_SECONDS: Final = 0.25
BATCH: Final = 500
# How much of a lease whoever lives gets to renew it after the database was away.
PATIENCE_OF_LEASE: Final = 0.5

logger = structlog.get_logger(__name__)


class Sweeper:
    """A thread that sweeps while it is the leader, and waits to become it while it is not."""

    def __init__(self, send: Send, *, also: Sequence[Step] = ()) -> None:
        """`also`: what to do in each sweep beside `sweep` itself."""
        self._send = send
        self._also = also
        self._clock = ClockWatch()
        self._leader = LeaderWatch(LEADER_LOCK)
        self._rests_until = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="sweeper", daemon=True)

    def start(self) -> None:
        """Begin sweeping."""
        self._thread.start()

    def stop(self) -> None:
        """Stop sweeping, and let somebody else lead."""
        self._stopping.set()
        self._thread.join(timeout=5)

    def _loop(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            try:
                pause = self._take_turn()
            except DatabaseError as error:
                logger.warning("sweeper can't reach the database", error=str(error))
                pause = LONGEST_PAUSE
                close_old_connections()
            except Exception:  # whatever it was, somebody has to sweep
                logger.exception("a turn of the sweeper failed")
                pause = LONGEST_PAUSE
                close_old_connections()
        connection.close()

    def _take_turn(self) -> float:
        """Sweep, or only wake what is due if the last sweep was just now; return how long (seconds) to pause."""
        if time.monotonic() < self._rests_until:
            _wake(self._send)
            return _pause()
        self._rests_until = time.monotonic() + REST_SECONDS
        leads = lead(self._leader)
        self._clock.look()
        return sweep(self._send, also=self._also, before_limits=self._clock.look) if leads else LONGEST_PAUSE


def lead(watch: LeaderWatch | None = None) -> bool:
    """Whether this database session leads: it takes the lock if nobody has it, and keeps it until it closes.

    A leader asks something at least every second. With a `watch`, one that does not loses its session, and the next
    who asks has the lock.
    """
    with connection.cursor() as cursor:
        cursor.execute(LEADS, {"lock": LEADER_LOCK})
        (leads,) = cursor.fetchone()
    if not leads and watch is not None and watch.oust_frozen(_ask):
        logger.warning("ended the session of a leader that did nothing any more")
    return bool(leads)


def _ask(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def sweep_once(send: Send, *, also: Sequence[Step] = ()) -> bool:
    """Sweep, unless somebody leads: who leads sweeps all the time. Return whether this has swept."""
    if not lead():
        return False
    clock = ClockWatch()
    try:
        clock.look()
        sweep(send, also=also, before_limits=clock.look)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LEADER_LOCK])
    return True


def sweep(send: Send, *, also: Sequence[Step] = (), before_limits: Callable[[], object] = lambda: None) -> float:
    """Go on with whatever waits for no good reason; return how many seconds the next sweep may wait.

    `before_limits` is called before runs are ended for their time, which can't be taken back.
    """
    steps: list[Step] = [
        lambda: _wake(send),
        lambda: _take_back(send),
        lambda: _give_up(send),
        lambda: _end_overdue(send, before_limits),
        lambda: send(release(queue_what_can_be_paid(limit=BATCH))),
        lambda: send(admit_forgotten()),
        lambda: send(release_forgotten()),
        *also,
        lambda: _send_again(send),
        _correct_times,
    ]
    for step in steps:
        try:
            step()
        except Exception:  # what one step meets, or one poor row, must not keep the others from going on
            logger.exception("a step of recovery failed")
            close_old_connections()
    return _pause()


def _pause() -> float:
    until_next = seconds_to_next_wake()
    if until_next is None:
        return LONGEST_PAUSE
    return min(LONGEST_PAUSE, max(SHORTEST_PAUSE, until_next))


def _wake(send: Send) -> None:
    count = BATCH
    while count == BATCH:
        count, ready = wake_due(limit=BATCH)
        send(ready)


def _take_back(send: Send) -> None:
    """Queue again what a lost worker ran."""
    ready = queue_lost_again(most_losses=settings.MAX_LOSSES, patience=_patience(), limit=BATCH)
    if ready:
        logger.warning("workers lost", node_executions=[str(each.id) for each in ready])
        send(ready)


def _give_up(send: Send) -> None:
    """End what has lost too many workers: the node fails, the run goes on by its rules."""
    while hopeless := take_over_hopeless(
        most_losses=settings.MAX_LOSSES, patience=_patience(), lease_seconds=settings.LEASE_SECONDS
    ):
        send(
            give_up(
                hopeless,
                error=f"Its worker died {settings.MAX_LOSSES} times while the node ran: does it take too much memory?",
            )
        )


def give_up(hopeless: Hold, *, error: str) -> tuple[Ready, ...]:
    """Let a node execution fail that was taken for that; return what became QUEUED by it."""
    logger.error("gave up on a node execution", node_execution=str(hopeless.id), error=error)
    recorded = record(
        hopeless,
        outputs=[(ERROR_PIN, error)],
        position=hopeless.output_count,
        end=End(status=Status.FAILED, error=error),
    )
    return recorded.ready


def _end_overdue(send: Send, before_limits: Callable[[], object]) -> None:
    before_limits()
    for execution_id in find_overdue():
        send(end_overdue(execution_id))


def _send_again(send: Send) -> None:
    """Send again what was lost on its way, not too much at once."""
    ready = take_lost(patience=settings.MESSAGE_PATIENCE_SECONDS, limit=BATCH)
    if ready:
        logger.warning("messages lost", count=len(ready))
        send(ready)


def _correct_times() -> None:
    corrected = correct_leases(lease_seconds=settings.LEASE_SECONDS) + correct_queue_times()
    if corrected:
        logger.warning("the database's clock was set back", corrected=corrected)


def _patience() -> float:
    return float(settings.LEASE_SECONDS) * PATIENCE_OF_LEASE
