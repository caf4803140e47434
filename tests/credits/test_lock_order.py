"""Whoever enters a payment locks the account first, as whoever charges does: neither waits for the other for good."""

from uuid import uuid4

import pytest
from django.contrib.auth.models import User

from credits.models import TopUp
from credits.payments.provider import Order, Payment, PaymentState
from credits.top_ups import enter_payment
from tests.credits.booking import account_of
from tests.execution.lock_waits import lock_account, running_into, session_beside

pytestmark = pytest.mark.django_db(transaction=True)

ORDER_AS_A_CHARGE_DOES = """
INSERT INTO credits_topup (id, account_id, kind, status, amount)
SELECT gen_random_uuid(), id, 'AUTO', 'PENDING', 500 FROM credits_account WHERE user_id = %s ON CONFLICT DO NOTHING
"""


@pytest.mark.parametrize(("state", "status"), [(PaymentState.PAID, "PAID"), (PaymentState.FAILED, "FAILED")])
def test_a_payment_is_entered_while_a_charge_orders_the_next_one(
    user: User, payer: int, state: PaymentState, status: str
) -> None:
    due = TopUp.objects.create(account=account_of(payer), kind="AUTO", amount=500)
    payment = Payment(
        state=state, order=Order(id=due.pk, user_id=payer, amount=500), payment_id=f"pi_{uuid4()}", error="Declined."
    )

    with session_beside() as session:
        lock_account(session, user)
        with running_into(session, lambda: enter_payment(payment)):
            session.execute("SELECT FROM credits_topup WHERE id = %s FOR UPDATE NOWAIT", [due.pk])
            ordered = session.execute(ORDER_AS_A_CHARGE_DOES, [payer]).rowcount

    due.refresh_from_db()
    assert (ordered, due.status) == (0, status)
