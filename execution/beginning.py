"""How a worker comes by an attempt: by a message that names a node execution, or by what its last record made ready."""

from uuid import UUID, uuid4

import structlog
from django.conf import settings

from execution.attempts import Attempt, ClaimLostError, Publish, keeper
from execution.database_patience import DATABASE_AWAY, DatabaseAwayError, patiently
from execution.engine.outputs import ERROR_PIN
from execution.engine.statuses import Status
from execution.store.claims import Claimed
from execution.store.holding import InputsAwayError, claim_and_hold, claim_held_back_and_hold
from execution.store.ready import Ready
from execution.store.recording import End
from execution.store.taking import Taker
from execution.store.window import release

logger = structlog.get_logger(__name__)


def begin(node_execution_id: UUID, *, publish: Publish, token: UUID | None = None) -> Attempt | None:
    """Claim a node execution; None if there is nothing to do: it was claimed before, or its run has ended.

    `token`: what it may have been claimed with by this process.
    """
    token = token or uuid4()
    try:
        claimed = patiently(
            lambda: claim_and_hold(node_execution_id, lease_seconds=settings.LEASE_SECONDS, token=token),
            seconds=settings.RECORD_PATIENCE_SECONDS,
            away=(*DATABASE_AWAY, InputsAwayError),
        )
    except DatabaseAwayError:
        logger.warning("gave up claiming; recovery will send it again", node_execution=str(node_execution_id))
        return None
    if claimed is None:
        logger.debug("nothing to claim", node_execution=str(node_execution_id))
        return None
    return _begin(claimed, publish)


def begin_next(taker: Taker, *, publish: Publish) -> Attempt | None:
    """Go on with what was taken when a node execution was recorded; None if that is nothing.

    Messages for the rest are sent by the attempt once it has its place, or at once if there is none: while the broker
    can't be reached that takes seconds, in which a claim is to be looked after and can be stopped.
    """
    attempt = _begin_taken(taker, publish)
    if attempt is not None:
        attempt.unsent += taker.unsent
        return attempt
    publish(taker.unsent)
    if taker.ready is None and taker.run_holds_back:
        # Nobody has claimed anything, so nobody has seen to the window.
        publish(_release(taker.tree_id))
    return None


def _begin_taken(taker: Taker, publish: Publish) -> Attempt | None:
    if taker.claimed is not None:
        return _begin(taker.claimed, publish)
    if taker.ready is not None:
        return begin(taker.ready.id, publish=publish, token=taker.token)
    if not taker.run_holds_back:
        return None
    try:
        claimed = claim_held_back_and_hold(taker.tree_id, lease_seconds=settings.LEASE_SECONDS)
    except (*DATABASE_AWAY, InputsAwayError) as error:
        logger.warning("can't go on with a run; the sweeper will", error=str(error).strip())
        return None
    return _begin(claimed, publish) if claimed else None


def _begin(claimed: Claimed, publish: Publish) -> Attempt | None:
    attempt = Attempt(claimed, publish)
    if claimed.may_send_next:
        attempt.unsent += _release(claimed.tree_id)
    # Last: between here and its end nothing may fail that would leave it with the keeper for ever.
    keeper.hold(attempt)
    if claimed.refusal:
        _refuse(attempt, claimed.refusal)
        publish(attempt.unsent)
        return None
    return attempt


def _refuse(attempt: Attempt, reason: str) -> None:
    """End an attempt that is not to run. One that can't be paid fails its run."""
    try:
        attempt.stop_skipping()
        attempt.emit(ERROR_PIN, reason)
        attempt.end(End(status=Status.FAILED, error=reason, is_unpaid=attempt.claimed.is_unpaid))
    except ClaimLostError:
        attempt.log_lost()
    finally:
        keeper.let_go(attempt)


def _release(tree_id: UUID) -> list[Ready]:
    """Return what the tree's window has room for."""
    try:
        return release([tree_id])
    except DATABASE_AWAY as error:
        logger.warning("can't send the next of a run; the sweeper will", error=str(error).strip())
        return []
