"""What comes of a node execution, told before that is recorded: a quick block may run on it at once.

A record costs more than such a block. So a process that runs one after the other runs ahead, as long as all that comes
is one execution of a quick block, and records them together. What was run ahead has no claim: if the process dies, or
is told to stop, or it comes otherwise than foreseen, it has not been, and is run once more. The block doesn't notice;
Flower and the log have heard of it, and a large output stays with the run's files.
"""

import time
from collections.abc import Callable, Collection, Sequence
from uuid import UUID

import structlog
from django.conf import settings

from execution.attempts import Attempt
from execution.engine.dataflow import Emission, Firing, Sink, deliver
from execution.engine.statuses import Status
from execution.keeping import ClaimLostError
from execution.large_values import find_reference
from execution.outcomes import proves_pace
from execution.paces import paces
from execution.planning import load_plan
from execution.queues import CPU_QUEUE
from execution.store.claims import Claimed
from execution.store.opening import open_claim
from execution.store.parts import End, Foreseen, Part
from execution.store.ready import Ready
from graphs.models import new_id

Run = Callable[[Attempt], End | None]

logger = structlog.get_logger(__name__)


def run_ahead(attempt: Attempt, end: End, *, run: Run) -> list[Foreseen]:
    """Run what comes of an attempt that has come to this end, and of that, and so on. The end waits for it.

    `run` returns the end of another attempt, as the runner does.
    """
    foreseen: list[Foreseen] = []
    claimed = attempt.claimed
    # Where a node runs for the second time, those after it do, too: they may have to wait for the first.
    is_first = claimed.is_fresh and claimed.ordinal == 0
    if end.status is not Status.COMPLETED or not is_first or not paces.is_quick(claimed.spec):
        return foreseen
    seen, part = {claimed.node_id}, attempt.unrecorded()
    while part is not None and len(seen) < settings.MOST_AT_ONCE and not attempt.is_done:
        found = _foresee_or_not(part, claimed, seen=seen)
        if found is None:
            break
        if not foreseen:
            attempt.keep_end(end)
            if attempt.unrecorded() is None:
                # Others have recorded what it has emitted meanwhile, so that has led on already.
                break
        firing, text, claimed = found
        seen.add(claimed.node_id)
        part = _run_one(claimed, run)
        if part is not None:
            foreseen.append(Foreseen(firing=firing, text=text, part=part))
    return foreseen


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


_Found = tuple[Firing, str, Claimed]


def _foresee_or_not(part: Part, claimed: Claimed, *, seen: Collection[UUID]) -> _Found | None:
    try:
        return _foresee(part, claimed, seen=seen)
    except Exception:  # whatever it is, what has ended is recorded, and what comes of it is claimed
        logger.exception("can't foresee what comes", node_execution=str(claimed.id))
        return None


def _foresee(part: Part, claimed: Claimed, *, seen: Collection[UUID]) -> _Found | None:
    """Return what will be opened when this is recorded, the text of its inputs, and the claim to run it with.

    None if that is nothing, or more than one, or what can't be told, or not to be run ahead. It is as if nothing waited
    and nothing had run at the nodes that are reached, which the record finds out. `seen` nodes were foreseen before.
    """
    graph = load_plan(claimed.graph_version_id)
    reached = graph.plan.links_reached_from([claimed.node_id])
    if not reached or any(graph.plan.nodes[node_id].static for node_id in reached):
        return None
    deliveries = deliver(
        graph.plan,
        sinks={node_id: Sink() for node_id in reached},
        emissions=[Emission(claimed.node_id, pin, value) for pin, value in part.outputs],
        masks=graph.mask_pins(claimed.masks, simulate=claimed.simulate),
    )
    if len(deliveries.firings) != 1:
        return None
    (firing,) = deliveries.firings
    spec = graph.specs[firing.node_id]
    is_fit = firing.is_ready and firing.node_id not in seen and spec.queue == CPU_QUEUE
    if not is_fit or not paces.may_run_ahead(spec):
        return None
    text = part.writer.write_all(firing.added)
    opened = open_claim(claimed, firing, key=new_id(), text=text)
    if opened is None or any(find_reference(form) for form in opened.inputs.values()):
        return None
    return firing, text, opened
