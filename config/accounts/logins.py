"""Logging in by password, wherever that happens (API or admin), is throttled against guessing.

What counts are failures: of one name from one address, of one address whatever the name, and of one name wherever they
come from. The last bound is wide, so that nobody locks others out with a few wrong passwords. An attempt counts before
its password is looked at, and is taken back unless that was wrong: who tries many at once gains nothing.
"""

import hashlib
import math
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from config.addresses import find_address
from config.counting import Count, counter


@dataclass(frozen=True, kw_only=True)
class Bound:
    """At most `failures` in `seconds`."""

    failures: int
    seconds: int


OF_NAME_AND_ADDRESS: Final = Bound(failures=5, seconds=300)
OF_ADDRESS: Final = Bound(failures=50, seconds=300)
OF_NAME: Final = Bound(failures=200, seconds=3600)
_WAIT: Final = "_login_wait"


class GuardedBackend(ModelBackend):
    """Django's own, for requests that may still try."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """Return the user; None if the password is wrong. Raises `PermissionDenied` after too many failures."""
        name = username if username is not None else kwargs.get("username")
        if request is None or name is None:
            return super().authenticate(request, username, password, **kwargs)
        counts, wait = _count(request, name=name)
        is_wrong = False
        try:
            if wait:
                setattr(request, _WAIT, wait)
                raise PermissionDenied
            user = super().authenticate(request, username, password, **kwargs)
            is_wrong = user is None
        finally:
            if not is_wrong:
                for count in counts:
                    counter.take_back(count)
        return user


def seconds_locked(request: HttpRequest) -> int:
    """Return for how many seconds the name of this attempt can't log in from its address; 0 if it was looked at."""
    return int(getattr(request, _WAIT, 0))


def _count(request: HttpRequest, *, name: str) -> tuple[list[Count], int]:
    """Count an attempt; return the counts, and how many seconds it would have to wait if it is one too many."""
    bounds = _bounds(request, name=name)
    counts = [counter.add(key, seconds=bound.seconds) for key, bound in bounds.items()]
    waits = [
        count.seconds_left
        for count, bound in zip(counts, bounds.values(), strict=True)
        if count.number > bound.failures
    ]
    return counts, math.ceil(max(waits, default=0.0))


def _bounds(request: HttpRequest, *, name: str) -> dict[str, Bound]:
    address = find_address(request)
    # Names that were typed wrong may be passwords: they are not kept as they are.
    digest = hashlib.sha256(name.casefold().encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return {
        f"login:{digest}@{address}": OF_NAME_AND_ADDRESS,
        f"login:@{address}": OF_ADDRESS,
        f"login:{digest}@": OF_NAME,
    }
