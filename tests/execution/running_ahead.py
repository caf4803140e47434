"""What a process runs ahead of its records, and what comes of it: seen from outside, and compared with what should."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from credits.models import Hold, LedgerEntry
from execution import attempts, joint_records, runner
from execution.models import Execution, NodeExecution, Output, StaticValue
from execution.planning import load_plan
from execution.preparation import Prepared, prepare
from execution.services import start_execution
from execution.store.claims import Claimed
from execution.store.parts import ForesightError, Part
from execution.store.recording import JointlyRecorded, Recorded, record, record_jointly
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.small_runs import ended, outputs_of

NAMES_OF_TIMES = ("opened_at", "queued_at", "started_at", "claimed_at", "ended_at")
OWN = ("id", "execution_id", "tree_id", "node_id", "token", "lease_until", "walltime", "cputime", "spent")


class Ahead:
    """Notes, by the names of their nodes, what begins to run and what is recorded together.

    `claimed` began with a claim and `unclaimed` without. `records` are the ends of each record that was committed, and
    `in_vain` those of each that was given up because it was foreseen wrongly. What is to `happen` does so when a node
    is run ahead for the first time.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.claimed: list[str] = []
        self.unclaimed: list[str] = []
        self.records: list[list[str]] = []
        self.in_vain: list[list[str]] = []
        self.happen: dict[str, Callable[[], object]] = {}
        # What a block emits is recorded at once where it waits for so long: on a busy machine any block's would.
        monkeypatch.setattr(attempts, "FIRST_FLUSH_AFTER", 1.0)
        monkeypatch.setattr(runner, "prepare", self._prepare)
        monkeypatch.setattr(joint_records, "record_jointly", self._record_jointly)
        monkeypatch.setattr(attempts, "record", self._record)

    @property
    def most(self) -> int:
        """How many were recorded at once, with others that were run ahead of it."""
        return max(map(len, self.records), default=0)

    def _prepare(self, claimed: Claimed) -> Prepared:
        has_row = NodeExecution.objects.filter(pk=claimed.id, token=claimed.token).exists()
        (self.claimed if has_row else self.unclaimed).append(name_of(claimed))
        if not has_row and name_of(claimed) in self.happen:
            self.happen.pop(name_of(claimed))()
        return prepare(claimed)

    def _record_jointly(self, parts: Sequence[Part], **options: Any) -> JointlyRecorded:
        foreseen = [each.part for each in options.get("foreseen", ())]
        try:
            recorded = record_jointly(parts, **options)
        except ForesightError:
            self.in_vain.append([name_of(part.claimed) for part in (*parts, *foreseen)])
            raise
        accepted = [part for part in parts if part.claimed.token in recorded.accepted]
        if accepted:
            self.records.append([name_of(part.claimed) for part in (*accepted, *foreseen)])
        return recorded

    def _record(self, claimed: Claimed, **options: Any) -> Recorded:
        recorded = record(claimed, **options)
        if recorded.accepted and options.get("end") is not None:
            self.records.append([name_of(claimed)])
        return recorded


def run_both_ways(
    user: User, drain: Drain, settings: Settings, document: dict[str, Any], *, simulate: bool = False, **by_name: Any
) -> Execution:
    """Run a graph one by one, and once more; what can be seen of both is the same. Return the second run.

    `by_name`: what is asked for by the names of nodes.
    """
    version = import_graph(owner=user, document=document).version
    keys = {node.name: str(key) for key, node in load_plan(version.pk).plan.nodes.items()}
    asked: dict[str, Any] = {
        what: {keys[name]: value for name, value in found.items()} for what, found in by_name.items()
    }
    found = []
    for most in (1, 8):
        settings.MOST_AT_ONCE = most
        run = start_execution(user=user, version=version, input_data={}, simulate=simulate, **asked)
        drain.run()
        found.append(describe(ended(run)))
    assert found[0] == found[1]
    return run


def name_of(claimed: Any) -> str:
    """Return what the node of a claim is called."""
    name: str = claimed.spec.plan.name
    return name


def describe(run: Execution) -> dict[str, Any]:
    """Return everything of a run that is not by its nature different from one run of a graph to the next."""
    run.refresh_from_db()
    counters = ("unfinished", "opened", "output_count", "node_count", "node_error_count", "cost", "billed_executions")
    rows = NodeExecution.objects.filter(execution=run).prefetch_related("outputs", "later_inputs")
    statics = StaticValue.objects.filter(execution=run).values_list("node_id", "pin", "value")
    names = names_of(run)
    return {
        "run": (run.status, run.error, *(getattr(run, name) for name in counters)),
        "warnings": sorted(each["message"] for each in run.warnings),
        "outputs": outputs_of(run),
        "statics": {(names[node_id], pin): value for node_id, pin, value in statics},
        "nodes": {(names[row.node_id], row.ordinal): _describe_row(row) for row in rows},
    }


def _describe_row(row: NodeExecution) -> dict[str, Any]:
    fields = [field.attname for field in row._meta.concrete_fields if field.attname not in (*NAMES_OF_TIMES, *OWN)]
    return {
        **{name: getattr(row, name) for name in fields},
        # Those of what joins come later.
        "inputs": row.inputs | {each.pin: each.value for each in row.later_inputs.all()},
        "outputs": sorted((each.position, each.pin, each.value) for each in row.outputs.all()),
        "times": {name: getattr(row, name) is not None for name in NAMES_OF_TIMES},
        "token": row.token is not None,
    }


def names_of(run: Execution) -> dict[UUID, str]:
    """Return what the nodes of a run's graph are called, by id."""
    return {key: node.name for key, node in load_plan(run.graph_version_id).plan.nodes.items()}


def describe_books(run: Execution) -> list[Any]:
    """Return what was charged for a run, one after the other."""
    entries, names = LedgerEntry.objects.filter(execution_id=run.pk).order_by("sequence"), names_of(run)
    known = ("amount", "owed", "balance_after", "owed_after", "price_type", "price_version", "quantity", "details")
    return [(names[each.node_id] if each.node_id else "", [getattr(each, name) for name in known]) for each in entries]


def _of_outputs() -> set[UUID]:
    return set(Output.objects.values_list("node_execution_id", flat=True))


def has_orphans() -> bool:
    """Whether something was written of node executions that there are not, or which is not all that they have."""
    rows = NodeExecution.objects.prefetch_related("outputs")
    are_counted = all(row.output_count == len(row.outputs.all()) for row in rows)
    charged = LedgerEntry.objects.filter(node_execution_id__isnull=False).values_list("node_execution_id", flat=True)
    written = {*charged, *Hold.objects.values_list("key", flat=True), *_of_outputs()}
    return not are_counted or bool(written - {row.pk for row in rows})
