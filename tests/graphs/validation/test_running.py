"""Everything that keeps a graph from running is known before it starts."""

from typing import Any
from uuid import UUID

import pytest

from graphs.document import GraphDocument, LinkDocument, NodeDocument
from graphs.exceptions import GraphInvalidError
from graphs.validation import WHOLE_GRAPH, Problems, find_unavailable, problems_for_run, refuse_unrunnable
from tests.graphs.building import (
    AGENT,
    CALCULATOR,
    COMBINE_TEXTS,
    FILL_TEXT_TEMPLATE,
    GMAIL_SEND,
    INPUT,
    INTERFACES,
    NOBODY_KNOWS,
    NOTE,
    OUTPUT,
    make_id,
    make_link,
    make_node,
)

IN = make_node("in", INPUT, name="Input")
ADD = make_node("add", CALCULATOR, operation="Add", b=34)
OUT = make_node("out", OUTPUT, name="Output")
LINKS = (make_link("in.result", "add.a"), make_link("add.result", "out.value"))


def check(nodes: tuple[NodeDocument, ...], links: tuple[LinkDocument, ...] = (), **options: Any) -> Problems:
    return problems_for_run(GraphDocument(name="Graph", nodes=nodes, links=links), find=INTERFACES.get, **options)


def test_a_sound_graph_has_no_problems() -> None:
    assert check((IN, ADD, OUT), LINKS) == {}


def test_an_unknown_block_is_named() -> None:
    problems = check((IN, make_node("odd", NOBODY_KNOWS)))

    assert problems == {make_id("odd"): {"block_id": f"There is no block with the id {NOBODY_KNOWS}."}}


def test_a_block_that_is_not_available_is_named_with_what_it_needs() -> None:
    problems = check((IN, make_node("mail", GMAIL_SEND)))

    told = "GmailSendBlock isn't available here (it needs: credentials, network)."
    assert problems == {make_id("mail"): {"block_id": told}}


def test_unknown_pins_on_both_sides_are_reported_at_their_nodes() -> None:
    problems = check((IN, ADD, OUT), (*LINKS, make_link("in.results", "add.c")))

    assert problems == {
        make_id("in"): {"results": "“Input (AgentInputBlock)” has no output “results”."},
        make_id("add"): {"c": "“CalculatorBlock” has no input “c”."},
    }


def test_parts_of_pins_errors_and_tools_are_no_unknown_pins() -> None:
    fill = make_node("fill", FILL_TEXT_TEMPLATE, format="{{ name }}")
    links = (
        make_link("in.result_#_name", "fill.values_#_name"),
        make_link("fill.error", "out.value"),
        make_link("fill.tools_^_node_~_pin", "out.value"),
    )

    assert check((IN, fill, OUT), links) == {}


def test_a_missing_required_input_is_named() -> None:
    problems = check((make_node("add", CALCULATOR, operation="Add", a=None),))

    assert problems == {
        make_id("add"): {
            "a": "“CalculatorBlock” needs a value for “a”.",
            "b": "“CalculatorBlock” needs a value for “b”.",
        }
    }


def test_a_part_of_a_required_input_is_enough() -> None:
    by_constant = make_node("constant", COMBINE_TEXTS, **{"input_$_0": "text"})
    by_link = make_node("link", COMBINE_TEXTS)

    assert check((IN, by_constant, by_link), (make_link("in.result", "link.input_$_0"),)) == {}


@pytest.mark.parametrize("masks", [{(make_id("add"), "a")}, {make_id("add"): {"a": 7}}])
def test_a_masked_pin_is_not_missing(masks: Any) -> None:
    assert check((ADD,), masks=masks) == {}


def test_a_masked_part_is_enough() -> None:
    assert check((make_node("join", COMBINE_TEXTS),), masks={make_id("join"): {"input_$_0": "text"}}) == {}


def test_an_agents_pin_with_a_delimiter_in_its_name_is_that_pin() -> None:
    node = make_node("ask", AGENT, graph_id=str(make_id("g")), graph_version=1)
    node.input_default["input_schema"] = {"properties": {"cost_$_total": {}}, "required": ["cost_$_total"]}  # type: ignore[index]

    assert check((IN, node), (make_link("in.result", "ask.cost_$_total"),)) == {}


def test_a_bad_constant_is_explained() -> None:
    problems = check((make_node("add", CALCULATOR, operation="Ad", a="seven", b="7"),))

    assert problems == {
        make_id("add"): {
            "operation": "“CalculatorBlock”: “operation” must be one of “Add”, “Subtract”.",
            "a": "“CalculatorBlock”: “a” must be a number.",
        }
    }


def test_a_bad_constant_under_a_link_does_not_matter() -> None:
    assert check((IN, make_node("add", CALCULATOR, operation="Add", a="?", b=1)), (LINKS[0],)) == {}


def test_constants_that_the_block_does_not_know_are_ignored() -> None:
    assert check((make_node("in", INPUT, name="x", secret=False, placeholder_values=[]),)) == {}


def test_an_impossible_list_index_is_reported() -> None:
    problems = check((IN, make_node("join", COMBINE_TEXTS)), (make_link("in.result", "join.input_$_first"),))

    assert problems == {make_id("join"): {"input_$_first": "“first” in “input_$_first” isn't a list index."}}


def test_a_dangling_link_keeps_a_graph_from_running() -> None:
    assert list(check((IN,), (make_link("in.result", "gone.a"),))) == [make_id("in")]


@pytest.mark.parametrize(
    ("nodes", "links"),
    [
        ((), ()),
        ((make_node("note", NOTE, text="Hello"),), ()),
        ((make_node("a", CALCULATOR, operation="Add", b=1),), (make_link("a.result", "a.a"),)),
    ],
    ids=["nothing", "only a note", "only a cycle"],
)
@pytest.mark.parametrize("simulate", [False, True])
def test_a_graph_without_a_starting_node_is_refused(
    nodes: tuple[NodeDocument, ...], links: tuple[LinkDocument, ...], *, simulate: bool
) -> None:
    assert list(check(nodes, links, simulate=simulate)) == [WHOLE_GRAPH]


def test_an_input_node_starts_even_if_something_leads_to_it() -> None:
    assert check((IN, ADD), (LINKS[0], make_link("add.result", "in.value"))) == {}


def test_a_simulated_run_minds_neither_blocks_nor_pins_nor_values() -> None:
    nodes = (IN, make_node("odd", NOBODY_KNOWS), make_node("mail", GMAIL_SEND), make_node("add", CALCULATOR, a="?"))

    assert check(nodes, (make_link("in.what", "add.ever"),), simulate=True) == {}


def test_two_nodes_of_one_name_are_told_apart_by_their_ids() -> None:
    twins = tuple(
        NodeDocument(id=make_id(name), block_id=COMBINE_TEXTS, metadata={"customized_name": "Join"}) for name in "ab"
    )

    problems = check((IN, *twins))

    told = {"input": "“Join (CombineTextsBlock)” needs a value for “input”."}
    assert problems == {make_id("a"): told, make_id("b"): told}


def test_everything_is_reported_at_once() -> None:
    nodes = (make_node("odd", NOBODY_KNOWS), make_node("add", CALCULATOR, operation="?", a=1))
    document = GraphDocument(name="Bad", nodes=nodes, links=(make_link("odd.x", "add.y"), make_link("add.z", "gone.b")))

    with pytest.raises(GraphInvalidError, match="can't run: 5 problems in its nodes") as refusal:
        refuse_unrunnable(document, find=INTERFACES.get)

    fields = {node: set(told) for node, told in refusal.value.node_errors.items()}
    assert fields == {str(make_id("odd")): {"block_id"}, str(make_id("add")): {"operation", "b", "y", "z"}}


def test_nodes_that_can_not_run_are_listed() -> None:
    odd, mail, note = make_node("odd", NOBODY_KNOWS), make_node("mail", GMAIL_SEND), make_node("note", NOTE)

    assert find_unavailable(GraphDocument(name="G", nodes=(IN, odd, mail, note)), find=INTERFACES.get) == (odd, mail)


def agent(name: str, graph: str, *, required: tuple[str, ...] = ()) -> NodeDocument:
    pins: dict[str, Any] = {pin: {} for pin in ("Question", *required)}
    return make_node(
        name,
        AGENT,
        graph_id=str(make_id(graph)),
        graph_version=1,
        inputs={},
        input_schema={"properties": pins, "required": list(required)},
        output_schema={"properties": {"Answer": {}}},
    )


class Library:
    """Graphs of one user, by name."""

    def __init__(self, **graphs: tuple[NodeDocument, ...]) -> None:
        self._graphs = {make_id(name): GraphDocument(name=name, nodes=nodes) for name, nodes in graphs.items()}

    def __call__(self, graph_id: UUID, version: int) -> GraphDocument | None:
        return self._graphs.get(graph_id) if version == 1 else None


def test_an_agents_pins_are_those_of_its_schemas() -> None:
    links = (make_link("in.result", "ask.Question"), make_link("ask.Answer", "out.value"))

    assert check((IN, agent("ask", "sub"), OUT), links) == {}

    problems = check((IN, agent("ask", "sub"), OUT), (make_link("in.result", "ask.Q"), make_link("ask.A", "out.value")))
    assert set(problems[make_id("ask")]) == {"Q", "A"}


def test_an_agents_required_inputs_are_those_of_its_schema() -> None:
    assert set(check((agent("ask", "sub", required=("Topic",)),))[make_id("ask")]) == {"Topic"}


def test_an_agent_needs_a_graph_that_its_owner_has() -> None:
    problems = check((agent("ask", "nowhere"),), find_graph=Library())

    told = f"“AgentExecutorBlock” refers to graph {make_id('nowhere')} version 1, which you don't have."
    assert problems == {make_id("ask"): {"graph_id": told}}


def test_what_is_wrong_below_is_told_at_the_agent() -> None:
    library = Library(middle=(agent("deeper", "bottom"),), bottom=(make_node("odd", NOBODY_KNOWS),))

    told = check((agent("ask", "middle"),), find_graph=library)[make_id("ask")]["graph_id"]

    assert "runs “middle”" in told
    assert "runs “bottom”" in told
    assert NOBODY_KNOWS in told


def test_graphs_that_run_each_other_in_a_circle_are_refused() -> None:
    library = Library(one=(agent("a", "two"),), two=(agent("b", "one"),))

    assert "itself a part of" in check((agent("ask", "one"),), find_graph=library)[make_id("ask")]["graph_id"]


@pytest.mark.parametrize(("depth", "is_fine"), [(10, True), (11, False)])
def test_graphs_may_nest_ten_deep(depth: int, *, is_fine: bool) -> None:
    below = {f"g{level}": (agent("next", f"g{level + 1}"),) for level in range(1, depth)}
    library = Library(**below, **{f"g{depth}": (IN,)})

    problems = check((agent("ask", "g1"),), find_graph=library)

    assert (problems == {}) is is_fine


@pytest.mark.parametrize(("max_nesting", "is_fine"), [(0, False), (2, False), (3, True), (12, True)])
def test_how_deep_graphs_may_nest_is_the_callers_to_say(max_nesting: int, *, is_fine: bool) -> None:
    library = Library(g1=(agent("a", "g2"),), g2=(agent("b", "g3"),), g3=(IN,))

    problems = check((agent("ask", "g1"),), find_graph=library, max_nesting=max_nesting)

    assert (problems == {}) is is_fine


def test_a_graph_that_many_agents_share_is_looked_at_once_each_way() -> None:
    levels = {f"g{level}": tuple(agent(f"n{i}", f"g{level + 1}") for i in range(20)) for level in range(1, 9)}
    library = Library(**levels, g9=(IN,))

    assert check(tuple(agent(f"n{i}", "g1") for i in range(20)), find_graph=library) == {}
