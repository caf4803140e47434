"""The lines of the README, and of the documents behind it, that talk to the API work as they stand there."""

import json
import os
import re
import shutil
import subprocess
import time

import pytest
from django.contrib.auth.models import User
from pytest_django.live_server_helper import LiveServer

from config.accounts.keys import make_key
from config.local import BASE_DIR
from execution.services import start_execution, stop_execution
from execution.workers import WorkerProcesses
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.scheduling.making import FAILING

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(shutil.which("curl") is None, reason="There is no curl here."),
]


def read_lines(document: str = "README.md", heading: str = "## Over HTTP") -> list[str]:
    text = (BASE_DIR / document).read_text("utf-8")
    section = text.partition(f"{heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\$ (.+)$", section, re.MULTILINE)


def paste(lines: list[str], **variables: str) -> str:
    return subprocess.run(
        ["bash", "-eu", "-c", "\necho\n".join(lines)],  # noqa: S607 - whichever shell people have
        cwd=BASE_DIR,
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


def test_six_lines_lead_from_a_graph_to_its_outputs(
    live_server: LiveServer, workers: WorkerProcesses, user: User
) -> None:
    lines = read_lines()
    key = make_key(user=user, name="x", scopes=["read", "execute", "write"]).secret

    pasted = paste(lines, URL=live_server.url, KEY=key)

    assert len(lines) == 6 and all("curl" in line for line in lines)
    me, run, node_executions = [json.loads(line) for line in pasted.splitlines() if line.startswith("{")]
    assert me["username"] == user.username
    assert (run["status"], run["outputs"]["Steps"]) == ("COMPLETED", [6, 12, 24, 48, 96, 192])
    assert len(node_executions["results"]) == 3 and node_executions["next"]


@pytest.mark.parametrize(
    ("section", "count"), [(("docs/api.md", "## Who asks"), 1), (("docs/scheduling.md", "# Schedules"), 5)]
)
def test_what_the_documents_go_on_with_works(
    live_server: LiveServer, drain: Drain, user: User, section: tuple[str, str], count: int
) -> None:
    key = make_key(user=user, name="x", scopes=["read", "execute", "write"]).secret
    example = (BASE_DIR / "examples/doubling.json").read_bytes()
    graph = import_graph(owner=user, document=example).version.graph_id

    pasted = paste(read_lines(*section), URL=live_server.url, KEY=key, GRAPH=str(graph))

    answers = [json.loads(line) for line in pasted.splitlines() if line]
    assert len(answers) == count
    assert [answer for answer in answers if "title" in answer] == []


@pytest.mark.parametrize("status", ["FAILED", "TERMINATED"])
def test_the_line_that_waits_goes_on_however_the_run_has_ended(
    live_server: LiveServer, drain: Drain, user: User, status: str
) -> None:
    (line,) = [line for line in read_lines() if "for _" in line]
    key = make_key(user=user, name="x", scopes=["read"]).secret
    run = start_execution(user=user, version=import_graph(owner=user, document=FAILING).version, input_data={})
    if status == "FAILED":
        drain.run()
    else:
        stop_execution(execution_id=run.pk)
    begun = time.monotonic()

    paste([line], URL=live_server.url, KEY=key, RUN=str(run.pk), GRAPH=str(run.graph_version.graph_id))

    run.refresh_from_db()
    assert (run.status, time.monotonic() - begun < 10) == (status, True)
