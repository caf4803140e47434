"""A charge with the next one's hold: a step that does what the two do one after the other, and nothing else."""

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
from credits.metering import CAPTURE, HOLD, describe_capture, describe_hold
from credits.models import Account, Hold, LedgerEntry, Notice, RunCost
from credits.pricing import Usage
from tests.credits.booking import ROOT, capture, flat_price, hold, set_balance, standing, subject

pytestmark = pytest.mark.django_db(transaction=True)

ENDED, NEXT, OTHER = UUID(int=11), UUID(int=12), UUID(int=13)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What there is before: credits, and what is held for the one, for the next and for a third. None: nothing is."""

    balance: int
    held: int | None
    next_held: int | None = None
    other_held: int | None = None
    price: int
    next_price: int
    max_cost: int | None = None
    was_charged: bool = False
    threshold: int = 0


AMOUNTS = st.integers(min_value=1, max_value=8)
MAYBE = st.none() | AMOUNTS
SCENES = st.builds(
    Scene,
    balance=st.integers(min_value=0, max_value=30),
    held=MAYBE,
    next_held=MAYBE,
    other_held=MAYBE,
    price=AMOUNTS,
    next_price=AMOUNTS,
    max_cost=st.none() | st.integers(min_value=1, max_value=20),
    was_charged=st.booleans(),
    threshold=st.integers(min_value=0, max_value=20),
)
ALIKE: dict[str, Any] = {"held": 5, "price": 5, "next_price": 5}


def set_up(user_id: int, scene: Scene) -> None:
    set_balance(user_id, scene.balance)
    Account.objects.filter(user_id=user_id).update(low_balance_threshold=scene.threshold)
    if scene.was_charged:
        capture(user_id=user_id, subject=subject(ENDED), price=flat_price(2), usage=Usage(), has_failed=False)
    for key, amount in ((ENDED, scene.held), (NEXT, scene.next_held), (OTHER, scene.other_held)):
        if amount is not None:
            hold(user_id=user_id, subject=subject(key), price=flat_price(amount))


def describe(user_id: int, scene: Scene) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what is asked of the charge and of the hold."""
    charge = describe_capture(
        user_id=user_id,
        subject=subject(ENDED),
        price=flat_price(scene.price),
        usage=Usage(),
        has_failed=False,
        max_cost=scene.max_cost,
    )
    held = describe_hold(
        user_id=user_id, subject=subject(NEXT), price=flat_price(scene.next_price), max_cost=scene.max_cost
    )
    assert charge is not None
    assert held is not None
    return charge, held


def do_both(user_id: int, scene: Scene) -> tuple[Any, ...]:
    charge, held = describe(user_id, scene)
    before = Account.objects.get(user_id=user_id).news
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT charged, owed, is_new FROM {CAPTURE}", charge)  # noqa: S608 - a constant
        charged = cursor.fetchone()
        cursor.execute(f"SELECT granted FROM {HOLD}", held)  # noqa: S608 - a constant
        (granted,) = cursor.fetchone()
    return *charged, Account.objects.get(user_id=user_id).news > before, granted


STEP = (
    "SELECT * FROM credits_capture_and_hold(%(user)s, %(key)s, %(amount)s, %(facts)s, %(max_cost)s,"
    " %(next)s, %(run)s, %(root)s, %(next_amount)s, %(max_cost)s)"
)


def do_step(charge: dict[str, Any] | None, held: dict[str, Any] | None) -> tuple[Any, ...]:
    nobody = dict.fromkeys(("key", "amount", "facts", "run", "root"))
    following = held or nobody
    asked = {**nobody, **(held or {}), **(charge or {"key": None, "amount": None})}
    with connection.cursor() as cursor:
        cursor.execute(STEP, {**asked, "next": following["key"], "next_amount": following["amount"]})
        found: tuple[Any, ...] = cursor.fetchone()
    return found


def do_at_once(user_id: int, scene: Scene) -> tuple[Any, ...]:
    return do_step(*describe(user_id, scene))


def do_in_two_steps(user_id: int, scene: Scene) -> tuple[Any, ...]:
    """As for more of the one than of the other."""
    charge, held = describe(user_id, scene)
    *charged, charge_news, nothing = do_step(charge, None)
    no_charge, no_debt, not_new, hold_news, granted = do_step(None, held)
    assert (nothing, no_charge, no_debt, not_new) == (None, None, None, None)
    return *charged, charge_news or hold_news, granted


def books(user_id: int) -> list[Any]:
    """Return all that the books say, but for moments and ids."""
    entries = LedgerEntry.objects.filter(account__user_id=user_id).order_by("sequence")
    told = ("sequence", "key", "type", "amount", "owed", "balance_after", "owed_after", "node_execution_id", "details")
    return [
        standing(user_id),
        [{**entry, "key": entry["key"].partition(":")[0]} for entry in entries.values(*told)],
        sorted(Hold.objects.values_list("key", "amount", "execution_id", "root_execution_id")),
        list(RunCost.objects.filter(root_execution_id=ROOT).values_list("cost", "owed", "entry_count")),
        list(Notice.objects.order_by("id").values_list("kind", "balance")),
        list(Account.objects.values_list("is_low", "is_out", "news")),
    ]


def try_out(user_id: int, scene: Scene, do: Any) -> list[Any]:
    """Return what was answered and what the books say then; nothing of it stays."""
    with transaction.atomic():
        set_up(user_id, scene)
        found = [do(user_id, scene), books(user_id), find_faults()]
        transaction.set_rollback(True)
    return found


@example(scene=Scene(balance=10, **ALIKE))
@example(scene=Scene(balance=9, **ALIKE))
@example(scene=Scene(balance=10, **ALIKE, next_held=1))
@example(scene=Scene(balance=10, **ALIKE, other_held=1))
@example(scene=Scene(balance=12, **ALIKE, was_charged=True))
@example(scene=Scene(balance=10, **ALIKE, max_cost=9))
@example(scene=Scene(balance=10, held=4, price=5, next_price=5))
@example(scene=Scene(balance=10, held=None, price=5, next_price=5))
@example(scene=Scene(balance=1, held=1, price=8, next_price=1))
@example(scene=Scene(balance=10, **ALIKE, threshold=6))
@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scene=SCENES)
def test_it_does_what_both_do_one_after_the_other(user: User, scene: Scene) -> None:
    # What is held before is never more than there is.
    expected = try_out(user.pk, scene, do_both)
    assert try_out(user.pk, scene, do_at_once) == expected
    assert try_out(user.pk, scene, do_in_two_steps) == expected


def test_what_passes_on_changes_the_account_once(user: User) -> None:
    scene = Scene(balance=10, **ALIKE)
    set_up(user.pk, scene)
    (before,) = Hold.objects.values_list("key", "amount", "created_at")

    found = do_at_once(user.pk, scene)

    assert found == (5, 0, True, False, True)
    assert standing(user.pk) == (5, 5, 0)
    # It is the same row: it was not let go of in between.
    assert list(Hold.objects.values_list("key", "amount", "created_at")) == [(NEXT, *before[1:])]
