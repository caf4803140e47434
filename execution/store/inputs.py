"""The inputs of a node execution one by one, also of those that PostgreSQL can't take apart.

It reads the escapes of all text that it comes across, and refuses NUL and halves of surrogate pairs.
"""

from typing import Final


def _hide(text: str) -> str:
    """Return SQL for JSON text without the escapes of characters and backslashes; see `_show`.

    A DEL stands for their backslash. It stands nowhere else: Python writes it as an escape itself.
    """
    escaped = rf"replace({text}, chr(127), '\u007f')"  # in the name of a pin that the database has written
    return rf"replace(replace({escaped}, '\\', chr(127) || 'b'), '\u', chr(127) || 'u')"


def _show(text: str) -> str:
    """Return SQL for the text that was hidden."""
    return rf"replace(replace({text}, chr(127) || 'u', '\u'), chr(127) || 'b', '\\')"


# For a node execution `n`: the names of its pins as JSON, and their values.
SELECT_INPUTS: Final = f"""
SELECT {_show("to_json(key)::text")}::json AS pin, {_show("value::text")}::json AS value
  FROM json_each({_hide("n.inputs::text")}::json)
 UNION ALL SELECT to_json(pin), value FROM execution_nodeinput i WHERE i.node_execution_id = n.id
"""  # noqa: S608 - made of constants
