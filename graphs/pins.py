"""Names of pins as links and constants write them.

`list_$_0`, `dict_#_key` and `object_@_name` are parts of the pins `list`, `dict` and `object`. A source pin
`tools_^_{sink node id}_~_{sink pin}` is a tool of a block that has the pin `tools`.
"""

import re
from collections.abc import Callable, Container
from typing import Final

TOOLS_PIN: Final = "tools"
TOOL_PREFIX: Final = "tools_^_"
TOOL_SEPARATOR: Final = "_~_"
MAX_LIST_INDEX: Final = 10_000
"""A list that is put together from its items gets no longer than that (and one)."""

_MAX_DIGITS: Final = 12
_DELIMITER: Final = re.compile(r"_[$#@]_")
_LIST_STEP: Final = re.compile(r"_\$_(.*?)(?=_[$#@]_|$)", re.DOTALL)


def base_of(name: str, *, known: Container[str] = ()) -> str:
    """Return the pin that `name` is, or is a part of. A pin that is `known` under its full name has no parts."""
    return name if name in known else _DELIMITER.split(name, maxsplit=1)[0]


def part_of(name: str) -> str:
    """Return what follows the base pin: `_$_0` of `list_$_0`, nothing of `list`."""
    return name[len(base_of(name)) :]


def find_bad_index(name: str, *, known: Container[str] = ()) -> str | None:
    """Return the first list index in `name` that is not a whole number from 0 to `MAX_LIST_INDEX`; None if all are.

    A pin that is `known` under its full name has no parts, and so no index.
    """
    indexes = () if name in known else _LIST_STEP.finditer(name)
    return next((match.group(1) for match in indexes if not _is_index(match.group(1))), None)


def _is_index(text: str) -> bool:
    is_number = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    return is_number and int(text) <= MAX_LIST_INDEX


def is_tool(name: str) -> bool:
    """Whether this source pin offers its sinks as tools."""
    return name == TOOLS_PIN or name.startswith(TOOL_PREFIX)


def rename_tool_node(name: str, new_id: Callable[[str], str | None]) -> str:
    """Replace the node id inside a tool pin by `new_id(node id)`; other names, and unknown nodes, stay."""
    if not name.startswith(TOOL_PREFIX):
        return name
    node, separator, pin = name[len(TOOL_PREFIX) :].partition(TOOL_SEPARATOR)
    return f"{TOOL_PREFIX}{new_id(node) or node}{separator}{pin}"
