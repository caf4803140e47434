"""How lists of runs are cut into pages."""

from functools import cached_property
from typing import Any

from rest_framework.pagination import CursorPagination

from graphs.pagination import MAX_COUNTED, BoundedPaginator


class OldestFirstPagination(CursorPagination):
    """Pages by id, in the order in which things happened. `page_size` is at most 1,000."""

    ordering = "id"
    page_size = 100
    page_size_query_param = "page_size"
    max_page_size = 1_000

    def next_link_below(self, address: str) -> str | None:
        """Return the link to the next page as one below another address than the one that was asked."""
        self.base_url = address
        link: str | None = self.get_next_link()
        return link


class PendingFirstPagination(CursorPagination):
    """What waits for a decision first, newest first: by the text `rank` of the rows."""

    ordering = "-rank"
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200


class KeyPaginator(BoundedPaginator):
    """Counts along the primary key, so that no row has to be read for it."""

    @cached_property
    def count(self) -> int:
        """Return how many rows there are, or the bound."""
        rows: Any = self.object_list
        return int(rows.order_by("-pk").values("pk")[:MAX_COUNTED].count())
