"""Serializers of rows that come by the hundred."""

from collections.abc import Callable
from functools import cached_property
from operator import attrgetter
from typing import Any, TypeVar

from django.db.models import Model
from rest_framework import serializers

Row = TypeVar("Row", bound=Model)


class RowSerializer(serializers.ModelSerializer[Row]):
    """Shows rows as `ModelSerializer` does; how its fields are read is found out once, not again with each row.

    A field's source must be an attribute of the row, or of what that refers to: nothing that has to be called.
    """

    def to_representation(self, instance: Row) -> dict[str, Any]:
        """Return {field: what is shown}."""
        return {name: show(instance) for name, show in self._ways_to_show.items()}

    @cached_property
    def _ways_to_show(self) -> dict[str, Callable[[Row], Any]]:
        return {str(field.field_name): self._find_way(field) for field in self._readable_fields}

    def _find_way(self, field: serializers.Field[Any, Any, Any, Any]) -> Callable[[Row], Any]:
        if isinstance(field, serializers.SerializerMethodField):
            method: Callable[[Row], Any] = getattr(self, field.method_name)
            return method
        if isinstance(field, serializers.DateTimeField):
            # It would look up the time zone for each time that it shows.
            field.timezone = field.default_timezone()  # type: ignore[assignment] # None if times have none
        read, show = attrgetter(str(field.source)), field.to_representation

        def read_and_show(row: Row) -> Any:
            value = read(row)
            return None if value is None else show(value)

        return read_and_show
