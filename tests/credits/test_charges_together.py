"""Charges and holds that are asked for together: what comes of them is what comes of each by itself, in order."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from credits.auditing import find_faults
from credits.metering import CAPTURE, CAPTURE_AND_HOLD, HOLD, describe_capture, describe_hold
from credits.models import Account, Hold, LedgerEntry, Notice, RunCost, TopUp
from credits.pricing import Usage
from tests.credits.booking import ROOT, capture, flat_price, hold, set_balance, subject

pytestmark = pytest.mark.django_db(transaction=True)

FEW = 8

Asked = tuple[int, int]
"""Whose it is, and how much."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What there is before, and what is asked for: in each place a charge, a hold, or both."""

    balance: int
    places: tuple[tuple[Asked | None, Asked | None], ...]
    held: tuple[Asked, ...] = ()
    charged: tuple[int, ...] = ()
    owed: int = 0
    max_cost: int | None = None
    low: int = 0
    buys_below: int | None = None


def same(count: int, *, charges: int | None = None, holds: int | None = None) -> dict[str, Any]:
    """Node executions that have ended, all of one price, with as many that follow."""
    charges, holds = count if charges is None else charges, count if holds is None else holds
    places = [
        ((at, 5) if at < charges else None, (FEW + at, 5) if at < holds else None) for at in range(max(charges, holds))
    ]
    return {"places": tuple(places), "held": tuple((at, 5) for at in range(charges))}


CHAIN = (((0, 5), (1, 5)), ((1, 5), (2, 3)), ((2, 3), (3, 3)), ((3, 4), (4, 5)))
KEYS = st.integers(min_value=0, max_value=FEW - 1)
AMOUNTS = st.integers(min_value=1, max_value=6)
PLACES = st.tuples(
    st.none() | st.tuples(KEYS, st.integers(min_value=0, max_value=6)),
    st.none() | st.tuples(KEYS | KEYS.map(lambda key: FEW + key), AMOUNTS),
).filter(any)
# Most of what is asked for in earnest: nothing twice.
ORDINARY = st.builds(
    lambda prices: tuple(((at, charge), (FEW + at, held)) for at, (charge, held) in enumerate(prices)),
    st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=1, max_size=6),
)
CHAINS = st.builds(
    lambda prices: tuple(((at, charge), (at + 1, held)) for at, (charge, held) in enumerate(prices)),
    st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=2, max_size=6),
)
SCENES = st.builds(
    Scene,
    balance=st.integers(min_value=0, max_value=40) | st.integers(min_value=40, max_value=200),
    places=st.lists(PLACES, min_size=1, max_size=6).map(tuple) | ORDINARY | CHAINS,
    held=st.lists(st.tuples(KEYS, AMOUNTS), max_size=6, unique_by=lambda asked: asked[0]).map(tuple),
    charged=st.just(()) | st.lists(KEYS, max_size=2, unique=True).map(tuple),
    owed=st.sampled_from([0, 0, 0, 4]),
    max_cost=st.none() | st.integers(min_value=1, max_value=60),
    low=st.integers(min_value=0, max_value=60),
    buys_below=st.none() | st.integers(min_value=0, max_value=60),
)


def set_up(user_id: int, scene: Scene) -> None:
    set_balance(user_id, scene.balance)
    Account.objects.filter(user_id=user_id).update(
        low_balance_threshold=scene.low,
        auto_top_up_threshold=scene.buys_below,
        auto_top_up_amount=None if scene.buys_below is None else 50,
        auto_top_ups_per_day=1,
    )
    for key in scene.charged:
        capture(user_id=user_id, subject=about(key), price=flat_price(2), usage=Usage(), has_failed=False)
    for key, amount in scene.held:
        hold(user_id=user_id, subject=about(key), price=flat_price(amount))
    if scene.owed:
        spendable = Account.objects.get(user_id=user_id).spendable
        dear = flat_price(spendable + scene.owed)
        capture(user_id=user_id, subject=about(99), price=dear, usage=Usage(), has_failed=False)


def about(key: int) -> Any:
    return subject(UUID(int=1000 + key), root_graph_id=UUID(int=9))


def describe(user_id: int, scene: Scene) -> list[tuple[dict[str, Any] | None, dict[str, Any] | None]]:
    def charge(asked: Asked) -> dict[str, Any] | None:
        return describe_capture(
            user_id=user_id,
            subject=about(asked[0]),
            price=flat_price(asked[1]),
            usage=Usage(),
            has_failed=False,
            max_cost=scene.max_cost,
        )

    def set_aside(asked: Asked) -> dict[str, Any] | None:
        return describe_hold(
            user_id=user_id, subject=about(asked[0]), price=flat_price(asked[1]), max_cost=scene.max_cost
        )

    return [(one and charge(one), other and set_aside(other)) for one, other in scene.places]


def ask_one_by_one(user_id: int, scene: Scene) -> list[Any]:
    before, answers = Account.objects.get(user_id=user_id).news, []
    with connection.cursor() as cursor:
        for charge, held in describe(user_id, scene):
            charged, granted = (None, None, None), None
            if charge:
                cursor.execute(f"SELECT charged, owed, is_new FROM {CAPTURE}", charge)  # noqa: S608 - a constant
                charged = cursor.fetchone()
            if held:
                cursor.execute(f"SELECT granted FROM {HOLD}", held)  # noqa: S608 - a constant
                (granted,) = cursor.fetchone()
            answers.append((*charged, held and held["key"], granted))
    return [*answers, Account.objects.get(user_id=user_id).news > before]


def ask_together(user_id: int, scene: Scene) -> list[Any]:
    places = describe(user_id, scene)
    nothing: dict[str, Any] = {}
    asked: dict[str, Any] = {
        "user": user_id,
        "run": ROOT,
        "root": ROOT,
        "max_cost": scene.max_cost,
        "keys": [(charge or nothing).get("key") for charge, _ in places],
        "amounts": [(charge or nothing).get("amount") for charge, _ in places],
        "facts": [(charge or nothing).get("facts") for charge, _ in places],
        "nexts": [(held or nothing).get("key") for _, held in places],
        "next_amounts": [(held or nothing).get("amount") for _, held in places],
    }
    types = {"keys": "uuid", "amounts": "bigint", "facts": "jsonb", "nexts": "uuid", "next_amounts": "bigint"}
    step = CAPTURE_AND_HOLD
    for name, kind in types.items():
        step = step.replace(f"%({name})s", f"%({name})s::{kind}[]")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT charged, owed, is_new, next, granted, has_news FROM {step}", asked)  # noqa: S608
        rows = cursor.fetchall()
    has_news = any(has_news for *_, has_news in rows)
    return [*(tuple(row) for *row, _ in rows), has_news]


def books() -> list[Any]:
    """Return all that the books say, but for moments and ids that are made anew each time."""
    new = {"id", "created_at", "first_at", "last_at"}
    tables = [Account, LedgerEntry, Hold, RunCost, Notice, TopUp]
    orders = ["id", "sequence", "key", "root_execution_id", "id", "amount"]
    found: list[Any] = []
    for table, order in zip(tables, orders, strict=True):
        rows = table.objects.order_by(order).values()  # type: ignore[attr-defined]  # all of them are models
        found.append([{name: value for name, value in row.items() if name not in new} for row in rows])
    for entry in found[1]:
        entry["key"] = "a start" if entry["key"].startswith("start:") else entry["key"]
    return found


def try_out(user_id: int, scene: Scene, ask: Callable[[int, Scene], list[Any]]) -> list[Any]:
    """Return what was answered and what the books say then; nothing of it stays."""
    with transaction.atomic():
        set_up(user_id, scene)
        found = [ask(user_id, scene), *books(), find_faults()]
        for cost in RunCost.objects.all():
            moments = LedgerEntry.objects.filter(root_execution_id=cost.root_execution_id).order_by("sequence")
            times = list(moments.values_list("created_at", flat=True))
            assert (cost.first_at, cost.last_at) == (times[0], times[-1])
        transaction.set_rollback(True)
    return found


@example(scene=Scene(balance=200, **same(8)))
@example(scene=Scene(balance=200, **same(8), charged=(3,)))
@example(scene=Scene(balance=200, **same(8), max_cost=80))
@example(scene=Scene(balance=200, **same(8), max_cost=79))
@example(scene=Scene(balance=200, **same(8, holds=0), max_cost=39))
@example(scene=Scene(balance=200, **same(3), charged=(7,), max_cost=32))
@example(scene=Scene(balance=200, **same(3), charged=(7,), max_cost=31))
@example(scene=Scene(balance=80, **same(8)))
@example(scene=Scene(balance=79, **same(8)))
@example(scene=Scene(balance=200, **same(8), low=180, buys_below=175))
@example(scene=Scene(balance=200, **same(8), owed=3))
@example(scene=Scene(balance=200, **same(8, charges=3)))
@example(scene=Scene(balance=200, **same(8, holds=3)))
@example(scene=Scene(balance=200, places=CHAIN, held=((0, 5),)))
@example(scene=Scene(balance=200, places=CHAIN))
@example(scene=Scene(balance=14, places=CHAIN, held=((0, 5),)))
@example(scene=Scene(balance=200, places=CHAIN[::-1], held=((0, 5),)))
@example(scene=Scene(balance=200, places=(*CHAIN, *CHAIN), held=((0, 5), (2, 4))))
@example(scene=Scene(balance=200, places=(((0, 5), (1, 5)), ((2, 5), (3, 5))), held=((0, 5), (3, 2))))
@example(scene=Scene(balance=200, places=(((0, 2), None), ((1, 2), None)), held=((0, 5), (1, 5)), owed=3))
@example(scene=Scene(balance=6, places=(((0, 4), None), ((1, 1), None)), held=((1, 5),)))
@example(scene=Scene(balance=200, places=(((0, 5), None), ((1, 5), None), ((0, 5), None)), held=((0, 5),)))
@example(scene=Scene(balance=200, places=((None, (0, 5)), (None, (1, 5)), (None, (0, 3)))))
@example(scene=Scene(balance=200, places=(((0, 5), None), ((1, 5), (0, 5)))))
@example(scene=Scene(balance=200, places=(((0, 0), (2, 5)), ((1, 0), (3, 5))), held=((0, 5),)))
@example(scene=Scene(balance=9, places=((None, (0, 6)), (None, (1, 4)), (None, (2, 3)))))
@hypothesis_settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scene=SCENES)
def test_together_is_one_by_one(user: User, scene: Scene) -> None:
    assert try_out(user.pk, scene, ask_together) == try_out(user.pk, scene, ask_one_by_one)


def count_updates(table: str) -> int:
    """Return how many versions of rows this session has written of late."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_get_xact_tuples_updated(%s::regclass)", [table])
        (count,) = cursor.fetchone()
    return int(count)


@pytest.mark.parametrize("max_cost", [None, 500])
def test_the_ordinary_record_writes_the_account_once(user: User, max_cost: int | None) -> None:
    scene = Scene(balance=1_000, **same(8), max_cost=max_cost)
    set_up(user.pk, scene)
    tables = ("credits_account", "credits_runcost")

    with transaction.atomic():
        before = [count_updates(table) for table in tables]
        *answers, _has_news = ask_together(user.pk, scene)
        written = [count_updates(table) - count for table, count in zip(tables, before, strict=True)]

    assert [granted for *_, granted in answers] == [True] * 8
    assert written == [1, 0]  # the run's cost is a new row
    assert RunCost.objects.get().entry_count == 8
