"""What isn't a graph gets an error that says where and why, quickly."""

import json
import time
from typing import Any

import pytest

from graphs.exceptions import GraphDocumentError
from graphs.exchange.importing import read_document
from graphs.exchange.limits import Limits
from tests.graphs.building import INTERFACES, calculator_json, graph_json, link_json, node_json

NODE = '{"id": "a", "block_id": "b", "input_default": %s}'


def refusal(document: Any, *, limits: Limits | None = None) -> str:
    with pytest.raises(GraphDocumentError) as refused:
        read_document(document, limits=limits or Limits(), find=INTERFACES.get)
    return str(refused.value)


def with_constants(text: str) -> bytes:
    return f'{{"nodes": [{NODE % text}]}}'.encode()


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (b"", "not JSON: expecting value at line 1, column 1"),
        (b'{"nodes": [}', "not JSON: expecting value at line 1, column 12"),
        (b"\xff\xfe{", "not UTF-8 text: byte 0"),
        (b"[]", "$ is a list, not an object"),
        (b"null", "$ is null, not an object"),
        (b"3.5", "$ is a number, not an object"),
        (b"{}", "$ has no “nodes”"),
        (b'{"graph": {"name": "x"}}', "$.graph has no “nodes”"),
        (b'{"nodes": {}}', "$.nodes is an object, not a list"),
        (b'{"nodes": [7]}', "$.nodes[0] is a whole number, not an object"),
        (b'{"nodes": [], "name": 5}', "$.name is a whole number, not text"),
        (b'{"nodes": [], "sub_graphs": "x"}', "$.sub_graphs is text, not a list"),
        (b'{"nodes": [], "sub_graphs": [3]}', "$.sub_graphs[0] is a whole number, not a graph"),
        (b'{"nodes": [], "sub_graphs": [{"nodes": [{}]}]}', "$.sub_graphs[0].nodes[0].block_id is missing"),
        (b'{"nodes": [], "settings": {"max_node_executions": 0}}', "$.settings.max_node_executions must be a whole"),
        (b'{"nodes": [], "settings": {"on_error": "stop"}}', "$.settings.on_error must be"),
        (
            b'{"nodes": [], "sub_graphs": [{"nodes": [], "settings": {"idle_limit": "1 h"}}]}',
            "$.sub_graphs[0].settings.idle_limit must be a number of seconds",
        ),
    ],
)
def test_what_is_not_a_graph_is_refused_with_its_place(document: bytes, told: str) -> None:
    assert told in refusal(document)


@pytest.mark.parametrize(
    ("constants", "told"),
    [
        ('{"x": NaN}', "$.nodes[0].input_default.x: NaN, Infinity"),
        ('{"x": [1, -Infinity]}', "$.nodes[0].input_default.x[1]: NaN, Infinity"),
        ('{"x": 1e999}', "$.nodes[0].input_default.x: NaN, Infinity"),
        ('{"x": %s}' % ("9" * 5_000), "$.nodes[0].input_default.x: "),
        ('{"x": 1, "x": 2}', "$.nodes[0].input_default: the key “x” stands there twice"),
        ('{"x": "a\\u0000b"}', "$.nodes[0].input_default.x: text with a NUL"),
        ('{"a\\u0000b": 1}', "$.nodes[0].input_default: a key: text with a NUL"),
        ('{"x": "\\ud800"}', "$.nodes[0].input_default.x: text with half a surrogate"),
    ],
)
def test_what_the_database_can_not_keep_is_refused_with_its_place(constants: str, told: str) -> None:
    assert told in refusal(with_constants(constants))


@pytest.mark.parametrize("depth", [100, 1_000, 100_000])
def test_nesting_too_deep_is_refused(depth: int) -> None:
    assert "nested too deeply" in refusal(with_constants("[" * depth + "]" * depth))


def test_brackets_without_end_are_refused() -> None:
    assert "nested too deeply" in refusal(b"[" * 1_000_000)
    assert "nested too deeply" in refusal(b'{"a":' * 1_000_000)


def test_a_hundred_levels_are_read() -> None:
    constants = '{"x": ' + "[" * 96 + "]" * 96 + "}"

    read_document(with_constants(constants), limits=Limits(), find=INTERFACES.get)


def test_a_document_made_in_python_is_looked_at_as_well() -> None:
    endless: list[Any] = []
    endless.append(endless)

    assert "nested too deeply" in refusal(graph_json(node_json("a", "b", x=endless)))
    assert "set is no JSON type" in refusal(graph_json(node_json("a", "b", x={1})))
    assert "the key 1 is no text" in refusal(graph_json(node_json("a", "b", x={1: 2})))
    assert "more than 1000 digits" in refusal(graph_json(node_json("a", "b", x=10**2_000)))


def test_a_document_of_countless_values_is_refused() -> None:
    limits = Limits(max_values=1_000)

    assert "too many values: at most 1,000" in refusal(with_constants('{"x": [' + "1, " * 1_000 + "1]}"), limits=limits)


def test_a_text_too_large_is_refused_before_it_is_read() -> None:
    assert "has 2,000 bytes; at most 1,999" in refusal(b"[" * 2_000, limits=Limits(max_bytes=1_999))


def test_a_million_nodes_are_refused_in_seconds() -> None:
    document = b'{"nodes": [' + b",".join([b"{}"] * 1_000_000) + b"]}"

    started = time.monotonic()

    assert "1,000,000 nodes, sub-graphs included; at most 5,000" in refusal(document)
    assert time.monotonic() - started < 10


def test_the_nodes_and_links_of_sub_graphs_count() -> None:
    limits = Limits(max_nodes=5, max_links=3)

    assert "6 nodes" in refusal(calculator_json(sub_graphs=[calculator_json()]), limits=limits)
    assert "4 links" in refusal(
        calculator_json(sub_graphs=[graph_json(links=[link_json("a.b", "c.d")] * 2)]), limits=limits
    )


def test_wrong_types_are_reported_together() -> None:
    document = graph_json({"id": 5, "input_default": []}, links=[{"source_id": "x", "is_static": "yes"}])

    told = refusal(document)

    for place in (
        "$.nodes[0].id is a whole number, not text.",
        "$.nodes[0].block_id is missing.",
        "$.nodes[0].input_default is a list, not an object.",
        "$.links[0].source_name is missing.",
        "$.links[0].sink_id is missing.",
        "$.links[0].is_static is text, not true or false.",
        "$.links[0].source_id is 'x': no node has that id.",
    ):
        assert place in told


def test_no_more_than_twenty_problems_are_reported() -> None:
    told = refusal(json.dumps({"nodes": [{}] * 4_000}))

    assert told.count(" is missing") == 20
    assert told.endswith("…")


def test_two_nodes_with_one_id_are_refused() -> None:
    assert "$.nodes[1].id is that of $.nodes[0] as well" in refusal(
        graph_json(node_json("a", "b"), node_json("a", "b"))
    )


def test_ids_names_and_blocks_have_a_length() -> None:
    assert "$.name has 501 characters" in refusal(graph_json() | {"name": "x" * 501})
    assert "$.nodes[0].block_id has 65 characters" in refusal(graph_json(node_json("a", "b" * 65)))
    assert "$.nodes[0].id is empty" in refusal(graph_json(node_json("", "b")))
