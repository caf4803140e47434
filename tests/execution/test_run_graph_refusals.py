"""What `manage.py run_graph` refuses, and how it says so."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from execution.models import Execution
from tests.execution.run_graph_command import Ran
from tests.execution.small_graphs import ADDING, CALCULATOR, draw

GMAIL_SEND = "6c27abc2-e51d-499e-a85f-5a0041ba94f0"

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_problem_of_a_graph_is_listed_by_node_and_field(save: Callable[..., str]) -> None:
    document = draw({"add": (CALCULATOR, {"operation": "Add"}), "mail": (GMAIL_SEND, {})})

    ran = Ran(save(document), "--json")

    assert ran.code == 1
    assert (ran.shown["id"], ran.shown["status"], ran.shown["outputs"]) == (None, "FAILED", {})
    assert sorted(field for fields in ran.shown["node_errors"].values() for field in fields)[:2] == ["a", "b"]
    assert "add (CalculatorBlock)" in ran.err
    assert not Execution.objects.exists()


@pytest.mark.parametrize("text", ["{}", "no JSON", "[]"])
def test_a_file_that_is_no_graph_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "graph.json"
    file.write_text(text)

    ran = Ran(str(file), "--json")

    assert (ran.code, ran.shown["status"]) == (1, "FAILED")
    assert str(file) in ran.shown["error"]


def test_an_input_that_the_graph_does_not_have_is_refused(save: Callable[..., str]) -> None:
    ran = Ran(save(ADDING), "--json", "--input", "Nobody=1")

    assert ran.code == 1
    assert "Nobody" in ran.shown["error"]
    assert "Number" in ran.shown["error"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["missing.json"],
        ["01a20000-0000-7000-8000-000000000000"],
        ["{graph}", "--input", "Number"],
        ["{graph}", "--input", "=1"],
        ["{graph}", "--inputs", "missing.json"],
        ["{graph}", "--inputs", "{list}"],
        ["{graph}", "--mock", "{list}"],
        ["{graph}", "--mock", "{bad_mock}"],
        ["{graph}", "--user", "nobody"],
        ["{graph}", "--version-number", "1"],
        ["{graph}", "--timeout", "soon"],
        ["{graph}", "--timeout", "-1"],
        [],
    ],
)
def test_what_makes_no_sense_is_a_usage_error(save: Callable[..., str], arguments: list[str]) -> None:
    files = {"graph": save(ADDING), "list": save([1], "list.json"), "bad_mock": save({"x": [1]}, "bad.json")}

    with pytest.raises(CommandError) as refused:
        call_command("run_graph", *(argument.format(**files) for argument in arguments))

    assert refused.value.returncode == 2 or "argument" in str(refused.value)
    assert not Execution.objects.exists()


def refusal_after(change: str, undo: str, graph: str) -> str:
    """Return what the command says while the database is changed."""
    with connection.cursor() as cursor:
        cursor.execute(change)
        try:
            with pytest.raises(CommandError) as refused:
                call_command("run_graph", graph, stderr=io.StringIO())
        finally:
            cursor.execute(undo)
    return str(refused.value)


@pytest.mark.parametrize(
    ("change", "undo"),
    [
        ("ALTER TABLE graphs_link RENAME TO away", "ALTER TABLE away RENAME TO graphs_link"),
        ("ALTER TABLE graphs_link RENAME position TO away", "ALTER TABLE graphs_link RENAME away TO position"),
    ],
    ids=["table", "column"],
)
def test_missing_tables_and_columns_are_told_with_their_remedy(
    user: User, save: Callable[..., str], change: str, undo: str
) -> None:
    told = refusal_after(change, undo, save(ADDING))

    assert "see `manage.py migrate`" in told
    assert "does not exist" in told
    assert "\n" not in told


def test_other_refusals_of_the_database_are_told_as_they_are(user: User, save: Callable[..., str]) -> None:
    read_only = ("SET default_transaction_read_only = on", "SET default_transaction_read_only = off")

    told = refusal_after(*read_only, save(ADDING))

    assert told == "The database can't do that: cannot execute INSERT in a read-only transaction."
