"""After a chaos run: is everything in the database as if nothing had happened? Each complaint is one sentence."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from credits.auditing import find_faults
from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution, Output, RunOutput
from tests.chaos.prices import examine_charges
from tests.chaos.schedules import examine_occurrences
from tests.chaos.tasks import Answer, Emitted
from tests.chaos.workload import Trace, trace
from tests.execution.reference import outputs_by_name

# What must select nothing. The columns are filled into the text.
_LAWS = {
    "run {} is {}": "SELECT id, status FROM execution_execution WHERE status NOT IN ('COMPLETED', 'TERMINATED')",
    "node execution {} is {} on {}": """
        SELECT id, status, worker FROM execution_nodeexecution
         WHERE status IN ('QUEUED', 'RUNNING', 'SUSPENDED', 'REVIEW')""",
    "node execution {} waits for pins in run {}, which is {}": """
        SELECT n.id, e.id, e.status FROM execution_nodeexecution n JOIN execution_execution e ON e.id = n.execution_id
         WHERE n.status = 'INCOMPLETE' AND e.status <> 'COMPLETED'""",
    "node execution {} counts {} outputs, has {} from {} to {}": """
        SELECT n.id, n.output_count, count(o.position), min(o.position), max(o.position)
          FROM execution_nodeexecution n LEFT JOIN execution_output o ON o.node_execution_id = n.id
         GROUP BY n.id HAVING count(o.position) <> n.output_count
            OR min(o.position) <> 0 OR max(o.position) <> n.output_count - 1""",
    "run {} counts {} outputs, has {} from {} to {}": """
        SELECT e.id, e.output_count, count(o.position), min(o.position), max(o.position)
          FROM execution_execution e LEFT JOIN execution_runoutput o ON o.execution_id = e.id
         GROUP BY e.id HAVING count(o.position) <> e.output_count
            OR min(o.position) <> 0 OR max(o.position) <> e.output_count - 1""",
    "run {} fired node {} {} times, numbered from {} to {}": """
        SELECT execution_id, node_id, count(*), min(ordinal), max(ordinal) FROM execution_nodeexecution
         GROUP BY execution_id, node_id HAVING min(ordinal) <> 0 OR max(ordinal) <> count(*) - 1""",
    "run {} counts {} opened, {} ended, {} failed and {} unfinished; has {}, {}, {} and none": """
        SELECT e.id, e.opened, e.node_count, e.node_error_count, e.unfinished, count(n.id),
               count(*) FILTER (WHERE n.status IN ('COMPLETED', 'FAILED')), count(*) FILTER (WHERE n.status = 'FAILED')
          FROM execution_execution e LEFT JOIN execution_nodeexecution n ON n.execution_id = e.id
         GROUP BY e.id
        HAVING (e.opened, e.node_count, e.node_error_count, e.unfinished) IS DISTINCT FROM (count(n.id),
               count(*) FILTER (WHERE n.status IN ('COMPLETED', 'FAILED')),
               count(*) FILTER (WHERE n.status = 'FAILED'), 0)""",
    # What goes on in a run that was resumed counts its losses anew, and remembers those from before.
    "node execution {} counts {} losses, remembers {}": """
        SELECT n.id, n.losses, count(p.id) FROM execution_nodeexecution n
          JOIN execution_execution e ON e.id = n.execution_id
          LEFT JOIN execution_pastattempt p ON p.node_execution_id = n.id AND p.outcome = 'LOST'
         GROUP BY n.id, e.id
        HAVING count(p.id) < n.losses OR e.resumptions = 0 AND count(p.id) <> n.losses""",
    "run {} cost {}, and was charged {}": """
        SELECT e.id, e.cost, sum(l.owed - l.amount) FROM execution_execution e
          LEFT JOIN credits_ledgerentry l ON l.execution_id = e.id AND l.type = 'USAGE'
         GROUP BY e.id HAVING e.cost <> COALESCE(sum(l.owed - l.amount), 0)""",
    "user {} was charged a fee for {} node executions instead of {}": """
        SELECT a.user_id, a.node_executions, sum(e.node_count) FROM credits_account a
          JOIN execution_execution e ON e.user_id = a.user_id AND e.status IN ('COMPLETED', 'FAILED', 'TERMINATED')
         GROUP BY a.id HAVING a.node_executions <> sum(e.node_count)""",
    "{} credits are held for node execution {}": "SELECT amount, key FROM credits_hold",
    "sub-run {} is {} below a run that is {}": """
        SELECT e.id, e.status, r.status FROM execution_execution e JOIN execution_execution r ON r.id = e.root_id
         WHERE r.status = 'COMPLETED' AND e.status <> 'COMPLETED'""",
}


def examine(
    answers: Mapping[UUID, Answer],
    *,
    asked_to_stop: Collection[UUID] = (),
    stopped: Mapping[UUID, Trace | None] | None = None,
) -> list[str]:
    """Return what is wrong. `answers` are those of the graph versions that users ran; for the rest see `Users`."""
    complaints = list(_examine_laws())
    complaints += examine_charges()
    complaints += [f"the books: {fault.check}: {fault.subject}: {fault.detail}" for fault in find_faults()]
    complaints += examine_occurrences()
    for run in Execution.objects.filter(parent=None).order_by("pk"):
        if run.status == Status.COMPLETED:
            complaints += [f"run {run.pk}: {text}" for text in _compare(run, answers[run.graph_version_id])]
        elif run.status == Status.TERMINATED and run.pk not in asked_to_stop:
            complaints.append(f"run {run.pk} is TERMINATED, but nobody stopped it")
    for run_id, left in (stopped or {}).items():
        complaints += [f"stopped run {run_id}: {text}" for text in _examine_stopped(run_id, left)]
    return complaints


def _examine_laws() -> Iterator[str]:
    with connection.cursor() as cursor:
        for text, statement in _LAWS.items():
            cursor.execute(statement)
            yield from (text.format(*row) for row in cursor.fetchall())


def _compare(run: Execution, answer: Answer) -> Iterator[str]:
    """Compare a run that completed with an undisturbed one."""
    rows = RunOutput.objects.filter(execution=run).order_by("position").values_list("name", "value")
    outputs = outputs_by_name(rows)
    if outputs != answer.outputs:
        yield f"answered {outputs} instead of {dict(answer.outputs)}"
    sub_runs = Execution.objects.filter(root=run).count()
    if sub_runs != answer.sub_runs:
        yield f"has {sub_runs} sub-runs instead of {answer.sub_runs}"
    if answer.steps is not None:
        yield from _compare_steps(_load_steps(run), answer.steps)


def _compare_steps(
    found: Mapping[tuple[UUID, int], tuple[Status, Emitted]],
    expected: Mapping[tuple[UUID, int], tuple[Status, Emitted]],
) -> Iterator[str]:
    for node_id, ordinal in found.keys() - expected.keys():
        yield f"firing {ordinal} of node {node_id} should not be"
    for key, step in expected.items():
        if found.get(key) != step:
            yield f"firing {key[1]} of node {key[0]} is {found.get(key)} instead of {step}"


def _load_steps(run: Execution) -> dict[tuple[UUID, int], tuple[Status, Emitted]]:
    emitted: dict[UUID, Emitted] = {}
    rows: Sequence[tuple[UUID, str, Any]] = list(
        Output.objects.filter(node_execution__execution=run)
        .order_by("node_execution", "position")
        .values_list("node_execution_id", "pin", "value")
    )
    for key, pin, value in rows:
        emitted.setdefault(key, []).append((pin, value))
    nodes = NodeExecution.objects.filter(execution=run).values_list("pk", "node_id", "ordinal", "status")
    return {(node_id, ordinal): (Status(status), emitted.get(key, [])) for key, node_id, ordinal, status in nodes}


def _examine_stopped(run_id: UUID, left: Trace | None) -> Iterator[str]:
    """Whether a run that was stopped has stayed as the stop left it."""
    statuses = Counter(Execution.objects.filter(pk=run_id).values_list("status", flat=True))
    if statuses != {Status.TERMINATED: 1}:
        yield f"is {dict(statuses)} although its receipt says that it was stopped"
    now = trace(run_id)
    if left is not None and now != left:
        yield f"has recorded something after its end: {left} became {now}"
