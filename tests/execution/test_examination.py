"""Each kind of damage is found, nothing else is, and what can be mended is."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from execution.engine.statuses import Status
from execution.examination import examine, treat
from execution.models import Execution, Output, QueueProbe, Review, RunOutput
from execution.queues import CPU_QUEUE
from execution.services import stop_execution
from execution.store.claims import claim
from tests.execution.damage import (
    AN_HOUR_AGO,
    ASKING,
    ECHO,
    SLEEPING,
    assert_found_and_mended,
    change,
    change_node,
    change_run,
    example,
    node_of,
    run_all,
    run_until_a_sub_run_waits,
    run_what_is_sent,
    start,
)
from tests.execution.drain import Drain
from tests.execution.small_graphs import ASK, INPUT, OUTPUT, draw

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_doctor")]


def test_what_is_unfinished_in_a_run_that_has_ended_is_ended(user: User, drain: Drain) -> None:
    run = run_all(user, drain, ASKING)
    stop_execution(execution_id=run.pk)
    change_node(run, "ask", "status = 'REVIEW', ended_at = NULL")

    assert_found_and_mended({"unfinished_in_ended_run"}, subject=node_of(run, "ask").pk)

    assert node_of(run, "ask").status == Status.TERMINATED
    assert node_of(run, "ask").ended_at is not None


def test_what_waits_for_pins_may_stay_in_a_run_that_completed_and_in_no_other(user: User, drain: Drain) -> None:
    run = run_all(user, drain, ECHO)
    change_node(run, "out", "status = 'INCOMPLETE', ended_at = NULL")
    change_run(run, "node_count = node_count - 1")
    assert examine() == []

    change_run(run, "status = 'FAILED'")

    assert_found_and_mended({"unfinished_in_ended_run"}, subject=node_of(run, "out").pk)


@pytest.mark.parametrize("wrong", ["5", "0"])
def test_a_wrong_count_of_the_unfinished_is_put_right(user: User, drain: Drain, wrong: str) -> None:
    run = run_all(user, drain, ASKING)
    change_run(run, f"unfinished = {wrong}")

    assert_found_and_mended({"unfinished_count"}, subject=run.pk)

    run.refresh_from_db()
    assert run.unfinished == 1
    assert run.status == Status.RUNNING


@pytest.mark.parametrize("field", ["opened", "node_count", "node_error_count"])
def test_a_wrong_count_of_node_executions_is_put_right(user: User, drain: Drain, field: str) -> None:
    run = run_all(user, drain, ECHO)
    right = getattr(run, field)
    change_run(run, f"{field} = {field} + 3")

    assert_found_and_mended({"node_counts"}, subject=run.pk)

    run.refresh_from_db()
    assert getattr(run, field) == right


def test_a_wrong_count_of_outputs_is_put_right(user: User, drain: Drain) -> None:
    run = run_all(user, drain, ECHO)
    change_node(run, "in", "output_count = 7")
    change_run(run, "output_count = 0")

    assert_found_and_mended({"output_positions", "run_output_positions"}, subject=node_of(run, "in").pk)

    assert node_of(run, "in").output_count == Output.objects.filter(node_execution=node_of(run, "in")).count()
    run.refresh_from_db()
    assert run.output_count == 1


def test_an_output_that_is_missing_can_not_be_made_up(user: User, drain: Drain) -> None:
    run = run_all(user, drain, ECHO)
    change("UPDATE execution_output SET position = 4 WHERE node_execution_id = %(id)s", id=node_of(run, "in").pk)
    change("UPDATE execution_runoutput SET position = 1 WHERE execution_id = %(id)s", id=run.pk)

    assert_found_and_mended({"output_positions", "run_output_positions"}, subject=node_of(run, "in").pk, mended=False)


def test_a_firing_that_is_missing_can_not_be_made_up(user: User, drain: Drain) -> None:
    run = run_all(user, drain, ECHO)
    change_node(run, "out", "ordinal = 2")

    assert_found_and_mended({"ordinals"}, subject=node_of(run, "out").node_id, mended=False)


@pytest.mark.parametrize("damage", ["root_id = NULL", "depth = 4"])
def test_a_sub_run_without_its_tree_is_shown(user: User, drain: Drain, damage: str) -> None:
    run = run_all(user, drain, example("triangles"))
    sub_run = Execution.objects.filter(root=run)[0]
    change_run(sub_run, damage)

    assert_found_and_mended({"trees"}, subject=sub_run.pk, mended=False)


def test_what_has_all_its_pins_and_was_never_queued_is_queued(user: User, drain: Drain) -> None:
    run = start(user, ASKING)
    drain.run_one(drain.waiting.pop(0))
    drain.waiting = [each for each in drain.waiting if each.id != node_of(run, "out").pk]
    run_what_is_sent(drain)
    change_node(run, "out", "status = 'INCOMPLETE', queued_at = NULL, inputs = '{}'")
    change_run(run, "unfinished = unfinished - 1")

    assert_found_and_mended({"ready_but_incomplete"}, subject=node_of(run, "out").pk)

    run_what_is_sent(drain)
    assert list(RunOutput.objects.values_list("name", "value")) == [("out", 1)]


def test_what_lacks_a_pin_is_left_to_wait(user: User, drain: Drain) -> None:
    document = draw(
        {
            "in": (INPUT, {"name": "in", "value": 1}),
            "ask": (ASK, {"name": "Yes?"}),
            "out": (OUTPUT, {"name": "out"}),
        },
        ["in.result -> ask.data", "in.result -> out.value", "ask.approved_data -> out.title"],
    )
    run = run_all(user, drain, document)

    assert node_of(run, "out").status == Status.INCOMPLETE
    assert examine() == []


def test_what_is_queued_without_a_time_is_sent(user: User, drain: Drain) -> None:
    run = start(user, ECHO)
    drain.waiting.clear()
    change_node(run, "in", "queued_at = NULL")

    assert_found_and_mended({"queued_without_time"}, subject=node_of(run, "in").pk)

    drain.run()
    run.refresh_from_db()
    assert run.status == Status.COMPLETED


def test_who_waits_for_a_sub_run_that_has_ended_is_woken(user: User, drain: Drain) -> None:
    run = run_until_a_sub_run_waits(user, drain)
    sub_run = Execution.objects.filter(root=run, parent__status=Status.SUSPENDED)[0]
    while not Execution.objects.filter(pk=sub_run.pk, ended_at__isnull=False).exists():
        drain.run_one(drain.waiting.pop(0))
    drain.waiting = [each for each in drain.waiting if each.id != sub_run.parent_id]
    change("UPDATE execution_nodeexecution SET status = 'SUSPENDED' WHERE id = %(id)s", id=sub_run.parent_id)

    assert_found_and_mended({"sub_run_over"}, subject=str(sub_run.parent_id))

    drain.run()
    run.refresh_from_db()
    assert run.status == Status.COMPLETED
    assert run.node_error_count == 0


def test_who_waits_for_nothing_is_woken(user: User, drain: Drain) -> None:
    run = run_all(user, drain, SLEEPING)
    change_node(run, "timer", "wake_at = NULL")

    assert_found_and_mended({"nothing_to_wait_for"}, subject=node_of(run, "timer").pk)

    drain.run()
    run.refresh_from_db()
    assert run.status == Status.COMPLETED


def test_a_question_that_is_gone_is_asked_again(user: User, drain: Drain) -> None:
    run = run_all(user, drain, ASKING)
    Review.objects.all().delete()

    assert_found_and_mended({"review_without_question"}, subject=node_of(run, "ask").pk)

    run_what_is_sent(drain)
    assert node_of(run, "ask").status == Status.REVIEW
    assert Review.objects.get().approved is None


def test_who_has_slept_too_long_is_woken(user: User, drain: Drain) -> None:
    run = run_all(user, drain, SLEEPING)
    change_node(run, "timer", f"wake_at = {AN_HOUR_AGO}")

    assert_found_and_mended({"overslept"}, subject=node_of(run, "timer").pk)

    drain.run()
    run.refresh_from_db()
    assert run.status == Status.COMPLETED


@pytest.mark.parametrize("losses", [0, 2])
def test_what_a_lost_worker_ran_goes_on_or_fails(user: User, drain: Drain, losses: int) -> None:
    run = start(user, ECHO)
    assert claim(drain.waiting.pop().id, lease_seconds=10) is not None
    change_node(run, "in", f"lease_until = {AN_HOUR_AGO}, losses = {losses}")

    assert_found_and_mended({"lease_run_out"}, subject=node_of(run, "in").pk)

    drain.run()
    run.refresh_from_db()
    assert run.status == Status.COMPLETED
    assert run.node_error_count == (1 if losses else 0)


def test_what_was_queued_before_everything_came_out_is_sent_again(user: User, drain: Drain) -> None:
    run = start(user, ECHO)
    drain.waiting.clear()
    change_node(run, "in", f"queued_at = {AN_HOUR_AGO} - interval '1 hour'")
    before = timezone.now() - timedelta(hours=1)
    QueueProbe.objects.create(queue=CPU_QUEUE, sent_at=before, passed=before, passed_at=before)

    assert_found_and_mended({"message_lost", "queue_without_workers"}, subject=node_of(run, "in").pk)

    drain.run()
    run.refresh_from_db()
    assert run.status == Status.COMPLETED


@pytest.mark.parametrize("limit", ["max_duration = 60", f"idle_limit = 60, recorded_at = {AN_HOUR_AGO}"])
def test_a_run_that_took_too_long_is_ended(user: User, drain: Drain, limit: str) -> None:
    run = run_all(user, drain, ASKING)
    change_run(run, f"{limit}, started_at = {AN_HOUR_AGO}")

    assert_found_and_mended({"overdue"}, subject=run.pk)

    run.refresh_from_db()
    assert run.status == Status.FAILED


def test_a_sub_run_whose_parent_has_ended_is_ended(user: User, drain: Drain) -> None:
    run = run_until_a_sub_run_waits(user, drain)
    sub_run = Execution.objects.filter(root=run, parent__status=Status.SUSPENDED)[0]
    change(
        "UPDATE execution_nodeexecution SET status = 'FAILED', ended_at = clock_timestamp() WHERE id = %(id)s",
        id=sub_run.parent_id,
    )
    change_run(run, "unfinished = unfinished - 1, node_count = node_count + 1, node_error_count = node_error_count + 1")

    assert_found_and_mended({"sub_run_alone"}, subject=sub_run.pk)

    sub_run.refresh_from_db()
    assert sub_run.status == Status.TERMINATED
    drain.run()
    run.refresh_from_db()
    assert run.status == Status.COMPLETED


@pytest.mark.parametrize(("on_error", "status"), [("continue", Status.COMPLETED), ("fail_run", Status.FAILED)])
def test_a_run_with_nothing_left_to_do_is_ended(user: User, drain: Drain, on_error: str, status: Status) -> None:
    run = run_all(user, drain, ASKING)
    change_node(run, "ask", "status = 'FAILED', ended_at = clock_timestamp()")
    change_run(run, f"unfinished = 0, node_count = opened, node_error_count = 1, on_error = '{on_error}'")

    assert_found_and_mended({"nothing_to_do"}, subject=run.pk)

    run.refresh_from_db()
    assert run.status == status
    assert run.ended_at is not None


def test_several_kinds_of_damage_are_mended_together(user: User, drain: Drain) -> None:
    asking, sleeping = run_all(user, drain, ASKING), run_all(user, drain, SLEEPING)
    change_node(asking, "ask", "status = 'FAILED', ended_at = clock_timestamp()")
    change_node(sleeping, "timer", "wake_at = NULL")
    change_run(sleeping, "unfinished = 9, opened = 1")

    treatment = treat()

    assert {finding.check.name for finding in treatment.found} == {
        "unfinished_count",
        "node_counts",
        "nothing_to_wait_for",
        "nothing_to_do",
    }
    assert treatment.left == []
    assert treatment.mended == {"unfinished_count": 2, "node_counts": 2, "nothing_to_wait_for": 1, "nothing_to_do": 1}
    drain.run()
    assert set(Execution.objects.values_list("status", flat=True)) == {Status.COMPLETED}
    assert examine() == []
