"""What a worker makes of what a block does."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from execution.engine.statuses import Status
from execution.models import Execution, Output
from execution.services import start_execution
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.failing_blocks import FLAKY, MODULES, TELLTALE, TELLTALE_ERRORS
from tests.execution.small_graphs import draw

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def failing_blocks(settings: Settings) -> None:
    settings.BLOCK_MODULES = MODULES


def run_block(user: User, drain: Drain, block_id: str, **constants: Any) -> Execution:
    version = import_graph(owner=user, document=draw({"block": (block_id, constants)})).version
    run = start_execution(user=user, version=version, input_data={})
    drain.run()
    run.refresh_from_db()
    return run


@pytest.mark.parametrize("name", sorted(TELLTALE_ERRORS))
def test_the_texts_of_internal_errors_stay_in_the_log(user: User, drain: Drain, name: str) -> None:
    run = run_block(user, drain, TELLTALE, error=name)

    output = Output.objects.get(node_execution__execution=run)
    assert run.status == Status.COMPLETED
    assert (output.pin, output.value) == ("error", f"The block met an internal error ({name}).")


def test_a_block_that_raises_anything_else_says_what(user: User, drain: Drain) -> None:
    run = run_block(user, drain, FLAKY, failures=3)

    assert Output.objects.get(node_execution__execution=run, pin="error").value == "RuntimeError: failure 3"
