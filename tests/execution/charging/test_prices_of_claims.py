"""Which price holds for a claim, what the entry says of it, and what blocks and storage may do to it."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from pytest_django import Settings

from credits.auditing import find_faults
from credits.history import recent_quantity
from credits.models import LedgerEntry
from credits.price_list import set_price
from credits.pricing import CostType
from execution.engine.statuses import Status
from execution.large_values import read
from execution.models import NodeExecution
from execution.reporting import get_run
from tests.credits.booking import standing
from tests.execution.charging.paid_runs import charges, start
from tests.execution.drain import Drain
from tests.execution.paid_blocks import BABBLING, BOASTING, COUNTING, ODD_QUANTITIES, PAID, STERN, TALKING
from tests.execution.small_graphs import STEP

pytestmark = pytest.mark.django_db(transaction=True)


def test_made_up_credentials_make_no_block_free(payer: User, drain: Drain) -> None:
    start(payer, {"a": (PAID, {"credentials": {"id": "1", "provider": "p"}})})

    drain.run()

    assert charges(payer) == [7]


def test_a_new_price_holds_for_what_is_claimed_from_then_on(payer: User, drain: Drain) -> None:
    start(payer, {"a": (PAID, {}), "b": (PAID, {})}, ["a.value -> b.value"])
    drain.run_one(drain.waiting.pop())
    set_price(block_id=PAID, costs=[{"amount": 9}], reason="Dearer.")

    drain.run()

    entries = LedgerEntry.objects.filter(account__user=payer, type="USAGE").order_by("sequence")
    assert [(-entry.amount, entry.price_version) for entry in entries] == [(7, 0), (9, 1)]


def details_of(block_id: str) -> Any:
    return LedgerEntry.objects.get(block_id=block_id).details


def test_an_entry_says_which_price_it_was(payer: User, drain: Drain) -> None:
    set_price(block_id=STERN, costs=[{"amount": 0.5, "type": "BYTE"}], reason="By size.")
    start(
        payer,
        {
            "run": (PAID, {"size": "large"}),
            "items": (COUNTING, {"items": 21}),
            "tokens": (TALKING, {"items": 3}),
            "bytes": (STERN, {}),
        },
    )

    drain.run()

    assert details_of(PAID) == {"price": {"amount": 20, "type": "RUN", "filter": {"size": "large"}}}
    assert details_of(COUNTING) == {"price": {"amount": 3, "type": "ITEMS", "divisor": 10}}
    rates = {"large": {"input": 100, "output": 1_000, "cache_read": 0, "cache_write": 0}}
    assert details_of(TALKING)["price"] == {"amount": 5, "type": "TOKENS", "rates": rates}
    by_size = details_of(STERN)
    assert by_size["price"] == {"amount": 0.5, "type": "BYTE"}
    assert -LedgerEntry.objects.get(block_id=STERN).amount == by_size["size"] // 2


@pytest.mark.parametrize("quantity", ODD_QUANTITIES)
def test_what_makes_no_sense_counts_as_not_told(payer: User, drain: Drain, quantity: str) -> None:
    run = start(payer, {"items": (BOASTING, {"quantity": quantity}), "tokens": (BABBLING, {"quantity": quantity})})

    drain.run()

    assert get_run(execution_id=run.pk).status == Status.COMPLETED
    assert not NodeExecution.objects.exclude(status="COMPLETED").exists()
    assert sorted(charges(payer)) == [3, 5]
    assert recent_quantity(block_id=BOASTING, type=CostType.ITEMS) is None
    assert find_faults() == ()


@pytest.fixture
def far_away(settings: Settings) -> None:
    """Every value lies in the storage."""
    settings.LARGE_VALUE_BYTES = 1
    settings.RECORD_PATIENCE_SECONDS = 0.2


def start_by_size(user: User) -> Any:
    return start(user, {"each": (STEP, {"items": ["large"]}), "paid": (PAID, {})}, ["each.item -> paid.size"])


def test_who_can_not_read_the_inputs_waits_instead_of_asking_a_wrong_price(
    payer: User, drain: Drain, far_away: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start_by_size(payer)
    drain.run_one(drain.waiting.pop())

    def fail(*_arguments: Any, **_options: Any) -> Any:
        raise OSError("The storage is away.")

    messages = list(drain.waiting)
    with monkeypatch.context() as patch:
        patch.setattr(default_storage, "open", fail)
        drain.run()
    meanwhile = (set(NodeExecution.objects.values_list("status", flat=True)), standing(payer.pk))
    drain.send(messages)
    drain.run()

    assert meanwhile == ({"COMPLETED", "QUEUED"}, (100, 0, 0))
    assert get_run(execution_id=run.pk).status == Status.COMPLETED
    assert charges(payer) == [20]


def test_inputs_that_are_gone_fail_their_node_and_cost_nothing(payer: User, drain: Drain, far_away: None) -> None:
    run = start_by_size(payer)
    drain.run_one(drain.waiting.pop())
    (reference,) = [each.inputs["size"] for each in NodeExecution.objects.filter(status="QUEUED")]
    default_storage.delete(reference["$stored"]["path"])

    drain.run()

    node = NodeExecution.objects.get(status="FAILED")
    assert read(node.outputs.get().value) == "Its inputs can't be read any more (FileNotFoundError)."
    assert get_run(execution_id=run.pk).status == Status.COMPLETED
    assert (charges(payer), standing(payer.pk)) == ([], (100, 0, 0))
