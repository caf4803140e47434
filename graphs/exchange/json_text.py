"""Reads JSON that may come from anybody, and says where it is not what the database can keep.

Refused beside what isn't JSON: objects that say a key twice, NaN and infinities, numbers of absurd length, text that
is no Unicode or has NUL characters (PostgreSQL can't store them), and nesting beyond the limit. Nothing here recurses.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from graphs.exceptions import GraphDocumentError
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
        raise GraphDocumentError(f"The document has {size:,} bytes; at most {limits.max_bytes:,} are read.")
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
    """Raise `GraphDocumentError` naming the first places of `value` that can't be kept."""
    problems: list[str] = []
    waiting: list[tuple[Any, Path, int]] = [(value, (), 1)]
    while waiting:
        current, path, depth = waiting.pop()
        told = _explain(current)
        if told:
            problems.append(f"{write_path(path)}: {told}")
            if len(problems) >= limits.max_problems:
                break
            continue
        if isinstance(current, list | dict) and depth > limits.max_depth:
            raise GraphDocumentError(_explain_depth(limits))
        waiting.extend((below, (key, path), depth + 1) for key, below in _below(current))
    if problems:
        raise GraphDocumentError(f"The document can't be kept. {' '.join(f'{problem}.' for problem in problems)}")


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
    if isinstance(value, str):
        return _explain_text(value)
    if isinstance(value, bool) or value is None or isinstance(value, list):
        return None
    if isinstance(value, dict):
        return _explain_object(value)
    if isinstance(value, int):
        return None if value.bit_length() <= _MAX_BITS else f"a number has more than {MAX_DIGITS} digits"
    if isinstance(value, float):
        return None if math.isfinite(value) else "NaN, Infinity and numbers beyond them are no JSON numbers"
    return f"{type(value).__name__} is no JSON type"


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


def _below(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _explain_depth(limits: Limits) -> str:
    return f"The document is nested too deeply: at most {limits.max_depth} levels are read."


def _shorten(key: Any) -> str:
    text = str(key).encode("ascii", "backslashreplace").decode() if not str(key).isprintable() else str(key)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
