"""The API of accounts."""

import csv
import io
from datetime import UTC
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings
from rest_framework.test import APIClient

from credits.models import LedgerEntry
from tests.credits.booking import GRAPH, ROOT, account_of, charge_fee, flat_price, give, history, hold, subject, use

pytestmark = pytest.mark.django_db

RUNS = [uuid4() for _ in range(3)]


def test_an_account_shows_what_there_is(client: APIClient, payer: int) -> None:
    hold(user_id=payer, subject=subject(), price=flat_price(30))

    shown = client.get("/v1/credits").json()

    assert shown == {
        "credits": 70,
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


def sums(client: APIClient, *by: str, **query: Any) -> dict[tuple[Any, ...], tuple[int, int, int]]:
    answer = client.get("/v1/credits/summary", {"by": by, **query})
    assert answer.status_code == 200, answer.json()
    names = {"day": "day", "block": "block_id", "graph": "graph_id", "run": "execution_id", "user": "user_id"}
    return {
        tuple(each[names[name]] for name in by): (each["cost"], each["owed"], each["charges"]) for each in answer.json()
    }


def test_usage_is_summed(client: APIClient, payer: int) -> None:
    graph, other = str(GRAPH), str(uuid4())
    runs = [str(run) for run in RUNS]
    use(payer, 5, run=RUNS[0])
    use(payer, 7, run=RUNS[1], graph_id=other, block_id="another")
    use(payer, 95, run=RUNS[1], graph_id=other, block_id="another")
    charge_fee(user_id=payer, execution_id=RUNS[0], root_execution_id=RUNS[0], graph_id=GRAPH, count=100)

    today = LedgerEntry.objects.latest("id").created_at.date().isoformat()
    assert sums(client, "day") == {(today,): (108, 8, 4)}
    assert sums(client, "block") == {("a-block",): (5, 0, 1), ("another",): (102, 7, 2), (None,): (1, 1, 1)}
    assert sums(client, "graph") == {(graph,): (6, 1, 2), (other,): (102, 7, 2)}
    assert sums(client, "run") == {(runs[0],): (6, 1, 2), (runs[1],): (102, 7, 2)}
    assert sums(client, "day", "graph", "block", "run") == {
        (today, graph, "a-block", runs[0]): (5, 0, 1),
        (today, graph, None, runs[0]): (1, 1, 1),
        (today, other, "another", runs[1]): (102, 7, 2),
    }
    assert sums(client, "day", "block", graph_id=other) == {(today, "another"): (102, 7, 2)}
    assert sums(client, "block", execution_id=RUNS[0]) == {("a-block",): (5, 0, 1), (None,): (1, 1, 1)}
    assert sums(client, "run", block_id="another") == {(runs[1],): (102, 7, 2)}
    assert client.get("/v1/credits/summary?by=hour").status_code == 400


def test_who_may_see_the_ledger_sums_by_user(client: APIClient, user: User, payer: int) -> None:
    other = User.objects.create_user("grace")
    use(payer, 5, run=RUNS[0])
    use(other.pk, 7, run=RUNS[1])

    refused = client.get("/v1/credits/summary?by=user&by=block").status_code
    user.user_permissions.add(Permission.objects.get(codename="view_ledgerentry"))
    client.force_authenticate(User.objects.get(pk=payer))

    assert refused == 403
    assert sums(client, "user", "block") == {(payer, "a-block"): (5, 0, 1), (other.pk, "a-block"): (7, 0, 1)}


def test_sums_that_nobody_would_read_are_refused(
    client: APIClient, payer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("credits.summaries.MOST_GROUPS", 2)
    for run in RUNS:
        use(payer, 1, run=run)

    assert client.get("/v1/credits/summary?by=run").status_code == 400
    assert len(sums(client, "day")) == 1


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


def test_a_history_that_is_too_long_for_a_table_is_refused_before_it_is_read(
    client: APIClient, payer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    length = LedgerEntry.objects.filter(account__user=payer).count()

    monkeypatch.setattr("credits.exporting.MOST_ROWS", length)
    just_so = client.get("/v1/credits/transactions.csv")
    monkeypatch.setattr("credits.exporting.MOST_ROWS", length - 1)
    with CaptureQueriesContext(connection) as queries:
        too_long = client.get("/v1/credits/transactions.csv")

    assert len(just_so.content.decode().splitlines()) == 1 + length
    assert (too_long.status_code, "ask for a shorter time" in too_long.json()["detail"]) == (400, True)
    assert not any("credits_ledgerentry" in query["sql"] and "reason" in query["sql"] for query in queries)


@pytest.mark.parametrize("zone", ["Etc/GMT-14", "Etc/GMT+12"])
def test_days_are_those_of_utc_wherever_the_server_stands(
    client: APIClient, payer: int, settings: Settings, zone: str
) -> None:
    settings.TIME_ZONE = zone
    use(payer, 5, run=ROOT)

    (day,) = client.get("/v1/credits/summary?by=day").json()

    assert day["day"] == LedgerEntry.objects.latest("pk").created_at.astimezone(UTC).date().isoformat()
