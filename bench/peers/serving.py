"""How a peer is asked to run something: a line of JSON each way. Only the standard library, which all have.

In: {"name", "size", "levels", "predecessors", "runs", "work"}.
Out: {"ready": true} once, then {"seconds"} or {"error"}.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Request:
    """A shape (see `bench.shapes`) how many runs of it to start at once, and what its nodes do."""

    name: str
    size: int
    levels: list[list[int]]
    predecessors: list[list[int]]
    runs: int
    work: str

    @property
    def is_chain(self) -> bool:
        """Whether each level has one node."""
        return len(self.levels) == self.size

    @property
    def is_apart(self) -> bool:
        """Whether no node waits for another."""
        return len(self.levels) == 1

    @property
    def is_fan_out(self) -> bool:
        """Whether it is 1 → many → 1."""
        return len(self.levels) == 3 and len(self.levels[0]) == len(self.levels[2]) == 1


def serve(run: Callable[[Request], float]) -> None:
    """Answer requests until there are no more: `run` returns the seconds that its caller waited."""
    answers = _take_stdout()
    _answer(answers, {"ready": True})
    for line in sys.stdin:
        try:
            _answer(answers, {"seconds": run(Request(**json.loads(line)))})
        except Exception as error:  # noqa: BLE001 - whatever a peer raises is its answer
            _answer(answers, {"error": f"{type(error).__name__}: {error}"})


def _take_stdout() -> int:
    """Keep stdout for answers; what a library prints goes to stderr."""
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers


def _answer(answers: int, message: dict[str, Any]) -> None:
    os.write(answers, f"{json.dumps(message)}\n".encode())
