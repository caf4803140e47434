"""The pins of every block that can stand in a graph, whether we can run it or only know its shape."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from graphs.blocks.contract import Kind, Need

NO_DEFAULT: Final = object()


@dataclass(frozen=True, kw_only=True)
class InputPin:
    """One input pin: its JSON Schema, and the value it has when nothing is connected or set."""

    name: str
    schema: Mapping[str, Any]
    required: bool = False
    default: Any = NO_DEFAULT
    secret: bool = False


@dataclass(frozen=True, kw_only=True)
class Interface:
    """What a graph may connect to. `outputs` maps a pin to its JSON Schema; `available` says that we can run it."""

    id: str
    name: str
    description: str = ""
    kind: Kind = Kind.STANDARD
    inputs: Mapping[str, InputPin] = field(default_factory=dict)
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    static_output: bool = False
    needs: frozenset[Need] = frozenset()
    available: bool = True
