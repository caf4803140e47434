"""Runs in all states, damage done to them by SQL, and what the doctor says about it."""

import io
import json
from pathlib import Path
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection

from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution
from execution.services import start_execution
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.small_graphs import ASK, INPUT, OUTPUT, TIMER, draw

EXAMPLES = Path(__file__).parents[2] / "examples"
AN_HOUR_AGO = "clock_timestamp() - interval '1 hour'"

ECHO = draw({"in": (INPUT, {"name": "in", "value": 1}), "out": (OUTPUT, {"name": "out"})}, ["in.result -> out.value"])
ASKING = draw(
    {
        "in": (INPUT, {"name": "in", "value": 1}),
        "out": (OUTPUT, {"name": "out"}),
        "ask": (ASK, {"name": "Yes?"}),
    },
    ["in.result -> out.value", "in.result -> ask.data"],
)
SLEEPING = draw(
    {
        "in": (INPUT, {"name": "in", "value": 1}),
        "timer": (TIMER, {"hours": 1}),
        "out": (OUTPUT, {"name": "out"}),
    },
    ["in.result -> timer.input_message", "timer.output_message -> out.value"],
)


def example(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text())
    return loaded


def start(user: User, document: dict[str, Any]) -> Execution:
    return start_execution(user=user, version=import_graph(owner=user, document=document).version, input_data={})


def run_all(user: User, drain: Drain, document: dict[str, Any]) -> Execution:
    run = start(user, document)
    run_what_is_sent(drain)
    run.refresh_from_db()
    return run


def run_what_is_sent(drain: Drain) -> None:
    while drain.waiting:
        drain.run_one(drain.waiting.pop(0))


def run_until_a_sub_run_waits(user: User, drain: Drain) -> Execution:
    """Return a run that goes on, one of whose nodes waits for a sub-run that goes on."""
    run = start(user, example("triangles"))
    while not Execution.objects.filter(root=run, parent__status=Status.SUSPENDED).exists():
        drain.run_one(drain.waiting.pop(0))
    return run


def doctor(*arguments: str) -> tuple[int, dict[str, Any]]:
    out = io.StringIO()
    try:
        call_command("doctor", "--json", *arguments, stdout=out)
    except SystemExit as end:
        return int(str(end.code)), json.loads(out.getvalue())
    return 0, json.loads(out.getvalue())


def found(report: dict[str, Any]) -> set[str]:
    return {finding["check"] for finding in report["findings"]}


def change(statement: str, **parameters: Any) -> None:
    """Do damage; exactly one row must be hit."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        assert cursor.rowcount == 1


def change_run(run: Execution, changes: str) -> None:
    change(f"UPDATE execution_execution SET {changes} WHERE id = %(id)s", id=run.pk)  # noqa: S608


def change_node(run: Execution, name: str, changes: str) -> None:
    change(
        f"UPDATE execution_nodeexecution SET {changes} WHERE execution_id = %(run)s AND node_id = %(node)s",  # noqa: S608
        run=run.pk,
        node=node_of(run, name).node_id,
    )


def node_of(run: Execution, name: str) -> NodeExecution:
    nodes = run.graph_version.document().nodes
    (wanted,) = (node.id for node in nodes if node.metadata["customized_name"] == name)
    return NodeExecution.objects.get(execution=run, node_id=wanted)


def assert_found_and_mended(expected: set[str], *, subject: UUID | str, mended: bool = True) -> None:
    """The doctor finds this, changes nothing; with --repair it finds it, mends it, and finds nothing afterwards."""
    code, report = doctor()
    assert (code, found(report)) == (1, expected)
    assert str(subject) in {each["subject"] for finding in report["findings"] for each in finding["examples"]}
    assert not report["healthy"]
    assert found(doctor()[1]) == expected

    code, report = doctor("--repair")
    assert found(report) >= expected
    assert code == (0 if mended else 1)
    assert report["healthy"] is mended
    assert found(doctor()[1]) == (set() if mended else expected)
