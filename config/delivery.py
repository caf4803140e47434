"""Says in an answer that the broker is away: what was asked for is accepted and kept, and is sent when it is back."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware
from rest_framework.response import Response

from execution.undelivered import listen_for_undelivered

HEADER: Final = "Execution-Delivery"
NOTICE: Final = "Accepted and kept. The broker can't be reached at the moment; the run starts when it is back."


@sync_and_async_middleware
def delivery_notice(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Add `Execution-Delivery: deferred`, and a `notice` to what is answered about a run that was accepted."""
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponse:
            with listen_for_undelivered() as heard:
                response = await cast(Awaitable[HttpResponse], get_response(request))
            return _tell(response) if heard.count else response

        return answer_async

    def answer(request: HttpRequest) -> HttpResponse:
        with listen_for_undelivered() as heard:
            response: HttpResponse = get_response(request)
        return _tell(response) if heard.count else response

    return answer


def _tell(response: HttpResponse) -> HttpResponse:
    response[HEADER] = "deferred"
    if isinstance(response, Response) and response.status_code == 202 and isinstance(response.data, dict):
        response.data = {**response.data, "notice": NOTICE}
        response.content = response.rendered_content
    return response
