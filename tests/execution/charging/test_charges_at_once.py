"""What many workers claim and record of one account at the same moment is paid to the last credit, and no further."""

from functools import partial
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User

from credits.auditing import find_faults
from credits.models import Hold
from execution.engine.statuses import Status
from execution.models import NodeExecution
from execution.store.holding import claim_and_hold
from execution.store.parts import End
from execution.store.recording import record
from tests.credits.booking import set_balance, standing
from tests.execution.charging.paid_runs import charges, start, statuses
from tests.execution.drain import Drain
from tests.execution.paid_blocks import PAID
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db(transaction=True)

WORKERS = 64
PAYABLE = 10


@pytest.mark.parametrize("_time", range(3))
def test_no_more_are_run_and_charged_than_the_balance_pays(payer: User, drain: Drain, _time: int) -> None:
    set_balance(payer.pk, PAYABLE * 7 + 3)
    run = start(payer, {f"n{number}": (PAID, {}) for number in range(WORKERS)}, on_insufficient_credits="park")
    keys = list(NodeExecution.objects.filter(execution=run).values_list("id", flat=True))

    def work(key: UUID) -> None:
        claimed = claim_and_hold(key, lease_seconds=60, token=uuid4())
        if claimed is not None and not claimed.is_parked:
            assert record(claimed, outputs=[("value", 1)], position=0, end=End(status=Status.COMPLETED)).accepted

    run_at_once(*[partial(work, key) for key in keys])

    assert statuses(run) == {"COMPLETED": PAYABLE, "SUSPENDED": WORKERS - PAYABLE}
    assert charges(payer) == [7] * PAYABLE
    assert (standing(payer.pk), Hold.objects.count()) == ((3, 0, 0), 0)
    assert find_faults() == ()
