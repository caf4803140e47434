"""Finding runs by what people know of them."""

from typing import Any, Final
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet

from graphs.models import GraphVersion

MAX_FOUND: Final = 1_000
"""Graph versions, users or runs (the newest) in which a search looks."""


def runs_matching(term: str) -> Q:
    """Return the condition for runs: by their id or graph's id, else by the graph's name or the user's.

    The keys are found first: what is left is a search by index. Two queries, at most.
    """
    term = term.strip()
    key = as_uuid(term)
    if not term:
        return Q()
    if key:
        versions = GraphVersion.objects.filter(graph_id=key)
        return Q(pk=key) | Q(graph_version__in=newest_keys(versions))
    versions = GraphVersion.objects.filter(name__icontains=term)
    users = get_user_model()._default_manager.filter(username__istartswith=term)
    return Q(graph_version__in=newest_keys(versions)) | Q(user__in=newest_keys(users))


def newest_keys(rows: QuerySet[Any]) -> list[Any]:
    """Return the keys of the newest rows."""
    return list(rows.order_by("-pk").values_list("pk", flat=True)[:MAX_FOUND])


def as_uuid(text: str) -> UUID | None:
    """Return the id that the text is, None if it is none."""
    try:
        return UUID(text.strip())
    except ValueError:
        return None
