"""Who examines a chaos run sees what clients and schedules were promised, and what they did not get."""

import random
from collections.abc import Callable
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F

from execution.models import Execution
from execution.services import start_execution
from graphs.services import import_graph
from scheduling.models import Occurrence, Schedule
from scheduling.settling import settle_ended
from scheduling.store import read_clock
from tests.chaos.clients import LABEL, Client, examine_requests
from tests.chaos.schedules import examine_occurrences
from tests.execution.drain import Drain
from tests.execution.small_graphs import INPUT, draw
from tests.scheduling.making import MINUTE, fire, make_schedule

pytestmark = pytest.mark.django_db(transaction=True)

ONE_NODE = draw({"in": (INPUT, {"name": "Number", "value": 1})})


@pytest.fixture
def client_with_answers(user: User, drain: Drain) -> Client:
    """A client of which two requests were accepted."""
    version = import_graph(owner=user, document=ONE_NODE).version
    client = Client(0, "", (), random.Random(0), name="1")
    for key in (f"{LABEL}1-0", f"{LABEL}1-1"):
        run = start_execution(user=user, version=version, input_data={})
        Execution.objects.filter(pk=run.pk).update(label=key)
        client.accepted[key] = run.pk
    return client


def test_requests_that_have_their_run_give_no_reason_to_complain(client_with_answers: Client) -> None:
    assert list(examine_requests([client_with_answers])) == []


def test_a_request_with_two_runs_or_none_or_another_is_complained_of(client_with_answers: Client) -> None:
    first, second = client_with_answers.accepted
    runs = Execution.objects.all()

    runs.filter(label=second).update(label=first)
    assert len(list(examine_requests([client_with_answers]))) == 2

    runs.filter(pk=client_with_answers.accepted[second]).update(label=second)
    client_with_answers.accepted[first] = UUID(int=1)
    (complaint,) = examine_requests([client_with_answers])
    assert first in complaint


def test_two_answers_to_one_request_are_complained_of(client_with_answers: Client) -> None:
    first, second = client_with_answers.accepted
    client_with_answers.contradicted[first] = client_with_answers.accepted[second]

    (complaint,) = examine_requests([client_with_answers])

    assert first in complaint


@pytest.fixture
def schedules(user: User, drain: Drain) -> None:
    """Some schedules whose times have come and gone."""
    every_minute = make_schedule(user, ONE_NODE, cron="* * * * *", overlap="allow")
    make_schedule(user, ONE_NODE, run_at=read_clock() + MINUTE)
    for _ in range(3):
        fire(every_minute)
    drain.run()
    settle_ended(limit=10)


def drop_occurrence() -> None:
    Occurrence.objects.filter(schedule__run_at=None).order_by("due_at")[1].delete()


def drop_only_occurrence() -> None:
    Occurrence.objects.filter(schedule__run_at__isnull=False).delete()


def start_besides() -> None:
    run = Execution.objects.earliest("pk")
    start_execution(user=run.user, version=run.graph_version, input_data={})


def refuse() -> None:
    Occurrence.objects.filter(schedule__run_at__isnull=False).update(state="REFUSED", execution=None)


def leave_started() -> None:
    Occurrence.objects.filter(schedule__run_at__isnull=False).update(state="STARTED")


def pause() -> None:
    Schedule.objects.update(is_enabled=False)


def move_on() -> None:
    Schedule.objects.filter(run_at=None).update(last_due=F("last_due") + MINUTE)


def set_back() -> None:
    """Let the clock have been ahead when all was decided about, as the rows then say."""
    Schedule.objects.filter(run_at=None).update(last_due=None)


def miss_ahead() -> None:
    newest = Occurrence.objects.filter(schedule__run_at=None).latest("due_at")
    later = newest.due_at + MINUTE
    Occurrence.objects.create(schedule=newest.schedule, due_at=later, decided_at=later, state="MISSED")


def test_what_ran_while_the_clock_was_ahead_gives_no_reason_to_complain(schedules: None) -> None:
    set_back()

    assert list(examine_occurrences()) == []


@pytest.mark.parametrize(
    "corrupt", [drop_occurrence, drop_only_occurrence, start_besides, refuse, leave_started, pause, move_on, miss_ahead]
)
def test_a_due_time_without_its_decision_is_complained_of(schedules: None, corrupt: Callable[[], None]) -> None:
    assert list(examine_occurrences()) == []
    with transaction.atomic():
        corrupt()

        assert list(examine_occurrences()) != []

        transaction.set_rollback(True)
