"""What a block is given of the world: its files, its clock's time zone, its dice."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from pytest_django import Settings

from execution.context import RunFiles, read_time_zone
from execution.models import RunOutput
from execution.services import start_execution
from graphs.exceptions import BlockError
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.small_graphs import OUTPUT, draw
from tests.graphs.blocks.context import make_context

USER = 7
DATE_AND_TIME = "716a67b3-6760-42e7-86dc-18645c6e00fc"


@pytest.fixture
def files() -> RunFiles:
    return RunFiles(USER, uuid4())


def test_a_file_that_is_kept_can_be_read_by_another_run_of_the_same_user(files: RunFiles) -> None:
    reference = files.save(b"hello", name="a.txt", media_type="text/plain")

    assert RunFiles(USER, uuid4()).load(reference) == b"hello"
    with pytest.raises(BlockError, match="one of your runs"):
        RunFiles(USER + 1, uuid4()).load(reference)


@pytest.mark.parametrize("name", ["", "nowhere", "\x00", "/etc/passwd", "x" * 5000, "\ud800"])
@pytest.mark.parametrize("storage", ["InMemoryStorage", "FileSystemStorage"])
def test_a_path_that_leads_to_no_file_is_an_error_that_says_no_path(
    files: RunFiles, settings: Settings, tmp_path: Any, storage: str, name: str
) -> None:
    settings.MEDIA_ROOT = tmp_path
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": f"django.core.files.storage.{storage}"}}
    files.save(b"hello", name="a.txt", media_type="text/plain")

    with pytest.raises(BlockError) as failure:
        files.load(f"file:runs/{USER}/{files.execution_id}/{name}")

    assert str(failure.value) in {"The file is no longer there.", "The file can't be read."}


def test_a_folder_is_no_file(files: RunFiles, settings: Settings, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    }
    reference = files.save(b"hello", name="a.txt", media_type="text/plain")
    folder = reference.rpartition("/")[0]
    assert default_storage.exists(folder.removeprefix("file:"))

    with pytest.raises(BlockError, match=r"^The file can't be read\.$"):
        files.load(folder)


def test_a_real_run_asks_the_network(files: RunFiles) -> None:
    with pytest.raises(BlockError, match="not on the public internet"):
        asyncio.run(files.fetch("http://127.0.0.1/secret"))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("Europe/Vienna", "Europe/Vienna"),
        (None, "Asia/Tokyo"),
        ("Nowhere/Land", "Asia/Tokyo"),
        ("Europe", "Asia/Tokyo"),
        ("../../etc/passwd", "Asia/Tokyo"),
        ("\x00", "Asia/Tokyo"),
        ("", "Asia/Tokyo"),
        (5, "Asia/Tokyo"),
        (["UTC"], "Asia/Tokyo"),
    ],
)
@pytest.mark.django_db
def test_the_time_zone_is_the_graphs_or_else_the_installations(
    user: User, settings: Settings, asked: Any, expected: str
) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"

    assert read_time_zone({"time_zone": asked}, user_id=user.pk) == expected
    assert read_time_zone({}, user_id=user.pk) == "Asia/Tokyo"


@pytest.mark.django_db
def test_a_user_has_a_time_zone_unless_the_graph_names_one(user: User, settings: Settings) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    user.profile.chosen_time_zone = "Europe/Vienna"
    user.profile.save()

    assert read_time_zone({}, user_id=user.pk) == "Europe/Vienna"
    assert read_time_zone({"time_zone": "America/New_York"}, user_id=user.pk) == "America/New_York"


@pytest.mark.django_db(transaction=True)
def test_a_graph_tells_the_time_of_its_own_time_zone(user: User, drain: Drain) -> None:
    form = {"discriminator": "iso8601", "use_user_timezone": True}
    document = draw(
        {"clock": (DATE_AND_TIME, {"trigger": "go", "format_type": form}), "out": (OUTPUT, {"name": "out"})},
        ["clock.date_time -> out.value"],
        time_zone="Asia/Tokyo",
    )
    version = import_graph(owner=user, document=document).version

    run = start_execution(user=user, version=version, input_data={})
    drain.run()

    assert RunOutput.objects.get(execution=run).value.endswith("+09:00")


def test_an_attempt_draws_from_one_generator_and_every_attempt_draws_the_same() -> None:
    first, second = make_context(), replace(make_context(), attempt=2)

    drawn = [first.random.random() for _ in range(3)]

    assert len(set(drawn)) == 3
    assert [second.random.random() for _ in range(3)] == drawn
    assert replace(make_context(), idempotency_key="another").random.random() != drawn[0]
