"""Users are told of what happens to what is theirs: over the API, and by mail if there is a server for it."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import transaction
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from config.models import Notice
from config.notices.mailing import MOST_LISTED, forget_old_notices, mail_notices
from config.notices.telling import tell_user
from credits.pricing import Usage
from graphs.lifecycle import delete_graph
from scheduling.checking import check_wanted
from scheduling.firing import fire_due
from scheduling.models import Schedule
from scheduling.services import run_now
from scheduling.settling import settle_ended
from tests.credits.booking import capture, flat_price, subject
from tests.execution.drain import Drain
from tests.scheduling.making import FAILING, make_schedule

pytestmark = pytest.mark.django_db


def tell(user: User, text: str = "Your balance is low.") -> Notice:
    tell_user(user_id=user.pk, kind=Notice.Kind.LOW_BALANCE, text=text)
    return Notice.objects.latest("id")


@pytest.mark.parametrize("has_run", [False, True])
def test_the_owner_of_a_schedule_that_cannot_run_is_told_once(
    user: User, client: APIClient, drain: Drain, has_run: bool
) -> None:
    schedule = make_schedule(user, name="Sums")
    if has_run:
        # It keeps the graph's rows from going.
        run_now(schedule=schedule)
    other = User.objects.create_user("grace")
    assert schedule.graph is not None
    delete_graph(graph=schedule.graph)

    assert check_wanted(limit=10) == 1
    Schedule.objects.update(needs_check=True)
    assert check_wanted(limit=10) == 1

    (told,) = client.get("/v1/notices").json()["results"]
    assert (told["kind"], told["read_at"]) == ("SCHEDULE_TROUBLED", None)
    assert told["text"].startswith("“Sums” can't run. Its graph is gone")
    assert told["about"] == {"schedule_id": str(schedule.pk), "graph_id": str(schedule.graph_id)}
    assert not Notice.objects.filter(user=other).exists()


@pytest.mark.django_db(transaction=True)
def test_the_owner_of_a_schedule_that_is_paused_is_told(user: User, client: APIClient, drain: Drain) -> None:
    schedule = make_schedule(user, FAILING, name="Sums", pause_after_failures=1)

    fire_due(limit=1, now=schedule.next_due)
    drain.run()
    settle_ended(limit=1)

    assert [each["text"] for each in client.get("/v1/notices").json()["results"]] == [
        "“Sums” is paused. Its run failed."
    ]


@pytest.mark.django_db(transaction=True)
def test_who_runs_out_of_credits_is_told(user: User, client: APIClient) -> None:
    capture(user_id=user.pk, subject=subject(), price=flat_price(1_500), usage=Usage(), has_failed=False)

    told = client.get("/v1/notices").json()["results"]

    assert {each["kind"] for each in told} == {"LOW_BALANCE", "OUT_OF_CREDITS"}
    assert "You have no credits left (0 credits)." in [each["text"] for each in told]


def test_what_is_rolled_back_was_not_told(user: User) -> None:
    schedule = make_schedule(user)
    assert schedule.graph is not None
    delete_graph(graph=schedule.graph)

    with transaction.atomic():
        check_wanted(limit=10)
        transaction.set_rollback(True)

    assert not Notice.objects.exists()


def test_a_notice_that_cannot_be_written_keeps_nothing_from_happening(user: User, settings: Settings) -> None:
    schedule = make_schedule(user)
    assert schedule.graph is not None
    delete_graph(graph=schedule.graph)
    # The row has no room for that.
    settings.NOTICES_BY_MAIL = None

    check_wanted(limit=10)

    schedule.refresh_from_db()
    assert "gone" in schedule.problem
    assert not Notice.objects.exists()


def test_notices_are_read_one_by_one_or_all(user: User, client: APIClient) -> None:
    first, second, third = tell(user), tell(user), tell(user)

    answer = client.post(f"/v1/notices/{second.pk}/read")

    assert (answer.status_code, answer.json()["read_at"] is None) == (200, False)
    assert client.post(f"/v1/notices/{second.pk}/read").json() == answer.json()
    unread = client.get("/v1/notices", {"unread": "true"}).json()["results"]
    assert [each["id"] for each in unread] == [str(third.pk), str(first.pk)]
    assert [client.post("/v1/notices/read").json() for _ in range(2)] == [{"count": 2}, {"count": 0}]


def test_a_users_notices_are_mailed_together_and_once(user: User, settings: Settings) -> None:
    settings.NOTICES_BY_MAIL = True
    silent = User.objects.create_user("silent")
    User.objects.filter(pk=user.pk).update(email="ada@example.org")
    for number in range(MOST_LISTED + 2):
        tell(user, f"Notice {number}.")
    tell(silent)

    assert (mail_notices(), mail_notices()) == (2, 0)

    (message,) = mail.outbox
    assert (message.to, message.subject) == (["ada@example.org"], f"{MOST_LISTED + 2} notices")
    assert "Notice 0." in str(message.body) and "There are 2 more" in str(message.body)


def test_without_a_mail_server_nothing_waits_for_one(user: User) -> None:
    tell(user)

    assert not Notice.objects.filter(awaits_mail=True).exists()
    assert mail_notices() == 0


def test_what_could_not_be_mailed_is_tried_again_for_a_day(
    user: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.NOTICES_BY_MAIL = True
    User.objects.filter(pk=user.pk).update(email="ada@example.org")
    fresh, old = tell(user), tell(user, "Long ago.")
    Notice.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=1, minutes=1))

    def fail(*_arguments: Any) -> None:
        raise ConnectionRefusedError

    with monkeypatch.context() as away:
        away.setattr("config.notices.mailing.send_mail", fail)
        assert mail_notices() == 0

    assert list(Notice.objects.filter(awaits_mail=True)) == [fresh]
    assert mail_notices() == 1
    assert mail.outbox[0].subject == "Your balance is low."


def test_old_notices_are_forgotten(user: User, settings: Settings) -> None:
    old, new = tell(user), tell(user)
    Notice.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=91))

    assert forget_old_notices() == 1
    assert list(Notice.objects.all()) == [new]
    settings.NOTICE_RETENTION_DAYS = 0
    Notice.objects.update(created_at=timezone.now() - timedelta(days=1000))
    assert forget_old_notices() == 0
