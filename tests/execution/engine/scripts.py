"""Blocks that emit what a test has written down."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from execution.engine.machine import Behaviour, Key
from execution.engine.plan import PlanNode

Script = Sequence[tuple[str, Any]]


def scripted(**scripts: Mapping[Any, Script]) -> Behaviour:
    """Let each node emit what its script says for the value on its pin `x`."""

    def behave(node: PlanNode, inputs: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
        return scripts.get(node.name, {}).get(inputs.get("x"), ())

    return behave


def in_turn(runnable: Sequence[Key]) -> Key:
    """Let the oldest go first."""
    return runnable[0]
