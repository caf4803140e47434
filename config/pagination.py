"""How lists are cut into pages."""

from rest_framework.pagination import CursorPagination


class NewestFirstPagination(CursorPagination):
    """By cursor: as fast on the thousandth page as on the first, and stable while rows are added.

    Ids are time-ordered, so the newest come first.
    """

    ordering = "-id"
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200
