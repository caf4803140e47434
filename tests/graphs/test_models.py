"""A saved version never changes, whoever asks."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError

from graphs.document import GraphDocument
from graphs.models import Graph, GraphVersion, Link, Node
from graphs.services import create_graph, create_version
from tests.graphs.building import CALCULATOR, INPUT, make_id, make_link, make_node

DOCUMENT = GraphDocument(
    name="Sum",
    description="Adds.",
    nodes=(make_node("in", INPUT, zebra=1, apple={"b": 1.50, "a": [None, True]}), make_node("add", CALCULATOR)),
    links=(make_link("in.result", "add.b", is_static=True), make_link("in.result", "add.a")),
    settings={"on_error": "fail_run"},
)


pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def version() -> GraphVersion:
    return create_graph(owner=User.objects.create_user("ada"), document=DOCUMENT)


def test_a_version_gives_back_the_document_it_was_made_from(version: GraphVersion) -> None:
    read = GraphVersion.objects.get(pk=version.pk)

    assert read.document() == DOCUMENT


def test_the_keys_of_constants_keep_their_order(version: GraphVersion) -> None:
    node = Node.objects.get(version=version, position=0)

    assert list(node.input_default) == ["zebra", "apple"]
    assert list(node.input_default["apple"]) == ["b", "a"]


@pytest.mark.parametrize(
    "change",
    [
        lambda: GraphVersion.objects.update(name="Other"),
        lambda: GraphVersion.objects.all().delete(),
        lambda: Node.objects.update(block_id="other"),
        lambda: Node.objects.filter(position=0).delete(),
        lambda: Link.objects.update(is_static=False),
        lambda: Link.objects.filter(position=1).delete(),
        lambda: Node.objects.create(
            version=GraphVersion.objects.get(), position=2, node_id=make_id("late"), block_id=INPUT
        ),
        lambda: Link.objects.create(
            version=GraphVersion.objects.get(),
            position=2,
            link_id=uuid4(),
            source_id=make_id("in"),
            source_name="result",
            sink_id=make_id("add"),
            sink_name="b",
        ),
    ],
    ids=[
        "rename the version",
        "delete the version",
        "change a node",
        "delete a node",
        "change a link",
        "delete a link",
        "add a node",
        "add a link",
    ],
)
def test_a_saved_version_refuses_to(version: GraphVersion, change: Callable[[], object]) -> None:
    with pytest.raises(IntegrityError):
        change()

    assert GraphVersion.objects.get(pk=version.pk).document() == DOCUMENT


def test_a_link_needs_both_of_its_nodes() -> None:
    graph = Graph.objects.create(owner=User.objects.create_user("ada"))
    version = GraphVersion.objects.create(graph=graph, version=1, name="Loose", link_count=1)

    with pytest.raises(IntegrityError, match="both of its nodes"):
        Link.objects.create(
            version=version,
            position=0,
            link_id=uuid4(),
            source_id=uuid4(),
            source_name="a",
            sink_id=uuid4(),
            sink_name="b",
        )


def test_the_active_version_is_one_of_the_graphs_own(version: GraphVersion) -> None:
    other = create_graph(owner=version.graph.owner, document=DOCUMENT)

    with pytest.raises(IntegrityError):
        Graph.objects.filter(pk=version.graph_id).update(active_version=other)


def test_a_graph_goes_with_all_its_versions(version: GraphVersion) -> None:
    create_version(graph=version.graph, document=DOCUMENT)

    version.graph.delete()

    assert not GraphVersion.objects.exists()
    assert not Node.objects.exists()
    assert not Link.objects.exists()


def test_a_users_graphs_go_with_the_user(version: GraphVersion) -> None:
    version.graph.owner.delete()

    assert not Graph.objects.exists()
