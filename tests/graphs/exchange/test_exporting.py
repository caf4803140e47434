"""What is exported can be imported, and is the same but for its ids."""

import json
from dataclasses import replace
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.document import GraphDocument, LinkDocument, NodeDocument
from graphs.exchange.exporting import NumberedGraph, write_document
from graphs.exchange.importing import read_document, read_version
from graphs.exchange.limits import Limits
from graphs.exchange.secret_names import is_secret_name
from tests.graphs.building import (
    CALCULATOR,
    FILL_TEXT_TEMPLATE,
    INPUT,
    INTERFACES,
    NOBODY_KNOWS,
    OUTPUT,
    make_id,
    make_link,
    make_node,
)

# What PostgreSQL can store: no NUL, no half surrogate pairs.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
NAMES = TEXTS.filter(lambda name: not is_secret_name(name))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(NAMES, below, max_size=3),
    max_leaves=8,
)
PINS = st.sampled_from(["a", "result", "values_#_x", "list_$_0", "tools"]) | NAMES.filter(bool)
SETTINGS = {
    "on_error": st.sampled_from(["continue", "fail_run"]),
    "max_node_executions": st.integers(1, 1_000_000),
    "instructions": TEXTS,
    "anything": VALUES,
}
BLOCKS = st.sampled_from([INPUT, OUTPUT, CALCULATOR, FILL_TEXT_TEMPLATE, NOBODY_KNOWS])


def is_static(node: NodeDocument) -> bool:
    interface = INTERFACES.get(node.block_id)
    return interface is not None and interface.static_output


@st.composite
def documents(draw: st.DrawFn) -> GraphDocument:
    """Any graph that could be stored."""
    nodes = draw(
        st.lists(
            st.builds(
                NodeDocument,
                id=st.uuids(),
                block_id=BLOCKS,
                input_default=st.dictionaries(NAMES, VALUES, max_size=4),
                metadata=st.dictionaries(NAMES, VALUES, max_size=2),
            ),
            max_size=6,
            unique_by=lambda node: node.id,
        )
    )
    links: list[LinkDocument] = []
    for link_id in draw(st.lists(st.uuids(), max_size=8, unique=True)) if nodes else []:
        source, sink = draw(st.sampled_from(nodes)), draw(st.sampled_from(nodes))
        links.append(
            LinkDocument(
                id=link_id,
                source_id=source.id,
                source_name=draw(PINS),
                sink_id=sink.id,
                sink_name=draw(PINS),
                is_static=is_static(source) or draw(st.booleans()),
            )
        )
    return GraphDocument(
        name=draw(TEXTS.map(str.strip).filter(bool)),
        description=draw(TEXTS),
        nodes=tuple(nodes),
        links=tuple(links),
        settings=draw(st.fixed_dictionaries({}, optional=SETTINGS)),
    )


def export(document: GraphDocument, *sub_graphs: NumberedGraph) -> bytes:
    graph = NumberedGraph(graph_id=make_id("graph"), version=7, is_active=True, document=document)
    return json.dumps(write_document(graph, sub_graphs=sub_graphs, find=INTERFACES.get)).encode()


def without_ids(document: GraphDocument) -> Any:
    """Write a graph with its nodes' places instead of ids, so that two that are equal up to ids become equal."""
    places: dict[UUID, int] = {node.id: place for place, node in enumerate(document.nodes)}
    nodes = [(node.block_id, node.input_default, node.metadata) for node in document.nodes]
    links = [
        (places[link.source_id], link.source_name, places[link.sink_id], link.sink_name, link.is_static)
        for link in document.links
    ]
    return document.name, document.description, document.settings, nodes, links


@settings(deadline=None, max_examples=150)
@given(document=documents())
def test_what_is_exported_is_imported_as_the_same_graph_up_to_ids(document: GraphDocument) -> None:
    read = read_document(export(document), limits=Limits(), find=INTERFACES.get).graph.document

    assert without_ids(read) == without_ids(document)
    assert not {node.id for node in read.nodes} & {node.id for node in document.nodes}


@settings(deadline=None, max_examples=50)
@given(document=documents())
def test_what_is_exported_and_saved_as_the_next_version_keeps_its_ids(document: GraphDocument) -> None:
    assert read_version(export(document), limits=Limits(), find=INTERFACES.get).graph.document == document


def test_the_order_of_constants_survives() -> None:
    document = GraphDocument(name="G", nodes=(make_node("a", NOBODY_KNOWS, zebra=1, apple={"z": 1, "a": 2}),))

    constants = (
        read_document(export(document), limits=Limits(), find=INTERFACES.get).graph.document.nodes[0].input_default
    )

    assert json.dumps(constants) == '{"zebra": 1, "apple": {"z": 1, "a": 2}}'


def test_an_export_has_the_shape_of_autogpts() -> None:
    document = GraphDocument(
        name="Sum",
        nodes=(make_node("in", INPUT, name="A", value=5, title="First"), make_node("out", OUTPUT, name="B")),
        links=(make_link("in.result", "out.value", is_static=True),),
    )

    written = json.loads(export(document))

    link = written["links"][0]
    assert link["source_id"] == str(make_id("in"))
    assert written["nodes"][0]["output_links"] == written["nodes"][1]["input_links"] == [link]
    assert (written["id"], written["version"], written["is_active"]) == (str(make_id("graph")), 7, True)
    assert written["sub_graphs"] == []
    assert written["input_schema"] == {
        "type": "object",
        "properties": {"A": {"advanced": False, "secret": False, "title": "First", "default": 5}},
        "required": [],
    }
    assert written["output_schema"]["required"] == ["B"]


def test_an_export_has_no_secret() -> None:
    nested = {"deep": [{"botToken": "hunter2"}, "https://ada:hunter2@host/?token=hunter2"]}
    call = make_node(
        "call",
        NOBODY_KNOWS,
        api_key="hunter2",
        headers={"Authorization": "hunter2"},
        more_headers=[{"name": "X-Api-Key", "value": "hunter2"}],
        url="https://ada:hunter2@host/",
        body='{"password": "hunter2"}',
        connection_string="hunter2",
    )
    document = GraphDocument(
        name="Sum",
        description="Asks https://ada:hunter2@host/.",
        nodes=(
            make_node("pin", INPUT, name="PIN", value="hunter2", secret=True),
            make_node("key", INPUT, name="OpenAI Key", value="hunter2", default="hunter2"),
            replace(call, metadata={"position": {"x": 1}, "credentials": "hunter2", **nested}),
        ),
        settings={"instructions": "Call https://host/?api_key=hunter2", "openai_key": "hunter2", **nested},
    )
    below = NumberedGraph(graph_id=make_id("below"), version=1, is_active=True, document=document)

    exported = export(document, below)

    assert b"hunter2" not in exported
    written = json.loads(exported)
    assert "default" not in written["input_schema"]["properties"]["OpenAI Key"]
    assert written["nodes"][2]["metadata"]["position"] == {"x": 1}
    read_document(exported, limits=Limits(), find=INTERFACES.get)
