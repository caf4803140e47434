"""A document whose structure is broken can't be saved."""

import pytest

from graphs.document import GraphDocument
from graphs.exceptions import GraphInvalidError
from graphs.validation import WHOLE_GRAPH, problems_for_saving, refuse_unsavable
from tests.graphs.building import CALCULATOR, NOBODY_KNOWS, make_id, make_link, make_node


def test_a_node_id_that_occurs_twice_is_a_problem_of_that_node() -> None:
    document = GraphDocument(name="Twins", nodes=(make_node("a", CALCULATOR), make_node("a", CALCULATOR)))

    assert problems_for_saving(document) == {make_id("a"): {"id": "2 nodes have this id."}}


def test_dangling_links_are_reported_at_the_end_that_exists() -> None:
    document = GraphDocument(
        name="Loose",
        nodes=(make_node("a", CALCULATOR),),
        links=(make_link("a.result", "gone.value"), make_link("lost.result", "a.b")),
    )

    problems = problems_for_saving(document)

    assert set(problems) == {make_id("a")}
    assert str(make_id("gone")) in problems[make_id("a")]["result"]
    assert str(make_id("lost")) in problems[make_id("a")]["b"]


def test_a_link_id_that_occurs_twice_is_a_problem_of_the_graph() -> None:
    link = make_link("a.result", "a.b")
    document = GraphDocument(name="Twins", nodes=(make_node("a", CALCULATOR),), links=(link, link))

    assert list(problems_for_saving(document)) == [WHOLE_GRAPH]


def test_unknown_blocks_and_pins_are_no_reason_not_to_save() -> None:
    document = GraphDocument(name="Odd", nodes=(make_node("a", NOBODY_KNOWS),), links=(make_link("a.x", "a.y"),))

    assert problems_for_saving(document) == {}


def test_a_refusal_names_every_problem_by_node_and_field() -> None:
    document = GraphDocument(name="Loose", nodes=(make_node("a", CALCULATOR),), links=(make_link("a.x", "gone.y"),))

    with pytest.raises(GraphInvalidError, match="can't be saved: 1 problem in its nodes") as refusal:
        refuse_unsavable(document)

    assert set(refusal.value.node_errors) == {str(make_id("a"))}
