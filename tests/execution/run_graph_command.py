"""`manage.py run_graph`, called from tests."""

import io
import json
import time
from collections.abc import Callable
from typing import Any

from django.core.management import call_command

from tests.execution.small_graphs import ASK, CALCULATOR, INPUT, OUTPUT, draw

DEADLINE_SECONDS = 90.0

ADDING = draw(
    {
        "in": (INPUT, {"name": "Number"}),
        "add": (CALCULATOR, {"operation": "Add", "b": 34}),
        "out": (OUTPUT, {"name": "Sum"}),
    },
    ["in.result -> add.a", "add.result -> out.value"],
)

ASKING = draw(
    {"ask": (ASK, {"name": "Letter", "data": "Dear Ada"}), "out": (OUTPUT, {"name": "Answer"})},
    ["ask.approved_data -> out.value"],
)


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Ran:
    """What a command printed, and its exit code."""

    def __init__(self, *arguments: str) -> None:
        out, err = io.StringIO(), io.StringIO()
        self.code: Any = 0
        try:
            call_command("run_graph", *arguments, stdout=out, stderr=err)
        except SystemExit as end:
            self.code = end.code
        self.out, self.err = out.getvalue(), err.getvalue()

    @property
    def shown(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        value: dict[str, Any] = json.loads(self.out)
        return value
