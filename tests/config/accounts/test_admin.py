"""Accounts in the admin."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from config.accounts.keys import digest
from config.admin import ProfileForm
from config.models import ApiKey

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def test_a_key_is_made_and_shown_once_and_revoked(browser: Client, user: User) -> None:
    wanted = {"user": user.pk, "name": "laptop", "scopes": ["read", "execute"]}

    made = browser.post("/admin/config/apikey/add/", wanted, follow=True)

    found = re.search(r"shown this once: (gek_[\w-]+)", made.content.decode())
    assert found
    key = ApiKey.objects.get()
    assert (key.digest, key.scopes, key.user) == (digest(found[1]), ["read", "execute"], user)
    page = browser.get(f"/admin/config/apikey/{key.pk}/change/")
    assert found[1] not in page.content.decode() and "laptop" in page.content.decode()
    browser.post("/admin/config/apikey/", {"action": "revoke", "_selected_action": [str(key.pk)]})
    key.refresh_from_db()
    assert key.revoked_at is not None


def test_a_users_time_zone_is_on_their_page(browser: Client, user: User) -> None:
    page = browser.get(f"/admin/auth/user/{user.pk}/change/").content.decode()

    assert "profile-0-chosen_time_zone" in page
    assert browser.get("/admin/auth/user/add/").status_code == 200


@pytest.mark.parametrize(("zone", "fits"), [("", True), ("Europe/Berlin", True), ("Factory", False), ("Mars", False)])
def test_the_admin_takes_the_time_zones_that_the_api_takes(zone: str, *, fits: bool) -> None:
    assert ProfileForm({"chosen_time_zone": zone}).is_valid() is fits
