"""Whether a failed attempt is worth another one, and when. Plain values in, plain values out."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from execution.database_patience import DATABASE_AWAY
from execution.exceptions import InputsRefusedError, SubRunFailedError
from execution.time_limits import TimeLimitError
from graphs.blocks.contract import RetryPolicy
from graphs.exceptions import BlockError

MOST_ATTEMPTS: Final = 100
LONGEST_DELAY: Final = 7 * 86_400.0

# A block, or what prepares it, that met a database that was away has not failed.
ATTEMPTS_WITH_DATABASE_AWAY: Final = 5


@dataclass(frozen=True, kw_only=True)
class RetryRule:
    """A block's policy with what the node says instead. `names` are names of exceptions, beside the policy's types.

    Without types and names, everything is worth a retry but what the block refuses (`BlockError`); a sub-run that
    failed is.
    """

    policy: RetryPolicy
    names: frozenset[str] = frozenset()

    def next_delay(self, error: Exception, *, tries: int, seed: str) -> float | None:
        """Return how long (seconds) to wait before the next attempt after `tries` failed ones; None: no more.

        Exponential with full jitter; the same for the same `seed`.
        """
        policy = self.policy
        is_database_away = isinstance(error, DATABASE_AWAY)
        most = max(policy.max_attempts, ATTEMPTS_WITH_DATABASE_AWAY) if is_database_away else policy.max_attempts
        if tries >= most or not (is_database_away or self._is_worth_it(error)):
            return None
        ceiling = min(policy.max_delay, policy.first_delay * 2.0 ** min(tries - 1, 60))
        return random.Random(f"{seed}/{tries}").uniform(0.0, ceiling)  # noqa: S311 - not for secrets

    def _is_worth_it(self, error: Exception) -> bool:
        if isinstance(error, InputsRefusedError):
            return False
        if isinstance(error, TimeLimitError):
            return True
        if not self.policy.retry_on and not self.names:
            return isinstance(error, SubRunFailedError) or not isinstance(error, BlockError)
        return isinstance(error, self.policy.retry_on) or any(kind.__name__ in self.names for kind in type(error).mro())


def read_rule(policy: RetryPolicy, metadata: Mapping[str, Any]) -> RetryRule:
    """Return a block's policy with a node's `metadata.retry` over it; what makes no sense there is left out."""
    asked = metadata.get("retry")
    if not isinstance(asked, Mapping):
        return RetryRule(policy=policy)
    names = asked.get("retry_on")
    return RetryRule(
        policy=RetryPolicy(
            max_attempts=int(_read_number(asked, "max_attempts", least=1, most=MOST_ATTEMPTS) or policy.max_attempts),
            first_delay=_read_number(asked, "first_delay", most=LONGEST_DELAY, default=policy.first_delay),
            max_delay=_read_number(asked, "max_delay", most=LONGEST_DELAY, default=policy.max_delay),
            retry_on=policy.retry_on,
        ),
        names=frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset(),
    )


def read_time_limit(limit: timedelta, metadata: Mapping[str, Any]) -> timedelta:
    """Return a block's time limit, or the node's own `metadata.time_limit` (seconds)."""
    return timedelta(seconds=_read_number(metadata, "time_limit", most=LONGEST_DELAY) or limit.total_seconds())


def _read_number(
    asked: Mapping[str, Any], name: str, *, most: float, least: float = 0.0, default: float = 0.0
) -> float:
    value = asked.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value:
        return default
    return float(min(value, most))
