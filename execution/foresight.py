"""What comes of node executions, told before that is recorded: quick blocks may run on it at once.

A record costs more than such a block. So a process that goes on runs ahead, as long as all that comes are executions of
quick blocks, and few enough to be recorded together. What was run ahead has no claim: if the process dies, or is told
to stop, or it comes otherwise than foreseen, it has not been, and is run once more. The block doesn't notice; Flower
and the log have heard of it, and a large output stays with the run's files.
"""

import time
from collections.abc import Callable, Sequence

import structlog
from django.conf import settings

from execution.attempts import Attempt
from execution.engine.statuses import Status
from execution.keeping import ClaimLostError
from execution.outcomes import proves_pace
from execution.outlook import Coming, Outlook
from execution.paces import paces
from execution.store.claims import Claimed
from execution.store.parts import End, Foreseen, Part
from execution.store.ready import Ready

Run = Callable[[Attempt], End | None]

logger = structlog.get_logger(__name__)


def run_ahead(ended: Sequence[tuple[Attempt, End]], *, run: Run) -> list[Foreseen]:
    """Run what comes of attempts of one run that have come to these ends, and of that, and so on. The ends wait for it.

    Those of several are kept already (see `Attempt.keep_end`). `run` returns the end of another attempt, as the runner
    does.
    """
    if not all(_leads_on(attempt.claimed, end) for attempt, end in ended):
        return []
    attempts = [attempt for attempt, _ in ended]
    if len(ended) == 1:
        # A look takes its time: nothing is to be recorded by itself meanwhile.
        attempts[0].keep_end(ended[0][1])
    parts = [part for attempt in attempts if (part := attempt.unrecorded()) is not None]
    if len(parts) < len(ended):
        # Others have recorded what these have emitted meanwhile, so that has led on already.
        return []
    outlook, room = Outlook(parts, first=attempts[0].claimed), settings.MOST_AT_ONCE - len(ended)
    coming = _follow(outlook, parts, room=room)
    foreseen: list[Foreseen] = []
    while coming:
        parts = []
        for each in coming:
            part = None if any(attempt.is_done for attempt in attempts) else _run_one(each.claimed, run)
            if part is None:
                return foreseen
            foreseen.append(Foreseen(firing=each.firing, text=each.text, part=part))
            parts.append(part)
        coming = _follow(outlook, parts, room=room - len(foreseen))
    return foreseen


def _leads_on(claimed: Claimed, end: End) -> bool:
    # Where a node runs for the second time, those after it do, too: they may have to wait for the first.
    is_first = claimed.is_fresh and claimed.ordinal == 0
    return end.status is Status.COMPLETED and is_first and paces.is_quick(claimed.spec)


def _follow(outlook: Outlook, parts: Sequence[Part], *, room: int) -> list[Coming]:
    try:
        return outlook.follow(parts, room=room)
    except Exception:  # whatever it is, what has ended is recorded, and what comes of it is claimed
        logger.exception("can't foresee what comes", node_execution=str(parts[0].claimed.id))
        return []


def _run_one(claimed: Claimed, run: Run) -> Part | None:
    """Return what it came to; None if it doesn't simply complete: then it is run once more, with a claim."""
    attempt, began, end = Attempt(claimed, _send_nothing), time.monotonic(), None
    try:
        end = run(attempt)
    except ClaimLostError:
        # It was so slow, or waits for something, that it was to be recorded.
        pass
    finally:
        paces.note(claimed.spec, time.monotonic() - began, is_proof=proves_pace(attempt, end))
    if end is None or end.status is not Status.COMPLETED:
        paces.note_in_vain([claimed.spec])
        return None
    attempt.keep_end(end)
    return attempt.unrecorded()


def _send_nothing(_ready: Sequence[Ready]) -> None:
    pass
