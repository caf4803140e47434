"""A graph that works, for the documentation of the API."""

from typing import Any, Final

_NUMBER: Final = "3f1c6ad0-0b0f-4d1b-9e55-6a3c7c0e3b01"
_SUM: Final = "3f1c6ad0-0b0f-4d1b-9e55-6a3c7c0e3b02"
_RESULT: Final = "3f1c6ad0-0b0f-4d1b-9e55-6a3c7c0e3b03"

DOCUMENT_EXAMPLE: Final[dict[str, Any]] = {
    "name": "Add 34",
    "description": "Adds 34 to a number.",
    "nodes": [
        {
            "id": _NUMBER,
            "block_id": "c0a8e994-ebf1-4a9c-a4d8-89d09c86741b",
            "input_default": {"name": "Number"},
            "metadata": {"position": {"x": 0, "y": 0}},
        },
        {
            "id": _SUM,
            "block_id": "b1ab9b19-67a6-406d-abf5-2dba76d00c79",
            "input_default": {"operation": "Add", "b": 34},
            "metadata": {"position": {"x": 400, "y": 0}},
        },
        {
            "id": _RESULT,
            "block_id": "363ae599-353e-4804-937e-b2ee3cef3da4",
            "input_default": {"name": "Sum"},
            "metadata": {"position": {"x": 800, "y": 0}},
        },
    ],
    "links": [
        {
            "id": "3f1c6ad0-0b0f-4d1b-9e55-6a3c7c0e3b04",
            "source_id": _NUMBER,
            "source_name": "result",
            "sink_id": _SUM,
            "sink_name": "a",
        },
        {
            "id": "3f1c6ad0-0b0f-4d1b-9e55-6a3c7c0e3b05",
            "source_id": _SUM,
            "source_name": "result",
            "sink_id": _RESULT,
            "sink_name": "value",
        },
    ],
}
