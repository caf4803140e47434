"""What was found is mended only if it is still so: whatever happened since then is left alone."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from execution.models import Execution, NodeExecution
from execution.store.examination import NOTHING_TO_WAIT_FOR, Hit
from execution.store.mending import (
    count_nodes,
    end_idle_run,
    end_node,
    end_sub_run,
    say_since_when,
    wake_up,
)
from execution.store.unfired import queue_unfired
from tests.execution.damage import ASKING, SLEEPING, change_node, node_of, run_all, run_until_a_sub_run_waits, start
from tests.execution.drain import Drain

pytestmark = pytest.mark.django_db(transaction=True)


def rows() -> list[Any]:
    """Return all that mending could change."""
    return [list(model.objects.order_by("pk").values()) for model in (Execution, NodeExecution)]


def hit_of(run: Execution, name: str | None = None) -> Hit:
    subject = run.pk if name is None else node_of(run, name).pk
    return Hit(run_id=run.pk, subject=str(subject), detail="")


def test_a_timer_that_is_set_again_runs_on(user: User, drain: Drain) -> None:
    run = run_all(user, drain, SLEEPING)
    change_node(run, "timer", "wake_at = NULL")
    hit = hit_of(run, "timer")
    change_node(run, "timer", "wake_at = clock_timestamp() + interval '1 hour'")
    before = rows()

    assert wake_up(NOTHING_TO_WAIT_FOR, hit) is None
    assert rows() == before


def test_a_run_that_has_something_to_do_again_goes_on(user: User, drain: Drain) -> None:
    run = run_all(user, drain, ASKING)
    before = rows()

    assert end_idle_run(hit_of(run)) is None
    assert end_node(hit_of(run, "ask")) is None
    assert say_since_when(hit_of(run, "ask")) is None
    assert rows() == before


def test_a_sub_run_whose_parent_goes_on_goes_on(user: User, drain: Drain) -> None:
    run = run_until_a_sub_run_waits(user, drain)
    before = rows()

    for sub_run in Execution.objects.filter(root=run):
        assert end_sub_run(hit_of(sub_run)) is None
    assert rows() == before


def test_what_was_queued_meanwhile_or_lacks_a_pin_is_not_queued(user: User, drain: Drain) -> None:
    run = start(user, ASKING)
    queued = hit_of(run, "in")
    drain.run_one(drain.waiting.pop(0))
    change_node(run, "out", "status = 'INCOMPLETE', queued_at = NULL, inputs = '{}'")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM execution_staticvalue")
    before = rows()

    assert queue_unfired(queued) is None
    assert queue_unfired(hit_of(run, "out")) is None
    assert rows() == before


def test_a_run_that_is_gone_needs_nothing(user: User, drain: Drain) -> None:
    run = run_all(user, drain, ASKING)
    hit, of_node = hit_of(run), hit_of(run, "ask")
    Execution.objects.all().delete()

    assert [mend(hit) for mend in (count_nodes, end_idle_run, end_sub_run)] == [None] * 3
    assert [mend(of_node) for mend in (end_node, queue_unfired, say_since_when)] == [None] * 3
    assert wake_up(NOTHING_TO_WAIT_FOR, of_node) is None
