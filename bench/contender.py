"""What is compared: something that runs a shape and says how long its caller waited for the end."""

from enum import StrEnum
from typing import Protocol

from bench.shapes import Shape


class Work(StrEnum):
    """What each node does."""

    NO_OP = "no_op"
    FIB = "fib"


FIB_NUMBER = 33


class Contender(Protocol):
    """One system under measurement. What it needs runs inside of its `with` block."""

    name: str

    def can_run(self, shape: Shape, *, work: Work = Work.NO_OP) -> bool:
        """Whether this system has a way to run the shape."""
        ...

    def run(self, shape: Shape, *, runs: int = 1, work: Work = Work.NO_OP) -> float:
        """Start so many runs at once; return the seconds until the caller has seen the end of all."""
        ...


class RunFailedError(Exception):
    """A measured run didn't end, or not as it should; the text says which and how."""
