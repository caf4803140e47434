"""Which price holds now."""

import threading
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from credits.exceptions import PriceInvalidError, ReasonMissingError
from credits.metering import Price, find_price
from credits.models import BlockPrice, LedgerEntry
from credits.price_list import find_price_list, forget_prices, set_price
from credits.pricing import Cost, CostType, Usage
from tests.credits.booking import capture, subject

pytestmark = pytest.mark.django_db

LISTED = (Cost(amount=Decimal(5)),)


def find(block_id: str, listed: Sequence[Cost] = LISTED) -> Price | None:
    return find_price(block_id=block_id, prices=find_price_list(block_id=block_id, listed=listed), inputs={}, size=10)


def price(block_id: str) -> int | None:
    found = find(block_id)
    return found.hold if found else None


def test_an_admins_price_holds_instead_of_the_codes(django_capture_on_commit_callbacks: Any) -> None:
    block = str(uuid4())
    seen = [price(block)]

    for costs in ([{"amount": 8}], [], None):
        with django_capture_on_commit_callbacks(execute=True):
            set_price(block_id=block, costs=costs, reason="It costs us more.")
        seen.append(price(block))

    assert seen == [5, 8, None, 5]
    assert list(BlockPrice.objects.order_by("version").values_list("version", flat=True)) == [1, 2, 3]


def test_an_entry_says_which_price_it_was(payer: int) -> None:
    block = str(uuid4())
    set_price(block_id=block, costs=[{"amount": 8}], charge_on_failure=True, reason="It costs us more.")
    forget_prices()
    what = subject(block_id=block)
    found = find(block)
    assert found

    capture(user_id=payer, subject=what, price=found, usage=Usage(), has_failed=True)

    entry = LedgerEntry.objects.get(node_execution_id=what.node_execution_id)
    assert (entry.amount, entry.price_version, entry.price_type) == (-8, 1, "RUN")


def test_a_price_costs_no_query(payer: int) -> None:
    block = str(uuid4())
    price(block)

    with CaptureQueriesContext(connection) as queries:
        price(block)

    assert len(queries) == 0


def test_what_is_set_aside_follows_what_was_used_lately(payer: int) -> None:
    block = str(uuid4())
    listed = (Cost(amount=Decimal(1), type=CostType.ITEMS),)
    unknown = find(block, listed)
    assert unknown
    for items in range(1, 21):
        capture(
            user_id=payer,
            subject=subject(block_id=block),
            price=unknown,
            usage=Usage(items=items),
            has_failed=False,
        )
    from_memory = find(block, listed)
    price_elsewhere = find(str(uuid4()), listed)

    assert unknown.hold == 1
    assert from_memory == unknown
    assert price_elsewhere == unknown


def test_a_process_that_starts_knows_the_history(payer: int) -> None:
    block = str(uuid4())
    listed = (Cost(amount=Decimal(1), type=CostType.ITEMS),)
    first = find("another", listed)
    assert first
    for items in range(1, 22):
        capture(user_id=payer, subject=subject(block_id=block), price=first, usage=Usage(items=items), has_failed=False)

    found = find(block, listed)

    assert found
    assert found.hold == 20  # 19 of 20 used no more


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_price_needs_a_reason(reason: str) -> None:
    with pytest.raises(ReasonMissingError):
        set_price(block_id="a-block", costs=[], reason=reason)

    assert not BlockPrice.objects.exists()


def test_a_price_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(PriceInvalidError):
        set_price(block_id="a-block", costs=[{"amount": -1}], reason="A gift.")

    assert find_price_list(block_id="a-block", listed=LISTED).version == 0


def test_an_admins_price_is_read_once_while_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    block = str(uuid4())
    set_price(block_id=block, costs=[{"amount": 8}], reason="It costs us more.")
    forget_prices()
    first = find_price_list(block_id=block, listed=LISTED)

    monkeypatch.setattr("credits.price_list.read_costs", None)

    assert find_price_list(block_id=block, listed=LISTED) == first
    assert (first.costs, first.version) == ((Cost(amount=Decimal(8)),), 1)


def test_a_price_that_turns_out_wrong_hits_its_own_block_only() -> None:
    block = str(uuid4())
    BlockPrice.objects.create(block_id=block, version=1, costs=[{"amount": -1}], reason="A gift.")
    forget_prices()

    for _ in range(2):
        with pytest.raises(PriceInvalidError):
            find(block)
        assert price(str(uuid4())) == 5


@pytest.mark.django_db(transaction=True)
def test_prices_that_are_set_at_once_get_versions_one_after_the_other() -> None:
    gate, made = threading.Barrier(8), []

    def run() -> None:
        try:
            gate.wait()
            made.append(set_price(block_id="a-block", costs=[], reason="Free.").version)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert sorted(made) == list(range(1, 9))
