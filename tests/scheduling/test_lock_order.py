"""Firing takes locks in the order of everybody else."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from psycopg import Connection

from execution.models import Execution
from graphs.exceptions import GraphNotFoundError
from graphs.lifecycle import delete_graph
from graphs.models import Graph
from scheduling.firing import fire_due
from scheduling.models import Schedule
from scheduling.services import create_schedule
from tests.credits.booking import flat_price, give, hold, subject
from tests.execution.drain import Drain
from tests.execution.lock_waits import DEADLINE_SECONDS, do_beside, lock_account, lock_run, running_into, session_beside
from tests.execution.small_graphs import ASK, INPUT, draw
from tests.scheduling.making import make_due, make_schedule, runs, save_graph

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


def lock_schedule(session: "Connection[Any]", schedule: Schedule) -> None:
    session.execute("SELECT FROM scheduling_schedule WHERE id = %s FOR NO KEY UPDATE NOWAIT", [schedule.pk])


def start_one(user: User, drain: Drain) -> tuple[Schedule, Execution]:
    """Let the run of a schedule wait for a person, which the next one cancels."""
    schedule = make_schedule(user, WAITING, overlap="cancel_running")
    make_due(schedule)
    fire_due(limit=10)
    drain.run()
    schedule.refresh_from_db()
    return schedule, runs(schedule)[0]


def test_who_deletes_a_graph_waits_for_its_schedule_without_holding_its_runs(user: User, drain: Drain) -> None:
    schedule, run = start_one(user, drain)

    with session_beside() as other:
        lock_schedule(other, schedule)
        with running_into(other, lambda: delete_graph(graph=Graph.objects.get(pk=str(schedule.graph_id)))):
            lock_run(other, run)

    run.refresh_from_db()
    assert run.status == "TERMINATED"


@pytest.mark.parametrize("held", ["schedule", "run"])
def test_who_deletes_a_user_locks_schedules_then_runs_then_the_account(user: User, drain: Drain, held: str) -> None:
    schedule, run = start_one(user, drain)
    give(user.pk, 100)
    hold(user_id=user.pk, subject=subject(), price=flat_price(5))

    with session_beside() as other:
        if held == "schedule":
            lock_schedule(other, schedule)
        else:
            lock_run(other, run)
        with running_into(other, User.objects.get(pk=user.pk).delete):
            if held == "schedule":
                lock_run(other, run)
            lock_account(other, user)

    assert not (Execution.objects.exists() or Schedule.objects.exists())


def test_deleting_a_graph_and_firing_its_schedule_do_not_wait_for_each_other(user: User, drain: Drain) -> None:
    schedule, run = start_one(user, drain)
    graph = Graph.objects.get(pk=str(schedule.graph_id))

    with session_beside() as other:
        # The deletion comes as far as the run; then the schedule is due, whose next run cancels this one.
        lock_run(other, run)
        with (
            running_into(other, lambda: delete_graph(graph=graph)),
            do_beside(lambda: fire_due(limit=10, now=schedule.next_start)) as fired,
        ):
            other.execute("ROLLBACK")
            fired.result(timeout=DEADLINE_SECONDS)

    run.refresh_from_db()
    assert run.status == "TERMINATED"
    fire_due(limit=10, now=schedule.next_start)
    assert "Its graph is gone" in Schedule.objects.get(pk=schedule.pk).problem
    assert [each.status for each in runs(schedule)] == ["TERMINATED"]


def test_schedules_are_marked_in_the_order_of_their_ids(user: User) -> None:
    graph_id = save_graph(user).graph_id
    first, second = (
        create_schedule(user=user, graph_id=graph_id, fields={"name": name, "cron": "@daily"}) for name in "ab"
    )

    # Written anew, the first stands behind the second in the table: who goes along that would hold the second by now.
    Schedule.objects.filter(pk=first.pk).update(name="First")

    with session_beside() as other:
        lock_schedule(other, first)
        graph = Graph.objects.get(pk=graph_id)
        with running_into(other, graph.save):
            lock_schedule(other, second)

    assert Schedule.objects.filter(needs_check=True).count() == 2


def test_no_schedule_is_made_of_a_graph_that_is_being_deleted(user: User) -> None:
    graph_id = save_graph(user).graph_id

    with session_beside() as other:
        other.execute("UPDATE graphs_graph SET deleted_at = now() WHERE id = %s", [graph_id])
        with (
            pytest.raises(GraphNotFoundError),
            running_into(
                other, lambda: create_schedule(user=user, graph_id=graph_id, fields={"name": "x", "cron": "@daily"})
            ),
        ):
            other.execute("COMMIT")

    assert not Schedule.objects.exists()
