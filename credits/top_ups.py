"""Buying credits at a checkout page, and entering payments; `credits.auto_top_ups` buys them automatically.

However often and in whatever order a provider, a return page and a retry tell of a payment: it leads to one entry,
whose key is the top-up's.
"""

from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from credits.accounts import find_account
from credits.exceptions import (
    AmountInvalidError,
    PaymentFailedError,
    PaymentUnavailableError,
    TopUpNotFoundError,
)
from credits.models import Account, EntryType, NoticeKind, TopUp, TopUpKind, TopUpStatus
from credits.notices import note, tell_after_commit
from credits.payments import get_provider
from credits.payments.provider import Checkout, Order, Payment, PaymentState
from credits.store.auto_top_ups import order_auto_top_up
from credits.store.ledger import post

LEAST: Final = 500
STEP: Final = 100
MOST: Final = 1_000_000
"""A payment is from 5 to 10,000 US dollars."""

MOST_AT_ONCE: Final = 20
"""How many payments one round of recovery asks the provider about."""

NOT_WANTED: Final = "Not charged: it is not wanted any more."
"""Why an automatic top-up was cancelled; the database's `credits_cancel_top_up` says so, too."""

PAID_BY_NOBODY: Final = "Paid by somebody who is gone: send it back at the payment provider."
"""Why a top-up has failed that was paid."""

logger = structlog.get_logger(__name__)


def check_amount(amount: int) -> None:
    """Raise `AmountInvalidError` if so much can't be bought."""
    if not LEAST <= amount <= MOST or amount % STEP:
        raise AmountInvalidError(f"Credits are bought in multiples of {STEP}, from {LEAST} to {MOST:,}.")


def order_top_up(*, user_id: int, amount: int) -> TopUp:
    """Ask for credits; `open_checkout` gives the page at which they are paid.

    Raises `AmountInvalidError` and `PaymentsOffError`.
    """
    check_amount(amount)
    get_provider()
    return TopUp.objects.create(account=find_account(user_id), kind=TopUpKind.CHECKOUT, amount=amount)


def open_checkout(top_up_id: UUID) -> Checkout:
    """Return the page at which a top-up is paid; the same one if repeated. Call it after the commit.

    Raises `PaymentsOffError`, `PaymentFailedError` and `PaymentUnavailableError`.
    """
    provider = get_provider()
    top_up = TopUp.objects.select_related("account__user").get(pk=top_up_id)
    order = Order(id=top_up.pk, user_id=top_up.account.user_id or 0, amount=top_up.amount)
    checkout = provider.start_checkout(order, customer_id=ensure_customer(top_up.account))
    TopUp.objects.filter(pk=top_up.pk, session_id=None).update(session_id=checkout.session_id)
    top_up.refresh_from_db(fields=["session_id"])
    if top_up.session_id != checkout.session_id:
        # A second page could be paid as well.
        raise PaymentFailedError("This top-up has a page already. Start another one.")
    return checkout


def open_portal(*, user_id: int) -> str:
    """Return the address of the provider's page for the user's cards. Raises as `open_checkout` does."""
    provider = get_provider()
    return provider.open_portal(customer_id=ensure_customer(find_account(user_id)))


def ensure_customer(account: Account) -> str:
    """Return what the provider calls the user; raises its errors, and `TopUpNotFoundError` for who is gone."""
    if account.customer_id:
        return account.customer_id
    user = account.user
    if user is None:
        raise TopUpNotFoundError("The user is gone.")
    customer_id = get_provider().make_customer(account_id=account.pk, user_id=user.pk, email=user.email)
    nameless = Account.objects.filter(pk=account.pk, customer_id="")
    if nameless.update(customer_id=customer_id):
        return customer_id
    account.refresh_from_db(fields=["customer_id"])
    return account.customer_id


def get_top_up(*, user_id: int, top_up_id: UUID) -> TopUp:
    """Return a top-up of the user; raises `TopUpNotFoundError`."""
    top_up = TopUp.objects.filter(pk=top_up_id, account__user_id=user_id).first()
    if top_up is None:
        raise TopUpNotFoundError(f"There is no top-up {top_up_id}.")
    return top_up


def look_after(top_up: TopUp) -> TopUp:
    """Ask the provider how a checkout stands, and enter what has been paid; for who comes back from its page."""
    if top_up.status == TopUpStatus.PENDING and top_up.session_id:
        complete_session(top_up.session_id)
        top_up.refresh_from_db()
    return top_up


def look_after_newest(*, user_id: int) -> None:
    """Do the same for the user's newest checkout that is pending, if there is one."""
    pending = TopUp.objects.filter(account__user_id=user_id, kind=TopUpKind.CHECKOUT, status=TopUpStatus.PENDING)
    newest = pending.filter(session_id__isnull=False).order_by("-id").first()
    if newest is not None:
        look_after(newest)


def complete_session(session_id: str) -> TopUp | None:
    """Do the same by the session; None if it was not made here."""
    return enter_payment(get_provider().find_checkout(session_id))


def complete_payment(payment_id: str) -> TopUp | None:
    """Do the same by the payment."""
    return enter_payment(get_provider().find_payment(payment_id))


def enter_payment(payment: Payment) -> TopUp | None:
    """Enter a payment that has been made, once; note one that has failed. None if it is none of ours."""
    order = payment.order
    if order is None:
        return None
    with transaction.atomic():
        top_up = _lock(order)
        if top_up is None:
            logger.warning("a payment of nobody we know", top_up_id=str(order.id), payment_id=payment.payment_id)
            return None
        if payment.state is PaymentState.PAID and payment.payment_id:
            _pay(top_up, order=order, payment_id=payment.payment_id)
        elif payment.state is PaymentState.FAILED and _is_final(top_up, payment):
            _fail(top_up, payment.error or "The payment was not completed.")
        elif payment.state is PaymentState.CANCELLED and _is_final(top_up, payment):
            _cancel(top_up)
    return top_up


def _lock(order: Order) -> TopUp | None:
    """Return the top-up of an order, locked after its account: whoever charges orders top-ups with the account locked.

    It is written anew if its row was lost with a request that was rolled back.
    """
    accounts = Account.objects.select_for_update(no_key=True, of=("self",))
    if accounts.filter(top_ups=order.id).first() is None:
        if not get_user_model().objects.filter(pk=order.user_id).exists():
            return None
        account = accounts.get(pk=find_account(order.user_id).pk)
        lost = TopUp(pk=order.id, account=account, kind=TopUpKind.CHECKOUT, amount=order.amount)
        TopUp.objects.bulk_create([lost], ignore_conflicts=True)
    locked = TopUp.objects.select_for_update(no_key=True, of=("self",))
    return locked.select_related("account").get(pk=order.id)


def _is_final(top_up: TopUp, payment: Payment) -> bool:
    """Whether a failure is the end: at a checkout page another card can be tried until the page expires."""
    is_over = top_up.kind == TopUpKind.AUTO or payment.session_id is not None
    return is_over and top_up.status == TopUpStatus.PENDING


def _pay(top_up: TopUp, *, order: Order, payment_id: str) -> None:
    if top_up.status == TopUpStatus.PAID:
        return
    if top_up.account.user_id is None:
        _keep_out_of_books(top_up, payment_id=payment_id)
        return
    # What was paid counts, whatever was asked for.
    post(
        user_id=top_up.account.user_id,
        key=f"top-up:{top_up.pk}",
        type=EntryType.TOP_UP,
        amount=order.amount,
        facts={"reason": f"Top-up ({top_up.get_kind_display()})", "details": {"payment_id": payment_id}},
    )
    top_up.status, top_up.payment_id, top_up.amount = TopUpStatus.PAID, payment_id, order.amount
    top_up.error = ""
    TopUp.objects.filter(pk=top_up.pk).update(
        status=top_up.status, payment_id=payment_id, amount=order.amount, error="", ended_at=Now()
    )
    # What the entry has settled orders nothing while this one is under way, and perhaps nothing is charged any more.
    if order_auto_top_up(top_up.account_id):
        tell_after_commit(top_up.account.user_id)


def _keep_out_of_books(top_up: TopUp, *, payment_id: str) -> None:
    """Say once, in the log and to admins, that somebody who is gone has paid: nobody has credits for it."""
    if top_up.error == PAID_BY_NOBODY:
        return
    logger.error("somebody who is gone has paid: send it back", top_up=str(top_up.pk), payment_id=payment_id)
    TopUp.objects.filter(pk=top_up.pk).update(payment_id=payment_id)
    _end_unpaid(top_up, PAID_BY_NOBODY)


def _cancel(top_up: TopUp) -> None:
    """End what was not wanted any more. Another one may be: nothing is switched off."""
    _end_unpaid(top_up, NOT_WANTED)
    if order_auto_top_up(top_up.account_id) and top_up.account.user_id is not None:
        tell_after_commit(top_up.account.user_id)


def _end_unpaid(top_up: TopUp, error: str) -> None:
    top_up.status, top_up.error = TopUpStatus.FAILED, error
    TopUp.objects.filter(pk=top_up.pk).update(status=top_up.status, error=error, ended_at=Now())


def _fail(top_up: TopUp, error: str) -> None:
    _end_unpaid(top_up, error)
    account = top_up.account
    if top_up.kind == TopUpKind.AUTO:
        Account.objects.filter(pk=account.pk).update(auto_top_up_threshold=None, auto_top_up_amount=None)
        note(
            account_id=account.pk,
            kind=NoticeKind.AUTO_TOP_UP_FAILED,
            balance=Account.objects.get(pk=account.pk).balance,
            text=error,
        )
        if account.user_id is not None:
            tell_after_commit(account.user_id)


def look_after_checkouts(*, patience_seconds: float) -> None:
    """Ask how checkouts stand of which nobody has told for so long: what should have told us may be lost."""
    before = Now() - timedelta(seconds=patience_seconds)
    waiting = TopUp.objects.filter(
        Q(tried_at__isnull=True, created_at__lt=before) | Q(tried_at__lt=before),
        kind=TopUpKind.CHECKOUT,
        status=TopUpStatus.PENDING,
        session_id__isnull=False,
    )
    # Whoever was asked about longest ago comes first: what never ends keeps nothing else waiting.
    for top_up in waiting.order_by(F("tried_at").asc(nulls_first=True), "id")[:MOST_AT_ONCE]:
        TopUp.objects.filter(pk=top_up.pk).update(tried_at=Now())
        try:
            look_after(top_up)
        except PaymentUnavailableError:
            break
        except PaymentFailedError as error:
            TopUp.objects.filter(pk=top_up.pk, status=TopUpStatus.PENDING).update(
                status=TopUpStatus.FAILED, error=str(error), ended_at=Now()
            )
