"""`Idempotency-Key`: a request that starts or pays is done once, however often it is sent.

A view says which methods take the header: `idempotent_methods = ("POST",)`. For such a request the middleware opens a
transaction around the view. `AnswersOnce`, the last of the permissions, claims the key in it; what the view does and
what it answers are committed together. So a crash leaves either nothing or both, and who sends the same request at the
same time waits and gets the same answer. What is refused (status 400 and above) is rolled back and may be tried again
under the same key.
"""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, cast

from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.utils.encoders import JSONEncoder

from config.models import MAX_IDEMPOTENCY_KEY_LENGTH, IdempotencyRecord

HEADER: Final = "Idempotency-Key"
REPLAYED_HEADER: Final = "Idempotency-Replayed"
MEMORY: Final = timedelta(hours=24)
"""So long an answer is remembered."""

_CLAIM: Final = "_idempotency_record"
_KEY: Final = re.compile(rf"[!-~]{{1,{MAX_IDEMPOTENCY_KEY_LENGTH}}}")


class IdempotencyKeyInvalidError(Exception):
    """The header holds no key."""


class IdempotencyKeyReusedError(Exception):
    """The key was sent before, with another request."""


class AnsweredBeforeError(Exception):
    """Not an error, but the way out of a view: the request was answered before, with `record`."""

    def __init__(self, record: IdempotencyRecord) -> None:
        super().__init__("This request was answered before.")
        self.record = record


class IdempotencyMiddleware(MiddlewareMixin):
    """Commits what a view does and what it answers together."""

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        """Answer in place of a view that takes the header, if it was sent, or that has something to do afterwards.

        That is its static `finish(request, response)`: called after the commit, it returns what is answered instead.
        """
        view_class = getattr(view, "cls", None)
        finish = getattr(view_class, "finish", lambda _request, answer: answer)
        if HEADER in request.headers and request.method in _methods_of(view_class):
            return _finish(finish, request, self._answer_once(request, view, args, kwargs))
        if hasattr(view_class, "finish"):
            return _finish(finish, request, view(request, *args, **kwargs))
        return None

    def _answer_once(
        self, request: HttpRequest, view: Callable[..., HttpResponse], args: Any, kwargs: Any
    ) -> HttpResponse:
        with transaction.atomic():
            response = view(request, *args, **kwargs)
            record: IdempotencyRecord | None = getattr(request, _CLAIM, None)
            if response.status_code >= 400:
                transaction.set_rollback(True)
            elif record is not None:
                if isinstance(response, Response):
                    response.render()
                record.status, record.body = response.status_code, response.content.decode()
                record.save(update_fields=["status", "body"])
        return response


def _finish(finish: Callable[..., HttpResponse], request: HttpRequest, answer: HttpResponse) -> HttpResponse:
    """Return what `finish` returns; its errors are told as those of a view are."""
    try:
        return finish(request, answer)
    except Exception as error:
        problem = cast(Any, api_settings).EXCEPTION_HANDLER(error, {"request": request, "view": None})
        if problem is None:
            raise
        return HttpResponse(
            json.dumps(problem.data, cls=JSONEncoder),
            status=problem.status_code,
            headers={**problem.headers, "Content-Type": problem.content_type},
        )


class AnswersOnce(BasePermission):
    """Claims the key of a request, once it is known whose it is and that they may do it."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Go on with a new request. Raises the errors above."""
        key = request.headers.get(HEADER)
        asked = request._request
        # OPTIONS asks the permissions what they would say to a POST: that claims nothing.
        if key is None or request.method not in _methods_of(view) or request.method != asked.method:
            return True
        if not _KEY.fullmatch(key):
            raise IdempotencyKeyInvalidError(
                f"{HEADER} must be 1 to {MAX_IDEMPOTENCY_KEY_LENGTH} visible ASCII characters."
            )
        setattr(asked, _CLAIM, _claim(request.user.pk, key=key, digest=_digest(asked)))
        return True


def show_again(record: IdempotencyRecord) -> Response:
    """Return what was answered before."""
    content = json.loads(record.body) if record.body else None
    return Response(content, status=record.status, headers={REPLAYED_HEADER: "true"})


def _methods_of(view: Any) -> tuple[str, ...]:
    return tuple(getattr(view, "idempotent_methods", ()))


def _claim(user_id: Any, *, key: str, digest: str) -> IdempotencyRecord:
    """Return a new record. Whoever has claimed the same key in a transaction that is not over is waited for."""
    records = IdempotencyRecord.objects.filter(user_id=user_id)
    # Those of other keys are left to `forget_old_answers`: here they would have to be looked for with each request.
    records.filter(key=key, created_at__lt=Now() - MEMORY).delete()
    wanted = IdempotencyRecord(user_id=user_id, key=key, request_digest=digest)
    IdempotencyRecord.objects.bulk_create([wanted], ignore_conflicts=True)
    record = records.select_for_update().get(key=key)
    if record.status is None:
        return record
    if record.request_digest != digest:
        raise IdempotencyKeyReusedError(f"This {HEADER} was sent before, with another request.")
    raise AnsweredBeforeError(record)


def forget_old_answers() -> int:
    """Delete the answers that nobody can ask for any more; return how many."""
    count, _ = IdempotencyRecord.objects.filter(created_at__lt=Now() - MEMORY).delete()
    return count


def _digest(request: HttpRequest) -> str:
    parts = (str(request.method).encode(), request.get_full_path().encode(), request.body)
    return hashlib.sha256(b"\n".join(parts)).hexdigest()
