"""What an agent node says of the graph that it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

AGENT_BLOCK_ID: Final = "e189baac-8c20-45a1-94a7-55177ea42565"


@dataclass(frozen=True, kw_only=True)
class AgentReference:
    """The `graph_id` and `graph_version` of an agent node, as they are written there, and the names of its pins.

    `required` are the inputs that the sub-graph can't do without, `given` those that the node sets itself.
    """

    graph_id: str
    graph_version: int | None
    inputs: frozenset[str]
    outputs: frozenset[str]
    required: frozenset[str]
    given: frozenset[str]

    @property
    def target(self) -> tuple[UUID, int] | None:
        """Id and version of the graph, None if they can't be those of one."""
        if self.graph_version is None:
            return None
        try:
            return UUID(self.graph_id), self.graph_version
        except ValueError:
            return None


def read_reference(input_default: Mapping[str, Any]) -> AgentReference:
    """Read an agent node's constants, whatever is in them."""
    version = input_default.get("graph_version")
    inputs = _mapping(input_default.get("input_schema"))
    given = _mapping(input_default.get("inputs"))
    required = inputs.get("required")
    return AgentReference(
        graph_id=str(input_default.get("graph_id") or ""),
        graph_version=int(version) if isinstance(version, int | str) and _is_version(version) else None,
        inputs=frozenset(_mapping(inputs.get("properties"))),
        outputs=frozenset(_mapping(_mapping(input_default.get("output_schema")).get("properties"))),
        required=frozenset(name for name in _list(required) if isinstance(name, str)),
        given=frozenset(name for name, value in given.items() if value is not None),
    )


def _is_version(version: int | str) -> bool:
    text = str(version)
    return text.isascii() and text.isdigit() and len(text) < len(str(2**31)) and not isinstance(version, bool)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
