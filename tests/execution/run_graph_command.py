"""`manage.py run_graph`, called from tests."""

import io
import json
from typing import Any

from django.core.management import call_command

from tests.execution.small_graphs import ASK, OUTPUT, draw

DEADLINE_SECONDS = 90.0

ASKING = draw(
    {"ask": (ASK, {"name": "Letter", "data": "Dear Ada"}), "out": (OUTPUT, {"name": "Answer"})},
    ["ask.approved_data -> out.value"],
)


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
