"""Blocks that exported agents use and that we can't run: services we don't have. We know their pins.

So a graph with such a block imports, validates and can be simulated; only a real run is refused. `catalogue.json`
holds them, sorted by name; a block of ours with the same id takes the place of its entry.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from graphs.blocks.contract import Kind, Need
from graphs.blocks.interfaces import NO_DEFAULT, InputPin, Interface

CATALOGUE = Path(__file__).with_name("catalogue.json")


@cache
def read_catalogue() -> Mapping[str, Interface]:
    """Return the interfaces by block id."""
    entries = json.loads(CATALOGUE.read_text(encoding="utf-8"))
    return MappingProxyType({entry["id"]: _read_entry(entry) for entry in entries})


def _read_entry(entry: Mapping[str, Any]) -> Interface:
    return Interface(
        id=entry["id"],
        name=entry["name"],
        description=entry["description"],
        kind=Kind(entry["kind"]),
        inputs={name: _read_pin(name, pin) for name, pin in entry["inputs"].items()},
        outputs=entry["outputs"],
        static_output=entry["static_output"],
        needs=frozenset(Need(need) for need in entry["needs"]),
        available=False,
    )


def _read_pin(name: str, pin: Mapping[str, Any]) -> InputPin:
    return InputPin(
        name=name,
        schema=pin["schema"],
        required=pin.get("required", False),
        default=pin.get("default", NO_DEFAULT),
        secret=pin.get("secret", False),
    )
