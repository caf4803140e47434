"""What old exports call differently. A table: per block, how its old pins are called today.

A name that the block knows today is never changed, so reading a graph twice does nothing the second time.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from graphs.blocks.aliases import resolve
from graphs.blocks.interfaces import Interface
from graphs.exchange.records import GraphRecord, LinkRecord, NodeRecord
from graphs.pins import base_of, part_of

FILL_TEXT_TEMPLATE: Final = "db7d8f02-2f44-4c55-ab7a-eae0941f0c30"
ADD_TO_LIST: Final = "aeb08fc1-2fc1-4141-bc8e-f758f183a822"
COUNTDOWN_TIMER: Final = "d67a9c52-5e4e-11e2-bcfd-0800200c9a71"
COMBINE_TEXTS: Final = "e30a4d42-7b7d-4e6a-b36e-1f9b8e3b7d85"

_EMPTY: Final[tuple[Any, ...]] = ([], {}, None, "")
"""What an unused old pin had as its constant."""

_NUMBERED_INPUT: Final = re.compile(r"input([1-9][0-9]{0,2})")
_SINGLE_BRACES: Final = re.compile(r"(?<!\{)\{\s*([A-Za-z_]\w*)\s*\}(?!\})")


@dataclass(frozen=True, kw_only=True)
class _OldPins:
    """The old pins of one block, inputs and outputs, with what they are called today."""

    inputs: Mapping[str, str] | Callable[[str], str | None]
    outputs: Mapping[str, str]


def _numbered_input(name: str) -> str | None:
    """`input1` is the first of the list `input`."""
    match = _NUMBERED_INPUT.fullmatch(name)
    return f"input_$_{int(match.group(1)) - 1}" if match else None


_TABLE: Final[Mapping[str, _OldPins]] = {
    # `texts` was a second, nameless source of values: a list that templates saw as `texts`.
    FILL_TEXT_TEMPLATE: _OldPins(inputs={"named_texts": "values", "texts": "values_#_texts"}, outputs={}),
    ADD_TO_LIST: _OldPins(inputs={"items": "list"}, outputs={"list": "updated_list"}),
    COUNTDOWN_TIMER: _OldPins(inputs={"data": "input_message"}, outputs={"data": "output_message"}),
    COMBINE_TEXTS: _OldPins(inputs=_numbered_input, outputs={}),
}

FindInterface = Callable[[str], Interface | None]
Change = tuple[str, str]
"""A node's id, and the sentence that says what was changed there."""


def modernize(graph: GraphRecord, *, find: FindInterface) -> tuple[GraphRecord, list[Change]]:
    """Return the graph with today's block ids and pins, and what was changed."""
    renaming = _Renaming(find=find, changes={})
    blocks = {node.id: resolve(node.block_id) for node in graph.nodes}
    old_templates = _find_old_templates(graph, blocks=blocks)
    nodes = tuple(
        renaming.mend_node(replace(node, block_id=blocks[node.id]), old_template=node.id in old_templates)
        for node in graph.nodes
    )
    links = tuple(renaming.mend_link(link, blocks=blocks) for link in graph.links)
    return replace(graph, nodes=nodes, links=links), list(renaming.changes)


def _find_old_templates(graph: GraphRecord, *, blocks: Mapping[str, str]) -> set[str]:
    """Return the templates of the time when a value's place was `{name}`; today it is `{{ name }}`."""
    old = {"named_texts", "texts"}
    by_constant = {node.id for node in graph.nodes if old & node.input_default.keys()}
    by_link = {link.sink_id for link in graph.links if base_of(link.sink_name) in old}
    return {node for node in by_constant | by_link if blocks.get(node) == FILL_TEXT_TEMPLATE}


@dataclass(kw_only=True)
class _Renaming:
    """Renames pins, and remembers each renaming once (the keys of a dictionary keep their order)."""

    find: FindInterface
    changes: dict[Change, None]

    def mend_node(self, node: NodeRecord, *, old_template: bool) -> NodeRecord:
        constants: dict[str, Any] = {}
        for name, value in node.input_default.items():
            if value in _EMPTY and self._find_input(node.block_id, name):
                continue
            new_name = self._rename_input(node.id, node.block_id, name)
            if new_name == name:
                constants[name] = value
            else:
                constants.setdefault(new_name, value)
        template = constants.get("format")
        if old_template and isinstance(template, str):
            constants["format"] = _SINGLE_BRACES.sub(r"{{ \1 }}", template)
            if constants["format"] != template:
                self.changes[(node.id, "the places {name} of its template are now {{ name }}")] = None
        return replace(node, input_default=constants)

    def mend_link(self, link: LinkRecord, *, blocks: Mapping[str, str]) -> LinkRecord:
        return replace(
            link,
            source_name=self._rename_output(link.source_id, blocks[link.source_id], link.source_name),
            sink_name=self._rename_input(link.sink_id, blocks[link.sink_id], link.sink_name),
        )

    def _rename_input(self, node_id: str, block_id: str, name: str) -> str:
        return self._note(node_id, name, self._find_input(block_id, name), what="input")

    def _rename_output(self, node_id: str, block_id: str, name: str) -> str:
        return self._note(node_id, name, self._find_output(block_id, name), what="output")

    def _find_input(self, block_id: str, name: str) -> str | None:
        """Return what an old input is called today; None if it isn't an old one."""
        old = _TABLE.get(block_id)
        interface = self.find(block_id) if old else None
        if old is None or base_of(name) in (interface.inputs if interface else ()):
            return None
        return old.inputs(base_of(name)) if callable(old.inputs) else old.inputs.get(base_of(name))

    def _find_output(self, block_id: str, name: str) -> str | None:
        old = _TABLE.get(block_id)
        interface = self.find(block_id) if old else None
        if old is None or base_of(name) in (interface.outputs if interface else ()):
            return None
        return old.outputs.get(base_of(name))

    def _note(self, node_id: str, name: str, today: str | None, *, what: str) -> str:
        if today is None:
            return name
        self.changes[(node_id, f"the old {what} “{base_of(name)}” is now “{today}”")] = None
        return today + part_of(name)
