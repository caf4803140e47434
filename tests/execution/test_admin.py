"""The admin shows runs and finds them, however many there are, and lets people decide."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext

from execution.models import Execution, NodeExecution, Review
from execution.services import start_execution
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.small_graphs import ASK, CALCULATOR, INPUT, OUTPUT, STEP, draw

RUNS = "/admin/execution/execution/"
NODES = "/admin/execution/nodeexecution/"
REVIEWS = "/admin/execution/review/"
MANY = 100_000

ADDING = draw(
    {
        "a": (STEP, {"items": [1]}),
        "b": (INPUT, {"name": "Number"}),
        "add": (CALCULATOR, {"operation": "Add"}),
        "out": (OUTPUT, {"name": "Sum"}),
        "mute": (CALCULATOR, {"operation": "Add"}),
    },
    ["a.item -> add.a", "b.result -> add.b", "add.result -> out.value", "a.key -> mute.a", "mute.error -> mute.b"],
)
ASKING = draw({"ask": (ASK, {"name": "Letter to Ada", "data": "Dear Ada"})})

pytestmark = pytest.mark.django_db
transactional = pytest.mark.django_db(transaction=True)


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def start(user: User, document: dict[str, Any], *, name: str = "Sums", **inputs: Any) -> Execution:
    version = import_graph(owner=user, document={**document, "name": name}).version
    return start_execution(user=user, version=version, input_data=inputs)


def read(client: Client, address: str, **query: str) -> str:
    answer = client.get(address, query)
    assert answer.status_code == 200
    return answer.content.decode()


@transactional
def test_a_run_shows_its_inputs_outputs_warnings_and_node_executions(client: Client, user: User, drain: Drain) -> None:
    run = start(user, ADDING, Number=41)
    drain.run()

    page = read(client, f"{RUNS}{run.pk}/change/")

    assert "completed in" in page
    assert "{&quot;Number&quot;: 41}" in page
    assert "<b>Sum</b> <code>42.0</code>" in page
    assert "never fired: no value came for b" in page
    node = run.node_executions.order_by("id").first()
    assert node is not None
    assert f"{NODES}{node.pk}/change/" in page


@transactional
def test_a_node_execution_shows_what_came_at_first_and_later_and_what_it_emitted(
    client: Client, user: User, drain: Drain
) -> None:
    run = start(user, ADDING, Number=41)
    drain.run()
    added = NodeExecution.objects.get(outputs__pin="result", later_inputs__pin="b")

    page = read(client, f"{NODES}{added.pk}/change/")

    assert "<b>a</b> <code>1</code>" in page
    assert "<b>b</b> <code>41</code>" in page
    assert "<b>result</b> <code>42.0</code>" in page
    assert f"{RUNS}{run.pk}/change/" in page


@transactional
def test_an_error_and_hostile_text_are_shown_as_text(client: Client, user: User, drain: Drain) -> None:
    run = start(user, ADDING, Number="<script>alert(1)</script>")
    drain.run()
    failed = run.node_executions.get(status="FAILED")

    for address in (f"{NODES}{failed.pk}/change/", f"{RUNS}{run.pk}/change/"):
        page = read(client, address)
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page
    assert "Invalid inputs" in read(client, f"{NODES}{failed.pk}/change/")


@transactional
@pytest.mark.parametrize("address", [RUNS, NODES])
def test_runs_are_found_by_id_graph_and_user(client: Client, user: User, drain: Drain, address: str) -> None:
    wanted = start(user, ADDING, name="Weather report", Number=1)
    other = start(User.objects.create_user("grace"), ADDING, Number=1)
    drain.run()

    def shown(term: str) -> set[bool]:
        page = read(client, address, q=term)
        found = {str(each.execution_id) for each in NodeExecution.objects.all() if str(each.pk) in page}
        found |= {str(run.pk) for run in (wanted, other) if str(run.pk) in page.replace(term, "")}
        return {key == str(wanted.pk) for key in found}

    assert shown("weather") == shown("AD") == {True}
    assert shown(str(wanted.graph_version.graph_id)) == {True}
    assert shown("gra") == {False}
    assert shown("nothing like it") == set()
    assert len(client.get(address, {"q": str(wanted.pk)}).context["cl"].result_list) == (1 if address == RUNS else 5)


@transactional
def test_a_list_asks_as_often_however_long_it_is(client: Client, user: User, drain: Drain) -> None:
    start(user, ADDING, Number=1)
    start(user, ASKING)
    drain.run()
    of_few = [count_queries(client, address) for address in (RUNS, NODES, REVIEWS)]
    for index in range(10):
        start(User.objects.create_user(f"user{index}"), ADDING, Number=1)
        start(user, ASKING)
    drain.run()

    assert [count_queries(client, address) for address in (RUNS, NODES, REVIEWS)] == of_few


def count_queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        read(client, address)
    return len(queries)


@pytest.fixture
def many_runs(db: None, user: User) -> Execution:
    """A run among a hundred thousand others, each with a node execution; all of them are somebody else's."""
    start(User.objects.create_user("crowd"), draw({"a": (STEP, {"items": [1]})}), name="Crowded")
    # Ids that sort by time, as ours do, and are older than any of ours.
    run_id, node_id = (f"('01900000-0000-7000-{part}-' || lpad(to_hex(i), 12, '0'))::uuid" for part in (8000, 9000))
    multiply(Execution, {"id": run_id})
    multiply(NodeExecution, {"id": node_id, "execution_id": run_id})
    wanted = start(user, draw({"a": (STEP, {"items": [1]})}), name="Rare")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE execution_execution, execution_nodeexecution, graphs_graphversion, graphs_node")
    return wanted


def multiply(model: type[Model], changed: Mapping[str, str]) -> None:
    """Insert copies of the one row that there is, with other values in some columns."""
    columns = [field.column for field in model._meta.concrete_fields]
    values = ", ".join(changed.get(str(column), f't."{column}"') for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {model._meta.db_table} ({names}) SELECT {values}"  # noqa: S608
            f" FROM {model._meta.db_table} t, generate_series(1, {MANY}) i"
        )


def test_lists_and_searches_stay_fast_among_a_hundred_thousand(client: Client, many_runs: Execution) -> None:
    run, node = many_runs, many_runs.node_executions.get()
    pages = [
        *((address, {}) for address in (RUNS, NODES)),
        *((address, {"p": "150"}) for address in (RUNS, NODES)),
        *((address, {"q": term}) for address in (RUNS, NODES) for term in ("rare", "ada", "crowd", str(run.pk))),
        (NODES, {"q": str(node.pk)}),
        (NODES, {"execution__id__exact": str(run.pk)}),
        (f"{RUNS}{run.pk}/change/", {}),
        (f"{NODES}{node.pk}/change/", {}),
    ]

    for address, query in pages:
        with CaptureQueriesContext(connection) as queries:
            read(client, address, **query)

        assert len(queries) < 20
        scanned = {relation for asked in queries for relation in scanned_by(asked["sql"])}
        assert not scanned & {"execution_execution", "execution_nodeexecution"}, (address, query)


def scanned_by(sql: str) -> Iterator[str]:
    """Yield the tables that a query reads from end to end."""
    if not sql.startswith("SELECT"):
        return
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
        (plan,) = cursor.fetchone()
    waiting = [each["Plan"] for each in (json.loads(plan) if isinstance(plan, str) else plan)]
    while waiting:
        step = waiting.pop()
        waiting += step.get("Plans", [])
        if step["Node Type"] == "Seq Scan":
            yield step["Relation Name"]


@transactional
@pytest.mark.parametrize(("action", "state"), [("approve", "approved"), ("reject", "rejected")])
def test_a_person_decides_in_the_admin(client: Client, user: User, drain: Drain, action: str, state: str) -> None:
    run = start(user, ASKING)
    drain.run()
    review = Review.objects.get()
    assert "waits" in read(client, REVIEWS)

    page = client.post(REVIEWS, {"action": action, "_selected_action": [str(review.pk)]}, follow=True).content.decode()
    drain.run()

    assert state in page
    run.refresh_from_db()
    assert run.status == "COMPLETED"
    assert run.node_executions.get().outputs.get(position=0).pin == f"{state}_data"
    assert state in read(client, f"{REVIEWS}{review.pk}/change/")


@transactional
def test_what_was_decided_stays_decided(client: Client, user: User, drain: Drain) -> None:
    start(user, ASKING)
    drain.run()
    decide = {"action": "approve", "_selected_action": [str(Review.objects.get().pk)]}
    client.post(REVIEWS, decide)

    page = client.post(REVIEWS, {**decide, "action": "reject"}, follow=True).content.decode()

    assert "decided before" in page
    assert Review.objects.get().approved is True


@transactional
def test_who_may_only_look_decides_nothing(user: User, drain: Drain) -> None:
    start(user, ASKING)
    drain.run()
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_review"))
    client = Client()
    client.force_login(clerk)

    client.post(REVIEWS, {"action": "approve", "_selected_action": [str(Review.objects.get().pk)]})

    assert Review.objects.get().approved is None
    assert "Letter to Ada" in read(client, REVIEWS)


@pytest.mark.parametrize("address", [RUNS, NODES, REVIEWS])
def test_nothing_is_added_here(client: Client, address: str) -> None:
    assert client.get(f"{address}add/").status_code == 403


def test_what_is_not_there_is_told(client: Client) -> None:
    assert client.get(f"{RUNS}not-an-id/change/", follow=True).status_code == 200
