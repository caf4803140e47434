"""A replay takes values over within the database and the storage: it neither reads them nor shares them."""

import random
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.db import connection
from pytest_django import Settings

from execution.examination import examine
from execution.exceptions import ExecutionNotReplayableError
from execution.large_values import find_reference
from execution.models import Execution, NodeExecution, Output
from execution.reporting import find_outputs
from execution.run_files import FilesOfRun
from execution.services import replay_execution, resume_execution, start_execution, stop_execution
from execution.store import replaying
from execution.store.copying import copy_reused
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.long_texts import run_long_texts
from tests.execution.small_graphs import CALCULATOR, INPUT, OUTPUT, STEP, draw

# Whoever examines the broker, too, must not find what others have left there.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]

LARGE = "ä" * 30_000
DISK = "django.core.files.storage.FileSystemStorage"
MEMORY = "django.core.files.storage.InMemoryStorage"
MIB = 2**20


@pytest.fixture(autouse=True, params=[DISK, MEMORY])
def storage(settings: Settings, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    settings.BLOCK_MODULES = [*settings.BLOCK_MODULES, "tests.execution.blocks"]
    options = {"location": str(tmp_path)} if request.param == DISK else {}
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": request.param, "OPTIONS": options}}


def run_to_its_end(user: User, drain: Drain, *drawn: Any, **inputs: Any) -> Execution:
    version = import_graph(owner=user, document=draw(*drawn)).version
    run = start_execution(user=user, version=version, input_data=inputs)
    drain.run()
    run.refresh_from_db()
    return run


def replay_last(run: Execution) -> Execution:
    last = NodeExecution.objects.filter(execution=run, queued_at__isnull=False).latest("id")
    return replay_execution(execution_id=run.pk, node_execution_id=last.pk)


def remove_files(run: Execution) -> None:
    FilesOfRun(user_id=str(run.user_id), execution_id=run.pk).remove()


def count_reused(run: Execution) -> int:
    return NodeExecution.objects.filter(execution=run, reused_from__isnull=False).count()


@pytest.mark.parametrize("length", [60_000, 100_000])
def test_a_replay_reads_no_value_that_it_reuses(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    origin = run_long_texts(user, drain, count=60, length=length)
    replay_last(origin)  # what is loaded once

    tracemalloc.start()
    try:
        run = replay_last(origin)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < (MIB if length < 64 * 1024 or _links() else 3 * 60 * length)
    drain.run()
    assert find_outputs(run) == find_outputs(origin)


@pytest.mark.usefixtures("quick_doctor")
def test_either_run_can_lose_its_files_and_the_other_still_has_them(user: User, drain: Drain) -> None:
    first = run_long_texts(user, drain, count=3, length=100_000)
    texts = find_outputs(first)

    second = replay_last(first)
    drain.run()
    remove_files(first)
    third = replay_last(second)
    drain.run()
    remove_files(third)

    assert find_outputs(second) == texts
    forms = Output.objects.filter(node_execution__execution=second).values_list("value", flat=True)
    paths = [reference.path for reference in map(find_reference, forms) if reference]
    assert paths and all(f"/{second.pk}/" in path for path in paths)
    # The doctor misses what was removed, and nothing else.
    assert {hit.run_id for finding in examine() for hit in finding.hits} == {first.pk, third.pk}


def test_parts_of_large_values_are_taken_over_and_written_anew(user: User, drain: Drain) -> None:
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "in": (INPUT, {"name": "in"}),
        "part": (OUTPUT, {"name": "part"}),
        "small": (OUTPUT, {"name": "small"}),
    }
    arrows = ["in.result_$_1 -> part.value", "in.result_$_0 -> small.value"]
    origin = run_to_its_end(user, drain, nodes, arrows, **{"in": [7, LARGE, LARGE]})
    expected = find_outputs(origin)

    run = replay_last(origin)
    reused = count_reused(run)
    drain.run()
    remove_files(origin)

    assert reused == 2
    assert find_outputs(run) == expected == {"part": [LARGE], "small": [7]}


def test_what_is_opened_anew_has_its_values_whatever_they_look_like(user: User, drain: Drain) -> None:
    values = [
        None,
        1.0,
        {"$stored": {"path": "p", "bytes": 1}},
        {"$copy": [1]},
        LARGE,
        [LARGE],
        "x\\u0000",
        {"b": 1, "a": 2},
    ]
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "in": (INPUT, {"name": "in"}),
        "each": (STEP, {}),
        "out": (OUTPUT, {"name": "out"}),
        "wait": (CALCULATOR, {"operation": "Add"}),
        "late": (INPUT, {"name": "late"}),
    }
    # Without its other pin the calculator waits for ever.
    arrows = ["in.result -> each.items", "each.item -> out.value", "each.item -> wait.a", "late.result -> wait.b"]
    origin = run_to_its_end(user, drain, nodes, arrows, **{"in": values})
    first = NodeExecution.objects.filter(execution=origin, outputs__pin="output").earliest("id")

    run = replay_execution(execution_id=origin.pk, node_execution_id=first.pk)
    reused = count_reused(run)
    drain.run()
    remove_files(origin)

    assert reused
    assert repr(find_outputs(run)) == repr({"out": values})


def test_equal_values_that_lie_in_different_files_are_the_same(user: User, drain: Drain) -> None:
    # What is held back by order is written once more when it travels.
    origin = run_long_texts(user, drain, count=5, length=100_000, order=random.Random(1))
    emitted = Output.objects.filter(node_execution__execution=origin, pin="text").values_list("value", flat=True)
    delivered = NodeExecution.objects.filter(execution=origin, outputs__pin="output").values_list("inputs", flat=True)
    assert not {str(each["value"]) for each in delivered} <= {str(form) for form in emitted}

    run = replay_last(origin)

    assert count_reused(run) == NodeExecution.objects.filter(execution=origin).count() - 1


def test_a_run_that_goes_on_while_its_replay_is_prepared_is_not_replayed(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = run_long_texts(user, drain, count=2, length=100_000)
    Execution.objects.filter(pk=origin.pk).update(status="TERMINATED")

    def resume() -> None:
        try:
            resume_execution(execution_id=origin.pk)
            stop_execution(execution_id=origin.pk)
        finally:
            connection.close()

    monkeypatch.setattr(replaying, "copy_reused", first(resume, copy_reused))

    with pytest.raises(ExecutionNotReplayableError, match="meanwhile"):
        replay_last(origin)

    assert Execution.objects.count() == 1
    assert default_storage.listdir(f"runs/{user.pk}")[0] == [str(origin.pk)]


def test_nothing_is_written_to_the_storage_once_others_have_to_wait(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "in": (INPUT, {"name": "in"}),
        "out": (OUTPUT, {"name": "out"}),
        "keep": (CALCULATOR, {"operation": "Add"}),
        "late": (INPUT, {"name": "late"}),
    }
    document = draw(nodes, ["in.result_$_0 -> keep.a", "late.result -> keep.b", "in.result -> out.value"])
    document["links"][0]["is_static"] = True
    origin = start_execution(
        user=user, version=import_graph(owner=user, document=document).version, input_data={"in": [LARGE, 1]}
    )
    drain.run()
    before: list[set[str]] = []
    monkeypatch.setattr(
        replaying, "copy_reused", first(lambda: before.append(list_values(user, {origin.pk})), copy_reused)
    )

    run = replay_last(Execution.objects.get(pk=origin.pk))

    # What was delivered and emitted before, what the run is given, the part of it that a static link has brought.
    assert list_values(user, {origin.pk}) == before[0]
    assert len(before[0]) == 4
    assert count_reused(run)


def list_values(user: User, others: set[Any]) -> set[str]:
    """Return the names of the values' files of the user's runs but for `others`."""
    runs = set(default_storage.listdir(f"runs/{user.pk}")[0]) - {str(other) for other in others}
    return {name for run in runs for name in default_storage.listdir(f"runs/{user.pk}/{run}/values")[1]}


def first(before: Callable[[], None], then: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that does something else first, as another process would: it must not have to wait."""

    def both(*arguments: Any) -> Any:
        other = threading.Thread(target=before)
        other.start()
        other.join(30)
        assert not other.is_alive(), "it waits for the replay"
        return then(*arguments)

    return both


def _links() -> bool:
    return type(default_storage._wrapped).__name__ == "FileSystemStorage"  # type: ignore[attr-defined]
