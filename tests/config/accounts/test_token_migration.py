"""Tokens of REST framework, which were in use before there were keys, go on as keys."""

from importlib import import_module
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from rest_framework.test import APIClient

from config.models import ApiKey

pytestmark = pytest.mark.django_db

TOKEN = "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b"
TAKE_OVER = import_module("config.migrations.0001_accounts").TAKE_OVER_TOKENS


def run(sql: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)


def test_a_token_opens_what_it_opened_before(user: User) -> None:
    run("CREATE TABLE authtoken_token (key varchar(40) PRIMARY KEY, created timestamptz NOT NULL, user_id int UNIQUE)")
    run("INSERT INTO authtoken_token VALUES (%s, '2024-05-06 07:08:09+00', %s)", TOKEN, user.pk)

    run(TAKE_OVER)

    key = ApiKey.objects.get()
    assert (key.user, key.shown, key.created_at.year, key.expires_at) == (user, TOKEN[:12], 2024, None)
    assert TOKEN not in str(list(ApiKey.objects.values()))
    me = APIClient(headers={"Authorization": f"Bearer {TOKEN}"}).get("/v1/me").json()
    assert (me["username"], me["scopes"]) == (user.username, ["read", "execute", "write", "credits"])
    assert "authtoken_token" not in connection.introspection.table_names()


def test_where_there_are_none_nothing_happens(user: User) -> None:
    run(TAKE_OVER)

    assert not ApiKey.objects.exists()
