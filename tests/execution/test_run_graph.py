"""`manage.py run_graph`, with workers that run already and with its own."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from config.local import open_lock, try_lock
from execution.management.worker_supply import QUEUES
from execution.models import Execution, Review
from execution.presence import find_listened
from execution.services import decide_review
from graphs.models import Graph
from graphs.services import import_graph, replace_graph
from tests.conftest import worker_environment
from tests.execution.small_graphs import ASK, CALCULATOR, INPUT, OUTPUT, STEP, TIMER, draw, node_id

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 90.0
GMAIL_SEND = "6c27abc2-e51d-499e-a85f-5a0041ba94f0"
SEARCH_THE_WEB = "87840993-2053-44b7-8da4-187ad4ee518c"
SEARCH_THE_WEB_ONCE = "b2c3d4e5-6f7g-8h9i-0j1k-l2m3n4o5p6q7"

ADDING = draw(
    {
        "in": (INPUT, {"name": "Number"}),
        "add": (CALCULATOR, {"operation": "Add", "b": 34}),
        "out": (OUTPUT, {"name": "Sum"}),
    },
    ["in.result -> add.a", "add.result -> out.value"],
)
ECHO = draw({"in": (INPUT, {"name": "Word"}), "out": (OUTPUT, {"name": "Echo"})}, ["in.result -> out.value"])
ASKING = draw(
    {"ask": (ASK, {"name": "Letter", "data": "Dear Ada"}), "out": (OUTPUT, {"name": "Answer"})},
    ["ask.approved_data -> out.value"],
)
SEARCHING = draw(
    {"search": (SEARCH_THE_WEB, {"query": "graphs"}), "out": (OUTPUT, {"name": "Found"})},
    ["search.results -> out.value"],
)

pytestmark = pytest.mark.django_db(transaction=True)


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def listening(workers: object) -> None:
    """Workers that run already."""
    wait_until(lambda: find_listened(QUEUES) == set(QUEUES))


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., str]:
    """Write JSON to a file and return its path."""

    def write(value: Any, name: str = "graph.json") -> str:
        path = tmp_path / name
        path.write_text(json.dumps(value))
        return str(path)

    return write


class Ran:
    """What a command printed, and its exit code."""

    def __init__(self, *arguments: str) -> None:
        out, err = io.StringIO(), io.StringIO()
        self.code: Any = 0
        try:
            call_command("run_graph", *arguments, stdout=out, stderr=err)
        except SystemExit as end:
            self.code = end.code
        self.out, self.err = out.getvalue(), err.getvalue()

    @property
    def shown(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        value: dict[str, Any] = json.loads(self.out)
        return value


@pytest.mark.usefixtures("listening")
def test_a_file_is_run_to_its_outputs(save: Callable[..., str]) -> None:
    ran = Ran(save(ADDING), "--input", "Number=7")

    assert ran.code == 0
    assert ran.out == "Sum:\n  - 41.0\n"
    assert [line.split()[0] for line in ran.err.splitlines() if " s  " in line] == ["COMPLETED"] * 3
    assert "“small” completed in" in ran.err
    assert "starting some" not in ran.err


@pytest.mark.usefixtures("listening")
def test_json_is_one_object_and_nothing_else(save: Callable[..., str]) -> None:
    ran = Ran(save(ADDING), "--input", "Number=7", "--json")

    assert ran.code == 0
    assert list(ran.shown) == ["id", "status", "outputs", "stats", "warnings", "error"]
    run = Execution.objects.get()
    assert (ran.shown["id"], ran.shown["status"], ran.shown["error"]) == (str(run.pk), "COMPLETED", None)
    assert ran.shown["outputs"] == {"Sum": [41.0]}
    assert set(ran.shown["stats"]) == {
        *("cost", "walltime", "cputime", "nodes_walltime", "nodes_cputime"),
        *("node_count", "node_error_count", "error", "activity_status"),
    }


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("hello", "hello"),
        ("hello=world", "hello=world"),
        ("", ""),
        ('"7"', "7"),
        ("[1, 2", "[1, 2"),
        ('{"b": 1, "a": [true]}', {"b": 1, "a": [True]}),
        ("NaN", "NaN"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_what_is_not_json_is_text(save: Callable[..., str], typed: str, value: Any) -> None:
    assert Ran(save(ECHO), "--json", "--input", f"Word={typed}").shown["outputs"] == {"Echo": [value]}


@pytest.mark.usefixtures("listening")
def test_inputs_come_from_a_file_and_single_ones_overlay_them(save: Callable[..., str]) -> None:
    inputs = save({"Number": 1}, "inputs.json")

    assert Ran(save(ADDING), "--json", "--inputs", inputs).shown["outputs"] == {"Sum": [35.0]}
    assert Ran(save(ADDING), "--json", "--inputs", inputs, "--input", "Number=2").shown["outputs"] == {"Sum": [36.0]}


@pytest.mark.usefixtures("listening")
def test_a_saved_graph_is_run_as_its_owner(user: User) -> None:
    version = import_graph(owner=user, document=ADDING).version
    replace_graph(graph=version.graph, document=ECHO)

    newest = Ran(str(version.graph_id), "--json", "--input", "Word=hi")
    first = Ran(str(version.graph_id), "--json", "--input", "Number=1", "--version-number", "1")

    assert (newest.shown["outputs"], first.shown["outputs"]) == ({"Echo": ["hi"]}, {"Sum": [35.0]})
    assert {run.user for run in Execution.objects.all()} == {user}


@pytest.mark.usefixtures("listening")
def test_a_file_becomes_a_graph_of_the_user_who_is_named(user: User, save: Callable[..., str]) -> None:
    User.objects.create_superuser("root")

    Ran(save(ADDING), "--input", "Number=1", "--user", user.username)
    Ran(save(ADDING), "--input", "Number=1")

    assert [graph.owner.username for graph in Graph.objects.order_by("id")] == ["ada", "root"]


@pytest.mark.usefixtures("listening")
def test_a_simulation_makes_up_what_can_not_run(save: Callable[..., str]) -> None:
    ran = Ran(save(SEARCHING), "--json", "--simulate")

    assert (ran.code, list(ran.shown["outputs"])) == (0, ["Found"])
    assert "SearchTheWebBlock" in ran.err


@pytest.mark.usefixtures("listening")
def test_a_simulation_says_which_inputs_it_made_up(save: Callable[..., str]) -> None:
    made_up, given = Ran(save(ECHO), "--simulate"), Ran(save(ECHO), "--simulate", "--input", "Word=hi")

    assert 'made up: Word = "sample Word"' in made_up.err.splitlines()
    assert made_up.out == "Echo:\n  - sample Word\n"
    assert "made up" not in given.err
    assert given.out == "Echo:\n  - hi\n"


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize(
    "key", [node_id("search"), SEARCH_THE_WEB, SEARCH_THE_WEB_ONCE], ids=["node", "block", "old id"]
)
@pytest.mark.parametrize("mock", [{"results": "mocked"}, [["results", "mocked"], ["results", "twice"]]])
def test_mocks_say_what_nodes_emit(save: Callable[..., str], key: str, mock: Any) -> None:
    ran = Ran(save(SEARCHING), "--json", "--mock", save({key: mock}, "mock.json"))

    assert ran.shown["outputs"] == {"Found": ["mocked"] if isinstance(mock, dict) else ["mocked", "twice"]}


@pytest.mark.usefixtures("listening")
def test_mocks_reach_the_nodes_of_sub_graphs(save: Callable[..., str]) -> None:
    agent = {
        "graph_id": "below",
        "graph_version": 1,
        "inputs": {},
        "input_schema": {"type": "object", "properties": {}},
        "output_schema": {"type": "object", "properties": {"Found": {}}},
    }
    above = draw(
        {"agent": ("e189baac-8c20-45a1-94a7-55177ea42565", agent), "top": (OUTPUT, {"name": "Top"})},
        ["agent.Found -> top.value"],
    )
    document = {**above, "sub_graphs": [{**SEARCHING, "id": "below"}]}

    ran = Ran(save(document), "--json", "--mock", save({node_id("search"): {"results": "mocked"}}, "mock.json"))

    assert ran.shown["outputs"] == {"Top": ["mocked"]}


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


@pytest.mark.usefixtures("listening")
def test_who_does_not_want_to_wait_is_told_that_the_run_goes_on(save: Callable[..., str]) -> None:
    ran = Ran(save(draw({"wait": (TIMER, {"seconds": 600})})), "--json", "--timeout", "1.5")

    assert (ran.code, ran.shown["status"]) == (1, "RUNNING")
    assert "Not done after 1.5 seconds" in ran.shown["error"]
    assert "It goes on: workers are running." in ran.shown["error"]


@pytest.mark.usefixtures("listening")
def test_a_run_that_waits_for_a_person_says_so_and_goes_on_when_they_decide(
    user: User, save: Callable[..., str]
) -> None:
    def decide() -> None:
        wait_until(Review.objects.exists)
        review = Review.objects.get()
        decide_review(user=user, review=review, approved=True, data="Dear Ms Lovelace")
        connection.close()

    person = threading.Timer(3.0, decide)
    person.start()
    ran = Ran(save(ASKING), "--json", "--timeout", str(DEADLINE_SECONDS))
    person.join()

    assert (ran.code, ran.shown["outputs"]) == (0, {"Answer": ["Dear Ms Lovelace"]})
    assert ran.err.count("A person must decide about “Letter”") == 1


@pytest.mark.usefixtures("listening")
def test_a_failed_run_ends_the_command_with_1(save: Callable[..., str]) -> None:
    document = draw(
        {"step": (STEP, {"items": ["x"]}), "add": (CALCULATOR, {"operation": "Add", "b": 1})},
        ["step.item -> add.a"],
        on_error="fail_run",
    )

    ran = Ran(save(document), "--json")

    assert (ran.code, ran.shown["status"]) == (1, "FAILED")
    assert "“add” failed" in ran.shown["error"]


@pytest.mark.usefixtures("listening")
def test_text_that_would_steer_the_terminal_is_shown_as_text(save: Callable[..., str]) -> None:
    ran = Ran(save(ECHO), "--input", r'Word="\u001b[2J\u202eevil\nnext"')

    assert ran.out == "Echo:\n  - \\x1b[2J\\u202eevil\n    next\n"


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


@pytest.fixture
def alone() -> Iterator[dict[str, str]]:
    """The environment of a command on the test database and a broker where nobody listens."""
    locks = []
    for number in range(1, 16):
        lock = open_lock(f"test-broker-{number}.lock")
        locks.append(lock)
        if try_lock(lock):
            break
    yield {**os.environ, **worker_environment(), "REDIS_DATABASE": str(number)}
    for lock in locks:
        os.close(lock)


@pytest.fixture
def begin(alone: dict[str, str]) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start the command as a process where nobody listens; what a failed test leaves is killed."""
    begun: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "manage.py", "run_graph", *arguments]
        pipe = subprocess.PIPE
        begun.append(subprocess.Popen(command, cwd=ROOT, env=alone, stdout=pipe, stderr=pipe, text=True))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def find_workers(command: "subprocess.Popen[str]") -> set[int]:
    """Return the processes that the command has started, and those that they have."""
    parents = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(file.parent.name)] = int(file.read_text().rpartition(")")[2].split()[1])
    found: set[int] = set()
    level = {command.pid}
    while level:
        level = {child for child, parent in parents.items() if parent in level}
        found |= level
    return found


def are_gone(processes: set[int]) -> bool:
    return not any(Path(f"/proc/{process}").exists() for process in processes)


def test_without_workers_the_command_has_its_own_and_leaves_none(
    begin: Callable[..., "subprocess.Popen[str]"], save: Callable[..., str]
) -> None:
    command = begin(save(ADDING), "--input", "Number=7", "--json")
    workers: set[int] = set()
    while command.poll() is None:
        workers |= find_workers(command)
        time.sleep(0.05)
    out, err = command.communicate(timeout=DEADLINE_SECONDS)

    assert (command.returncode, json.loads(out)["outputs"]) == (0, {"Sum": [41.0]})
    assert "No workers are running: starting some." in err
    assert len(workers) >= 2
    assert are_gone(workers)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_stops_its_workers_and_says_how_the_run_stands(
    begin: Callable[..., "subprocess.Popen[str]"], save: Callable[..., str], sent: signal.Signals
) -> None:
    command = begin(save(ASKING), "--json")
    wait_until(lambda: Review.objects.exists() or command.poll() is not None)
    workers = find_workers(command)

    command.send_signal(sent)
    out, _ = command.communicate(timeout=DEADLINE_SECONDS)

    shown = json.loads(out)
    assert (command.returncode, shown["status"]) == (1, "REVIEW")
    assert "It goes on as soon as workers are running" in shown["error"]
    assert len(workers) >= 2
    assert are_gone(workers)
