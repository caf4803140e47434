"""What the tests of the books do over and over; they charge with the statements that the engine is made of."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection
from rest_framework.test import APIClient

from credits.metering import (
    CAPTURE,
    CHARGE_FEE,
    HOLD,
    RELEASE_RUNS,
    Held,
    Price,
    Subject,
    describe_capture,
    describe_hold,
    release,
)
from credits.models import Account
from credits.notices import tell_after_commit
from credits.pricing import Cost, CostType, Usage
from credits.store import ledger

ROOT = UUID(int=1)
GRAPH = UUID(int=2)


def give(user_id: int, amount: int, *, key: str | None = None) -> None:
    ledger.post(user_id=user_id, key=key or f"gift:{uuid4()}", type="GRANT", amount=amount, facts={"reason": "a gift"})


def set_balance(user_id: int, amount: int) -> None:
    """Let the user have just so much."""
    account = Account.objects.get(user_id=user_id)
    if amount != account.balance:
        ledger.post(
            user_id=user_id,
            key=f"start:{uuid4()}",
            type="ADJUSTMENT",
            amount=amount - account.balance,
            facts={"reason": "a test begins"},
        )


def account_of(user_id: int) -> Account:
    return Account.objects.get(user_id=user_id)


def standing(user_id: int) -> tuple[int, int, int]:
    """Return (balance, held, owed)."""
    account = account_of(user_id)
    return account.balance, account.held, account.owed


def subject(node_execution_id: UUID | None = None, *, root: UUID = ROOT, **other: Any) -> Subject:
    facts: dict[str, Any] = {
        "execution_id": root,
        "root_execution_id": root,
        "graph_id": GRAPH,
        "graph_version": 1,
        "node_id": UUID(int=3),
        "node_execution_id": node_execution_id or uuid4(),
        "block_id": "a-block",
    }
    return Subject(**{**facts, **other})


def flat_price(amount: int, *, hold: int | None = None, **other: Any) -> Price:
    facts: dict[str, Any] = {"cost": Cost(amount=Decimal(amount), type=CostType.RUN)}
    facts |= {"version": 0, "charge_on_failure": False, "size": 0, "hold": amount if hold is None else hold}
    return Price(**{**facts, **other})


def hold(*, user_id: int, subject: Subject, price: Price, max_cost: int | None = None) -> Held:
    """Set aside what a node execution costs."""
    asked = describe_hold(user_id=user_id, subject=subject, price=price, max_cost=max_cost)
    if asked is None:
        return Held(granted=True, spendable=0, committed=None)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {HOLD}", asked)  # noqa: S608 - a constant
        granted, spendable, committed = cursor.fetchone()
    return Held(granted=granted, spendable=spendable, committed=committed)


@dataclass(frozen=True, kw_only=True)
class Charged:
    """What was taken from the balance and what remained owed. `is_new`: it had not been charged before."""

    charged: int
    owed: int
    is_new: bool


NOTHING_CHARGED = Charged(charged=0, owed=0, is_new=False)


def capture(*, user_id: int, subject: Subject, **used: Any) -> Charged:
    """Charge what a node execution cost, and let go of the rest of what was set aside for it."""
    asked = describe_capture(user_id=user_id, subject=subject, **used)
    if asked is None:
        release([subject.node_execution_id])
        return NOTHING_CHARGED
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {CAPTURE}", asked)  # noqa: S608 - a constant
        charged, owed, is_new, has_news = cursor.fetchone()
    if has_news:
        tell_after_commit(user_id)
    return Charged(charged=charged, owed=owed, is_new=is_new)


def charge_fee(*, user_id: int, count: int, max_cost: int | None = None, **facts: UUID) -> Charged:
    """Count node executions of a run; every so many of a user cost a credit."""
    asked = {"user": user_id, "count": count, "max_cost": max_cost, "per": settings.NODE_EXECUTIONS_PER_CREDIT}
    due = "SELECT %(user)s::bigint AS user_id, %(count)s::bigint AS count, %(facts)s::jsonb AS facts,"
    due += " %(max_cost)s::bigint AS max_cost"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT fee.* FROM ({due}) AS due, LATERAL {CHARGE_FEE} AS fee",  # noqa: S608 - of constants
            {**asked, "facts": ledger.dump_facts(facts)},
        )
        charged, owed, has_news = cursor.fetchone()
    if has_news:
        tell_after_commit(user_id)
    return Charged(charged=charged, owed=owed, is_new=charged + owed > 0)


def release_runs(*execution_ids: UUID) -> None:
    """Let go of everything that is set aside for these runs."""
    with connection.cursor() as cursor:
        cursor.execute(RELEASE_RUNS, [list(execution_ids)])


def use(user_id: int, amount: int, *, run: UUID, **other: Any) -> None:
    what = subject(root=run, **other)
    capture(user_id=user_id, subject=what, price=flat_price(amount), usage=Usage(), has_failed=False)


def history(client: APIClient, **query: Any) -> list[dict[str, Any]]:
    answer = client.get("/v1/credits/transactions", query)
    assert answer.status_code == 200, answer.json()
    results: list[dict[str, Any]] = answer.json()["results"]
    return results
