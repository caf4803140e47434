"""Messages that are lost are sent again, and those that still wait are not."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from execution.models import NodeExecution, QueueProbe
from execution.queues import CPU_QUEUE, IO_QUEUE
from execution.recovery import sweep
from execution.store.messages import due_probes, note_passed, take_lost
from tests.execution.drain import Drain
from tests.execution.losing import ECHO, LONG_AGO, queued_ago, start
from tests.execution.small_graphs import INPUT, draw

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick_recovery(settings: Settings) -> None:
    settings.LEASE_SECONDS = 0.002  # a session must be half as old before it calls anybody lost
    settings.MESSAGE_PATIENCE_SECONDS = 3


def pass_probe(*, sent_ago: timedelta, passed_ago: timedelta = timedelta(seconds=10), queue: str = CPU_QUEUE) -> None:
    now = timezone.now()
    QueueProbe.objects.update_or_create(
        queue=queue, defaults={"passed": now - sent_ago, "passed_at": now - passed_ago, "sent_at": now}
    )


def lost() -> list[UUID]:
    return [ready.id for ready in take_lost(patience=3, limit=500)]


def test_what_is_queued_although_a_later_probe_has_come_out_is_lost_and_sent_once(user: User, drain: Drain) -> None:
    start(user, ECHO)
    ready = drain.waiting.pop()
    queued_ago(timedelta(seconds=60))
    pass_probe(sent_ago=timedelta(seconds=30))

    sweep(drain.send)
    sweep(drain.send)

    assert [each.id for each in drain.waiting] == [ready.id]


def test_what_was_queued_after_the_probe_was_sent_still_waits(user: User, drain: Drain) -> None:
    start(user, ECHO)
    queued_ago(timedelta(seconds=60))

    for sent_ago in (timedelta(seconds=61), timedelta(seconds=58)):
        pass_probe(sent_ago=sent_ago)
        assert lost() == []

    pass_probe(sent_ago=timedelta(seconds=56))
    assert len(lost()) == 1


def test_what_came_out_just_before_the_probe_has_time_to_be_claimed(user: User, drain: Drain) -> None:
    start(user, ECHO)
    queued_ago(LONG_AGO)
    pass_probe(sent_ago=timedelta(minutes=1), passed_ago=timedelta(seconds=0.5))

    assert lost() == []


def test_a_probe_tells_of_its_own_queue_only(user: User, drain: Drain) -> None:
    start(user, ECHO)
    queued_ago(LONG_AGO)
    pass_probe(sent_ago=timedelta(0), queue=IO_QUEUE)

    assert lost() == []


def test_what_is_lost_is_sent_in_portions_the_oldest_first(user: User, drain: Drain, settings: Settings) -> None:
    settings.RUN_WINDOW = {"cpu": 40, "io": 40}
    names = [f"in {number}" for number in range(10)]
    start(user, draw({name: (INPUT, {"name": name, "value": 1}) for name in names}))
    for number, ready in enumerate(drain.waiting):
        NodeExecution.objects.filter(pk=ready.id).update(queued_at=timezone.now() - LONG_AGO + number * timedelta(0, 1))
    pass_probe(sent_ago=timedelta(0))

    first = {ready.id for ready in take_lost(patience=3, limit=6)}
    second = {ready.id for ready in take_lost(patience=3, limit=6)}

    assert first == {ready.id for ready in drain.waiting[:6]}
    assert second == {ready.id for ready in drain.waiting[6:]}
    assert lost() == []


def test_a_backlog_of_50_000_that_nobody_works_off_is_not_sent_again(user: User, drain: Drain) -> None:
    start(user, ECHO)
    row = NodeExecution.objects.get()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO execution_nodeexecution"
            " (id, execution_id, tree_id, node_id, ordinal, status, queue, inputs, opened_at, queued_at)"
            " SELECT gen_random_uuid(), n.execution_id, n.tree_id, n.node_id, number, n.status, n.queue, '{}',"
            "        n.opened_at, clock_timestamp() - make_interval(secs => %s)"
            "   FROM execution_nodeexecution n, generate_series(1, 50000) number WHERE n.id = %s",
            [LONG_AGO.total_seconds(), row.pk],
        )
    drain.waiting.clear()

    for _ in range(3):
        sweep(drain.send)

    assert drain.waiting == []


def test_a_queue_is_probed_while_something_waits_in_it_and_not_all_the_time(user: User, drain: Drain) -> None:
    def probes(interval: float = 5) -> list[str]:
        return [queue for queue, _ in due_probes([CPU_QUEUE, IO_QUEUE], patience=3, interval=interval)]

    assert probes() == []
    start(user, ECHO)
    assert probes() == []
    queued_ago(timedelta(seconds=4))
    assert probes() == [CPU_QUEUE]
    assert probes() == []
    assert probes(interval=0) == [CPU_QUEUE]


def test_a_probe_that_comes_late_or_twice_takes_nothing_back(db: None) -> None:
    now = timezone.now()
    note_passed([CPU_QUEUE], sent_at=now - timedelta(seconds=10))
    note_passed([CPU_QUEUE], sent_at=now - timedelta(seconds=20))

    assert QueueProbe.objects.get().passed == now - timedelta(seconds=10)
