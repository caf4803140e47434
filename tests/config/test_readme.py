"""The lines of the README that talk to the API work as they stand there."""

import json
import os
import re
import shutil
import subprocess

import pytest
from django.contrib.auth.models import User
from pytest_django.live_server_helper import LiveServer

from config.accounts.keys import make_key
from config.local import BASE_DIR
from execution.workers import WorkerProcesses

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(shutil.which("curl") is None, reason="There is no curl here."),
]


def read_lines() -> list[str]:
    text = (BASE_DIR / "README.md").read_text("utf-8")
    section = text.partition("## Over HTTP")[2].partition("\n## ")[0]
    return re.findall(r"^\$ (.+)$", section, re.MULTILINE)


def test_six_lines_lead_from_a_graph_to_its_outputs(
    live_server: LiveServer, workers: WorkerProcesses, user: User
) -> None:
    lines = read_lines()
    key = make_key(user=user, name="x", scopes=["read", "execute", "write"]).secret

    pasted = subprocess.run(
        ["bash", "-eu", "-c", "\necho\n".join(lines)],  # noqa: S607 - whichever shell people have
        cwd=BASE_DIR,
        env={"PATH": os.environ["PATH"], "URL": live_server.url, "KEY": key},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert len(lines) == 6 and all("curl" in line for line in lines)
    me, run, node_executions = [json.loads(line) for line in pasted.stdout.splitlines() if line.startswith("{")]
    assert me["username"] == user.username
    assert (run["status"], run["outputs"]["Steps"]) == ("COMPLETED", [6, 12, 24, 48, 96, 192])
    assert len(node_executions["results"]) == 3 and node_executions["next"]
