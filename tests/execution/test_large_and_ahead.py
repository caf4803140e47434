"""Large values of what is run ahead, or recorded together, lie in the storage once."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from pytest_django import Settings

from execution.engine.statuses import Status
from execution.run_files import FilesOfRun
from tests.execution.drain import Drain
from tests.execution.running_ahead import Ahead
from tests.execution.small_graphs import CONVERTER, INPUT, STEP, draw
from tests.execution.small_runs import ended, start

pytestmark = pytest.mark.django_db(transaction=True)

Node = tuple[str, dict[str, Any]]

# What makes these emit is small, so they are run along with others.
NODES: dict[str, Node] = {
    "in": (INPUT, {"name": "in", "value": "string"}),
    "start": (CONVERTER, {"type": "string", "value": "string"}),
    "a": (CONVERTER, {"value": "1" * 200}),
    "b": (CONVERTER, {"value": "2" * 200}),
    "to": (CONVERTER, {"type": "string"}),
    "join": (STEP, {}),
}
JOINED = ["a.value -> join.items_$_0", "b.value -> join.items_$_1"]
TOGETHER = ["in.result -> a.type", "in.result -> b.type"]
ONE_AFTER_THE_OTHER = ["start.value -> a.type", "start.value -> to.value", "to.value -> b.type"]


@pytest.mark.parametrize("arrows", [TOGETHER, ONE_AFTER_THE_OTHER], ids=["together", "one after the other"])
def test_a_value_is_stored_once(  # noqa: PLR0917 - fixtures
    user: User, drain: Drain, ahead: Ahead, settings: Settings, tmp_path: Path, arrows: list[str]
) -> None:
    settings.MEDIA_ROOT, settings.LARGE_VALUE_BYTES = str(tmp_path), 100
    names = {arrow.split(".")[0] for arrow in [*JOINED, *arrows]} | {"join"}

    run = start(user, draw({name: NODES[name] for name in names}, [*JOINED, *arrows]))

    drain.run()

    values = f"{FilesOfRun(user_id=str(user.pk), execution_id=run.pk).folder}/values"
    assert (ended(run).status, ahead.in_vain) == (Status.COMPLETED, [])
    assert any({"a", "b"} <= set(record) for record in ahead.records)
    # The two, and what the join makes of them.
    assert len(default_storage.listdir(values)[1]) == len({"a", "b"}) + 2
