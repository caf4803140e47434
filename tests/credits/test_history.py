"""The history of an account: grouped by run, of some types and some time, page by page while runs go on."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from credits.models import LedgerEntry
from tests.credits.booking import give, history, use

pytestmark = pytest.mark.django_db

RUNS = [uuid4() for _ in range(3)]


def test_what_a_run_used_is_one_line_that_can_be_expanded(client: APIClient, payer: int) -> None:
    use(payer, 5, run=RUNS[0])
    use(payer, 7, run=RUNS[1])
    give(payer, 50)
    use(payer, 6, run=RUNS[0], execution_id=uuid4())

    lines = history(client)[:3]
    expanded = history(client, execution_id=RUNS[0])

    assert [(each["type"], each["amount"], each["entry_count"]) for each in lines] == [
        ("GRANT", 50, 1),
        ("USAGE", -7, 1),
        ("USAGE", -11, 2),
    ]
    assert lines[2]["execution_id"] == str(RUNS[0])
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


def now() -> datetime:
    return LedgerEntry.objects.latest("id").created_at + timedelta(microseconds=1)


def test_no_page_misses_or_repeats_a_run_that_goes_on(client: APIClient, payer: int) -> None:
    for run in RUNS:
        use(payer, 1, run=run)
    runs: list[str] = []
    address = "/v1/credits/transactions?page_size=1&type=USAGE"

    while address:
        shown = client.get(address).json()
        runs.extend(each["execution_id"] for each in shown["results"])
        for run in RUNS:
            use(payer, 1, run=run)
        address = shown["next"]

    assert runs == [str(run) for run in reversed(RUNS)]


def test_a_run_shows_in_a_span_of_time_what_it_used_within_it(client: APIClient, payer: int) -> None:
    use(payer, 5, run=RUNS[0])
    use(payer, 30, run=RUNS[1])
    since = now()
    use(payer, 7, run=RUNS[0])
    use(payer, 9, run=RUNS[2])
    until = now()
    use(payer, 11, run=RUNS[0])
    use(payer, 13, run=RUNS[1])

    within = history(client, type="USAGE", since=since.isoformat(), until=until.isoformat())
    before = history(client, type="USAGE", until=since.isoformat())
    after = history(client, type="USAGE", since=until.isoformat())

    def costs(found: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
        return [(each["execution_id"], each["amount"], each["entry_count"]) for each in found]

    first, second, third = map(str, RUNS)
    assert costs(within) == [(third, -9, 1), (first, -7, 1)]
    assert costs(before) == [(second, -30, 1), (first, -5, 1)]
    assert costs(after) == [(second, -13, 1), (first, -11, 1)]


def test_pages_of_a_span_of_time_are_full_where_runs_only_surround_it(client: APIClient, payer: int) -> None:
    inside = [uuid4() for _ in range(3)]
    use(payer, 1, run=inside[0])
    around = [uuid4() for _ in range(5)]
    for run in around:
        use(payer, 1, run=run)
    since = now()
    for run in inside:
        use(payer, 2, run=run)
    until = now()
    for run in around:
        use(payer, 1, run=run)

    found: list[str] = []
    address = f"/v1/credits/transactions?page_size=2&type=USAGE&since={since:%Y-%m-%dT%H:%M:%S.%fZ}"
    address += f"&until={until:%Y-%m-%dT%H:%M:%S.%fZ}"
    while address:
        shown = client.get(address).json()
        found.extend(each["execution_id"] for each in shown["results"])
        address = shown["next"]

    assert found == [str(inside[2]), str(inside[1]), str(inside[0])]
