"""The admin shows graphs and versions, finds them, and changes nothing."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from graphs.document import GraphDocument
from graphs.models import GraphVersion
from graphs.services import create_graph, create_version
from tests.graphs.building import CALCULATOR, INPUT, make_link, make_node

pytestmark = pytest.mark.django_db

GRAPHS = "/admin/graphs/graph/"
VERSIONS = "/admin/graphs/graphversion/"
DOCUMENT = GraphDocument(
    name="Weather report",
    nodes=(make_node("in", INPUT, name="City"), make_node("add", CALCULATOR, operation="Add", b=42)),
    links=(make_link("in.result", "add.a"),),
)


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def version() -> GraphVersion:
    return create_graph(owner=User.objects.create_user("grace"), document=DOCUMENT)


def count_queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    return len(queries)


@pytest.mark.parametrize("address", [GRAPHS, VERSIONS])
@pytest.mark.parametrize("term", ["", "weather", "report", "GRA"])
def test_graphs_are_found_by_name_and_owner(client: Client, version: GraphVersion, address: str, term: str) -> None:
    assert str(version.graph_id) in client.get(address, {"q": term}).content.decode()


@pytest.mark.parametrize("address", [GRAPHS, VERSIONS])
def test_graphs_are_found_by_id(client: Client, version: GraphVersion, address: str) -> None:
    other = create_graph(owner=version.graph.owner, document=DOCUMENT)

    page = client.get(address, {"q": str(version.graph_id)}).content.decode()

    assert str(version.graph_id) in page
    assert str(other.graph_id) not in page
    assert str(version.graph_id) not in client.get(address, {"q": "nothing like it"}).content.decode()


@pytest.mark.parametrize("address", [GRAPHS, VERSIONS])
def test_a_list_asks_as_often_however_long_it_is(client: Client, version: GraphVersion, address: str) -> None:
    of_one = count_queries(client, address)
    for index in range(20):
        create_graph(owner=User.objects.create_user(f"user{index}"), document=DOCUMENT)

    assert count_queries(client, address) == of_one


def test_a_graph_shows_its_versions(client: Client, version: GraphVersion) -> None:
    create_version(graph=version.graph, document=GraphDocument(name="Climate report"))

    page = client.get(f"{GRAPHS}{version.graph_id}/change/").content.decode()

    assert "Climate report v2" in page
    assert "Weather report v1" in page


def test_a_version_shows_its_nodes_and_links(client: Client, version: GraphVersion) -> None:
    page = client.get(f"{VERSIONS}{version.pk}/change/").content.decode()

    assert "City (AgentInputBlock)" in page
    assert "&quot;b&quot;: 42" in page
    assert ".result → " in page


def test_a_version_asks_as_often_however_large_it_is(client: Client, version: GraphVersion) -> None:
    nodes = tuple(make_node(f"n{index}", CALCULATOR) for index in range(600))
    large = create_graph(owner=version.graph.owner, document=GraphDocument(name="Large", nodes=nodes))

    of_small = count_queries(client, f"{VERSIONS}{version.pk}/change/")

    assert count_queries(client, f"{VERSIONS}{large.pk}/change/") == of_small
    assert "… 600 in all" in client.get(f"{VERSIONS}{large.pk}/change/").content.decode()


@pytest.mark.parametrize("address", [GRAPHS, VERSIONS])
def test_nothing_can_be_changed(client: Client, version: GraphVersion, address: str) -> None:
    key = version.graph_id if address == GRAPHS else version.pk

    for attempt in (f"{address}add/", f"{address}{key}/delete/"):
        assert client.post(attempt, {"post": "yes"}).status_code == 403
    assert client.post(f"{address}{key}/change/", {"name": "Other"}).status_code == 403
    assert GraphVersion.objects.get().name == "Weather report"
