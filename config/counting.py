"""Counting what happens per stretch of time, for limits: in Redis, so that all processes count together.

While Redis is away each process counts for itself: limits are then looser, but nothing fails.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import structlog
from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError

# A Redis that doesn't answer at once must not hold up requests; and is not asked again for a while.
_PATIENCE_SECONDS: Final = 0.5
_PAUSE_SECONDS: Final = 5.0
_MOST_LOCAL: Final = 10_000

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Count:
    """How often it has happened in the present stretch, and the seconds until the next one begins.

    `place` is where that is kept, for stretches of `seconds`.
    """

    number: int
    seconds_left: float
    place: str
    seconds: int


class Counter:
    """Counts by key in stretches of `seconds`, which begin at multiples of it."""

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._local: dict[str, int] = {}
        self._lock = threading.Lock()
        self._away_until = 0.0

    def add(self, key: str, *, seconds: int) -> Count:
        """Count one more."""
        now = self._now()
        stretch = int(now // seconds)
        place = f"count:{key}:{seconds}:{stretch}"
        number = self._step(place, seconds=seconds, step=1)
        return Count(number=number, seconds_left=(stretch + 1) * seconds - now, place=place, seconds=seconds)

    def take_back(self, count: Count) -> None:
        """Count one less, in the stretch in which it was counted."""
        self._step(count.place, seconds=count.seconds, step=-1)

    def _step(self, place: str, *, seconds: int, step: int) -> int:
        number = self._count_in_redis(place, seconds=seconds, step=step)
        return self._count_here(place, step=step) if number is None else number

    def _count_in_redis(self, place: str, *, seconds: int, step: int) -> int | None:
        """Return the count; None if there is no Redis now."""
        client = _connect(settings.REDIS_URL)
        if client is None or time.monotonic() < self._away_until:
            return None
        try:
            pipeline = client.pipeline(transaction=False)
            pipeline.incrby(place, step)
            pipeline.expire(place, seconds + 1)
            number, _ = pipeline.execute()
        except (RedisError, OSError) as error:
            self._away_until = time.monotonic() + _PAUSE_SECONDS
            logger.warning("Redis can't be reached; each process counts for itself", error=str(error))
            return None
        return int(number)

    def _count_here(self, place: str, *, step: int) -> int:
        with self._lock:
            if len(self._local) > _MOST_LOCAL:
                self._local.clear()
            self._local[place] = self._local.get(place, 0) + step
            return self._local[place]


@lru_cache(maxsize=4)
def _connect(url: str | None) -> Any:
    if url is None:
        return None
    return Redis.from_url(url, socket_timeout=_PATIENCE_SECONDS, socket_connect_timeout=_PATIENCE_SECONDS)


counter: Final = Counter()
