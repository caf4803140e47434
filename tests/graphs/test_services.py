"""What a user can do with graphs."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from pytest_django import DjangoAssertNumQueries, Settings

from graphs.agents import read_reference
from graphs.document import GraphDocument
from graphs.exceptions import GraphDocumentError, GraphInvalidError, GraphNotFoundError
from graphs.models import Graph, GraphVersion, Node
from graphs.services import (
    check_runnable,
    create_graph,
    create_version,
    export_graph,
    find_sub_graphs,
    get_graph,
    get_version,
    import_graph,
    replace_graph,
    set_active_version,
)
from graphs.store import insert_version
from tests.graphs.building import (
    AGENT,
    CALCULATOR,
    INPUT,
    OUTPUT,
    agent_json,
    calculator_json,
    find_agent_files,
    graph_json,
    link_json,
    make_id,
    make_link,
    make_node,
    node_json,
)
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db


def refusal_of(version: GraphVersion, *, simulate: bool = False) -> GraphInvalidError:
    with pytest.raises(GraphInvalidError) as caught:
        check_runnable(version=version, simulate=simulate)
    return caught.value


@pytest.fixture
def owner() -> User:
    return User.objects.create_user("grace")


@pytest.fixture
def stranger() -> User:
    return User.objects.create_user("mallory")


def nested_json() -> dict[str, Any]:
    """Return a graph that asks a sub-graph, which it knows by its pins only."""
    sub_graph = calculator_json() | {"id": "whatever", "version": 6, "name": "Below"}
    agent = agent_json("ask", graph_id=str(uuid4()), graph_version=6, inputs=["Input"], outputs=["Output"])
    return graph_json(
        node_json("in", INPUT, name="Number"),
        agent,
        node_json("out", OUTPUT, name="Sum"),
        links=[link_json("in.result", "ask.Input"), link_json("ask.Output", "out.value")],
        sub_graphs=[sub_graph],
    )


def test_an_imported_graph_is_the_owners_and_active(owner: User) -> None:
    imported = import_graph(owner=owner, document=json.dumps(calculator_json()).encode())

    version = get_version(user=owner, graph_id=imported.version.graph_id)
    assert version == imported.version
    assert (version.version, version.name, version.node_count, version.link_count) == (1, "A graph", 3, 2)
    assert [node.block_id for node in version.document().nodes] == [INPUT, CALCULATOR, OUTPUT]
    check_runnable(version=version)


def test_an_import_that_fails_leaves_nothing(owner: User) -> None:
    broken = calculator_json(sub_graphs=[graph_json(node_json("a", ""))])

    with pytest.raises(GraphDocumentError):
        import_graph(owner=owner, document=broken)

    assert not Graph.objects.exists()


def test_an_agent_runs_the_sub_graph_that_came_with_it(owner: User) -> None:
    imported = import_graph(owner=owner, document=nested_json())

    (below,) = imported.sub_graphs
    agent = Node.objects.get(version=imported.version, block_id=AGENT)
    assert read_reference(agent.input_default).target == (below.graph_id, 1)
    assert find_sub_graphs(version=imported.version) == [below]
    assert imported.warnings == ()


def test_an_agent_may_run_a_graph_that_is_already_there(owner: User) -> None:
    below = import_graph(owner=owner, document=calculator_json()).version
    agent = agent_json("ask", graph_id=str(below.graph_id), graph_version=1, inputs=["Input"], outputs=["Output"])

    imported = import_graph(owner=owner, document=graph_json(agent))

    assert imported.warnings == ("“AgentExecutorBlock” needs a value for “Input”.",)
    assert find_sub_graphs(version=imported.version) == [below]


def test_an_agent_can_not_run_somebody_elses_graph(owner: User, stranger: User) -> None:
    below = import_graph(owner=stranger, document=calculator_json()).version
    agent = agent_json("ask", graph_id=str(below.graph_id), graph_version=1, inputs=[], outputs=[])

    imported = import_graph(owner=owner, document=graph_json(agent))

    assert f"its graph {below.graph_id} is neither in the document nor among yours" in imported.warnings[0]
    assert find_sub_graphs(version=imported.version) == []
    assert [set(told) for told in refusal_of(imported.version).node_errors.values()] == [{"graph_id"}]


def test_a_graph_that_runs_itself_is_refused(owner: User) -> None:
    itself = graph_json(agent_json("ask", graph_id="the graph", graph_version=3, inputs=[], outputs=[]))
    imported = import_graph(owner=owner, document=itself)

    with pytest.raises(GraphInvalidError, match="can't run"):
        check_runnable(version=imported.version)


def test_graphs_may_nest_as_deep_as_the_settings_say(owner: User, settings: Settings) -> None:
    version = import_graph(owner=owner, document=nested_json()).version

    settings.MAX_SUB_RUN_DEPTH = 1
    check_runnable(version=version)

    settings.MAX_SUB_RUN_DEPTH = 0
    (told,) = refusal_of(version).node_errors.values()
    assert "as deep as graphs may run each other" in told["graph_id"]


@pytest.mark.parametrize("key", ["max_node_executions", "on_error", "max_duration", "idle_limit"])
def test_impossible_settings_are_never_saved_and_never_run(owner: User, key: str) -> None:
    document = calculator_json(settings={key: "lots"})

    with pytest.raises(GraphDocumentError, match=rf"\$\.settings\.{key} must be .*, not this text"):
        import_graph(owner=owner, document=document)

    version = import_graph(owner=owner, document=calculator_json(settings={"unknown": "lots"})).version
    with pytest.raises(GraphDocumentError, match=rf"\$\.settings\.{key}"):
        replace_graph(graph=version.graph, document=document)
    with pytest.raises(GraphInvalidError, match=rf"settings\.{key}"):
        create_version(graph=version.graph, document=replace(version.document(), settings={key: "lots"}))

    # As a version that was saved before anybody looked.
    old = insert_version(graph=version.graph, number=99, document=replace(version.document(), settings={key: "lots"}))
    with pytest.raises(GraphInvalidError, match=rf"settings\.{key}"):
        check_runnable(version=old)


def test_what_is_exported_can_be_imported_by_somebody_else(owner: User, stranger: User) -> None:
    exported = export_graph(version=import_graph(owner=owner, document=nested_json()).version)

    imported = import_graph(owner=stranger, document=json.dumps(exported).encode())

    assert imported.warnings == ()
    assert len(imported.sub_graphs) == 1
    check_runnable(version=get_version(user=stranger, graph_id=imported.version.graph_id))


def test_versions_are_numbered_and_the_newest_is_active(owner: User) -> None:
    first = create_graph(owner=owner, document=GraphDocument(name="One"))

    second = create_version(graph=first.graph, document=GraphDocument(name="Two"))

    assert (first.version, second.version) == (1, 2)
    assert get_version(user=owner, graph_id=first.graph_id).name == "Two"
    assert get_version(user=owner, graph_id=first.graph_id, version=1).name == "One"


def test_an_older_version_can_be_made_active_again(owner: User) -> None:
    first = create_graph(owner=owner, document=GraphDocument(name="One"))
    create_version(graph=first.graph, document=GraphDocument(name="Two"))

    set_active_version(graph=first.graph, version=1)

    assert get_version(user=owner, graph_id=first.graph_id).name == "One"
    with pytest.raises(GraphNotFoundError, match="no version 9"):
        set_active_version(graph=first.graph, version=9)


def test_the_next_version_keeps_the_ids_of_nodes(owner: User) -> None:
    version = import_graph(owner=owner, document=calculator_json()).version
    exported = export_graph(version=version)

    replaced = replace_graph(graph=version.graph, document=exported | {"name": "Renamed"}).version

    assert replaced.version == 2
    assert replaced.document().nodes == version.document().nodes
    assert replaced.document().links == version.document().links


def test_a_broken_structure_is_never_saved(owner: User) -> None:
    dangling = GraphDocument(name="Loose", nodes=(make_node("a", CALCULATOR),), links=(make_link("a.x", "gone.y"),))
    graph = create_graph(owner=owner, document=GraphDocument(name="Fine")).graph

    attempts: list[Callable[[], object]] = [
        lambda: create_graph(owner=owner, document=dangling),
        lambda: create_version(graph=graph, document=dangling),
    ]
    for attempt in attempts:
        with pytest.raises(GraphInvalidError) as refusal:
            attempt()
        assert set(refusal.value.node_errors) == {str(make_id("a"))}

    assert GraphVersion.objects.count() == 1


def test_somebody_elses_graph_is_not_there(owner: User, stranger: User) -> None:
    version = create_graph(owner=owner, document=GraphDocument(name="Mine"))

    for graph_id in (version.graph_id, uuid4(), "no id"):
        with pytest.raises(GraphNotFoundError):
            get_graph(user=stranger, graph_id=graph_id)
    with pytest.raises(GraphNotFoundError, match="no version 2"):
        get_version(user=owner, graph_id=version.graph_id, version=2)


def test_a_graph_with_no_start_can_be_saved_but_not_run(owner: User) -> None:
    version = create_graph(owner=owner, document=GraphDocument(name="Empty"))

    assert "no node to start with" in str(refusal_of(version, simulate=True))


def test_the_settings_limit_what_is_read(owner: User, settings: Settings) -> None:
    settings.GRAPH_MAX_NODES = 2

    with pytest.raises(GraphDocumentError, match="3 nodes, sub-graphs included; at most 2"):
        import_graph(owner=owner, document=calculator_json())


def test_queries_do_not_grow_with_the_graph(owner: User, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    document = nested_json()
    document["nodes"] += [node_json(f"n{index}", CALCULATOR, operation="Add", a=1, b=2) for index in range(300)]
    imported = import_graph(owner=owner, document=document)

    with django_assert_num_queries(4):  # graph, version, nodes, links
        version = get_version(user=owner, graph_id=imported.version.graph_id)
    with django_assert_num_queries(3):  # the versions, nodes and links of the sub-graphs
        export_graph(version=version)
    with django_assert_num_queries(3):
        check_runnable(version=version)


def test_five_thousand_nodes_are_imported_in_seconds(owner: User) -> None:
    nodes = [node_json(f"n{index}", CALCULATOR, operation="Add", b=index) for index in range(5_000)]
    links = [link_json(f"n{index}.result", f"n{index + 1}.a") for index in range(4_999)]
    document = json.dumps(graph_json(*nodes, links=links)).encode()

    started = time.monotonic()
    imported = import_graph(owner=owner, document=document)

    assert time.monotonic() - started < 5  # less than one on an idle machine
    assert Node.objects.filter(version=imported.version).count() == 5_000


@pytest.mark.django_db(transaction=True)
def test_versions_have_no_gaps_when_many_save_at_once() -> None:
    graph = create_graph(owner=User.objects.create_user("many"), document=GraphDocument(name="First")).graph
    document = GraphDocument(name="Next", nodes=(make_node("a", CALCULATOR),))

    run_at_once(*[lambda: create_version(graph=graph, document=document)] * 8)

    assert sorted(graph.versions.values_list("version", flat=True)) == list(range(1, 10))
    graph.refresh_from_db()
    assert graph.active_version is not None
    assert graph.active_version.version == 9


@pytest.mark.parametrize("path", find_agent_files(), ids=lambda path: path.stem)
def test_a_real_agent_is_imported_and_survives_the_round_trip(owner: User, path: Path) -> None:
    imported = import_graph(owner=owner, document=path.read_bytes())
    version = get_version(user=owner, graph_id=imported.version.graph_id)

    again = import_graph(owner=owner, document=json.dumps(export_graph(version=version)).encode()).version

    check_runnable(version=version, simulate=True)
    first, second = version.document(), get_version(user=owner, graph_id=again.graph_id).document()
    assert [node.block_id for node in second.nodes] == [node.block_id for node in first.nodes]
    pins = [[(link.source_name, link.sink_name, link.is_static) for link in graph.links] for graph in (first, second)]
    assert pins[0] == pins[1]
