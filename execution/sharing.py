"""Showing a run's outputs to people without an account: by a link that can be taken back."""

import hashlib
import secrets
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from execution.exceptions import ExecutionNotFoundError, ShareLinkNotFoundError
from execution.models import Execution, ShareLink

TOKEN_BYTES: Final = 32


def share_execution(*, run: Execution, expires_at: datetime | None = None) -> tuple[ShareLink, str]:
    """Make the link of a run and return it with its token, which is kept nowhere. An earlier one ends.

    Raises `ExecutionNotFoundError` if the run was deleted meanwhile.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with transaction.atomic():
        if not Execution.objects.select_for_update(no_key=True).filter(pk=run.pk).only("pk"):
            raise ExecutionNotFoundError(f"There is no execution {run.pk}.")
        link, _made = ShareLink.objects.update_or_create(
            execution=run, defaults={"digest": _digest(token), "created_at": Now(), "expires_at": expires_at}
        )
        link.refresh_from_db()
    return link, token


def get_share_link(*, run: Execution) -> ShareLink:
    """Return the link of a run. Raises `ShareLinkNotFoundError`."""
    link = ShareLink.objects.filter(execution=run).first()
    if link is None:
        raise ShareLinkNotFoundError("The run is not shared.")
    return link


def unshare_execution(*, run: Execution) -> None:
    """End the link of a run, if there is one."""
    ShareLink.objects.filter(execution=run).delete()


def find_shared_execution(*, token: str) -> ShareLink:
    """Return the link with this token. Raises `ShareLinkNotFoundError`, also when it has expired."""
    current = Q(expires_at__isnull=True) | Q(expires_at__gt=Now())
    link = ShareLink.objects.filter(current, digest=_digest(token)).first()
    if link is None:
        raise ShareLinkNotFoundError("There is no such link, or it has ended.")
    return link


def _digest(token: str) -> str:
    """Return what is kept of a token. A plain hash will do: a token is too long to be guessed."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
