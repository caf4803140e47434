"""Who runs out of credits again and again resumes what that has failed, and nothing else."""

import random

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from execution.engine.statuses import Status
from execution.models import Execution
from tests.chaos.poverty import Pauper
from tests.credits.booking import give, set_balance
from tests.execution.charging.paid_runs import start
from tests.execution.drain import Drain
from tests.execution.paid_blocks import MODULES, PAID

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _blocks_of_tests(settings: Settings) -> None:
    settings.BLOCK_MODULES = MODULES


def test_what_failed_for_another_reason_is_not_resumed(user: User, drain: Drain) -> None:
    set_balance(user.pk, 2)
    unpaid, broken = start(user, {"a": (PAID, {})}), start(user, {"a": (PAID, {})})
    drain.run()
    broken.node_executions.update(needs_credits=None)
    give(user.pk, 20)

    count = Pauper(user, [], random.Random(0)).resume_failed()
    drain.run()

    statuses = [Execution.objects.get(pk=run.pk).status for run in (unpaid, broken)]
    assert (count, statuses) == (1, [Status.COMPLETED, Status.FAILED])
