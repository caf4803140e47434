"""`manage.py run_graph`, with workers that run already and with its own."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from execution.models import Execution, Review
from execution.presence import find_listened
from execution.queues import QUEUES
from execution.services import decide_review
from graphs.models import Graph
from graphs.services import import_graph, replace_graph
from tests.config.processes import wait_until
from tests.execution.run_graph_command import ASKING, DEADLINE_SECONDS, Ran
from tests.execution.small_graphs import ADDING, CALCULATOR, INPUT, OUTPUT, STEP, TIMER, draw, node_id

SEARCH_THE_WEB = "87840993-2053-44b7-8da4-187ad4ee518c"

SEARCH_THE_WEB_ONCE = "b2c3d4e5-6f7g-8h9i-0j1k-l2m3n4o5p6q7"

ECHO = draw({"in": (INPUT, {"name": "Word"}), "out": (OUTPUT, {"name": "Echo"})}, ["in.result -> out.value"])

SEARCHING = draw(
    {"search": (SEARCH_THE_WEB, {"query": "graphs"}), "out": (OUTPUT, {"name": "Found"})},
    ["search.results -> out.value"],
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def listening(workers: object) -> None:
    """Workers that run already."""
    assert wait_until(lambda: find_listened(QUEUES) == set(QUEUES), seconds=DEADLINE_SECONDS)


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
        # As deep as can be without being a large value: the storage of tests is not that of the workers.
        ("[" * 60_000, "[" * 60_000),
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
        assert wait_until(Review.objects.exists, seconds=DEADLINE_SECONDS)
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
