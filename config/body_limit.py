"""No request has a body without limit.

Django's handler keeps the whole body, on the disk if it has to, before a view or a throttle is asked. So it is counted
in front of it.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from django.conf import settings

from config.problem_details import CONTENT_TYPE, describe_problem

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class LimitedBodies:
    """An ASGI application that answers bodies of more than `DATA_UPLOAD_MAX_MEMORY_SIZE` bytes with 413.

    The application behind it must read a body before it answers, and say nothing to who has left, as Django does.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, unless what it announces is too much, and for as long as what comes is not."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        limit = left = int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)

        async def receive_counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            # As if the client had left: what came so far is let go of.
            return message if left >= 0 else {"type": "http.disconnect"}

        is_too_large = _announced(scope) > limit
        if not is_too_large:
            await self._application(scope, receive_counted, send)
        if is_too_large or left < 0:
            await _refuse(send, limit=limit)


def _announced(scope: Scope) -> int:
    """Return how many bytes the body has, as its header says; 0 if that says nothing."""
    told = dict(scope["headers"]).get(b"content-length", b"")
    return int(told) if told.isdigit() else 0


async def _refuse(send: Send, *, limit: int) -> None:
    problem = describe_problem(
        status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail=f"The body is too large: at most {limit:,} bytes are read."
    )
    body = json.dumps(problem).encode()
    headers = [
        (b"content-type", CONTENT_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        # Or the rest would be read, to find where the next request begins.
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": problem["status"], "headers": headers})
    await send({"type": "http.response.body", "body": body})
