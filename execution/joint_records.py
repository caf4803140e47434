"""The ends of several attempts of one run in one transaction: what its lock and its commit take is paid for once.

It is tried once. What can't be recorded so is left to each attempt, which knows how to wait for the database, and what
to do with a result that can't be stored.
"""

from collections.abc import Sequence
from contextlib import ExitStack

import structlog

from execution.attempts import Attempt
from execution.database_patience import DATABASE_AWAY
from execution.keeping import ClaimLostError
from execution.paces import paces
from execution.store.parts import Foreseen, ForesightError, Part
from execution.store.recording import JointlyRecorded, Recorded, record_jointly
from execution.store.taking import Taker

logger = structlog.get_logger(__name__)


def record_ends(attempts: Sequence[Attempt], *, taker: Taker | None, foreseen: Sequence[Foreseen] = ()) -> None:
    """Record the ends that attempts of one run keep (see `Attempt.keep_end`), and send what that makes ready.

    `taker` takes what to go on with; `foreseen` is what was run ahead of the record.
    """
    try:
        offering, recorded = _record(attempts, taker, foreseen)
    except DATABASE_AWAY as error:
        logger.warning("ends can't be recorded together", count=len(attempts), error=str(error).strip())
        return
    except Exception:  # whatever it is, each attempt meets it again, and deals with it
        logger.exception("ends can't be recorded together", count=len(attempts))
        return
    ready = recorded.ready
    for attempt in offering:
        try:
            attempt.settle(Recorded(accepted=attempt.claimed.token in recorded.accepted, ready=ready))
            ready = ()
        except ClaimLostError:
            attempt.log_lost()


def _record(
    attempts: Sequence[Attempt], taker: Taker | None, foreseen: Sequence[Foreseen]
) -> tuple[list[Attempt], JointlyRecorded]:
    with ExitStack() as stack:
        offered = [(attempt, stack.enter_context(attempt.recording())) for attempt in attempts]
        parts = [part for _, part in offered if part is not None]
        # Where others have recorded one meanwhile, that has led on already.
        foreseen = foreseen if len(parts) == len(attempts) else ()
        recorded = _record_parts(parts, taker, foreseen) if parts else JointlyRecorded()
    return [attempt for attempt, part in offered if part is not None], recorded


def _record_parts(parts: Sequence[Part], taker: Taker | None, foreseen: Sequence[Foreseen]) -> JointlyRecorded:
    try:
        return record_jointly(parts, taker=taker, foreseen=foreseen)
    except ForesightError as error:
        paces.note_in_vain([each.claimed.spec for each in error.culprits])
        return record_jointly(parts, taker=taker)
