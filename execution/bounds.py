"""How much of a run's values one answer shows. The database knows their sizes, so what is too large is not read."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import structlog
from django.db.models import (
    BigIntegerField,
    Case,
    F,
    Func,
    Model,
    Q,
    QuerySet,
    Sum,
    TextField,
    Value,
    When,
    Window,
)
from django.db.models.functions import Cast, Coalesce

from execution.large_values import find_reference, read

Row = TypeVar("Row", bound=Model)

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Bytes of one value and of all values of one kind (as JSON text), and outputs of one node execution."""

    value: int
    total: int
    outputs: int


PAGE: Final = Bounds(value=64 * 1024, total=8 * 1024 * 1024, outputs=100)
"""For many node executions at once."""

SINGLE: Final = Bounds(value=64 * 1024 * 1024, total=64 * 1024 * 1024, outputs=10_000)
"""For one node execution, or for the outputs of one run."""


@dataclass(frozen=True)
class Hidden:
    """Stands for a value of so many bytes that the answer has no room for."""

    bytes: int


def measure_text(column: str) -> Func:
    """Return the SQL of a column's size in bytes, as text; 0 for NULL."""
    size = Func(Cast(column, TextField()), function="OCTET_LENGTH", output_field=BigIntegerField())
    return Coalesce(size, Value(0), output_field=BigIntegerField())


def bound_values(rows: QuerySet[Row], bounds: Bounds, *, order: Sequence[str]) -> QuerySet[Row]:
    """Return the rows with their `value` only where it fits: ask `read_value`. In `order`, the first ones have room."""
    is_short = Q(size__lte=bounds.value)
    short = Sum(Case(When(is_short, then=F("size")), default=Value(0)), output_field=BigIntegerField())
    measured = rows.defer("value").order_by(*order).annotate(size=measure_text("value"))
    bounded: QuerySet[Row] = measured.annotate(
        taken=Window(short, order_by=list(order)),
        fits=is_short & Q(taken__lte=bounds.total),
        shown=Case(When(fits=True, then=F("value"))),
    )
    return bounded


def read_value(row: Any, allowance: "Allowance") -> Any:
    """Return the value of a row of `bound_values`, or `Hidden`. One in the storage is read if `allowance` has room."""
    return allowance.read(row.shown) if row.fits else Hidden(row.size)


@dataclass(kw_only=True)
class Allowance:
    """Room for values that come along with what is read anyway, and so are measured here."""

    bounds: Bounds
    _taken: int = 0
    # Constants and masks come again with every node execution; they live as long as the answer is written, or longer.
    _sizes: dict[int, int] = field(default_factory=dict)

    def admit(self, value: Any) -> Any:
        """Return the value if there is room for it, else `Hidden`."""
        if isinstance(value, Hidden):
            return value
        size = self._measure(value)
        if size > self.bounds.value or self._taken + size > self.bounds.total:
            return Hidden(size)
        self._taken += size
        return value

    def read(self, form: Any) -> Any:
        """Return the value that a row keeps in this form; `Hidden` for one in the storage that there is no room for."""
        reference = find_reference(form)
        if reference is None:
            return read(form)
        if reference.bytes > self.bounds.value or self._taken + reference.bytes > self.bounds.total:
            return Hidden(reference.bytes)
        self._taken += reference.bytes
        try:
            return read(form)
        except Exception:  # each storage has its own family of errors
            logger.exception("a value is not in the storage", path=reference.path)
            return Hidden(reference.bytes)

    def _measure(self, value: Any) -> int:
        if not isinstance(value, str | list | dict):
            return len(str(value))
        if id(value) not in self._sizes:
            self._sizes[id(value)] = len(json.dumps(value, ensure_ascii=False).encode())
        return self._sizes[id(value)]
