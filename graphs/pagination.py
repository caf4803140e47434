"""How lists are cut into pages: the API's by cursors that are looked at, the admin's without counting everything."""

from functools import cached_property
from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

MAX_COUNTED = 10_000


class CheckedCursorPagination(CursorPagination):
    """Pages by id. A cursor comes from the client: whatever is in it must not get as far as the database unread."""

    page_size_query_param = "page_size"

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Return the cursor, if there is one; raises `NotFound` if it can't be one of ours."""
        cursor: Cursor | None = super().decode_cursor(request)
        if cursor is not None and cursor.position is not None and not self.is_position(str(cursor.position)):
            raise NotFound(self.invalid_cursor_message)
        return cursor

    def is_position(self, text: str) -> bool:
        """Whether the text is where a page could begin: what the list is sorted by."""
        return is_uuid(text)


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID as we write it."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


class BoundedPaginator(Paginator[Any]):
    """Counts `MAX_COUNTED` rows at most: who wants to go beyond that searches."""

    @cached_property
    def count(self) -> int:
        """Return how many rows there are, or the bound."""
        rows: Any = self.object_list
        return int(rows.order_by()[:MAX_COUNTED].count())
