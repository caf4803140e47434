"""Which price holds for a claim, what the entry says of it, and what blocks and storage may do to it."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage

from credits.auditing import find_faults
from credits.history import recent_quantity
from credits.models import Hold, LedgerEntry
from credits.price_list import set_price
from credits.pricing import CostType
from execution.beginning import begin
from execution.engine.statuses import Status
from execution.large_values import read
from execution.models import Execution, NodeExecution, Output
from execution.places import Running
from execution.prices import price
from execution.reporting import get_run
from execution.services import stop_execution
from execution.store.claims import Claimed, new_tokens
from execution.store.holding import InputsAwayError, claim_and_hold, claim_held_back_and_hold
from execution.store.losses import hand_back
from tests.credits.booking import standing
from tests.execution.charging.paid_runs import charges, start, statuses
from tests.execution.drain import Drain
from tests.execution.lock_waits import do_beside
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


def be_away(*_arguments: Any, **_options: Any) -> Any:
    raise OSError("The storage is away.")


def start_by_size(user: User) -> Any:
    return start(user, {"each": (STEP, {"items": ["large"]}), "paid": (PAID, {})}, ["each.item -> paid.size"])


def test_who_can_not_read_the_inputs_waits_instead_of_asking_a_wrong_price(
    payer: User, drain: Drain, far_away: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start_by_size(payer)
    drain.run_one(drain.waiting.pop())

    messages = list(drain.waiting)
    with monkeypatch.context() as patch:
        patch.setattr(default_storage, "open", be_away)
        drain.run()
    meanwhile = (set(NodeExecution.objects.values_list("status", flat=True)), standing(payer.pk))
    drain.send(messages)
    drain.run()

    assert meanwhile == ({"COMPLETED", "QUEUED"}, (100, 0, 0))
    assert get_run(execution_id=run.pk).status == Status.COMPLETED
    assert charges(payer) == [20]


def test_a_price_that_cannot_be_told_fails_its_node_and_holds_nothing(
    payer: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any, **_inputs: Any) -> None:
        raise ValueError("Out of range float values are not JSON compliant")

    run = start(payer, {"paid": (PAID, {})})
    monkeypatch.setattr("execution.store.holding.price", fail)

    drain.run()

    node = NodeExecution.objects.get(execution=run)
    assert (node.status, node.attempt) == (Status.FAILED, 1)
    assert Output.objects.get(node_execution=node).value == "What it costs can't be told (ValueError)."
    assert (Hold.objects.count(), standing(payer.pk), charges(payer)) == (0, (100, 0, 0), [])


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


def wait_for_storage(payer: User, drain: Drain, **columns: Any) -> tuple[Execution, NodeExecution]:
    """A run with a node execution that is to be claimed while its input lies in the storage."""
    run = start_by_size(payer)
    drain.run_one(drain.waiting.pop())
    NodeExecution.objects.filter(status=Status.QUEUED).update(**columns)
    return run, NodeExecution.objects.get(status=Status.QUEUED)


def claim_it(run: Execution, node: NodeExecution) -> Claimed | None:
    return claim_and_hold(node.pk, lease_seconds=10, token=uuid4())


def claim_what_is_held_back(run: Execution, node: NodeExecution) -> Claimed | None:
    return next(iter(claim_held_back_and_hold(run.pk, run_id=run.pk, tokens=new_tokens(1), lease_seconds=10)), None)


Claim = Callable[[Execution, NodeExecution], Claimed | None]
CLAIMS: list[tuple[Claim, bool]] = [(claim_it, False), (claim_what_is_held_back, True)]


def test_what_cannot_be_priced_now_is_as_if_nobody_had_claimed_it(payer: User, drain: Drain, far_away: None) -> None:
    run, before = wait_for_storage(payer, drain, attempt=2)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(InputsAwayError):
        patch.setattr(default_storage, "open", be_away)
        claim_it(run, before)

    node = NodeExecution.objects.get(pk=before.pk)
    assert (node.status, node.token, node.lease_until) == (Status.QUEUED, None, None)
    assert (node.held_back, node.attempt, standing(payer.pk)) == (False, 2, (100, 0, 0))
    claimed = claim_it(run, node)
    assert claimed is not None
    assert (claimed.attempt, standing(payer.pk)) == (3, (100, 20, 0))


def test_who_renews_a_claim_keeps_it_although_it_cannot_be_priced_now(
    payer: User, drain: Drain, far_away: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, node = wait_for_storage(payer, drain)
    token = uuid4()
    claim_and_hold(node.pk, lease_seconds=10, token=token)
    before = NodeExecution.objects.values().get(pk=node.pk)

    monkeypatch.setattr(default_storage, "open", be_away)
    with pytest.raises(InputsAwayError):
        claim_and_hold(node.pk, lease_seconds=10, token=token, only_renews=True)

    after = NodeExecution.objects.values().get(pk=node.pk)
    assert {**after, "lease_until": None} == {**before, "lease_until": None}
    assert (after["status"], after["token"], standing(payer.pk)) == (Status.RUNNING, token, (100, 20, 0))


def meanwhile(monkeypatch: pytest.MonkeyPatch, do: Callable[[], Any]) -> None:
    """Let somebody else do this between the next claim and what is set aside for it."""

    def price_later(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr("execution.store.holding.price", price)
        with do_beside(do):
            pass
        return price(*arguments, **options)

    monkeypatch.setattr("execution.store.holding.price", price_later)


@pytest.mark.parametrize(("claim", "held_back"), CLAIMS)
def test_nothing_is_set_aside_for_what_was_stopped_meanwhile(
    payer: User, drain: Drain, monkeypatch: pytest.MonkeyPatch, claim: Claim, held_back: bool
) -> None:
    run = start(payer, {"paid": (PAID, {})})
    NodeExecution.objects.update(held_back=held_back)
    meanwhile(monkeypatch, lambda: stop_execution(execution_id=run.pk))

    assert claim(run, NodeExecution.objects.get()) is None

    assert statuses(run) == {"TERMINATED": 1}
    assert (standing(payer.pk), Hold.objects.count(), charges(payer)) == ((100, 0, 0), 0, [])


def test_what_was_stopped_meanwhile_does_not_run(payer: User, drain: Drain, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start(payer, {"paid": (PAID, {})})
    meanwhile(monkeypatch, lambda: stop_execution(execution_id=run.pk))

    attempt = begin(drain.waiting.pop().id, publish=drain.send)

    assert attempt is None
    assert (drain.waiting, Execution.objects.get().status) == ([], Status.TERMINATED)


@pytest.mark.parametrize("costs", [[{"amount": 9}], []])
def test_who_was_taken_for_dead_meanwhile_leaves_what_is_set_aside_for_its_successor(
    payer: User, drain: Drain, monkeypatch: pytest.MonkeyPatch, costs: list[dict[str, int]]
) -> None:
    run = start(payer, {"paid": (PAID, {})})
    node = NodeExecution.objects.get(execution=run)
    late, token = uuid4(), uuid4()

    def take_over() -> None:
        hand_back(Running(node_execution_id=node.pk, execution_id=run.pk, token=late))
        assert claim_and_hold(node.pk, lease_seconds=10, token=token) is not None
        set_price(block_id=PAID, costs=costs, reason="Another one.")

    meanwhile(monkeypatch, take_over)

    assert claim_and_hold(node.pk, lease_seconds=10, token=late) is None

    node.refresh_from_db()
    assert (node.status, node.token, standing(payer.pk)) == (Status.RUNNING, token, (100, 7, 0))
