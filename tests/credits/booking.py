"""What the tests of the books do over and over."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from rest_framework.test import APIClient

from credits.metering import Price, Subject, capture
from credits.models import Account
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


def use(user_id: int, amount: int, *, run: UUID, **other: Any) -> None:
    what = subject(root=run, **other)
    capture(user_id=user_id, subject=what, price=flat_price(amount), usage=Usage(), has_failed=False)


def history(client: APIClient, **query: Any) -> list[dict[str, Any]]:
    answer = client.get("/v1/credits/transactions", query)
    assert answer.status_code == 200, answer.json()
    results: list[dict[str, Any]] = answer.json()["results"]
    return results
