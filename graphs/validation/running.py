"""What keeps a graph from running: everything that can be known before it starts."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from graphs.agents import read_reference
from graphs.blocks.contract import Kind
from graphs.blocks.interfaces import Interface
from graphs.blocks.registry import find_interface
from graphs.document import GraphDocument, NodeDocument
from graphs.pins import base_of, find_bad_index
from graphs.validation.constants import explain_misfit
from graphs.validation.known_pins import is_agent, knows_sink, knows_source, list_inputs
from graphs.validation.masks import MASKS_PIN, explain_agents_masks, problems_of_masks
from graphs.validation.naming import describe_node
from graphs.validation.nesting import MAX_NESTING, FindGraph, FindInterface, Nesting
from graphs.validation.saving import WHOLE_GRAPH, Problems, add_problem, problems_for_saving, refuse

Masks = Collection[tuple[UUID, str]] | Mapping[UUID, Collection[str]]


@dataclass(frozen=True, kw_only=True)
class _Check:
    """One look at one document; the methods add what they find to `problems`."""

    document: GraphDocument
    find: FindInterface
    masks: Mapping[UUID, Collection[str]]
    problems: Problems = field(default_factory=dict)
    sinks: Mapping[UUID, set[str]] = field(default_factory=lambda: defaultdict(set))

    def tell(self, node: NodeDocument, name: str, message: str) -> None:
        add_problem(self.problems, node=node.id, field=name, message=message)


def problems_for_run(
    document: GraphDocument,
    *,
    masks: Masks = frozenset(),
    simulate: bool = False,
    find: FindInterface = find_interface,
    find_graph: FindGraph | None = None,
    max_nesting: int = MAX_NESTING,
) -> Problems:
    """Return every reason why the graph can't run, as {node id: {field: message}}; `WHOLE_GRAPH` is the graph itself.

    `masks` are the pins that the run sets, as (node, pin) or {node: {pin: value}}. A simulated run only needs sound
    links, settings and masks, and a node to start with. `find_graph` returns a graph of the owner's by id and version;
    without it, agent nodes are trusted. `max_nesting` is how deep graphs may run each other.
    """
    check = _Check(document=document, find=find, masks=_group(masks), problems=problems_for_saving(document))
    _check_start(check)
    _check_masks(check, find_graph)
    if simulate:
        return check.problems
    for link in document.links:
        check.sinks[link.sink_id].add(link.sink_name)
    for node in document.nodes:
        _check_node(check, node)
    _check_links(check)
    if find_graph:
        _check_agents(check, find_graph, max_nesting)
    return check.problems


def refuse_unrunnable(
    document: GraphDocument,
    *,
    masks: Masks = frozenset(),
    simulate: bool = False,
    find: FindInterface = find_interface,
    find_graph: FindGraph | None = None,
    max_nesting: int = MAX_NESTING,
) -> None:
    """Raise `GraphInvalidError` with everything that `problems_for_run` finds."""
    problems = problems_for_run(
        document, masks=masks, simulate=simulate, find=find, find_graph=find_graph, max_nesting=max_nesting
    )
    refuse(problems, what="can't run")


def find_unavailable(document: GraphDocument, *, find: FindInterface = find_interface) -> tuple[NodeDocument, ...]:
    """Return the nodes whose block isn't known or can't be run here. Notes never run, so they are never among them."""
    return tuple(node for node in document.nodes if not _can_run(find(node.block_id)))


def _can_run(interface: Interface | None) -> bool:
    return interface is not None and (interface.available or interface.kind is Kind.NOTE)


def _group(masks: Masks) -> Mapping[UUID, Collection[str]]:
    if isinstance(masks, Mapping):
        return masks
    grouped: dict[UUID, set[str]] = defaultdict(set)
    for node, pin in masks:
        grouped[node].add(pin)
    return grouped


def _check_start(check: _Check) -> None:
    fed = {link.sink_id for link in check.document.links}
    if not any(_starts(node, fed=fed, find=check.find) for node in check.document.nodes):
        message = "It has no node to start with: every node waits for another one."
        add_problem(check.problems, node=WHOLE_GRAPH, field="nodes", message=message)


def _starts(node: NodeDocument, *, fed: Collection[UUID], find: FindInterface) -> bool:
    interface = find(node.block_id)
    kind = interface.kind if interface else Kind.STANDARD
    return kind is Kind.INPUT or (kind is not Kind.NOTE and node.id not in fed)


def _check_masks(check: _Check, find_graph: FindGraph | None) -> None:
    for node_id, fields in problems_of_masks(check.document, check.masks, find=check.find).items():
        for name, message in fields.items():
            add_problem(check.problems, node=node_id, field=name, message=message)
    for node in check.document.nodes:
        told = explain_agents_masks(node, find=check.find, find_graph=find_graph)
        if told:
            check.tell(node, MASKS_PIN, f"{_say(check, node)}: “{MASKS_PIN}” {told}.")


def _check_node(check: _Check, node: NodeDocument) -> None:
    interface = check.find(node.block_id)
    if interface is None:
        check.tell(node, "block_id", f"There is no block with the id {node.block_id}.")
    elif not _can_run(interface):
        needs = ", ".join(sorted(need.value.lower() for need in interface.needs))
        why = f" (it needs: {needs})" if needs else ""
        check.tell(node, "block_id", f"{interface.name} isn't available here{why}.")
    elif interface.kind is not Kind.NOTE:
        _check_constants(check, node, interface)
        masked = check.masks.get(node.id, ())
        for pin in missing_inputs(node, interface, connected=check.sinks[node.id], masked=masked):
            check.tell(node, pin, f"{_name(node, interface)} needs a value for “{pin}”.")


def _check_constants(check: _Check, node: NodeDocument, interface: Interface) -> None:
    overridden = check.sinks[node.id].union(check.masks.get(node.id, ()))
    for name, value in node.input_default.items():
        pin = interface.inputs.get(name)
        if pin is not None and name not in overridden:
            told = explain_misfit(value, pin.schema)
            if told:
                check.tell(node, name, f"{_name(node, interface)}: “{name}” {told}.")
        elif pin is None:
            _check_index(check, node, name)
    if is_agent(interface):
        for name in read_reference(node.input_default).given:
            _check_index(check, node, name)


def _check_index(check: _Check, node: NodeDocument, name: str) -> None:
    interface = check.find(node.block_id)
    bad = find_bad_index(name, known=list_inputs(node, interface) if interface else ())
    if bad is not None:
        check.tell(node, name, f"“{bad}” in “{name}” isn't a list index.")


def missing_inputs(
    node: NodeDocument, interface: Interface, *, connected: Iterable[str], masked: Collection[str] = ()
) -> list[str]:
    """Return the required pins that nothing gives a value to: no constant, no link, no part of one, no mask."""
    pins = list_inputs(node, interface)
    bases = {base_of(name, known=pins) for name in connected}
    given = {base_of(name, known=pins) for name, value in node.input_default.items() if value is not None}
    filled = {base_of(name, known=pins) for name in masked}
    return [name for name in _required_pins(node, interface) if name not in bases | given | filled]


def _required_pins(node: NodeDocument, interface: Interface) -> list[str]:
    if not is_agent(interface):
        return [pin.name for pin in interface.inputs.values() if pin.required]
    reference = read_reference(node.input_default)
    return ["graph_id", "graph_version", *sorted(reference.required - reference.given)]


def _check_links(check: _Check) -> None:
    nodes = {node.id: node for node in check.document.nodes}
    for link in check.document.links:
        source, sink = nodes.get(link.source_id), nodes.get(link.sink_id)
        if source and not knows_source(source, link, find=check.find):
            check.tell(source, link.source_name, f"{_say(check, source)} has no output “{link.source_name}”.")
        if sink and not knows_sink(sink, link, find=check.find):
            check.tell(sink, link.sink_name, f"{_say(check, sink)} has no input “{link.sink_name}”.")
        elif sink:
            _check_index(check, sink, link.sink_name)


def _check_agents(check: _Check, find_graph: FindGraph, max_nesting: int) -> None:
    nesting = Nesting(
        find=check.find,
        find_graph=find_graph,
        problems_of=lambda document: problems_for_run(document, find=check.find),
        max_nesting=max_nesting,
    )
    for node in check.document.nodes:
        told = nesting.explain(node) if is_agent(check.find(node.block_id)) else None
        if told:
            check.tell(node, "graph_id", f"{_say(check, node)} {told}.")


def _say(check: _Check, node: NodeDocument) -> str:
    return _name(node, check.find(node.block_id))


def _name(node: NodeDocument, interface: Interface | None) -> str:
    return f"“{describe_node(node, interface)}”"
