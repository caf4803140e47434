"""One attempt at a node execution: what it emits on its way to the rows.

Outputs are gathered and recorded together: when enough have come, when the oldest has waited long enough to be worth
it, or at the end. Background threads of the process record what has waited while the block is busy, and renew the
leases (see `execution.keeping`).

An attempt may be one of several that were claimed at once. It waits for its turn then, and its end waits to be recorded
along with the others'. If either takes too long, because one before it isn't as quick as it should be, a background
thread gives the claim back, or records the end.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import structlog
from django.conf import settings

from execution.database_patience import DATABASE_AWAY, DatabaseAwayError, patiently
from execution.engine.statuses import Status
from execution.keeping import ClaimLostError, keeper
from execution.large_values import ValueWriter
from execution.store.claims import Claimed
from execution.store.holding import unclaim
from execution.store.parts import End, Output, Part
from execution.store.ready import Ready
from execution.store.recording import Recorded, find_standing, open_writer, record
from execution.store.taking import Taker
from execution.store.window import release
from execution.time_limits import alarm_held_back, alarm_stopped
from graphs.blocks.contract import Usage

Publish = Callable[[Sequence[Ready]], None]
# What is recorded: outputs, the position of the first of them, and who writes them.
Write = Callable[[Sequence[Output], int, ValueWriter], Recorded]
T = TypeVar("T")

# How long (seconds) an output may wait for others: the first one of an attempt, so that a stream begins soon, and those
# after it, so that it doesn't cost too much.
FIRST_FLUSH_AFTER: Final = 0.004
FLUSH_AFTER: Final = 0.02
FLUSH_COUNT: Final = 200
# How long one that is claimed along with others may wait for its turn, and its end for theirs.
PATIENCE_WITH_OTHERS: Final = 0.05

# How a node execution that nobody has claimed since may stand after its attempt's own record.
COMMITTED_STATUSES: Final = frozenset(
    {Status.RUNNING, Status.SUSPENDED, Status.REVIEW, Status.COMPLETED, Status.FAILED}
)

logger = structlog.get_logger(__name__)


def longest_question() -> float:
    """Return the seconds after which nothing that is asked patiently is still answered: the last try takes its time."""
    return 2 * float(settings.RECORD_PATIENCE_SECONDS)


def ask_patiently(work: Callable[[], T]) -> T:
    """Return what `work` reads from the database for a block; that this is away is no failure of the block.

    It doesn't count towards its time either, unless a question is never answered. Raises `ClaimLostError` after
    `RECORD_PATIENCE_SECONDS`.
    """
    try:
        with alarm_stopped(at_most=longest_question()):
            return patiently(work, seconds=settings.RECORD_PATIENCE_SECONDS)
    except DatabaseAwayError:
        raise ClaimLostError from None


class Attempt:
    """What a claimed node execution emits. Thread-safe; every record goes through `_record`, one at a time.

    `unsent` is what messages are to be sent for before it begins.
    The outputs that earlier attempts have recorded are skipped: a block emits the same again. While the database is
    away, whoever records waits, for `RECORD_PATIENCE_SECONDS`; after that the claim counts as lost.
    """

    def __init__(self, claimed: Claimed, publish: Publish) -> None:
        self.claimed = claimed
        self.log_lines: list[str] = []
        self.usage = Usage()
        self.is_lost = False
        self.unsent: list[Ready] = []
        self._publish = publish
        self._skip = claimed.output_count
        self._position = claimed.output_count
        self._buffer: list[Output] = []
        # A large value is written once, however often its record has to be tried.
        self._writer = open_writer(claimed)
        self._waiting_since = 0.0
        self._flush_after = FIRST_FLUSH_AFTER
        # Whether the last record may have been committed although it failed: its connection broke.
        self._is_in_doubt = False
        # It waits for others: for its turn, or with its end.
        self._waits_for_others_since: float | None = None
        self._has_begun = True
        self._end: End | None = None
        self._has_ended = False
        self._buffer_lock = threading.Lock()
        self._record_lock = threading.Lock()

    def emit(self, pin: str, value: Any) -> bool:
        """Take an output; return whether it is time to `flush`. Raises `ClaimLostError`."""
        if self.is_lost:
            raise ClaimLostError
        with self._buffer_lock:
            if self._skip:
                self._skip -= 1
                return False
            if not self._buffer:
                self._waiting_since = time.monotonic()
            self._buffer.append((pin, value))
            due_at = self._waiting_since + self._flush_after
            is_due = len(self._buffer) >= FLUSH_COUNT or time.monotonic() >= due_at
        if not is_due:
            keeper.expect(due_at)
        return is_due

    def send_unsent(self) -> None:
        """Send what has waited for this attempt to have its place. Raises `ClaimLostError` if it is lost by then."""
        unsent, self.unsent = self.unsent, []
        if unsent:
            self._publish(unsent)
        if self.is_lost:
            raise ClaimLostError

    def skip_recorded(self, *, at_most: int) -> int:
        """Skip up to `at_most` recorded outputs without their being emitted again; return how many that were."""
        with self._buffer_lock:
            skipped = min(self._skip, at_most)
            self._skip -= skipped
        return skipped

    def stop_skipping(self) -> None:
        """Let everything that is emitted from now on be recorded."""
        with self._buffer_lock:
            self._skip = 0

    def drop_gathered(self) -> None:
        """Forget what was emitted and not recorded: the database refuses it."""
        # Who tries to record it just now would put it back.
        with self._record_lock, self._buffer_lock:
            self._buffer, self._end = [], None

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to record: its end was, or nothing counts any more."""
        return self._has_ended or self.is_lost

    @property
    def due_at(self) -> float | None:
        """The moment (monotonic seconds) from which what waits should be seen to; None if nothing does."""
        if self.is_done:
            return None
        # It may begin just now.
        since = self._waits_for_others_since
        if since is not None:
            return since + PATIENCE_WITH_OTHERS
        return self._waiting_since + self._flush_after if self._buffer else None

    def see_to_what_waits(self) -> None:
        """Record what has been gathered, or give the claim back, if that is possible at once.

        Raises `ClaimLostError` and database errors.
        """
        if self._has_begun:
            self._record(self._write)
        else:
            self.give_back()

    def wait_for_turn(self) -> None:
        """Let others be run first."""
        self._has_begun = False
        self._wait_for_others()

    def take_turn(self) -> None:
        """Begin after others. Raises `ClaimLostError` if the claim was given back, or lost while it waited."""
        with self._record_lock:
            # Who has waited for nobody has messages to send all the same (see `send_unsent`).
            if self.is_lost and not self._has_begun:
                raise ClaimLostError
            self._has_begun, self._waits_for_others_since = True, None

    def give_back(self) -> None:
        """Let somebody else have the claim, unless it has begun. Raises database errors."""
        with self._record_lock:
            if self._has_begun or self.is_lost:
                return
            unclaim([self.claimed])
            self.is_lost = True
        self._publish(release([self.claimed.tree_id]))

    def keep_end(self, end: End) -> None:
        """Let the end wait to be recorded along with others (see `execution.joint_records`)."""
        self._wait_for_others()
        with self._buffer_lock:
            self._end = end

    def unrecorded(self) -> Part | None:
        """Return what it would record, if nothing of it has been recorded yet, nor is just being."""
        if not self._record_lock.acquire(blocking=False):
            return None
        try:
            if self.is_done or self._is_in_doubt or self._position:
                return None
            with self._buffer_lock:
                outputs, end = list(self._buffer), self._end
        finally:
            self._record_lock.release()
        return Part(claimed=self.claimed, outputs=outputs, position=0, writer=self._writer, end=end)

    def _wait_for_others(self) -> None:
        self._waits_for_others_since = time.monotonic()
        keeper.expect(self._waits_for_others_since + PATIENCE_WITH_OTHERS)

    @contextmanager
    def recording(self) -> Iterator[Part | None]:
        """Keep others from recording while the block of code lasts, in which that is done; None if nothing is to be."""
        with self._record_lock:
            if self.is_lost or self._has_ended or self._is_in_doubt:
                yield None
                return
            part = self._gather()
            try:
                yield part
            except BaseException as error:
                self._put_back(part, error)
                raise
            self._note_recorded(part)

    def flush(self) -> None:
        """Record what has been gathered. Raises `ClaimLostError`."""
        self._record_patiently(self._write)

    def end(self, end: End, *, taker: Taker | None = None) -> None:
        """Record the rest and the end; `taker` takes what to go on with. Raises `ClaimLostError`."""
        self._record_patiently(lambda part: self._write(part, taker), end=end)

    def suspend(self, write: Write) -> None:
        """Record the rest and a suspension, with `write`. Raises `ClaimLostError`."""
        self._record_patiently(lambda part: write(part.outputs, part.position, part.writer))

    def _write(self, part: Part, taker: Taker | None = None) -> Recorded:
        if not part.outputs and part.end is None:
            # Others recorded them while this waited for its turn, perhaps with the end: asked, the fence would refuse.
            return Recorded(accepted=True)
        return record(
            part.claimed,
            outputs=part.outputs,
            position=part.position,
            end=part.end,
            taker=taker,
            writer=part.writer,
        )

    def _record_patiently(self, write: Callable[[Part], Recorded], *, end: End | None = None) -> None:
        try:
            with alarm_held_back():
                patiently(lambda: self._record(write, end=end), seconds=settings.RECORD_PATIENCE_SECONDS)
        except DatabaseAwayError:
            logger.warning("gave up recording; recovery will run it again", node_execution=str(self.claimed.id))
            self.is_lost = True
            raise ClaimLostError from None

    def _record(self, write: Callable[[Part], Recorded], *, end: End | None = None) -> None:
        with self._record_lock:
            if self.is_lost:
                raise ClaimLostError
            if self._has_ended or (self._is_in_doubt and self._was_committed()):
                return
            part = self._gather(end)
            try:
                with alarm_held_back():
                    recorded = write(part)
            except BaseException as error:
                self._put_back(part, error)
                raise
            self._note_recorded(part)
        self.settle(recorded)

    def settle(self, recorded: Recorded) -> None:
        """Send what a record has made ready. Raises `ClaimLostError` if it was refused."""
        if not recorded.accepted:
            self.is_lost = True
            raise ClaimLostError
        if recorded.ready:
            self._publish(recorded.ready)

    def _gather(self, end: End | None = None) -> Part:
        """Take what is to be recorded. The end that is kept is taken along: later it may be of more outputs."""
        with self._buffer_lock:
            outputs, self._buffer = self._buffer, []
            end = end or self._end
        return Part(claimed=self.claimed, outputs=outputs, position=self._position, writer=self._writer, end=end)

    def _put_back(self, part: Part, error: BaseException) -> None:
        self._is_in_doubt = isinstance(error, DATABASE_AWAY)
        with self._buffer_lock:
            self._buffer = [*part.outputs, *self._buffer]

    def _note_recorded(self, part: Part) -> None:
        self._position += len(part.outputs)
        self._writer = open_writer(self.claimed)
        self._flush_after = FLUSH_AFTER
        self._has_ended = part.end is not None

    def log_lost(self) -> None:
        """Say in the log that others have this node execution now, or nobody any more."""
        logger.info("claim lost", node_execution=str(self.claimed.id), execution=str(self.claimed.execution_id))

    def _was_committed(self) -> bool:
        """Find out what became of a record whose connection broke; return whether the attempt's end was recorded.

        What it made ready was not sent: recovery sends it.
        """
        standing = find_standing(self.claimed)
        self._is_in_doubt = False
        if not standing.is_ours or standing.status not in COMMITTED_STATUSES:
            self.is_lost = True
            raise ClaimLostError
        with self._buffer_lock:
            del self._buffer[: standing.output_count - self._position]
        self._position = standing.output_count
        self._has_ended = standing.status is not Status.RUNNING
        return self._has_ended
