"""Firing takes locks in the order of everybody else."""

import pytest
from django.contrib.auth.models import User

from execution.models import Execution
from scheduling.firing import fire_due
from scheduling.models import Schedule
from tests.execution.drain import Drain
from tests.execution.lock_waits import lock_account, lock_run, running_into, session_beside
from tests.execution.small_graphs import ASK, INPUT, draw
from tests.scheduling.making import make_due, make_schedule, runs

pytestmark = pytest.mark.django_db(transaction=True)

WAITING = draw({"in": (INPUT, {"name": "in", "value": 1}), "ask": (ASK, {"name": "Letter", "data": 1})})


@pytest.mark.parametrize("held", [0, 1])
def test_who_waits_for_a_run_that_is_to_be_stopped_holds_no_account(user: User, drain: Drain, held: int) -> None:
    schedules = [make_schedule(user, WAITING, overlap="cancel_running") for _ in range(2)]
    for schedule in schedules:
        make_due(schedule)
    fire_due(limit=10)
    drain.run()
    then = Schedule.objects.latest("next_start").next_start
    first = [runs(schedule)[0] for schedule in schedules]

    with session_beside() as other:
        lock_run(other, first[held])
        with running_into(other, lambda: fire_due(limit=10, now=then)):
            lock_account(other, user)

    ended = Execution.objects.filter(pk__in=[run.pk for run in first]).values_list("status", flat=True)
    assert list(ended) == ["TERMINATED", "TERMINATED"]
    assert Execution.objects.filter(status="QUEUED").count() == 2
