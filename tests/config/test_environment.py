"""Settings are read from variables, and what can't be read is said by name."""

import runpy
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.environment import (
    broker_url_of,
    check_broker_url,
    parse_database_url,
    read_bool,
    read_int,
    read_list,
    with_database,
)

SETTINGS = Path(__file__).parents[2] / "config" / "settings.py"


def test_a_database_url_gives_all_its_parts() -> None:
    settings = parse_database_url("postgres://a%40b:p%2Fw@db.example:6543/my%20data?sslmode=require")

    assert settings == {
        "NAME": "my data",
        "USER": "a@b",
        "PASSWORD": "p/w",
        "HOST": "db.example",
        "PORT": "6543",
        "OPTIONS": {"sslmode": "require"},
    }


@pytest.mark.parametrize("url", ["postgresql:///data?host=/run/pg&port=5433", "postgres://%2Frun%2Fpg:5433/data"])
def test_a_socket_folder_can_be_the_host(url: str) -> None:
    settings = parse_database_url(url)

    assert (settings["HOST"], settings["PORT"], settings["NAME"]) == ("/run/pg", "5433", "data")


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "must begin with postgres://"),
        ("sqlite:///x", "must begin with postgres://"),
        ("postgres://host/", "names no database"),
        ("postgres://host:port/x", "can't be read"),
        ("postgres://[::1/x", "can't be read"),
    ],
)
def test_a_database_url_that_is_none_is_refused_by_name(url: str, complaint: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"DATABASE_URL {complaint}"):
        parse_database_url(url)


@pytest.mark.parametrize(
    ("url", "broker", "third"),
    [
        ("redis://h:1/0", "redis://h:1/0", "redis://h:1/3"),
        ("rediss://:pw@h", "rediss://:pw@h", "rediss://:pw@h/3"),
        ("unix:///run/v.sock?db=0", "redis+socket:///run/v.sock?virtual_host=0", "unix:///run/v.sock?db=3"),
    ],
)
def test_a_redis_url_has_a_form_for_celery_and_other_databases(url: str, broker: str, third: str) -> None:
    assert broker_url_of(url) == broker
    assert with_database(url, "3") == third


def test_a_broker_url_of_another_kind_is_refused_by_name() -> None:
    with pytest.raises(ImproperlyConfigured, match="BROKER_URL must begin with one of amqp://, redis://"):
        check_broker_url("BROKER_URL", "sqs://", schemes=("amqp", "redis"))


@pytest.mark.parametrize(("text", "value"), [("1", True), ("True", True), ("on", True), ("0", False), ("", False)])
def test_yes_and_no_can_be_said_in_many_ways(text: str, value: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAG", text)

    assert read_bool("FLAG", default=not value) is value


def test_what_is_neither_yes_nor_a_number_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETTING", "maybe")

    with pytest.raises(ImproperlyConfigured, match="SETTING must be true or false"):
        read_bool("SETTING", default=True)
    with pytest.raises(ImproperlyConfigured, match="SETTING must be a whole number"):
        read_int("SETTING", default=1)


@pytest.mark.parametrize(("lease", "default", "too_long"), [("10", 5, "8"), ("3", 1.8, "5")])
def test_an_event_loop_may_not_stand_still_for_as_long_as_a_lease_lasts(
    monkeypatch: pytest.MonkeyPatch, lease: str, default: float, too_long: str
) -> None:
    monkeypatch.setenv("LEASE_SECONDS", lease)
    assert runpy.run_path(str(SETTINGS))["LOOP_PATIENCE_SECONDS"] == pytest.approx(default)

    monkeypatch.setenv("LOOP_PATIENCE_SECONDS", too_long)
    with pytest.raises(ImproperlyConfigured, match="LOOP_PATIENCE_SECONDS must be from 0 to"):
        runpy.run_path(str(SETTINGS))


def test_a_list_is_cut_at_its_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTS", " a.example , b.example,")

    assert read_list("HOSTS") == ["a.example", "b.example"]
    assert read_list("OTHER_HOSTS", default=("localhost",)) == ["localhost"]
