"""What a worker does with a claimed node execution: run the block, record. It never sends: it is told how to.

A block is a generator of emissions and waits. A plain one is pulled in the calling thread, an async one on the event
loop with the database work in threads; what an item means is the same for both.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, TypeVar, cast

import structlog
from django.conf import settings
from django.db import connection

from execution.attempts import Attempt, ask_patiently, longest_question
from execution.context import build_context
from execution.coroutines import Leash, coroutines
from execution.endings import end_or_retry
from execution.engine.outputs import ERROR_PIN
from execution.engine.statuses import Status
from execution.foresight import run_ahead
from execution.interruptions import AttemptStoppedError, run_open
from execution.joint_records import record_ends
from execution.keeping import ClaimLostError, keeper
from execution.outcomes import Times, complete, fail, proves_pace, spend
from execution.paces import paces
from execution.places import Running, stoppable
from execution.preparation import Prepared, check_output, prepare
from execution.store.claims import Claimed
from execution.store.parts import End, Foreseen
from execution.store.taking import Taker
from execution.time_limits import OVERDUE_SECONDS, TimeLimitError, alarm_after
from execution.waiting import SuspendedError, Waits
from graphs.blocks.confinement import start_over
from graphs.blocks.contract import Block, BlockContext, Yielded
from graphs.exceptions import BlockError

logger = structlog.get_logger(__name__)

T = TypeVar("T")

Told = Callable[[Claimed], AbstractContextManager[None]]
"""Told that a node execution runs as long as a block of code lasts."""

GoesOn = Callable[[], bool]


def never() -> bool:
    """No process goes on in place."""
    return False


def _tell_nobody(_claimed: Claimed) -> AbstractContextManager[None]:
    return nullcontext()


def run_plain(attempts: Sequence[Attempt], *, goes_on: GoesOn = never, told: Told = _tell_nobody) -> Taker:
    """Run claimed node executions of one run to their ends, or to where they wait. Blocks the thread.

    Several are run one after the other, and those that complete are recorded together. If the process then `goes_on`,
    some of what it makes ready may be taken; for the rest messages are sent. Others are `told` of each block that runs.
    """
    taker = Taker(attempts[0].claimed, lease_seconds=settings.LEASE_SECONDS)
    for attempt in attempts[1:]:
        attempt.wait_for_turn()
    ends: list[tuple[Attempt, End]] = []
    foreseen: list[Foreseen] = []
    try:
        try:
            for attempt in attempts:
                if not _run_in_turn(attempt, ends, told, is_alone=len(attempts) == 1):
                    break
            if len(ends) == len(attempts) and goes_on():
                foreseen = _run_ahead(ends, told)
        except BaseException:
            goes_on = never
            raise
        finally:
            # Whatever comes out of a block is no reason to lose the others.
            for attempt in attempts:
                _give_back(attempt)
            _record_ends(ends, taker if goes_on() else None, foreseen)
    finally:
        for attempt in attempts:
            keeper.let_go(attempt)
    return taker


def _run_in_turn(attempt: Attempt, ends: list[tuple[Attempt, End]], told: Told, *, is_alone: bool) -> bool:
    """Run one of several attempts; add its end to theirs if that is to be recorded. False: no other is to be run."""
    try:
        attempt.take_turn()
        with told(attempt.claimed), stoppable(_running(attempt)):
            attempt.send_unsent()
            began = time.monotonic()
            end = _outcome(attempt, Times())
            paces.note(attempt.claimed.spec, time.monotonic() - began, is_proof=proves_pace(attempt, end))
    except ClaimLostError:
        attempt.log_lost()
        return True
    except AttemptStoppedError:
        _clear_up(attempt)
        return False
    if end is not None:
        ends.append((attempt, end))
        if not is_alone:
            attempt.keep_end(end)
    return True


def _run_ahead(ends: list[tuple[Attempt, End]], told: Told) -> list[Foreseen]:
    """Run what is foreseen to come of these, in the place of the first one: who stops that one stops this, too."""
    attempt, _ = ends[0]
    try:
        # Nobody is killed for its time: that would be held against the one before it.
        with stoppable(_running(attempt), has_deadlines=False):
            return run_ahead(ends, run=partial(_run_foreseen, told=told))
    except AttemptStoppedError:
        _clear_up(attempt)
        del ends[0]
        return []


def _run_foreseen(attempt: Attempt, *, told: Told) -> End | None:
    with told(attempt.claimed):
        return _outcome(attempt, Times())


def _record_ends(ends: Sequence[tuple[Attempt, End]], taker: Taker | None, foreseen: Sequence[Foreseen]) -> None:
    """Record what has completed, together; then the rest. The last record takes: one before it may fail the run."""
    completed = [(attempt, end) for attempt, end in ends if end.status is Status.COMPLETED]
    others = [(attempt, end) for attempt, end in ends if end.status is not Status.COMPLETED]
    if len(completed) > 1 or foreseen:
        record_ends([attempt for attempt, _ in completed], taker=None if others else taker, foreseen=foreseen)
        # If that went wrong, what was taken with it may have been all the same.
        taker = taker if others else None
    left = [(attempt, end) for attempt, end in [*completed, *others] if not attempt.is_done]
    for number, (attempt, end) in enumerate(left, start=1):
        _record_end_or_lose(attempt, end, taker if number == len(left) else None)


def _record_end_or_lose(attempt: Attempt, end: End, taker: Taker | None) -> None:
    try:
        _record_end(attempt, end, taker)
    except ClaimLostError:
        if taker:
            taker.start_over()
        attempt.log_lost()


def _give_back(attempt: Attempt) -> None:
    try:
        attempt.give_back()
    except Exception:  # whatever it is, its lease runs out
        logger.exception("can't give a claim back", node_execution=str(attempt.claimed.id))
        attempt.is_lost = True


async def run_async(attempt: Attempt, *, executor: Executor) -> None:
    """Run a claimed node execution whose block is a coroutine; `executor` gives threads for the database."""
    try:
        with coroutines.stoppable(_running(attempt)) as leash:
            if attempt.unsent:
                await _in_thread(executor, attempt.send_unsent)
            claimed = attempt.claimed
            async with coroutines.one_at_a_time(claimed.token) if claimed.suspicions else nullcontext():
                end = await _outcome_async(attempt, Times(), executor, leash)
        if end is not None:
            await _in_thread(executor, lambda: _record_end(attempt, end))
    except ClaimLostError:
        attempt.log_lost()
    except asyncio.CancelledError:
        attempt.is_lost = True
        attempt.log_lost()
    finally:
        keeper.let_go(attempt)


def _record_end(attempt: Attempt, end: End, taker: Taker | None = None) -> None:
    """Record the end; what the database refuses to take makes the node execution fail instead of staying open."""
    try:
        attempt.end(end, taker=taker)
    except ClaimLostError:
        raise
    except Exception as error:
        if taker:
            taker.start_over()
        logger.exception("a result can't be recorded", node_execution=str(attempt.claimed.id))
        text = f"The block's result can't be recorded ({type(error).__name__})."
        attempt.drop_gathered()
        attempt.emit(ERROR_PIN, text)
        attempt.end(End(status=Status.FAILED, error=text, walltime=end.walltime, cputime=end.cputime))


def _outcome(attempt: Attempt, times: Times) -> End | None:
    try:
        with times.stopped():
            prepared, context = _prepare_with_context(attempt)
        if prepared.made_up is not None:
            _emit_made_up(attempt, prepared)
        else:
            with alarm_after(prepared.spec.time_limit):
                _pull(attempt, prepared, context, times)
    except SuspendedError:
        return None
    except ClaimLostError:
        raise
    except Exception as error:  # noqa: BLE001 - a block is anybody's code; what it raises is its node's failure
        return end_or_retry(attempt, fail(attempt, times, error), error)
    return complete(attempt, times)


async def _outcome_async(attempt: Attempt, times: Times, executor: Executor, leash: Leash) -> End | None:
    try:
        with times.stopped():
            prepared, context = await _in_thread(executor, lambda: _prepare_with_context(attempt))
        if prepared.made_up is not None:
            _emit_made_up(attempt, prepared)
        else:
            await _pull_async(attempt, prepared, context, times, executor=executor, leash=leash)
    except SuspendedError:
        return None
    except ClaimLostError:
        raise
    except Exception as error:  # noqa: BLE001 - a block is anybody's code; what it raises is its node's failure
        end = fail(attempt, times, error)
        return await _in_thread(executor, lambda failed=error: end_or_retry(attempt, end, failed))  # type: ignore[misc]
    return complete(attempt, times)


def _pull(attempt: Attempt, prepared: Prepared, context: BlockContext, times: Times) -> None:
    block, waits = _block(prepared), Waits(attempt, prepared)
    items = cast(Generator[Yielded, Any, None], block.run(_inputs(prepared), context))
    answer = None
    try:
        while True:
            item = run_open(items.send, answer)
            if isinstance(item, tuple):
                answer = None
                if attempt.emit(item[0], check_output(block, *item)):
                    with times.stopped():
                        attempt.flush()
            else:
                spent = spend(attempt, times)
                with times.stopped():
                    answer = waits.pass_or_suspend(item, spent=spent)
    except StopIteration:
        # It is done: an alarm that rang since its last step has nobody to interrupt.
        return
    except BaseException:
        run_open(items.close)
        raise


def _prepare_with_context(attempt: Attempt) -> tuple[Prepared, BlockContext]:
    """Both may ask the database, which neither the event loop nor the block's time must wait for."""

    def ask() -> tuple[Prepared, BlockContext]:
        prepared = prepare(attempt.claimed)
        return prepared, build_context(attempt.claimed, prepared.graph, log=attempt.log_lines.append)

    prepared, context = ask_patiently(ask)
    attempt.usage = context.usage
    return prepared, context


async def _pull_async(
    attempt: Attempt, prepared: Prepared, context: BlockContext, times: Times, *, executor: Executor, leash: Leash
) -> None:
    block, waits = _block(prepared), Waits(attempt, prepared)
    items = cast(AsyncGenerator[Yielded, Any], block.run(_inputs(prepared), context))
    answer = None
    try:
        limit = prepared.spec.time_limit.total_seconds()
        leash.deadline = time.monotonic() + limit + OVERDUE_SECONDS
        async with asyncio.timeout(limit) as timer:
            while True:
                item = await leash.hold(items.asend(answer))
                if isinstance(item, tuple):
                    answer = None
                    if attempt.emit(item[0], check_output(block, *item)):
                        with leash.at_ease(timer), times.stopped():
                            await _in_thread(executor, attempt.flush)
                else:
                    suspend = partial(waits.pass_or_suspend, item, spent=spend(attempt, times))
                    with leash.at_ease(timer), times.stopped():
                        answer = await _in_thread(executor, leash.within(longest_question(), suspend))
    except StopAsyncIteration:
        return
    except TimeoutError:
        if timer.expired():
            raise TimeLimitError(prepared.spec.time_limit) from None
        raise
    finally:
        leash.keep(items)
        if not leash.is_cut:
            await leash.hold(items.aclose())
        # What comes now is ours: recording how it ended.
        leash.deadline = float("inf")


async def _in_thread(executor: Executor, function: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(executor, function)


def _emit_made_up(attempt: Attempt, prepared: Prepared) -> None:
    for pin, value in prepared.made_up or []:
        if pin == ERROR_PIN:
            raise BlockError(str(value))
        attempt.emit(pin, value)


def _running(attempt: Attempt) -> Running:
    claimed = attempt.claimed
    return Running(node_execution_id=claimed.id, execution_id=claimed.execution_id, token=claimed.token)


def _clear_up(attempt: Attempt) -> None:
    """Throw away what a block was cut off in the middle of: a query of its own, a call to a confined process."""
    attempt.is_lost = True
    connection.close()
    start_over()
    attempt.log_lost()


def _block(prepared: Prepared) -> Block[Any]:
    if prepared.block is None:
        raise BlockError("The node has no block to run.")
    return prepared.block


def _inputs(prepared: Prepared) -> Any:
    return prepared.inputs
