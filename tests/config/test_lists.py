"""Lists take as many queries however long they are."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from config.accounts.keys import make_key
from config.models import Notice
from credits.models import RefundRequest, TopUp, TopUpKind, TopUpStatus
from execution.models import Preset
from graphs.lifecycle import fork_graph
from graphs.models import GraphVersion
from graphs.services import import_graph, replace_graph
from scheduling.services import create_schedule
from tests.graphs.building import calculator_json

pytestmark = pytest.mark.django_db


def ask_for_refund(user: User) -> RefundRequest:
    """Ask for the money of a top-up of a week of its own."""
    account = user.credit_account
    week = f"2026-W{RefundRequest.objects.count() + 10}"
    bought = TopUp.objects.create(
        account=account,
        kind=TopUpKind.CHECKOUT,
        status=TopUpStatus.PAID,
        amount=500,
        session_id=f"cs_{week}",
        payment_id=f"pi_{week}",
    )
    return RefundRequest.objects.create(account=account, top_up=bought, amount=500, iso_week=week, reason="x")


MAKERS: dict[str, Callable[[User, GraphVersion], Any]] = {
    "/v1/graphs": lambda _user, version: fork_graph(version=version),
    "/v1/graphs/{graph}/versions": lambda _user, version: replace_graph(
        graph=version.graph, document=calculator_json()
    ),
    "/v1/graphs/{graph}/schedules": lambda user, version: create_schedule(
        user=user,
        graph_id=version.graph_id,
        fields={"name": "x", "cron": "@daily", "input_data": {"Input": 1}},
    ),
    "/v1/credits/refund-requests": lambda user, _version: ask_for_refund(user),
    "/v1/credits/refunds": lambda user, _version: ask_for_refund(user),
    "/v1/presets": lambda user, version: Preset.objects.create(user=user, graph=version.graph, name="x"),
    "/v1/notices": lambda user, _version: Notice.objects.create(user=user, kind="LOW_BALANCE", text="x"),
    "/v1/api-keys": lambda user, _version: make_key(user=user, name="x", scopes=["read"]),
}


@pytest.mark.parametrize("address", MAKERS)
def test_a_list_takes_as_many_queries_however_long_it_is(user: User, address: str) -> None:
    version = import_graph(owner=user, document=calculator_json()).version
    make, place = MAKERS[address], address.format(graph=version.graph_id)
    client = APIClient()
    client.force_authenticate(user)

    def count() -> tuple[int, int]:
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(place)
        found = answer.json()
        return len(found if isinstance(found, list) else found["results"]), len(queries)

    make(user, version)
    short, of_short = count()
    for _ in range(4):
        make(user, version)
    long, of_long = count()

    assert long == short + 4
    assert of_long == of_short <= 3
