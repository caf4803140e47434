"""Reads JSON that may come from anybody, and says where it is not what the database can keep.

Refused beside what isn't JSON: objects that say a key twice, NaN and infinities, numbers of absurd length, text that
is no Unicode or has NUL characters (PostgreSQL can't store them), and nesting beyond the limit. Nothing here recurses.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from graphs.exceptions import DocumentTooLargeError, GraphDocumentError
from graphs.exchange.limits import Limits

MAX_DIGITS: Final = 1_000
_MAX_BITS: Final = int(MAX_DIGITS / math.log10(2))
_SHOWN: Final = 60

Path = tuple[Any, ...]
"""A place in a document, innermost step first: (key, (key, (… ()))); cheap to extend, written out only when needed."""


class _Repeated(dict[str, Any]):
    """An object in which `key` stands more than once."""

    key = ""


def parse_json(text: bytes | str, *, limits: Limits) -> Any:
    """Return the value of a JSON text; raises `GraphDocumentError` if it is too large or no JSON."""
    size = len(text)
    if size > limits.max_bytes:
        raise DocumentTooLargeError(f"The document has {size:,} bytes; at most {limits.max_bytes:,} are read.")
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")
        return json.loads(decoded, object_pairs_hook=_build_object, parse_int=_build_integer)
    except UnicodeDecodeError as error:
        raise GraphDocumentError(f"The document is not UTF-8 text: byte {error.start} is wrong.") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise GraphDocumentError(f"The document is not JSON: {error.msg.lower()} at {place}.") from error
    except RecursionError as error:
        raise GraphDocumentError(_explain_depth(limits)) from error


def check_json(value: Any, *, limits: Limits) -> None:
    """Raise `GraphDocumentError` naming the first places of `value` that can't be kept, or if there are too many."""
    problems: list[str] = []
    count = 0
    waiting: list[tuple[Any, Path, int]] = [([value], (), 0)]
    while waiting and len(problems) < limits.max_problems:
        container, path, depth = waiting.pop()
        count += len(container)
        if depth > limits.max_depth:
            raise GraphDocumentError(_explain_depth(limits))
        if count > limits.max_values:
            raise GraphDocumentError(f"The document has too many values: at most {limits.max_values:,} are read.")
        for key, below in container.items() if isinstance(container, dict) else enumerate(container):
            told = _explain(below)
            if told:
                problems.append(f"{write_path((key, path) if depth else ())}: {told}.")
            elif isinstance(below, list | dict):
                waiting.append((below, (key, path) if depth else (), depth + 1))
    if problems:
        raise GraphDocumentError(f"The document can't be kept. {' '.join(problems[: limits.max_problems])}")


def write_path(path: Path) -> str:
    """Write a place as a JSON path: `$.nodes[3].input_default`."""
    steps: list[str] = []
    while path:
        key, path = path
        steps.append(f"[{key}]" if isinstance(key, int) else f".{_shorten(key)}")
    return "$" + "".join(reversed(steps))


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) == len(pairs):
        return built
    repeated = _Repeated(built)
    repeated.key = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
    return repeated


def _build_integer(digits: str) -> int | float:
    """Keep the time that a long number takes in bounds: infinity is refused later, with its place."""
    return int(digits) if len(digits) <= MAX_DIGITS else math.inf


def _explain(value: Any) -> str | None:
    """Return what is wrong with one value, not looking at what is in it."""
    check = _CHECKS.get(type(value))
    return check(value) if check else f"{type(value).__name__} is no JSON type"


def _explain_nothing(_value: Any) -> None:
    """Return None: such values are always fine."""


def _explain_integer(value: int) -> str | None:
    return None if value.bit_length() <= _MAX_BITS else f"a number has more than {MAX_DIGITS} digits"


def _explain_float(value: float) -> str | None:
    return None if math.isfinite(value) else "NaN, Infinity and numbers beyond them are no JSON numbers"


def _explain_object(value: Mapping[Any, Any]) -> str | None:
    if isinstance(value, _Repeated):
        return f"the key “{_shorten(value.key)}” stands there twice"
    for key in value:
        if not isinstance(key, str):
            return f"the key {_shorten(key)} is no text"
        told = _explain_text(key)
        if told:
            return f"a key: {told}"
    return None


def _explain_text(text: str) -> str | None:
    if "\0" in text:
        return "text with a NUL character can't be stored"
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        return "text with half a surrogate pair is no Unicode"
    return None


def _explain_depth(limits: Limits) -> str:
    return f"The document is nested too deeply: at most {limits.max_depth} levels are read."


def _shorten(key: Any) -> str:
    text = str(key).encode("ascii", "backslashreplace").decode() if not str(key).isprintable() else str(key)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


_CHECKS: Final[dict[type, Callable[[Any], str | None]]] = {
    dict: _explain_object,
    _Repeated: _explain_object,
    list: _explain_nothing,
    str: _explain_text,
    bool: _explain_nothing,
    type(None): _explain_nothing,
    int: _explain_integer,
    float: _explain_float,
}
