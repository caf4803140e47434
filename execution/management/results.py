"""What came of a run, for people and for programs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from execution.engine.statuses import Status
from execution.management.live_progress import make_printable
from execution.models import Execution
from execution.reporting import find_outputs, measure, show_run_status


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a run stands, ended or not; `id` is None for one that was refused, whose `node_errors` say why."""

    id: UUID | None = None
    status: Status
    outputs: Mapping[str, list[Any]] = field(default_factory=dict)
    stats: Mapping[str, Any] = field(default_factory=dict)
    warnings: list[Any] = field(default_factory=list)
    error: str | None = None
    node_errors: Mapping[str, Mapping[str, str]] | None = None


def load_result(run: Execution) -> Result:
    """Return how a run (from `reporting.get_run`) stands, with all of its outputs."""
    return Result(
        id=run.pk,
        status=show_run_status(run),
        outputs=find_outputs(run, limit=None),
        stats=measure(run),
        warnings=run.warnings,
        error=run.error or None,
    )


def write_json(result: Result) -> str:
    """Return one JSON object, in ASCII: it can be printed anywhere."""
    shown: dict[str, Any] = {
        "id": str(result.id) if result.id else None,
        "status": result.status,
        "outputs": result.outputs,
        "stats": result.stats,
        "warnings": result.warnings,
        "error": result.error,
    }
    if result.node_errors is not None:
        shown["node_errors"] = result.node_errors
    return json.dumps(shown)


def write_text(result: Result) -> str:
    """Return the outputs as a block for people: a name, and its values below it."""
    if not result.outputs:
        return "No outputs.\n"
    return "".join(_write_output(name, values) for name, values in result.outputs.items())


def _write_output(name: str, values: list[Any]) -> str:
    lines = [make_printable(f"{name}:", on_one_line=True)]
    for value in values:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        first, *rest = make_printable(text).split("\n")
        lines += [f"  - {first}", *(f"    {line}" for line in rest)]
    return "\n".join([*lines, ""])
