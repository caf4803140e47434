"""What makes two JSON values the same: `1` and `1.0` are, `1` and `true` are not, and neither are `{}` and `[]`."""

from collections.abc import Hashable, Sequence
from typing import Any

from graphs.exceptions import BlockError


def index_by_identity(items: Sequence[Any]) -> dict[Hashable, Any]:
    """Return the items by what makes them the same, each where it is first; raises as `identify_items`."""
    known: dict[Hashable, Any] = {}
    for item, identity in zip(items, identify_items(items), strict=True):
        known.setdefault(identity, item)
    return known


def identify_items(items: Sequence[Any]) -> list[Hashable]:
    """Return for each item something that is equal for the same items only; raises `BlockError` if one is too deep."""
    try:
        return [_identify(item) for item in items]
    except RecursionError:
        raise BlockError("An item is nested too deeply to be compared.") from None


def _identify(item: Any) -> Hashable:
    if isinstance(item, dict):
        return "dict", frozenset((key, _identify(value)) for key, value in item.items())
    if isinstance(item, list):
        return "list", tuple(map(_identify, item))
    return type(item) is bool, item
