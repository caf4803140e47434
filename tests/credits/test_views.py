"""The API of accounts."""

import csv
import io
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from credits.metering import capture, charge_fee, hold
from credits.models import LedgerEntry
from credits.pricing import Usage
from tests.credits.booking import GRAPH, account_of, flat_price, give, subject

pytestmark = pytest.mark.django_db

RUNS = [uuid4() for _ in range(3)]


def use(user_id: int, amount: int, *, run: UUID, **other: Any) -> None:
    what = subject(root=run, **other)
    capture(user_id=user_id, subject=what, price=flat_price(amount), usage=Usage(), has_failed=False)


def history(client: APIClient, **query: Any) -> list[dict[str, Any]]:
    answer = client.get("/v1/credits/transactions", query)
    assert answer.status_code == 200, answer.json()
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def test_an_account_shows_what_there_is(client: APIClient, payer: int) -> None:
    hold(user_id=payer, subject=subject(), price=flat_price(30))

    shown = client.get("/v1/credits").json()

    assert shown == {
        "balance": 100,
        "held": 30,
        "spendable": 70,
        "owed": 0,
        "node_executions": 0,
        "low_balance_threshold": 500,
        "auto_top_up": None,
    }


def test_a_user_says_when_to_be_told(client: APIClient, payer: int) -> None:
    answer = client.patch("/v1/credits", {"low_balance_threshold": 20, "balance": 9_999})

    assert answer.json()["low_balance_threshold"] == 20
    assert answer.json()["balance"] == 100


@pytest.mark.parametrize("threshold", [-1, "low", None, 10**30])
def test_a_threshold_that_makes_no_sense_is_refused(client: APIClient, payer: int, threshold: Any) -> None:
    assert client.patch("/v1/credits", {"low_balance_threshold": threshold}).status_code == 400


def test_what_a_run_used_is_one_line_that_can_be_expanded(client: APIClient, payer: int) -> None:
    use(payer, 5, run=RUNS[0])
    use(payer, 7, run=RUNS[1])
    give(payer, 50)
    use(payer, 6, run=RUNS[0], execution_id=uuid4())

    lines = history(client)[:3]
    expanded = history(client, execution_id=RUNS[0])

    assert [(each["type"], each["amount"], each["entry_count"]) for each in lines] == [
        ("USAGE", -11, 2),
        ("GRANT", 50, 1),
        ("USAGE", -7, 1),
    ]
    assert lines[0]["execution_id"] == str(RUNS[0])
    assert [each["amount"] for each in expanded] == [-6, -5]
    assert expanded[1]["block_id"] == "a-block"


def test_the_history_comes_in_pages_without_gaps(client: APIClient, payer: int) -> None:
    for number in range(7):
        give(payer, number + 1)
        use(payer, 1, run=uuid4())
    whole = history(client)

    pages, address = [], "/v1/credits/transactions?page_size=3"
    while address:
        shown = client.get(address).json()
        pages.extend(shown["results"])
        address = shown["next"]

    assert pages == whole
    assert len({each["number"] for each in whole}) == len(whole) == 16


@pytest.mark.parametrize(
    ("types", "expected"),
    [(["USAGE"], {"USAGE"}), (["GRANT"], {"GRANT"}), (["GRANT", "USAGE"], {"GRANT", "USAGE"}), (["TOP_UP"], set())],
)
def test_a_history_of_some_types(client: APIClient, payer: int, types: list[str], expected: set[str]) -> None:
    give(payer, 5)
    use(payer, 5, run=RUNS[0])

    assert {each["type"] for each in history(client, type=types)} == expected


def test_a_history_of_some_time(client: APIClient, payer: int) -> None:
    give(payer, 5)
    entry = LedgerEntry.objects.latest("id")

    since = history(client, since=entry.created_at.isoformat())
    until = history(client, until=entry.created_at.isoformat())
    never = history(client, since=(entry.created_at + timedelta(days=1)).isoformat())

    assert [each["amount"] for each in since] == [5]
    assert 5 not in [each["amount"] for each in until]
    assert never == []


@pytest.mark.parametrize(
    "query",
    ["type=GIFT", "since=yesterday", "until=x", "execution_id=1", "page_size=0", "page_size=9999", "cursor=x"],
)
def test_a_question_that_makes_no_sense_is_refused(client: APIClient, payer: int, query: str) -> None:
    assert client.get(f"/v1/credits/transactions?{query}").status_code in (400, 404)


def test_a_long_history_takes_as_few_queries_as_a_short_one(client: APIClient, payer: int) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            history(client)
        return len(queries)

    short = count()
    for _ in range(30):
        use(payer, 1, run=uuid4())

    assert count() == short <= 4


def test_everybody_sees_their_own(client: APIClient, payer: int) -> None:
    use(payer, 5, run=RUNS[0])
    stranger = APIClient()
    stranger.force_authenticate(User.objects.create_user("mallory"))

    assert [each["type"] for each in history(stranger)] == ["GRANT"]
    assert history(stranger, execution_id=RUNS[0]) == []
    assert stranger.get("/v1/credits/summary?by=run").json() == []
    assert "a-block" not in stranger.get("/v1/credits/transactions.csv").content.decode()


@pytest.mark.parametrize("path", ["", "/transactions", "/summary", "/transactions.csv", "/refund-requests"])
def test_who_is_nobody_sees_nothing(path: str) -> None:
    assert APIClient().get(f"/v1/credits{path}").status_code == 401


def test_usage_is_summed(client: APIClient, payer: int) -> None:
    other = uuid4()
    use(payer, 5, run=RUNS[0])
    use(payer, 7, run=RUNS[1], graph_id=other, block_id="another")
    use(payer, 95, run=RUNS[1], graph_id=other, block_id="another")
    charge_fee(user_id=payer, execution_id=RUNS[0], root_execution_id=RUNS[0], graph_id=GRAPH, count=100)

    def sums(by: str) -> dict[str | None, tuple[int, int, int]]:
        found = client.get("/v1/credits/summary", {"by": by}).json()
        return {each["key"]: (each["cost"], each["owed"], each["charges"]) for each in found}

    today = LedgerEntry.objects.latest("id").created_at.date().isoformat()
    assert sums("day") == {today: (108, 8, 4)}
    assert sums("block") == {"a-block": (5, 0, 1), "another": (102, 7, 2), None: (1, 1, 1)}
    assert sums("graph") == {str(GRAPH): (6, 1, 2), str(other): (102, 7, 2)}
    assert sums("run") == {str(RUNS[0]): (6, 1, 2), str(RUNS[1]): (102, 7, 2)}
    assert client.get("/v1/credits/summary?by=hour").status_code == 400


def test_the_history_goes_to_spreadsheets(client: APIClient, payer: int) -> None:
    give(payer, 5)
    use(payer, 7, run=RUNS[0])
    LedgerEntry.objects.create(account=account_of(payer), key="evil", type="GRANT", amount=1, reason="=HYPERLINK(1)")

    answer = client.get("/v1/credits/transactions.csv")

    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert answer["Content-Type"].startswith("text/csv")
    assert [row["amount"] for row in rows][-3:] == ["5", "-7", "1"]
    assert rows[-2]["root_execution_id"] == str(RUNS[0])
    assert rows[-1]["reason"] == "'=HYPERLINK(1)"
