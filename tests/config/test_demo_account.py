"""The demo account is ours to make, other people's accounts are not."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from config import embedded
from config.demo_account import NAME, ensure_demo_account, read_demo_password
from config.management.commands.stack import _describe_logins
from config.models import ApiKey
from config.stack import Addresses

pytestmark = pytest.mark.django_db


@pytest.fixture
def foreign_database(settings: Settings) -> None:
    settings.EMBEDDED_SERVERS = (embedded.VALKEY,)


@pytest.fixture
def own_database(settings: Settings) -> None:
    settings.EMBEDDED_SERVERS = (embedded.POSTGRES, embedded.VALKEY)


def everything() -> list[Any]:
    return [list(User.objects.order_by("pk").values()), list(ApiKey.objects.values("digest", "user"))]


def test_in_our_own_database_the_account_is_made_and_mended(own_database: None) -> None:
    made = ensure_demo_account()
    User.objects.update(is_superuser=False, password="unusable")
    mended = ensure_demo_account()

    assert made is not None and mended == made
    user = User.objects.get()
    assert (user.username, user.is_staff, user.is_superuser) == (NAME, True, True)
    assert user.check_password(read_demo_password())


def test_in_another_database_nobodys_account_is_touched(foreign_database: None) -> None:
    User.objects.create_user(NAME, password="their own")
    before = everything()

    assert ensure_demo_account() is None

    assert everything() == before


def test_in_another_database_with_users_no_account_is_made(foreign_database: None) -> None:
    User.objects.create_user("grace")
    before = everything()

    assert ensure_demo_account() is None

    assert everything() == before


def test_in_another_empty_database_the_account_is_made_once_and_found_again(foreign_database: None) -> None:
    made = ensure_demo_account()
    before = everything()

    assert made is not None and made.user.is_superuser
    assert ensure_demo_account() == made
    assert everything() == before


def test_an_account_that_was_given_another_password_is_theirs_from_then_on(foreign_database: None) -> None:
    made = ensure_demo_account()
    assert made is not None
    made.user.set_password("their own")
    made.user.save()
    before = everything()

    assert ensure_demo_account() is None

    assert everything() == before


def test_whose_logins_count_is_said() -> None:
    addresses = Addresses(web_port=8000, flower_port=5555)

    assert "the accounts of your database" in _describe_logins(addresses, None)
