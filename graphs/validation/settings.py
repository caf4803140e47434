"""What a graph asks of its runs: settings that mean something have sensible values, all others are nobody's business.

`max_node_executions` is the loop guard, `on_error` what becomes of a run when a node fails, `max_duration` and
`idle_limit` (seconds) are how long a run, or a silence in it, may last. Null is the same as absent.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

MOST_NODE_EXECUTIONS: Final = 1_000_000
ON_ERROR: Final = ("continue", "fail_run")
LONGEST_SECONDS: Final = 366 * 24 * 60 * 60
"""A year: far more would overflow PostgreSQL's clock, for all runs that recovery looks at together."""

_SHOWN: Final = 40


def explain_settings(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong, by key, as the end of a sentence ("must be …")."""
    told = {key: check(settings[key]) for key, check in _CHECKS.items() if settings.get(key) is not None}
    return {key: f"{why}, not {_show(settings[key])}" for key, why in told.items() if why}


def _explain_count(value: Any) -> str | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_NODE_EXECUTIONS
    return None if fits else f"must be a whole number from 1 to {MOST_NODE_EXECUTIONS:,}"


def _explain_on_error(value: Any) -> str | None:
    return None if isinstance(value, str) and value in ON_ERROR else f"must be “{ON_ERROR[0]}” or “{ON_ERROR[1]}”"


def _explain_seconds(value: Any) -> str | None:
    is_number = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    fits = is_number and not isinstance(value, bool) and 0 < value <= LONGEST_SECONDS
    return None if fits else f"must be a number of seconds greater than 0, at most {LONGEST_SECONDS:,}"


def _show(value: Any) -> str:
    """Return what stands there instead: of a text, which may be a secret in the wrong place, only that it is one."""
    for kind, said in ((dict, "an object"), (list, "a list"), (str, "this text")):
        if isinstance(value, kind):
            return said
    shown = str(value).lower()
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"


_CHECKS: Final[Mapping[str, Callable[[Any], str | None]]] = {
    "max_node_executions": _explain_count,
    "on_error": _explain_on_error,
    "max_duration": _explain_seconds,
    "idle_limit": _explain_seconds,
}
