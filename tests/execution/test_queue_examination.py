"""What should not be in the broker is found, and nothing is thrown away that is waited for."""

from uuid import uuid4

import pytest
from celery import current_app
from django.contrib.auth.models import User
from kombu import Connection

from execution.examination import examine
from execution.queue_examination import empty_queue, look_at_queues
from execution.queues import CPU_QUEUE
from execution.store.claims import claim
from execution.store.ready import Ready
from execution.tasks import send
from tests.execution.damage import (
    AN_HOUR_AGO,
    ECHO,
    assert_found_and_mended,
    change_node,
    doctor,
    found,
    node_of,
    start,
)
from tests.execution.drain import Drain

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_doctor")]


def test_a_broker_that_can_not_be_reached_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_app.conf, "broker_write_url", "redis://127.0.0.1:1/0")

    code, report = doctor("--repair")

    assert (code, found(report)) == (1, {"broker_away"})
    assert {queue["messages"] for queue in report["queues"]} == {None}


def test_a_queue_without_workers_is_found_only_if_something_has_waited_in_it(user: User, drain: Drain) -> None:
    run = start(user, ECHO)
    assert examine() == []
    change_node(run, "in", f"queued_at = {AN_HOUR_AGO}")

    assert_found_and_mended({"queue_without_workers"}, subject=CPU_QUEUE, mended=False)


def test_a_queue_of_which_nobody_has_heard_is_one_without_workers(user: User, drain: Drain, listeners: None) -> None:
    run = start(user, ECHO)
    change_node(run, "in", f"queued_at = {AN_HOUR_AGO}, queue = 'gpu'")

    assert_found_and_mended({"queue_without_workers"}, subject="gpu", mended=False)


def test_a_queue_is_stalled_if_workers_listen_and_take_nothing(user: User, drain: Drain, listeners: None) -> None:
    waiting, running = start(user, ECHO), start(user, ECHO)
    change_node(waiting, "in", f"queued_at = {AN_HOUR_AGO}")

    assert_found_and_mended({"queue_stalled"}, subject=CPU_QUEUE, mended=False)
    claim(node_of(running, "in").pk, lease_seconds=1000)

    assert examine() == []


def test_messages_about_nothing_are_thrown_away(user: User, broker: Connection) -> None:
    send([Ready(id=uuid4(), queue=CPU_QUEUE, name="nothing")])

    assert_found_and_mended({"leftover_messages"}, subject=CPU_QUEUE)

    assert [each.messages for each in look_at_queues()] == [0, 0]


def test_messages_are_not_thrown_away_while_a_row_waits_for_one(user: User, drain: Drain, broker: Connection) -> None:
    run = start(user, ECHO)
    for _ in range(2):
        send(drain.waiting)

    code, report = doctor("--repair")

    assert (code, found(report)) == (1, {"leftover_messages"})
    assert not empty_queue(CPU_QUEUE)
    assert [each.messages for each in look_at_queues()] == [2, 0]
    claim(node_of(run, "in").pk, lease_seconds=1000)
    assert doctor("--repair")[0] == 0
