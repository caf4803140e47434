"""What leaves a run: the values that reached its OUTPUT nodes."""

from collections.abc import Iterable
from typing import Any, Final

from execution.engine.plan import PlanNode

OUTPUT_PIN: Final = "output"
ERROR_PIN: Final = "error"


def output_name(node: PlanNode) -> str:
    """Return the name under which the values of an OUTPUT node leave the run."""
    return str(node.input_default.get("name", ""))


def run_outputs(node: PlanNode, outputs: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return `(name, value)` for each value that an OUTPUT node emits; nothing for other nodes.

    Where the node has a `format`, its block emits the formatted value, and that is what leaves the run.
    """
    if not node.is_output:
        return []
    return [(output_name(node), value) for pin, value in outputs if pin == OUTPUT_PIN]
