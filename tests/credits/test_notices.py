"""What users are told: once per crossing, and not before it is certain."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from credits.accounts import set_low_balance_threshold
from credits.models import Notice
from credits.notices import noticed, tell_left_over
from credits.pricing import Usage
from tests.credits.booking import capture, flat_price, give, set_balance, subject

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def told() -> Iterator[list[tuple[str, int]]]:
    """What was told, as (kind, balance)."""
    heard: list[tuple[str, int]] = []

    def hear(*, notice: Notice, **_signal: Any) -> None:
        heard.append((notice.kind, notice.balance))

    noticed.connect(hear)
    yield heard
    noticed.disconnect(hear)


def use(user_id: int, amount: int) -> None:
    capture(user_id=user_id, subject=subject(), price=flat_price(amount), usage=Usage(), has_failed=False)


def test_each_crossing_is_told_once(user: User, told: list[tuple[str, int]]) -> None:
    set_balance(user.pk, 510)

    for amount in (5, 6, 400, 98, 1, 1, 40):
        use(user.pk, amount)
    give(user.pk, 1_000)
    use(user.pk, 600)

    assert told == [("LOW_BALANCE", 499), ("OUT_OF_CREDITS", 0), ("LOW_BALANCE", 359)]


def test_what_settles_a_debt_is_no_crossing(user: User, told: list[tuple[str, int]]) -> None:
    set_balance(user.pk, 100)
    use(user.pk, 800)
    told.clear()

    give(user.pk, 700)
    give(user.pk, 600)
    use(user.pk, 101)

    assert told == [("LOW_BALANCE", 499)]


def test_one_that_crosses_both_tells_both(user: User, told: list[tuple[str, int]]) -> None:
    set_balance(user.pk, 510)

    use(user.pk, 510)

    assert told == [("LOW_BALANCE", 0), ("OUT_OF_CREDITS", 0)]


def test_a_user_who_starts_with_nothing_is_told_nothing(settings: Any, told: list[tuple[str, int]]) -> None:
    settings.INITIAL_CREDITS = 0
    user = User.objects.create_user("grace")

    give(user.pk, 400)
    use(user.pk, 100)

    assert told == []


def test_the_users_own_threshold_counts(user: User, told: list[tuple[str, int]]) -> None:
    set_balance(user.pk, 450)
    told.clear()
    set_low_balance_threshold(user_id=user.pk, threshold=100)

    use(user.pk, 300)
    use(user.pk, 51)

    assert told == [("LOW_BALANCE", 99)]


def test_what_is_rolled_back_is_not_told(user: User, told: list[tuple[str, int]]) -> None:
    with transaction.atomic():
        use(user.pk, 1_400)
        transaction.set_rollback(True)

    assert told == []
    assert not Notice.objects.exists()


def test_what_a_process_that_died_left_untold_is_told(user: User, told: list[tuple[str, int]]) -> None:
    use(user.pk, 1_400)
    Notice.objects.update(told_at=None)
    told.clear()

    assert (tell_left_over(), tell_left_over()) == (1, 0)
    assert told == [("LOW_BALANCE", 100)]


def test_a_receiver_that_fails_breaks_nothing(user: User, told: list[tuple[str, int]]) -> None:
    def fail(**_signal: Any) -> None:
        raise RuntimeError("The mail server is on holiday.")

    noticed.connect(fail)
    try:
        use(user.pk, 1_400)
    finally:
        noticed.disconnect(fail)

    assert told == [("LOW_BALANCE", 100)]
    assert Notice.objects.get().told_at is not None
