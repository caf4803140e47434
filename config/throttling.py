"""How many requests a user may make: counted per user and class of endpoint, told in `RateLimit-*` headers.

The class of an endpoint is the scope that it asks for (see `config.accounts.permissions`), so a flood of starts doesn't
keep anybody from looking. Who has no login is counted by address.
"""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from config.accounts.permissions import find_scope
from config.addresses import find_address
from config.counting import counter

ANONYMOUS: Final = "anonymous"
_STATE: Final = "_rate_state"
_HEADERS: Final = {
    "RateLimit-Policy": ("string", "The limit and the seconds that it is for: `600;w=60`."),
    "RateLimit-Limit": ("integer", "How many requests of this class may be made in one stretch of time."),
    "RateLimit-Remaining": ("integer", "How many are left."),
    "RateLimit-Reset": ("integer", "The seconds until the next stretch begins."),
}


@dataclass(frozen=True, kw_only=True)
class RateState:
    """Where somebody stands."""

    limit: int
    period: int
    remaining: int
    seconds_left: float
    is_exceeded: bool = False

    def headers(self) -> dict[str, str]:
        """Return it as headers."""
        values = (
            f"{self.limit};w={self.period}",
            str(self.limit),
            str(self.remaining),
            str(math.ceil(self.seconds_left)),
        )
        return dict(zip(_HEADERS, values, strict=True))


class RateThrottle(BaseThrottle):
    """Lets through as many requests as `API_RATES` says."""

    def __init__(self) -> None:
        self._seconds_left = 0.0

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count the request; False if it is one too many."""
        state = _count(request, view)
        self._seconds_left = state.seconds_left
        return not state.is_exceeded

    def wait(self) -> float:
        """Return the seconds until the next stretch of time."""
        return self._seconds_left


def count_refused(request: Request, view: Any) -> Throttled | None:
    """Count a request that ended before it came to the throttle; return what to answer if it is one too many.

    So nobody tries keys, or addresses that a key is no good for, or asks for an answer again, without end.
    """
    if hasattr(request._request, _STATE):
        return None
    state = _count(request, view)
    return Throttled(wait=state.seconds_left) if state.is_exceeded else None


def _count(request: Request, view: Any) -> RateState:
    """Count the request, and keep where its user stands for the answer's headers."""
    is_known = request.user.is_authenticated
    scope = find_scope(view, method=str(request.method)) if is_known else ANONYMOUS
    limit = settings.API_RATES.get(scope, settings.API_RATES[ANONYMOUS])
    period = settings.API_RATE_SECONDS
    who = request.user.pk if is_known else find_address(request._request)
    count = counter.add(f"rate:{scope}:{who}", seconds=period)
    state = RateState(
        limit=limit,
        period=period,
        remaining=max(0, limit - count.number),
        seconds_left=count.seconds_left,
        is_exceeded=count.number > limit,
    )
    setattr(request._request, _STATE, state)
    return state


@sync_and_async_middleware
def rate_headers(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Tell in every answer where its user stands."""
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponse:
            return _tell(request, await cast(Awaitable[HttpResponse], get_response(request)))

        return answer_async

    def answer(request: HttpRequest) -> HttpResponse:
        return _tell(request, get_response(request))

    return answer


def describe_headers() -> dict[str, Any]:
    """Return the headers as the schema describes them."""
    return {name: {"schema": {"type": kind}, "description": told} for name, (kind, told) in _HEADERS.items()}


def _tell(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    state: RateState | None = getattr(request, _STATE, None)
    for name, value in state.headers().items() if state else ():
        response.setdefault(name, value)
    return response
