"""Pins inside values: `list_$_0` is an item, `dict_#_key` a key, `object_@_name` an attribute; they nest."""

import re
from collections.abc import Container, Mapping
from copy import deepcopy
from typing import Any, Final, NamedTuple

from execution.engine.exceptions import InputsInvalidError

TOOLS_PIN: Final = "tools"
TOOL_PREFIX: Final = "tools_^_"
MAX_LIST_INDEX: Final = 10_000

_MAX_DIGITS: Final = 12
_DELIMITER: Final = re.compile(r"_([$#@])_")


class Step(NamedTuple):
    """One step into a value: `$` with a list index, `#` or `@` with a name."""

    kind: str
    key: str


class NothingThere:
    """What `select` returns when a selector finds nothing (None is a value)."""


NOTHING: Final = NothingThere()


def split_pin(name: str) -> tuple[str, tuple[Step, ...]]:
    """Split `a_$_0_#_k` into its base pin `a` and the steps into its value."""
    base, *rest = _DELIMITER.split(name)
    return base, tuple(Step(kind, key) for kind, key in zip(rest[::2], rest[1::2], strict=True))


def base_pin(name: str, *, known: Container[str] = ()) -> str:
    """Return the pin that `name` is, or is a part of. A pin that is `known` under its full name has no parts."""
    return name if name in known else split_pin(name)[0]


def select(*, emitted_pin: str, value: Any, source_name: str, sink_id: str, sink_name: str) -> Any:
    """Return what a link from `source_name` delivers of an emitted `(pin, value)`, or `NOTHING`.

    A longer `source_name` selects inside the value. None travels only on the exact pin name. A link from the
    `tools` pin delivers only what was emitted for its very sink.
    """
    if source_name == TOOLS_PIN or source_name.startswith(TOOL_PREFIX):
        return value if emitted_pin == f"{TOOL_PREFIX}{sink_id}_~_{sink_name}" else NOTHING
    if source_name == emitted_pin:
        return value
    steps = find_steps(source_name, emitted_pin=emitted_pin)
    if not steps:
        return NOTHING
    for step in steps:
        value = _step_into(value, step)
    return NOTHING if value is None else value


def find_steps(source_name: str, *, emitted_pin: str) -> tuple[Step, ...]:
    """Return the steps by which `source_name` selects inside what is emitted on a pin; none if it selects no part."""
    if source_name.startswith(TOOL_PREFIX) or not source_name.startswith(emitted_pin):
        return ()
    rest, steps = split_pin(source_name[len(emitted_pin) :])
    return () if rest else steps


def _step_into(value: Any, step: Step) -> Any:
    if step.kind == "$":
        index = _list_index(step.key)
        in_range = isinstance(value, list) and index is not None and index < len(value)
        return value[index] if in_range else None
    return value.get(step.key) if isinstance(value, Mapping) else None


def _list_index(key: str) -> int | None:
    """Return `key` as a list index; None if it is no whole number from 0 on, or one that no list is long enough for."""
    return int(key) if key.isascii() and key.isdigit() and len(key) <= _MAX_DIGITS else None


def has_bad_index(name: str) -> bool:
    """Whether `assemble` refuses a pin of this name, whatever its value is."""
    return any(step.kind == "$" and _find_place(step.key) is None for step in split_pin(name)[1])


def _find_place(key: str) -> int | None:
    """Return `key` as the index of an item that can be put into a list; None if it can't."""
    index = _list_index(key)
    return None if index is None or index > MAX_LIST_INDEX else index


def assemble(inputs: Mapping[str, Any], *, known: Container[str] = ()) -> dict[str, Any]:
    """Return `inputs` with the parts put into their base values; the flattened keys stay as well.

    A pin that is `known` under its full name is no part of another. Lists are padded with None. A part of a part wins
    over the part, whichever comes first. Raises `InputsInvalidError` naming every pin whose list index is not one.
    """
    assembled = dict(inputs)
    copied: set[str] = set()
    problems: dict[str, str] = {}
    parts = [(*split_pin(name), name) for name in inputs if name not in known]
    for base, steps, name in sorted(parts, key=lambda part: len(part[1])):
        if not steps:
            continue
        if base not in copied:
            assembled[base] = deepcopy(assembled.get(base))
            copied.add(base)
        try:
            assembled[base] = _put(assembled[base], steps, inputs[name])
        except ValueError as error:
            problems[name] = str(error)
    if problems:
        raise InputsInvalidError(problems)
    return assembled


def _put(container: Any, steps: tuple[Step, ...], value: Any) -> Any:
    """Return `container` with `value` placed at `steps`; a container of the wrong kind is replaced."""
    if not steps:
        return value
    step, *rest = steps
    if step.kind != "$":
        mapping = container if isinstance(container, dict) else {}
        mapping[step.key] = _put(mapping.get(step.key), tuple(rest), value)
        return mapping
    index = _find_place(step.key)
    if index is None:
        raise ValueError(f"“{step.key}” is not a list index from 0 to {MAX_LIST_INDEX}")
    items = container if isinstance(container, list) else []
    items.extend([None] * (index + 1 - len(items)))
    items[index] = _put(items[index], tuple(rest), value)
    return items
