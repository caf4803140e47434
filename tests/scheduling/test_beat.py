"""Beat's scheduler: what it sends, and when."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app
from django.conf import settings
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from kombu import Connection
from psycopg import Error as SessionError

from execution.store.sessions import open_session
from scheduling import beat
from scheduling.beat import BUSY_SECONDS, LOOK_SECONDS, Scheduler, look
from scheduling.leadership import BEAT_LOCK, Leadership
from scheduling.models import Schedule
from scheduling.store import read_clock
from scheduling.tasks import FIRE_BATCH
from tests.config.processes import wait_until
from tests.scheduling.making import make_schedule

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def scheduler(broker: Connection) -> Iterator[Scheduler]:
    # The database lets go of a killed beat's session, or of another test's, a little later than that ends.
    assert wait_until(lambda: not somebody_leads())
    PeriodicTask.objects.all().delete()
    running = Scheduler(app=current_app)
    yield running
    try:
        running.close()
    finally:
        running._leadership.give_up()


def somebody_leads() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = %s"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
            [BEAT_LOCK],
        )
        ((found,),) = cursor.fetchall()
    return bool(found)


def waiting_in(broker: Connection, queue: str) -> int:
    channel: Any = broker.default_channel
    return int(channel.queue_declare(queue, durable=True, auto_delete=False).message_count)


def tick_all(scheduler: Scheduler) -> float:
    """Tick until nothing is to be done at once."""
    while not (pause := scheduler.tick()):
        pass
    return pause


def test_what_the_settings_define_is_written_down_by_the_one_that_leads(scheduler: Scheduler) -> None:
    assert not PeriodicTask.objects.exists()

    tick_all(scheduler)

    assert set(PeriodicTask.objects.values_list("name", flat=True)) == set(current_app.conf.beat_schedule)


def test_one_that_does_not_lead_does_nothing(scheduler: Scheduler) -> None:
    session = open_session()
    try:
        session.execute("SELECT pg_advisory_lock(%s)", [BEAT_LOCK])

        assert scheduler.tick() == LOOK_SECONDS
        assert not PeriodicTask.objects.exists()
    finally:
        session.close()

    # The database closes a session a little later than its client.
    assert wait_until(lambda: tick_all(scheduler) > 0 and PeriodicTask.objects.exists())


def test_a_task_is_sent_when_it_is_due_whatever_the_hour_is(scheduler: Scheduler, broker: Connection) -> None:
    every, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
    PeriodicTask.objects.create(
        name="own",
        task="scheduling.look_after",
        interval=every,
        queue="io",
        last_run_at=read_clock().replace(year=2020),
    )

    tick_all(scheduler)

    assert waiting_in(broker, "io") == 1
    assert PeriodicTask.objects.get(name="own").total_run_count == 1


def test_schedules_are_not_beats_to_send(scheduler: Scheduler, user: User) -> None:
    schedule = make_schedule(user)

    tick_all(scheduler)

    names = {task.name for task in scheduler.enabled_models()}
    assert names == set(current_app.conf.beat_schedule)
    assert schedule.periodic_task.enabled


def test_nothing_due_sends_nothing(user: User, broker: Connection) -> None:
    make_schedule(user)

    assert look() == LOOK_SECONDS
    assert waiting_in(broker, "cpu") + waiting_in(broker, "io") == 0


def test_what_is_due_is_sent_to_every_kind_of_worker(
    user: User, broker: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beat, "find_listened", lambda queues: set(queues))
    make_schedule(user)
    Schedule.objects.update(next_due=read_clock(), next_start=read_clock())

    assert look() == LOOK_SECONDS
    assert (waiting_in(broker, "cpu"), waiting_in(broker, "io")) == (1, 1)


def test_a_tick_is_for_a_worker_whatever_its_clock_shows(user: User, broker: Connection) -> None:
    make_schedule(user)
    Schedule.objects.update(next_due=read_clock(), next_start=read_clock())

    look()

    queue = settings.CELERY_TASK_QUEUES[0]
    message = queue(broker.default_channel).get(no_ack=True)
    assert message
    assert message.headers["task"] == "scheduling.fire_due"
    assert message.headers["expires"] is None


def test_much_that_is_due_is_sent_in_batches_and_not_again_at_once(
    user: User, broker: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beat, "FIRE_BATCH", 2)
    for _ in range(5):
        make_schedule(user)
    Schedule.objects.update(next_due=read_clock(), next_start=read_clock())

    assert FIRE_BATCH > 5
    assert look() == BUSY_SECONDS
    assert waiting_in(broker, "cpu") == 3


def test_beat_goes_on_while_the_database_is_away(scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    tick_all(scheduler)

    def fail(**_options: Any) -> None:
        raise OperationalError("away")

    with monkeypatch.context() as patched:
        patched.setattr(beat, "look_for_work", fail)
        scheduler._look_at = 0
        assert scheduler.tick() == LOOK_SECONDS
    scheduler._look_at = 0
    assert tick_all(scheduler) <= LOOK_SECONDS


def test_leadership_is_one_sessions_and_passes_on() -> None:
    first, second = Leadership(), Leadership()
    try:
        assert (first.claim(), second.claim(), first.claim()) == (True, False, True)
        first.give_up()
        assert wait_until(second.claim)
        assert not first.claim()
    finally:
        first.give_up()
        second.give_up()


def test_one_that_asks_no_more_loses_the_lead() -> None:
    frozen, next_one = Leadership(), Leadership(frozen_seconds=0)
    try:
        assert frozen.claim()

        assert wait_until(next_one.claim)

        with pytest.raises(SessionError):
            frozen.claim()
        assert not frozen.claim()
    finally:
        frozen.give_up()
        next_one.give_up()
