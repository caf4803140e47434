"""What a chaos run measured. Times are in seconds."""

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.db.models import Count, F, Max, Sum

from execution.models import Execution, NodeExecution, Output, PastAttempt
from scheduling.models import Occurrence
from tests.chaos.nemesis import Committed

DIGITS: Final = 2
# What seems to have taken longer went by a clock that had been set meanwhile.
LONGEST_BELIEVED: Final = 300.0


def summarize(times: Sequence[float]) -> dict[str, float]:
    """Return the median, the 95th percentile (the smallest value that 95 % don't exceed) and the maximum."""
    if not times:
        return {"count": 0}
    ordered = sorted(times)
    picked = {share: ordered[math.ceil(len(ordered) * share / 100) - 1] for share in (50, 95)}
    return {
        "count": len(ordered),
        **{f"p{share}": round(value, DIGITS) for share, value in picked.items()},
        "max": round(ordered[-1], DIGITS),
    }


def measure(committed: Sequence[Committed], deaths: Mapping[int, float]) -> dict[str, Any]:
    """Return the figures of a database in which everything has ended."""
    noticed, resumed = measure_losses(deaths)
    runs = Execution.objects.filter(parent=None)
    return {
        "faults": len(committed),
        "faults_by_kind": dict(sorted(Counter(fault.kind for fault in committed).items())),
        "runs": runs.count(),
        "sub_runs": Execution.objects.exclude(parent=None).count(),
        "runs_by_status": _count(Execution, "status"),
        "due_times_by_state": _count(Occurrence, "state"),
        "node_executions": NodeExecution.objects.count(),
        "outputs": Output.objects.count(),
        "past_attempts_by_outcome": _count(PastAttempt, "outcome"),
        "node_executions_that_lost_a_worker": NodeExecution.objects.filter(losses__gt=0).count(),
        "most_losses_of_one": NodeExecution.objects.aggregate(most=Max("losses"))["most"],
        "losses": NodeExecution.objects.aggregate(all=Sum("losses"))["all"],
        "run_seconds": summarize(
            [
                took.total_seconds()
                for took in runs.filter(status="COMPLETED").values_list(F("ended_at") - F("created_at"), flat=True)
                if 0 <= took.total_seconds() < LONGEST_BELIEVED
            ]
        ),
        "seconds_from_fault_to_next_recorded_end": _measure_progress(committed),
        "seconds_from_death_to_notice": summarize(noticed),
        "seconds_from_death_to_next_attempt": summarize(resumed),
    }


def _count(model: type[Execution] | type[Occurrence] | type[PastAttempt], field: str) -> dict[str, int]:
    rows = model._default_manager.order_by(field).values_list(field).annotate(count=Count("pk"))
    return {str(value): count for value, count in rows}


def _measure_progress(committed: Sequence[Committed]) -> dict[str, dict[str, float]]:
    """Return how long it took after faults of each kind until any node execution's end was recorded."""
    ends = sorted(
        ended.timestamp() for ended in NodeExecution.objects.values_list("ended_at", flat=True) if ended is not None
    )
    by_kind: dict[str, list[float]] = defaultdict(list)
    for fault in committed:
        following = bisect_right(ends, fault.at)
        if following < len(ends) and ends[following] - fault.at < LONGEST_BELIEVED:
            by_kind[fault.kind].append(ends[following] - fault.at)
    return {
        "all": summarize([seconds for times in by_kind.values() for seconds in times]),
        **{kind: summarize(times) for kind, times in sorted(by_kind.items())},
    }


def measure_losses(deaths: Mapping[int, float]) -> tuple[list[float], list[float]]:
    """Return how long after a process was killed or frozen its attempts were called lost, and the next ones began."""
    noticed, resumed = [], []
    for past in PastAttempt.objects.filter(outcome=PastAttempt.Outcome.LOST).select_related("node_execution"):
        died_at = deaths.get(int(past.worker.rpartition(":")[2]))
        if died_at is None or past.began_at.timestamp() > died_at:
            continue  # lost for another reason: the database was away for longer than a lease, say
        if past.ended_at.timestamp() - died_at > LONGEST_BELIEVED:
            continue
        noticed.append(past.ended_at.timestamp() - died_at)
        node = past.node_execution
        later = [other.began_at for other in node.past_attempts.filter(began_at__gte=past.ended_at)]
        if node.claimed_at is not None and node.claimed_at >= past.ended_at:
            later.append(node.claimed_at)
        if later and min(later).timestamp() - died_at < LONGEST_BELIEVED:
            resumed.append(min(later).timestamp() - died_at)
    return noticed, resumed
