"""An imported graph has new ids everywhere, and means the same."""

import re
from typing import Any

from graphs.agents import read_reference
from graphs.document import NodeDocument
from graphs.exchange.importing import ReadDocument, read_document, read_version
from graphs.exchange.limits import Limits
from tests.graphs.building import (
    AGENT,
    CALCULATOR,
    COMBINE_TEXTS,
    FILL_TEXT_TEMPLATE,
    GMAIL_SEND,
    INPUT,
    INTERFACES,
    NOBODY_KNOWS,
    OUTPUT,
    agent_json,
    calculator_json,
    graph_json,
    link_json,
    make_id,
    node_json,
)


def read(document: Any) -> ReadDocument:
    return read_document(document, limits=Limits(), find=INTERFACES.get)


def node_of(document: ReadDocument, block_id: str) -> NodeDocument:
    return next(node for node in document.graph.document.nodes if node.block_id == block_id)


def test_nodes_and_links_get_new_ids_and_stay_connected() -> None:
    graph = read(calculator_json()).graph.document

    by_block = {node.block_id: node.id for node in graph.nodes}
    ends = [(link.source_id, link.source_name, link.sink_id, link.sink_name) for link in graph.links]
    assert ends == [
        (by_block[INPUT], "result", by_block[CALCULATOR], "a"),
        (by_block[CALCULATOR], "result", by_block[OUTPUT], "value"),
    ]
    assert read(calculator_json()).graph.document.nodes[0].id != graph.nodes[0].id


def test_links_from_static_blocks_are_static_whatever_the_document_says() -> None:
    links = read(calculator_json()).graph.document.links

    assert [link.is_static for link in links] == [True, False]


def test_a_graph_may_be_wrapped() -> None:
    assert read({"graph": calculator_json()}).graph.document.name == "A graph"


def test_a_graph_without_a_name_gets_one() -> None:
    assert read({"nodes": []}).graph.document.name == "Unnamed graph"


def test_what_autogpt_keeps_beside_the_name_is_kept() -> None:
    document = read(calculator_json(instructions="Add.", recommended_schedule_cron=None)).graph.document

    assert document.settings == {"instructions": "Add."}


def test_unknown_and_unavailable_blocks_are_kept_and_named() -> None:
    document = read(
        graph_json(node_json("a", NOBODY_KNOWS, x=1), node_json("b", GMAIL_SEND), node_json("c", GMAIL_SEND))
    )

    assert [node.block_id for node in document.graph.document.nodes] == [NOBODY_KNOWS, GMAIL_SEND, GMAIL_SEND]
    assert document.graph.document.nodes[0].input_default == {"x": 1}
    assert document.warnings == (
        f"There is no block {NOBODY_KNOWS}: its node is kept, but can't run.",
        f"GmailSendBlock ({GMAIL_SEND}) can't run here: 2 nodes are kept, and can be simulated.",
    )


def test_unknown_pins_and_missing_inputs_are_kept_and_named() -> None:
    document = read(
        graph_json(
            node_json("a", INPUT, name="In"),
            node_json("b", CALCULATOR, operation="Add"),
            links=[link_json("a.res", "b.c")],
        )
    )

    assert len(document.graph.document.links) == 1
    assert document.warnings == (
        "“In (AgentInputBlock)” has no output “res”: its link is kept.",
        "“CalculatorBlock” has no input “c”: its link is kept.",
        "“CalculatorBlock” needs a value for “a”, “b”.",
    )


def test_warnings_are_not_without_end() -> None:
    document = read(graph_json(*(node_json(f"n{index}", f"unknown-{index}") for index in range(150))))

    assert len(document.warnings) == 101
    assert document.warnings[-1] == "… and 50 more."


def test_a_tool_pin_follows_its_sink() -> None:
    document = read(
        graph_json(
            node_json("brain", NOBODY_KNOWS),
            node_json("add", CALCULATOR, operation="Add", b=1),
            links=[link_json("brain.tools_^_add_~_a", "add.a")],
        )
    )

    assert document.graph.document.links[0].source_name == f"tools_^_{node_of(document, CALCULATOR).id}_~_a"


def sub_graph(graph_id: str, version: int, *, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> dict[str, Any]:
    nodes = [node_json(name, INPUT, name=name) for name in inputs] + [node_json(n, OUTPUT, name=n) for n in outputs]
    return graph_json(*nodes) | {"id": graph_id, "version": version, "name": graph_id}


def target_name(document: ReadDocument) -> str | None:
    """Return the name of the graph that the document's agent node runs now."""
    target = read_reference(node_of(document, AGENT).input_default).target
    names = {(graph.graph_id, 1): graph.document.name for graph in (document.graph, *document.sub_graphs)}
    return names.get(target) if target else None


def test_an_agent_follows_its_graph_by_id_and_version() -> None:
    agent = agent_json("ask", graph_id="sub", graph_version=2, inputs=["Other"], outputs=[])
    document = read(
        graph_json(
            agent,
            sub_graphs=[
                sub_graph("sub", 1, inputs=("Q",), outputs=("A",)) | {"name": "older"},
                sub_graph("sub", 2, inputs=("Q",), outputs=("A",)) | {"name": "newer"},
            ],
        )
    )

    assert target_name(document) == "newer"


def test_where_ids_no_longer_match_version_and_pins_decide() -> None:
    agent = agent_json("ask", graph_id="lost", graph_version=6, inputs=["Q"], outputs=["A"])
    document = read(
        graph_json(
            agent,
            sub_graphs=[
                sub_graph("one", 5, inputs=("Q",), outputs=("A",)),
                sub_graph("two", 6, inputs=("Q",), outputs=("A",)),
                sub_graph("three", 6, inputs=("Q",), outputs=("B",)),
            ],
        )
    )

    assert target_name(document) == "two"


def test_where_versions_do_not_match_either_the_pins_decide() -> None:
    agent = agent_json("ask", graph_id="lost", graph_version=9, inputs=["Q"], outputs=["A"])
    document = read(
        graph_json(
            agent,
            sub_graphs=[
                sub_graph("one", 5, inputs=("Q",), outputs=("B",)),
                sub_graph("two", 6, inputs=("Q",), outputs=("A",)),
            ],
        )
    )

    assert target_name(document) == "two"


def test_an_agent_that_could_mean_two_graphs_means_none() -> None:
    agent = agent_json("ask", graph_id="lost", graph_version=6, inputs=["Q"], outputs=["A"])
    subs = [sub_graph(name, 6, inputs=("Q",), outputs=("A",)) for name in ("one", "two")]

    document = read(graph_json(agent, sub_graphs=subs))

    assert target_name(document) is None
    assert [node.block_id for node in document.graph.outside] == [AGENT]


def test_agents_in_sub_graphs_follow_too() -> None:
    middle = graph_json(agent_json("deep", graph_id="bottom", graph_version=4, inputs=[], outputs=[])) | {
        "id": "middle"
    }
    bottom = graph_json() | {"id": "bottom", "version": 4}
    top = graph_json(agent_json("ask", graph_id="middle", graph_version=3, inputs=[], outputs=[]))

    document = read(top | {"sub_graphs": [middle, bottom]})

    middle_read, bottom_read = document.sub_graphs
    assert read_reference(middle_read.document.nodes[0].input_default).target == (bottom_read.graph_id, 1)
    assert document.graph.outside == middle_read.outside == ()


def test_sub_graphs_within_sub_graphs_are_found() -> None:
    bottom = graph_json() | {"id": "bottom"}

    document = read(graph_json(sub_graphs=[graph_json(sub_graphs=[bottom])]))

    assert len(document.sub_graphs) == 2


def test_old_exports_keep_sub_graphs_in_an_object() -> None:
    document = read(graph_json(subgraphs={"sub": sub_graph("sub", 1, inputs=(), outputs=()), "old": ["node id"]}))

    assert [graph.document.name for graph in document.sub_graphs] == ["sub"]


def test_masks_of_a_sub_graphs_nodes_follow_them() -> None:
    agent = agent_json("ask", graph_id="sub", graph_version=1, inputs=["Q"], outputs=[])
    agent["input_default"]["nodes_input_masks"] = {"Q": {"value": 1}}

    document = read(graph_json(agent, sub_graphs=[sub_graph("sub", 1, inputs=("Q",), outputs=())]))

    masks = node_of(document, AGENT).input_default["nodes_input_masks"]
    assert masks == {str(document.sub_graphs[0].document.nodes[0].id): {"value": 1}}


def test_an_old_block_id_becomes_todays() -> None:
    document = read(graph_json(node_json("note", "31d1064e-7446-4693-o7d4-65e5ca9110d1", text="Hi")))

    assert document.graph.document.nodes[0].block_id == "cc10ff7b-7753-4ff2-9af6-9399b1a7eddc"


def test_old_templates_get_todays_pins_and_places() -> None:
    document = read(
        graph_json(
            node_json("in", INPUT, name="In"),
            node_json("fill", FILL_TEXT_TEMPLATE, texts=[], format="{item} and {{ other }} {1}"),
            links=[link_json("in.result", "fill.named_texts_#_item")],
        )
    )

    node, link = node_of(document, FILL_TEXT_TEMPLATE), document.graph.document.links[0]
    assert node.input_default == {"format": "{{ item }} and {{ other }} {1}"}
    assert link.sink_name == "values_#_item"
    assert document.warnings == (
        "“FillTextTemplateBlock”: the places {name} of its template are now {{ name }}.",
        "“FillTextTemplateBlock”: the old input “named_texts” is now “values”.",
    )


def test_numbered_texts_become_items_of_a_list() -> None:
    document = read(
        graph_json(
            node_json("in", INPUT, name="In"),
            node_json("join", COMBINE_TEXTS, input2=" said: "),
            links=[link_json("in.result", "join.input1")],
        )
    )

    assert node_of(document, COMBINE_TEXTS).input_default == {"input_$_1": " said: "}
    assert document.graph.document.links[0].sink_name == "input_$_0"
    assert len(document.warnings) == 2


def test_todays_pins_are_left_alone() -> None:
    document = read(graph_json(node_json("fill", FILL_TEXT_TEMPLATE, values={"a": 1}, format="{a}")))

    assert node_of(document, FILL_TEXT_TEMPLATE).input_default == {"values": {"a": 1}, "format": "{a}"}
    assert document.warnings == ()


def test_the_next_version_of_a_graph_keeps_ids_that_are_uuids() -> None:
    kept = str(make_id("kept"))
    nodes = [node_json(kept, CALCULATOR, operation="Add", a=1, b=2), node_json("new", OUTPUT, name="Out")]
    link = link_json(f"{kept}.result", "new.value", id=str(make_id("link")))

    document = read_version(graph_json(*nodes, links=[link]), limits=Limits(), find=INTERFACES.get).graph.document

    assert document.nodes[0].id == make_id("kept")
    assert re.fullmatch(r"[0-9a-f-]{36}", str(document.nodes[1].id))
    assert document.links[0].id == make_id("link")
    assert document.links[0].sink_id == document.nodes[1].id


def test_it_is_told_what_became_of_the_documents_ids() -> None:
    document = read(calculator_json(sub_graphs=[calculator_json()]))

    of_graph, of_sub_graph = document.graph.document.nodes, document.sub_graphs[0].document.nodes
    assert document.node_ids["add"] == (of_graph[1].id, of_sub_graph[1].id)
