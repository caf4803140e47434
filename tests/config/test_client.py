"""A typed client that a generator makes from the schema in the repository works against the running server."""

import importlib
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from pytest_django.live_server_helper import LiveServer

from config.accounts.keys import make_key
from config.local import BASE_DIR
from execution.workers import WorkerProcesses
from graphs.samples import DOCUMENT_EXAMPLE
from tests.execution.small_graphs import TIMER, draw

PACKAGE = "engine_client"
ENDED = {"COMPLETED", "FAILED", "TERMINATED"}
DEADLINE = 30.0

pytestmark = pytest.mark.django_db(transaction=True)


def read_documented(language: str) -> str:
    """Return what docs/api.md shows of a typed client."""
    text = (BASE_DIR / "docs/api.md").read_text("utf-8").partition("## A typed client")[2]
    found = re.search(rf"^```{language}\n(.+?)^```", text, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def run_here(command: list[str], folder: Path) -> str:
    """Run a command in a folder, with the programs of this environment; return what it says."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like this project's, with the client that the documented command makes."""
    folder = tmp_path_factory.mktemp("client")
    for name in ("docs", "examples"):
        (folder / name).symlink_to(BASE_DIR / name)
    (command,) = re.findall(r"^\$ (.+)$", read_documented("console"), re.MULTILINE)
    said = run_here(shlex.split(command), folder)
    assert "has resulted in the removal" not in said, said
    return folder


@pytest.fixture(scope="module")
def package(folder: Path) -> Iterator[Callable[[str], Any]]:
    """What imports the client's modules."""
    sys.path.insert(0, str(folder))
    yield lambda name: importlib.import_module(f"{PACKAGE}.{name}")
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
        del sys.modules[name]


@pytest.fixture
def client(package: Callable[[str], Any], live_server: LiveServer, user: User) -> Iterator[Any]:
    secret = make_key(user=user, name="client", scopes=["read", "execute", "write"]).secret
    with package("client").AuthenticatedClient(base_url=live_server.url, token=secret) as client:
        yield client


def create(package: Callable[[str], Any], client: Any, document: dict[str, Any]) -> UUID:
    body = package("models").GraphDocumentRequest.from_dict(document)
    graph = package("api.graphs.create_graph").sync(client=client, body=body)
    assert isinstance(graph, package("models").ImportedGraph)
    found: UUID = graph.id
    return found


def test_the_client_creates_runs_waits_and_reads_outputs(
    package: Callable[[str], Any], client: Any, workers: WorkerProcesses
) -> None:
    graph_id = create(package, client, DOCUMENT_EXAMPLE)
    start = package("models").StartRequest.from_dict({"input_data": {"Number": 8}})

    run = package("api.executions.execute_graph").sync(graph_id, 1, client=client, body=start, idempotency_key="once")
    again = package("api.executions.execute_graph").sync(graph_id, 1, client=client, body=start, idempotency_key="once")
    deadline = time.monotonic() + DEADLINE
    while (shown := package("api.executions.get_execution").sync(graph_id, run.id, client=client)).status not in ENDED:
        assert time.monotonic() < deadline, shown
        time.sleep(0.05)

    assert run.id == again.id
    assert (shown.status, shown.outputs.to_dict()) == ("COMPLETED", {"Sum": [42.0]})
    assert {each.node_name for each in shown.node_executions}
    assert shown.stats.node_count == 3
    listed = package("api.executions.list_executions").sync(client=client)
    assert [each.id for each in listed.results] == [run.id]


def test_what_the_documentation_shows_works(
    folder: Path, live_server: LiveServer, user: User, workers: WorkerProcesses
) -> None:
    secret = make_key(user=user, name="client", scopes=["read", "execute", "write"]).secret
    shown = read_documented("python")
    program = shown.replace("http://127.0.0.1:8000", live_server.url).replace("gek_…", secret)

    said = run_here([sys.executable, "-c", program], folder)

    assert program.count(secret) == program.count(live_server.url) == 1
    assert said.startswith("COMPLETED ") and "[6.0, 12.0, 24.0, 48.0, 96.0, 192.0]" in said, said


def test_the_client_stops_a_run(package: Callable[[str], Any], client: Any, workers: WorkerProcesses) -> None:
    graph_id = create(package, client, draw({"wait": (TIMER, {"seconds": 600})}))
    start = package("models").StartRequest.from_dict({})
    run = package("api.executions.execute_active_graph").sync(graph_id, client=client, body=start)

    receipt = package("api.executions.stop_execution").sync(graph_id, run.id, client=client)

    assert (receipt.status, receipt.had_ended) == ("TERMINATED", False)
    shown = package("api.executions.get_execution").sync(graph_id, run.id, client=client)
    assert shown.status == "TERMINATED"


def test_the_client_is_told_what_is_wrong(package: Callable[[str], Any], client: Any, workers: WorkerProcesses) -> None:
    graph_id = create(package, client, DOCUMENT_EXAMPLE)
    start = package("models").StartRequest.from_dict({"input_data": {"Nobody": 1}})

    problem = package("api.executions.execute_graph").sync(graph_id, 1, client=client, body=start)

    assert isinstance(problem, package("models").Problem)
    assert (problem.status, "Nobody" in problem.detail) == (400, True)
