"""What a run will cost, told before, and what a block costs."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from credits.history import forget_history
from credits.models import LedgerEntry
from credits.price_list import set_price
from execution.services import start_execution
from graphs.models import GraphVersion
from graphs.services import import_graph
from tests.credits.booking import give
from tests.execution.credential_blocks import POSTING
from tests.execution.drain import Drain
from tests.execution.paid_blocks import COUNTING, PAID, TALKING
from tests.execution.small_graphs import CALCULATOR, INPUT, STEP, draw
from tests.graphs.building import GMAIL_SEND

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("paid_blocks")]

AGENT = "e189baac-8c20-45a1-94a7-55177ea42565"
EACH = {"each": (STEP, {"items": [1, 2, 3]}), "paid": (PAID, {}), "free": (CALCULATOR, {"operation": "Add", "b": 1})}
ARROWS = ["each.item -> paid.value", "each.item -> free.a"]


def save(user: User, nodes: dict[str, Any], arrows: list[str] | None = None) -> GraphVersion:
    return import_graph(owner=user, document=draw(nodes, arrows or [])).version


def ask(client: APIClient, version: GraphVersion, **body: Any) -> dict[str, Any]:
    answer = client.post(f"/v1/graphs/{version.graph_id}/quote/{version.version}", body)
    assert answer.status_code == 200, answer.json()
    shown: dict[str, Any] = answer.json()
    return shown


def by_name(quoted: dict[str, Any], part: str) -> dict[str, tuple[float, int]]:
    return {node["name"]: (node[part]["expected"], node[part]["most"]) for node in quoted["nodes"]}


def test_without_history_each_node_is_reckoned_with_once(client: APIClient, user: User) -> None:
    quoted = ask(client, save(user, EACH, ARROWS))

    assert quoted["based_on_runs"] == 0
    assert by_name(quoted, "cost") == {"each": (0, 0), "paid": (7, 20), "free": (0, 0)}
    assert quoted["cost"] == {"expected": 7, "most": 20}


def test_history_tells_how_often_nodes_run(client: APIClient, user: User, drain: Drain, settings: Settings) -> None:
    version = save(user, EACH, ARROWS)
    for _ in range(2):
        start_execution(user=user, version=version, input_data={})
    drain.run()
    settings.NODE_EXECUTIONS_PER_CREDIT = 2

    quoted = ask(client, version)

    assert quoted["based_on_runs"] == 2
    assert by_name(quoted, "executions") == {"each": (1, 1), "paid": (3, 3), "free": (3, 3)}
    assert by_name(quoted, "cost")["paid"] == (21, 60)
    assert quoted["fee"] == {"expected": 3.5, "most": 4}
    assert quoted["cost"] == {"expected": 24.5, "most": 64}


def test_what_blocks_used_lately_is_what_they_are_expected_to_use(client: APIClient, user: User, drain: Drain) -> None:
    version = save(user, {"a": (COUNTING, {"items": 20}), "b": (COUNTING, {"items": 60})})
    start_execution(user=user, version=version, input_data={})
    drain.run()
    forget_history()

    quoted = ask(client, version)

    assert by_name(quoted, "price") == {"a": (12, 18), "b": (12, 18)}


def test_what_tokens_and_bytes_lately_cost_is_reckoned_with(client: APIClient, user: User, drain: Drain) -> None:
    set_price(block_id=PAID, costs=[{"amount": 1, "type": "BYTE"}], reason="By size.")
    nodes = {
        "few": (TALKING, {"items": 1}),
        "many": (TALKING, {"items": 9}),
        "far": (STEP, {"items": [1, 10**300]}),
        "sized": (PAID, {}),
    }
    version = save(user, nodes, ["far.item -> sized.value"])
    give(user.pk, 10_000)
    before = by_name(ask(client, version), "price")
    start_execution(user=user, version=version, input_data={})
    drain.run()
    forget_history()

    after = by_name(ask(client, version), "price")

    paid = {block: [-entry.amount for entry in LedgerEntry.objects.filter(block_id=block)] for block in (TALKING, PAID)}
    assert (before["few"], before["many"]) == ((5, 5), (5, 5))
    assert before["sized"][1] < max(paid[PAID])
    assert {after["few"], after["many"]} == {(sum(paid[TALKING]) / 2, max(paid[TALKING]))}
    assert after["sized"] == (sum(paid[PAID]) / 2, max(paid[PAID]))


def test_what_was_charged_by_another_price_is_not(client: APIClient, user: User, drain: Drain) -> None:
    version = save(user, {"a": (TALKING, {"items": 1_000})})
    start_execution(user=user, version=version, input_data={})
    drain.run()
    forget_history()
    dear = by_name(ask(client, version), "price")["a"]

    set_price(block_id=TALKING, costs=[{"amount": 2, "type": "TOKENS"}], reason="Cheaper.")

    assert dear[1] > 1_000
    assert by_name(ask(client, version), "price")["a"] == (2, 2)


def test_what_fits_no_line_of_the_price_list_is_free(client: APIClient, user: User) -> None:
    free, linked = {"paid": (PAID, {"size": "free"})}, {"each": EACH["each"], "paid": (PAID, {"size": "free"})}

    quoted = [ask(client, save(user, free)), ask(client, save(user, linked, ["each.item -> paid.value"]))]

    # What comes through links may ask for another line.
    assert [each["cost"] for each in quoted] == [{"expected": 0, "most": 0}, {"expected": 0, "most": 20}]


@pytest.mark.parametrize("cost", [0, 7])
def test_who_brings_their_own_credentials_is_quoted_nothing_and_pays_nothing(
    client: APIClient, user: User, drain: Drain, settings: Settings, cost: int
) -> None:
    settings.BLOCK_MODULES = [*settings.BLOCK_MODULES, "tests.execution.credential_blocks"]
    settings.PLATFORM_CREDENTIAL_IDS = ["c-1"] if cost else []
    own = {"credentials": {"id": "c-1", "provider": "forge", "type": "api_key", "title": "Mine"}}
    nodes = {"first": (POSTING, own), "second": (POSTING, own)}
    version = save(user, nodes, ["first.used -> second.note"])

    quoted = ask(client, version)
    run = start_execution(user=user, version=version, input_data={})
    drain.run()

    run.refresh_from_db()
    assert quoted["cost"] == {"expected": 2 * cost, "most": 2 * cost}
    assert (run.status, run.node_count, run.cost) == ("COMPLETED", 2, 2 * cost)


def test_credentials_that_come_through_a_link_may_be_the_platforms(
    client: APIClient, user: User, settings: Settings
) -> None:
    settings.BLOCK_MODULES = [*settings.BLOCK_MODULES, "tests.execution.credential_blocks"]
    own = {"credentials": {"id": "c-1", "provider": "forge", "type": "api_key", "title": "Mine"}}
    version = save(user, {"each": EACH["each"], "post": (POSTING, own)}, ["each.item -> post.credentials"])

    assert by_name(ask(client, version), "cost")["post"][1] == 7


def test_a_mask_counts(client: APIClient, user: User) -> None:
    version = save(user, {"paid": (PAID, {})})
    (node,) = version.nodes.all()

    quoted = ask(client, version, nodes_input_masks={str(node.node_id): {"size": "large"}})

    assert quoted["cost"] == {"expected": 20, "most": 20}


def test_sub_graphs_are_reckoned_with(client: APIClient, user: User) -> None:
    below = save(user, {"in": (INPUT, {"name": "Number"}), "paid": (PAID, {})}, ["in.result -> paid.value"])
    agent = {"graph_id": str(below.graph_id), "graph_version": 1, "inputs": {}, "input_schema": {}, "output_schema": {}}

    quoted = ask(client, save(user, {"agent": (AGENT, agent), "paid": (PAID, {})}))

    assert by_name(quoted, "cost") == {"agent": (7, 20), "paid": (7, 7)}


def test_somebody_elses_graph_is_not_quoted(client: APIClient) -> None:
    version = save(User.objects.create_user("mallory"), EACH, ARROWS)

    assert client.post(f"/v1/graphs/{version.graph_id}/quote/1", {}).status_code == 404


@pytest.mark.parametrize("body", [{"nodes_input_masks": 5}, {"nodes_input_masks": {"a": 5}}])
def test_a_question_that_makes_no_sense_is_refused(client: APIClient, user: User, body: Any) -> None:
    version = save(user, EACH, ARROWS)

    assert client.post(f"/v1/graphs/{version.graph_id}/quote/1", body).status_code == 400


def test_a_block_tells_what_it_costs(client: APIClient) -> None:
    listed = client.get(f"/v1/blocks/{PAID}/costs").json()
    set_price(block_id=PAID, costs=[{"amount": 9, "type": "SECOND", "divisor": 10}], reason="Dearer.")
    changed = client.get(f"/v1/blocks/{PAID}/costs").json()

    assert (listed["version"], [cost["amount"] for cost in listed["costs"]]) == (0, [20, 7])
    assert listed["costs"][0]["filter"] == {"size": "large"}
    assert (changed["version"], changed["costs"][0]["type"], changed["costs"][0]["divisor"]) == (1, "SECOND", 10)
    assert client.get(f"/v1/blocks/{CALCULATOR}/costs").json()["costs"] == []
    assert client.get(f"/v1/blocks/{uuid4()}/costs").status_code == 404


def test_blocks_are_listed_with_the_prices_that_hold_now(
    client: APIClient, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    set_price(block_id=PAID, costs=[{"amount": 9, "type": "SECOND", "divisor": 10}], reason="Dearer.")
    set_price(block_id=CALCULATOR, costs=[{"amount": 1}], reason="It was free.")

    with django_assert_max_num_queries(1):
        listed = {block["id"]: block["costs"] for block in client.get("/v1/blocks").json()}

    (changed,), (new,) = listed[PAID], listed[CALCULATOR]
    assert (changed["amount"], changed["type"], changed["divisor"], new["amount"]) == (9, "SECOND", 10, 1)
    assert len(listed[COUNTING]) == 1
    for block_id in (PAID, CALCULATOR, COUNTING, TALKING, GMAIL_SEND):
        assert client.get(f"/v1/blocks/{block_id}").json()["costs"] == listed[block_id]
        assert client.get(f"/v1/blocks/{block_id}/costs").json()["costs"] == listed[block_id]


def test_who_has_nothing_is_told_so(client: APIClient, user: User) -> None:
    version = save(user, EACH, ARROWS)
    address = f"/v1/graphs/{version.graph_id}/execute"
    too_little = client.post(address, {"max_cost": 0}).status_code
    nonsense = client.post(address, {"on_insufficient_credits": "pray"}).status_code
    user.credit_account.entries.create(key="all of it", type="ADJUSTMENT", amount=-1_500, reason="a test")

    answer = client.post(address, {})

    assert (too_little, nonsense) == (400, 400)
    assert answer.status_code == 402
    problem = answer.json()
    assert (problem["balance"], problem["owed"], problem["needed"]) == (0, 0, 1)
