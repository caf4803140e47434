"""JSON that comes back from the database as it went in.

PostgreSQL's `jsonb` sorts the keys of an object and rewrites numbers. In a graph the order of a constant's keys is
part of its meaning (a node may step through them), so constants are kept in the `json` type, which keeps the text.
"""

import json
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Expression
from psycopg.types.json import Json


class OrderedJSONField(models.JSONField):
    """A JSON value whose key order and numbers are kept. It can be read and written, not searched."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str:  # noqa: ARG002 - Django's signature
        """Return the type that keeps the text, other than `JSONField`'s `jsonb`."""
        return "json"

    def get_db_prep_value(
        self,
        value: Any,
        connection: BaseDatabaseWrapper,  # noqa: ARG002 - Django's signature
        prepared: bool = False,  # noqa: ARG002
    ) -> Any:
        """Adapt `value` for psycopg; expressions and SQL NULL pass."""
        if value is None or hasattr(value, "as_sql"):
            return value
        return Json(value, dumps=_dump)

    def from_db_value(
        self,
        value: Any,
        expression: Expression,  # noqa: ARG002 - Django's signature
        connection: BaseDatabaseWrapper,  # noqa: ARG002
    ) -> Any:
        """Return what psycopg has already parsed."""
        return value


def _dump(value: Any) -> str:
    return json.dumps(value, allow_nan=False)
