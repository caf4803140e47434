"""What the system does by itself."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine
from celery import current_app
from django.conf import settings as project_settings
from django.contrib.auth.models import User
from django.core import mail
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from execution.models import Execution, NodeExecution, QueueProbe
from execution.queues import CPU_QUEUE, IO_QUEUE
from execution.services import resume_execution, start_execution, stop_execution
from execution.store.admission import admit_forgotten
from execution.store.messages import take_lost
from graphs.models import GraphVersion
from scheduling.models import Occurrence
from scheduling.reports import find_failing_blocks, find_late_runs
from scheduling.services import run_now
from scheduling.store import read_clock
from scheduling.upkeep import audit_ledger, prune, prune_occurrences, report_failing_blocks, report_late_runs
from tests.execution.drain import Drain
from tests.execution.families import nest
from tests.scheduling.making import FAILING, HOUR, WAITING, make_schedule, save_graph

pytestmark = pytest.mark.django_db


@pytest.fixture
def admins(settings: Any) -> None:
    settings.ADMINS = [("Root", "root@example.com")]


def start(user: User, version: GraphVersion, *, simulate: bool = False) -> Execution:
    return start_execution(user=user, version=version, input_data={}, simulate=simulate)


def let_wait(run: Execution, long: timedelta) -> None:
    """Let a run have been asked for, and queued, so long ago."""
    Execution.objects.filter(pk=run.pk).update(created_at=read_clock() - long)
    NodeExecution.objects.filter(execution=run).update(queued_at=read_clock() - long)


def test_runs_that_wait_or_run_too_long_are_late(user: User, admins: None) -> None:
    version = save_graph(user)
    queued, fresh, running, steady, turn = (start(user, version) for _ in range(5))
    let_wait(queued, timedelta(minutes=6))
    let_wait(turn, timedelta(minutes=6))
    Execution.objects.filter(pk=turn.pk).update(admitted=False)
    for run, hours in ((running, 25), (steady, 23)):
        let_wait(run, timedelta(hours=hours))
        Execution.objects.filter(pk=run.pk).update(status="RUNNING", started_at=F("created_at"))

    late = find_late_runs()
    report_late_runs()

    assert [(run.id, run.status) for run in late] == [(queued.pk, "QUEUED"), (running.pk, "RUNNING")]
    assert "2 runs are late" in mail.outbox[0].subject
    assert str(queued.pk) in mail.outbox[0].body


@pytest.mark.django_db(transaction=True)
def test_a_run_that_was_resumed_or_admitted_just_now_is_not_late(user: User, drain: Drain, settings: Any) -> None:
    settings.MAX_CONCURRENT_RUNS_PER_USER = 2
    version = save_graph(user)
    resumed, forgotten, admitted = (start(user, version) for _ in range(3))
    stop_execution(execution_id=resumed.pk)
    Execution.objects.filter(pk=admitted.pk).update(admitted=False)
    for run in (resumed, admitted, forgotten):
        let_wait(run, 30 * HOUR)

    admit_forgotten()
    settings.MAX_CONCURRENT_RUNS_PER_USER = 3
    resume_execution(execution_id=resumed.pk)

    assert Execution.objects.filter(status="QUEUED", admitted=True).count() == 3
    assert [run.id for run in find_late_runs()] == [forgotten.pk]
    Execution.objects.filter(pk=resumed.pk).update(limits_from=read_clock() - HOUR)
    late = find_late_runs()
    assert [run.id for run in late] == [resumed.pk, forgotten.pk]
    assert late[0].since - late[1].since > 28 * HOUR


def test_nobody_is_told_twice_a_day_that_a_run_is_late(user: User, admins: None, settings: Any) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    version = save_graph(user)
    first, second = start(user, version), start(user, version)
    let_wait(first, timedelta(minutes=6))
    report_late_runs()
    report_late_runs()
    assert len(mail.outbox) == 1
    let_wait(second, timedelta(minutes=6))
    report_late_runs()
    assert (str(first.pk) in mail.outbox[1].body, str(second.pk) in mail.outbox[1].body) == (False, True)

    with time_machine.travel(read_clock() + 25 * HOUR):
        report_late_runs()

    assert (str(first.pk) in mail.outbox[2].body, str(second.pk) in mail.outbox[2].body) == (True, True)


def test_whoever_can_t_remember_tells_again_that_a_run_is_late(user: User, admins: None, settings: Any) -> None:
    redis_that_is_away = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1"}
    settings.CACHES = {"default": redis_that_is_away}
    let_wait(start(user, save_graph(user)), timedelta(minutes=6))

    report_late_runs()
    report_late_runs()

    assert len(mail.outbox) == 2


def test_a_run_is_late_however_often_its_messages_are_sent_again(user: User) -> None:
    run = start(user, save_graph(user))
    let_wait(run, timedelta(minutes=6))
    for queue in (CPU_QUEUE, IO_QUEUE):
        QueueProbe.objects.create(queue=queue, passed=read_clock(), passed_at=read_clock() - HOUR)

    assert take_lost(patience=0, limit=10)

    assert [late.id for late in find_late_runs()] == [run.pk]


@pytest.mark.django_db(transaction=True)
def test_a_run_is_late_though_something_beside_waits_for_credits_and_is_priced_anew(user: User, drain: Drain) -> None:
    run = start(user, save_graph(user, nest(WAITING | {"sub_graphs": []})))
    drain.run()
    Execution.objects.update(
        created_at=read_clock() - 30 * HOUR, started_at=read_clock() - 30 * HOUR, limits_from=read_clock()
    )
    assert find_late_runs() == []
    stuck = NodeExecution.objects.filter(execution__root=run)

    stuck.update(status="RUNNING", claimed_at=read_clock() - 23 * HOUR)
    assert find_late_runs() == []
    stuck.update(claimed_at=read_clock() - 25 * HOUR)

    assert [late.id for late in find_late_runs()] == [run.pk]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("waits", ["person", "time", "credits"])
def test_a_run_that_waits_for_something_itself_or_below_is_not_late(user: User, drain: Drain, waits: str) -> None:
    run = start(user, save_graph(user, nest(WAITING | {"sub_graphs": []})))
    drain.run()
    Execution.objects.update(created_at=read_clock() - 30 * HOUR, started_at=read_clock() - 30 * HOUR)
    node = NodeExecution.objects.filter(execution__root=run)
    assert node.get().status == "REVIEW"
    if waits in ("time", "credits"):
        node.update(status="SUSPENDED", **({"needs_credits": 5} if waits == "credits" else {}))
    if waits == "time":
        node.update(wake_at=read_clock() + HOUR)
    assert find_late_runs() == []

    node.update(status="RUNNING")

    assert [each.id for each in find_late_runs()] == [run.pk]


def test_what_is_late_is_what_the_settings_say(user: User, settings: Any) -> None:
    queued = start(user, save_graph(user))
    let_wait(queued, timedelta(seconds=20))
    assert find_late_runs() == []

    settings.LATE_QUEUED_SECONDS = 10

    assert [run.id for run in find_late_runs()] == [queued.pk]


def test_nobody_is_written_to_if_all_is_well(user: User, admins: None) -> None:
    start(user, save_graph(user))

    report_late_runs()
    report_failing_blocks()

    assert mail.outbox == []


@pytest.mark.django_db(transaction=True)
def test_blocks_that_fail_too_often_are_told(user: User, drain: Drain, admins: None, settings: Any) -> None:
    version = save_graph(user, FAILING)
    for _ in range(9):
        start(user, version)
    drain.run()
    assert find_failing_blocks() == []
    start(user, version, simulate=True)
    start(user, version)
    drain.run()

    (block,) = find_failing_blocks()
    report_failing_blocks()

    assert (block.name, block.executions, block.failed) == ("CalculatorBlock", 10, 10)
    assert "CalculatorBlock: 10 of 10 failed (100%)" in mail.outbox[0].body
    settings.BLOCK_REPORT_EXECUTIONS = 11
    assert find_failing_blocks() == []
    settings.BLOCK_REPORT_EXECUTIONS = 10
    NodeExecution.objects.filter(status="FAILED", execution__in=Execution.objects.order_by("id")[:6]).update(
        status="COMPLETED"
    )
    assert find_failing_blocks() == []


@pytest.mark.django_db(transaction=True)
def test_books_that_do_not_agree_are_told(user: User, admins: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE credits_ledgerentry DISABLE TRIGGER entries_are_booked")
        try:
            audit_ledger()
        finally:
            cursor.execute("ALTER TABLE credits_ledgerentry ENABLE TRIGGER entries_are_booked")

    assert "The books don't agree" in mail.outbox[0].subject
    assert "entries_are_booked: is not in force" in mail.outbox[0].body


def make_old(occurrence: Occurrence, *, days: int) -> Occurrence:
    """Let it have been written down, and decided about, so many days ago."""
    moment = occurrence.decided_at - timedelta(days=days)
    key = UUID(f"{int(moment.timestamp() * 1000):012x}{occurrence.pk.hex[12:]}")
    Occurrence.objects.filter(pk=occurrence.pk).update(id=key, decided_at=moment)
    return Occurrence.objects.get(pk=key)


def test_histories_are_kept_for_as_long_as_the_settings_say(user: User, settings: Any) -> None:
    schedule = make_schedule(user)
    old, unfinished, waited, fresh = (run_now(schedule=schedule) for _ in range(4))
    Occurrence.objects.exclude(pk=unfinished.pk).update(state="COMPLETED")
    make_old(old, days=91)
    kept = [make_old(unfinished, days=91), make_old(waited, days=91), make_old(fresh, days=89)]
    Occurrence.objects.filter(pk=kept[1].pk).update(decided_at=waited.decided_at)

    settings.OCCURRENCE_RETENTION_DAYS = 0
    assert prune_occurrences() == 0
    settings.OCCURRENCE_RETENTION_DAYS = 90
    prune()

    assert set(schedule.occurrences.values_list("pk", flat=True)) == {each.pk for each in kept}


def test_histories_are_deleted_a_batch_at_a_time(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduling.upkeep.PRUNE_BATCH", 2)
    schedule = make_schedule(user)
    for occurrence in [run_now(schedule=schedule) for _ in range(5)]:
        make_old(occurrence, days=91)
    Occurrence.objects.update(state="COMPLETED")

    with CaptureQueriesContext(connection) as queries:
        assert prune_occurrences() == 5

    assert (len(queries), schedule.occurrences.count()) == (3, 0)


SYSTEM_TASKS = [str(entry["task"]) for entry in project_settings.CELERY_BEAT_SCHEDULE.values()]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", SYSTEM_TASKS)
def test_what_the_settings_name_are_tasks_that_find_all_in_order(name: str, user: User, drain: Drain) -> None:
    current_app.loader.import_default_modules()
    start(user, save_graph(user))
    drain.run()

    current_app.tasks[name]()

    assert Execution.objects.get().status == "COMPLETED"


def test_the_settings_name_what_the_system_does_by_itself() -> None:
    upkeep = {"recover", "report_late_runs", "report_failing_blocks", "prune", "clean_up_files", "audit_ledger"}

    assert {f"upkeep.{name}" for name in upkeep} == {name for name in SYSTEM_TASKS if name.startswith("upkeep.")}
