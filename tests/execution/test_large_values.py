"""Values that are too large for a row: they lie with the files of their run, and nobody notices."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from pytest_django import Settings

from execution.bounds import SINGLE, Allowance, Hidden
from execution.engine.statuses import Status
from execution.large_values import Kept, ValueWriter, find_reference, read, read_all
from execution.models import Execution, NodeExecution, NodeInput, Output, RunOutput, StaticValue
from execution.reporting import find_outputs, gather_outputs, get_node_execution
from execution.run_files import FilesOfRun
from execution.services import replay_execution, resume_execution, start_execution, stop_execution
from graphs.models import new_id
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.small_graphs import INPUT, OUTPUT, STEP, TIMER, draw

pytestmark = pytest.mark.django_db(transaction=True)

LARGE = "ä" * 30_000


@pytest.fixture(autouse=True)
def own_storage(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = str(tmp_path)


def writer() -> ValueWriter:
    return ValueWriter(FilesOfRun(user_id="1", execution_id=new_id()))


def start(user: User, document: dict[str, Any], **inputs: Any) -> Execution:
    version = import_graph(owner=user, document=document).version
    return start_execution(user=user, version=version, input_data=inputs)


def files_of(run: Execution) -> list[str]:
    folder = f"{FilesOfRun(user_id=str(run.user_id), execution_id=run.pk).folder}/values"
    return default_storage.listdir(folder)[1] if default_storage.exists(folder) else []


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        "text",
        LARGE,
        [LARGE, 1],
        {"k": LARGE},
        {"$stored": {"path": "runs/2/other.json", "bytes": 3}},
        {"$plain": 1},
        {"$plain": {"$stored": 1}},
        {"$stored": 1, "more": 2},
        {"$stored": LARGE},
    ],
)
def test_a_value_is_read_as_it_was_written_whatever_it_looks_like(value: Any) -> None:

    form = json.loads(writer().write(value))

    assert read(form) == value
    assert (find_reference(form) is not None) == (len(json.dumps(value)) > 64 * 1024)


def test_an_object_is_written_to_the_storage_once_however_many_rows_it_goes_to() -> None:
    value, write = {"k": LARGE}, writer()

    texts = {write.write(value), write.write(value), write.write_all({"pin": value})[len('{"pin":') : -1]}

    assert len(texts) == 1


def test_a_kept_value_goes_on_as_it_is() -> None:
    assert writer().write(Kept({"$stored": {"path": "p", "bytes": 1}})) == '{"$stored":{"path":"p","bytes":1}}'


def test_a_large_value_travels_through_a_run_and_its_rows_stay_small(user: User, drain: Drain) -> None:
    run = start(
        user,
        draw(
            {
                "in": (INPUT, {"name": "in"}),
                "step": (STEP, {}),
                "out": (OUTPUT, {"name": "out"}),
                "whole": (OUTPUT, {"name": "whole"}),
                "part": (OUTPUT, {"name": "part"}),
            },
            [
                "in.result -> step.items",
                "step.item -> out.value",
                "in.result -> whole.value",
                "in.result_$_1 -> part.value",
            ],
        ),
        **{"in": [1, LARGE, "x"]},
    )
    drain.run()

    run.refresh_from_db()
    assert run.status == Status.COMPLETED
    assert find_outputs(run) == {"out": [1, LARGE, "x"], "whole": [[1, LARGE, "x"]], "part": [LARGE]}
    for rows in (Output.objects.all(), RunOutput.objects.all(), NodeInput.objects.all(), StaticValue.objects.all()):
        assert all(len(str(row.value)) < 1000 for row in rows)
    assert all(len(str(row.inputs)) < 1000 for row in NodeExecution.objects.all())
    assert files_of(run)


def test_what_is_held_back_by_order_and_resumed_is_whole(user: User, drain: Drain) -> None:
    run = start(
        user,
        draw(
            {"in": (INPUT, {"name": "in"}), "step": (STEP, {}), "out": (OUTPUT, {"name": "out"})},
            ["in.result -> step.items", "step.item -> out.value"],
        ),
        **{"in": [LARGE + str(number) for number in range(4)]},
    )
    drain.run_one(drain.waiting.pop(0))
    stop_execution(execution_id=run.pk)
    drain.waiting.clear()

    resume_execution(execution_id=run.pk)
    drain.run()

    assert find_outputs(run) == {"out": [LARGE + str(number) for number in range(4)]}


def test_a_replay_has_its_own_copies(user: User, drain: Drain) -> None:
    run = start(
        user,
        draw({"in": (INPUT, {"name": "in"}), "out": (OUTPUT, {"name": "out"})}, ["in.result -> out.value"]),
        **{"in": LARGE},
    )
    drain.run()
    last = NodeExecution.objects.filter(execution=run).order_by("-id")[0]

    replay = replay_execution(execution_id=run.pk, node_execution_id=last.pk)
    drain.run()
    FilesOfRun(user_id=str(user.pk), execution_id=run.pk).remove()

    assert find_outputs(replay) == {"out": [LARGE]}


def test_an_answer_shows_a_stored_value_where_there_is_room_and_hides_it_where_there_is_none(
    user: User, drain: Drain
) -> None:
    run = start(user, draw({"in": (INPUT, {"name": "in"})}), **{"in": LARGE})
    drain.run()
    shown = get_node_execution(run=run, node_execution_id=NodeExecution.objects.get().pk)

    assert gather_outputs(shown, allowance=Allowance(bounds=SINGLE)) == {"result": [LARGE]}
    assert gather_outputs(shown) == {"result": [Hidden(len(LARGE) * 6 + 2)]}


def test_a_value_whose_file_is_gone_is_hidden_and_fails_the_node_that_needs_it(user: User, drain: Drain) -> None:
    run = start(
        user,
        draw({"in": (INPUT, {"name": "in"}), "out": (OUTPUT, {"name": "out"})}, ["in.result -> out.value"]),
        **{"in": LARGE},
    )
    drain.run_one(drain.waiting.pop(0))
    FilesOfRun(user_id=str(user.pk), execution_id=run.pk).remove()

    drain.run()

    run.refresh_from_db()
    assert (run.status, run.node_error_count) == (Status.COMPLETED, 1)
    shown = get_node_execution(run=run, node_execution_id=NodeExecution.objects.order_by("id")[0].pk)
    assert gather_outputs(shown, allowance=Allowance(bounds=SINGLE)) == {"result": [Hidden(len(LARGE) * 6 + 2)]}


def test_a_static_value_is_passed_on_without_being_read(user: User, drain: Drain) -> None:
    # The timer comes later than the static value and finds it remembered.
    run = start(
        user,
        draw(
            {
                "in": (INPUT, {"name": "in"}),
                "timer": (TIMER, {"input_message": "later", "seconds": 0}),
                "join": (OUTPUT, {"name": "join"}),
            },
            ["in.result -> join.value", "timer.output_message -> join.title"],
        ),
        **{"in": LARGE},
    )
    drain.run()

    assert find_outputs(run) == {"join": [LARGE]}
    assert read_all({"value": StaticValue.objects.get().value}) == {"value": LARGE}
