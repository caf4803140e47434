"""How lists of runs are cut into pages."""

from functools import cached_property
from typing import Any

from graphs.pagination import MAX_COUNTED, BoundedPaginator, CheckedCursorPagination, is_uuid


class OldestFirstPagination(CheckedCursorPagination):
    """Pages by id, in the order in which things happened. `page_size` is at most 1,000."""

    ordering = "id"
    page_size = 100
    max_page_size = 1_000

    def next_link_below(self, address: str) -> str | None:
        """Return the link to the next page as one below another address than the one that was asked."""
        self.base_url = address
        link: str | None = self.get_next_link()
        return link


class PendingFirstPagination(CheckedCursorPagination):
    """What waits for a decision first, newest first: by the text `rank` of the rows."""

    ordering = "-rank"
    page_size = 50
    max_page_size = 200

    def is_position(self, text: str) -> bool:
        """Whether the text is a rank: whether it waits, and an id."""
        waits, _, key = text.partition(" ")
        return waits in ("0", "1") and is_uuid(key)


class KeyPaginator(BoundedPaginator):
    """Counts along the primary key, so that no row has to be read for it."""

    @cached_property
    def count(self) -> int:
        """Return how many rows there are, or the bound."""
        rows: Any = self.object_list
        return int(rows.order_by("-pk").values("pk")[:MAX_COUNTED].count())
