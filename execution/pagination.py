"""How lists of runs are cut into pages."""

from functools import cached_property
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from execution.models import Execution
from execution.reporting import read_runs
from graphs.pagination import MAX_COUNTED, BoundedPaginator, CheckedCursorPagination, is_uuid


class RunPagination(CheckedCursorPagination):
    """Pages of runs, newest first: by cursor, or by number (`page`) for clients that count their pages.

    Numbers lead no further than `MAX_COUNTED` runs, and no more are counted. Such a page has AutoGPT's names besides.
    The list is followed by its keys alone; only the runs of the page are read.
    """

    ordering = "-id"
    page_size = 50
    max_page_size = 200
    page_query_param = "page"

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        """Return the runs of the page that was asked for. Raises `ValidationError` for a number that leads nowhere."""
        self.numbers: dict[str, int] | None = None
        text = request.query_params.get(self.page_query_param)
        if text is None:
            page: list[Execution] | None = super().paginate_queryset(queryset.only("pk"), request, view)
            return None if page is None else list(read_runs([run.pk for run in page]))
        size = self.get_page_size(request) or self.max_page_size
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_COUNTED)) else 0
        if not 0 < number <= -(-MAX_COUNTED // size):
            raise ValidationError({"page": ["This is not the number of a page. Further back, follow `next`."]})
        self.request = request
        counted = KeyPaginator(queryset, size)
        self.numbers = {
            "total_items": counted.count,
            "total_pages": -(-counted.count // size),
            "current_page": number,
            "page_size": size,
        }
        keys = queryset.order_by(self.ordering).values_list("pk", flat=True)
        return list(read_runs(list(keys[size * (number - 1) : size * number])))

    def get_paginated_response(self, data: Any) -> Response:
        """Return the page, with the numbers if it was asked for by its own."""
        if self.numbers is None:
            return super().get_paginated_response(data)
        number, last = self.numbers["current_page"], self.numbers["total_pages"]
        return Response(
            {
                "next": self._link_to(number + 1) if number < last else None,
                "previous": self._link_to(number - 1) if number > 1 else None,
                "results": data,
                "executions": data,
                "pagination": self.numbers,
            }
        )

    def _link_to(self, number: int) -> str:
        return str(replace_query_param(self.request.build_absolute_uri(), self.page_query_param, number))

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Describe `page` as well."""
        page = {
            "name": self.page_query_param,
            "in": "query",
            "required": False,
            "description": f"The number of a page, from 1, instead of a cursor: for the newest {MAX_COUNTED:,} runs.",
            "schema": {"type": "integer", "minimum": 1},
        }
        return [*super().get_schema_operation_parameters(view), page]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describe what a page by number has besides."""
        described = super().get_paginated_response_schema(schema)
        number = {"type": "integer"}
        described["properties"] |= {
            "executions": {**schema, "description": "Only with `page`: the same as `results`."},
            "pagination": {
                "type": "object",
                "description": f"Only with `page`: where one is. No more than {MAX_COUNTED:,} runs are counted.",
                "properties": dict.fromkeys(("total_items", "total_pages", "current_page", "page_size"), number),
            },
        }
        return described


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
