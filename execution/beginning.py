"""How a worker comes by an attempt: by a message that names a node execution, or by what its last record made ready."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from uuid import UUID, uuid4

import structlog
from django.conf import settings

from execution.attempts import Attempt, Publish
from execution.database_patience import DATABASE_AWAY, DatabaseAwayError, patiently
from execution.engine.outputs import ERROR_PIN
from execution.engine.statuses import Status
from execution.keeping import ClaimLostError, keeper
from execution.paces import paces
from execution.store.claims import Claimed, new_tokens
from execution.store.holding import (
    InputsAwayError,
    claim_and_hold,
    claim_held_back_and_hold,
    claim_with_others_and_hold,
    unclaim,
    unclaim_held,
)
from execution.store.parts import End
from execution.store.ready import Ready
from execution.store.taking import Taker
from execution.store.window import release

logger = structlog.get_logger(__name__)


def begin(node_execution_id: UUID, *, publish: Publish) -> Attempt | None:
    """Claim a node execution; None if there is nothing to do: it was claimed before, or its run has ended."""
    claimed = _claim(node_execution_id, uuid4())
    return next(iter(_begin_all([claimed] if claimed else [], publish)), None)


def begin_with_others(node_execution_id: UUID, *, publish: Publish) -> list[Attempt]:
    """Claim a node execution, and what goes together with it; nothing if there is nothing to do."""
    tokens = new_tokens(settings.MOST_AT_ONCE)
    try:
        with _given_back_on_error(tokens):
            claims = claim_with_others_and_hold(node_execution_id, tokens=tokens, lease_seconds=settings.LEASE_SECONDS)
    except Exception as error:  # noqa: BLE001 - whatever it is, it may be the others' fault
        logger.warning("can't claim with others", error=_describe(error))
        claimed = _claim(node_execution_id, uuid4())
        claims = [claimed] if claimed else []
    return _begin_all(claims, publish)


def _claim(node_execution_id: UUID, token: UUID) -> Claimed | None:
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
    return claimed


def begin_next(taker: Taker, *, publish: Publish) -> list[Attempt]:
    """Go on with what was taken when a node execution was recorded: attempts of one run, none if that is nothing.

    Messages for the rest are sent by the first one once it has its place, or at once if there is none: while the broker
    can't be reached that takes seconds, in which a claim is to be looked after and can be stopped.
    """
    taken = [*(token for _, token in taker.to_claim), *(claimed.token for claimed in taker.claimed)]
    tokens = taken or new_tokens(taker.most)
    try:
        with _given_back_on_error(tokens):
            claims = _claim_taken(taker) if taken else _claim_held_back(taker, tokens)
    except Exception as error:  # noqa: BLE001 - whatever it is, what comes by a message is claimed by itself
        logger.warning("can't go on with a run; others will", error=_describe(error))
        claims = []
    attempts = _begin_all(claims, publish, unsent=taker.unsent)
    if not claims and (taken or taker.run_holds_back):
        # Nobody has claimed anything, so nobody has seen to the window.
        publish(_release(taker.tree_id, few=paces.is_quick(taker.previous.spec)))
    return attempts


def _claim_taken(taker: Taker) -> Sequence[Claimed]:
    claims = [found for ready, token in taker.to_claim if (found := _claim(ready.id, token))]
    return taker.claimed or _put_off_unpaid(claims)


def _claim_held_back(taker: Taker, tokens: Sequence[UUID]) -> Sequence[Claimed]:
    if not taker.run_holds_back:
        return []
    return claim_held_back_and_hold(
        taker.tree_id, run_id=taker.run_id, tokens=tokens, lease_seconds=settings.LEASE_SECONDS
    )


@contextmanager
def _given_back_on_error(tokens: Collection[UUID]) -> Iterator[None]:
    """Give back what these tokens hold if the block of code fails: nobody will run it, nor renew its lease."""
    try:
        yield
    except BaseException:
        _give_back(tokens)
        raise


def _give_back(tokens: Collection[UUID]) -> None:
    """Never raises: there is an error already."""
    if not tokens:
        return
    try:
        patiently(lambda: unclaim_held(tokens), seconds=settings.LEASE_SECONDS)
    except DatabaseAwayError as error:
        logger.warning("can't tell whether there are claims; their leases would run out", error=str(error).strip())
    except Exception:
        logger.exception("claims can't be given back; their leases will run out")


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip()


def _put_off_unpaid(claims: Sequence[Claimed]) -> Sequence[Claimed]:
    """Return the claims that are paid, if there are any: the others wait for them, as where all are claimed at once."""
    unpaid = [claimed for claimed in claims if claimed.is_unpaid]
    if not unpaid or all(claimed.is_unpaid or claimed.is_parked for claimed in claims):
        return claims
    unclaim(unpaid)
    return [replace(claimed, run_holds_back=True) for claimed in claims if claimed not in unpaid]


def _begin_all(claims: Sequence[Claimed], publish: Publish, *, unsent: Sequence[Ready] = ()) -> list[Attempt]:
    """Return attempts for the claims, but for those that are parked or refused; `unsent` is for the first to send."""
    attempts = [Attempt(claimed, publish) for claimed in claims if not claimed.is_parked]
    try:
        with _given_back_on_error([attempt.claimed.token for attempt in attempts]):
            if any(claimed.may_send_next for claimed in claims):
                unsent = [*_release(claims[0].tree_id, few=paces.is_quick(claims[0].spec)), *unsent]
            if not attempts:
                publish(unsent)
                return []
            attempts[0].unsent += unsent
            for attempt in attempts:
                keeper.hold(attempt)
            return [attempt for attempt in attempts if not _is_refused(attempt, publish)]
    except BaseException:
        for attempt in attempts:
            keeper.let_go(attempt)
        publish(unsent)
        raise


def _is_refused(attempt: Attempt, publish: Publish) -> bool:
    """Whether it is not to run: then it has ended with this."""
    if not attempt.claimed.refusal:
        return False
    _refuse(attempt, attempt.claimed.refusal)
    publish(attempt.unsent)
    return True


def _refuse(attempt: Attempt, reason: str) -> None:
    """End an attempt that is not to run. One that can't be paid fails its run."""
    try:
        attempt.stop_skipping()
        attempt.emit(ERROR_PIN, reason)
        attempt.end(End(status=Status.FAILED, error=reason, is_unpaid=attempt.claimed.is_unpaid))
    except ClaimLostError:
        attempt.log_lost()
    except Exception:  # its lease runs out, and that counts: it must not go round for ever
        logger.exception("a refusal can't be recorded", node_execution=str(attempt.claimed.id))
        attempt.is_lost = True
    finally:
        keeper.let_go(attempt)


def _release(tree_id: UUID, *, few: bool) -> list[Ready]:
    """Return what the tree's window has room for."""
    try:
        return release([tree_id], few=few)
    except DATABASE_AWAY as error:
        logger.warning("can't send the next of a run; the sweeper will", error=str(error).strip())
        return []
