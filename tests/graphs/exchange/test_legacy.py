"""Old exports run with today's blocks."""

import pytest

from graphs.blocks.registry import find_interface
from graphs.exchange.importing import ReadDocument, read_document
from graphs.exchange.limits import Limits
from graphs.validation import problems_for_run
from tests.graphs.building import INPUT, OUTPUT, graph_json, link_json, node_json

OLD_ADD_TO_LIST = "aeb08fc1-2fc1-4141-bc8e-f758f183a812"
OLD_COUNTDOWN_TIMER = "d67a9c52-5e4e-11e2-bcfd-0770200c9c61"
OLD_LIST_ITERATOR = "f8e7d6c5-b4a3-2c1d-0e9f-8g7h6i5j4k3l"
OLD_FIND_IN_DICTIONARY = "b2g2c3d4-5e6f-7g8h-9i0j-k1l2m3n4o5p6"


@pytest.fixture
def old_graph() -> ReadDocument:
    document = graph_json(
        node_json("in", INPUT, name="In"),
        node_json("list", OLD_ADD_TO_LIST, items=["one"]),
        node_json("each", OLD_LIST_ITERATOR),
        node_json("find", OLD_FIND_IN_DICTIONARY, key="item"),
        node_json("wait", OLD_COUNTDOWN_TIMER, seconds="3"),
        node_json("out", OUTPUT, name="Out"),
        links=[
            link_json("in.result", "list.items_$_1"),
            link_json("list.list", "each.items"),
            link_json("each.item", "find.input"),
            link_json("find.output", "wait.data"),
            link_json("wait.data", "out.value"),
        ],
    )
    return read_document(document, limits=Limits(), find=find_interface)


def test_old_pins_have_todays_names(old_graph: ReadDocument) -> None:
    document = old_graph.graph.document

    assert [(link.source_name, link.sink_name) for link in document.links] == [
        ("result", "list_$_1"),
        ("updated_list", "items"),
        ("item", "input"),
        ("output", "input_message"),
        ("output_message", "value"),
    ]
    assert document.nodes[1].input_default == {"list": ["one"]}


def test_every_renaming_is_told_once(old_graph: ReadDocument) -> None:
    assert old_graph.warnings == (
        "“AddToListBlock”: the old input “items” is now “list”.",
        "“AddToListBlock”: the old output “list” is now “updated_list”.",
        "“CountdownTimerBlock”: the old input “data” is now “input_message”.",
        "“CountdownTimerBlock”: the old output “data” is now “output_message”.",
    )


def test_an_old_graph_can_run(old_graph: ReadDocument) -> None:
    assert problems_for_run(old_graph.graph.document) == {}
