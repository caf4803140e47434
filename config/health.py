"""Whether this web process can serve."""

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse


def answer_health(_request: HttpRequest) -> JsonResponse:
    """Answer 200 if the database can be reached, 503 if not."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"status": "no database"}, status=503)
    return JsonResponse({"status": "ok"})
