"""The web server leaves PostgreSQL's sessions to others."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from django.contrib.auth.models import User
from django.db import connection

from config.accounts.keys import make_key
from config.local import BASE_DIR
from config.stack import find_port
from execution.models import Execution
from execution.services import stop_executions
from tests.config.processes import wait_until
from tests.conftest import worker_environment
from tests.execution.small_graphs import TIMER

CLIENTS = 6
REQUESTS = 120
SECONDS = 60.0

pytestmark = pytest.mark.django_db(transaction=True)


class WebServer:
    """The server as the stack starts it, on the test database."""

    def __init__(self, log: Path) -> None:
        self.name = f"web-{os.getpid()}"
        self._port = find_port(8100 + os.getpid() % 1000)
        command = ["-m", "uvicorn", "config.asgi:application", "--port", str(self._port), "--lifespan", "off"]
        environment = os.environ | worker_environment() | {"PGAPPNAME": self.name}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *command], cwd=BASE_DIR, env=environment, stdout=output, stderr=output
            )

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def ask(self, path: str, *, key: str, body: object = None) -> int:
        """Return the status of the answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"X-API-Key": key, "Content-Type": "application/json"}
        request = Request(f"http://127.0.0.1:{self._port}{path}", data=data, headers=headers)
        with urlopen(request, timeout=SECONDS) as answer:
            return int(answer.status)

    def count_sessions(self) -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [self.name])
            return int(cursor.fetchone()[0])


@pytest.fixture(scope="module")
def server(django_db_setup: None, broker_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    log = tmp_path_factory.mktemp("web") / "log"
    web = WebServer(log)
    try:
        assert wait_until(web.listens, seconds=SECONDS), log.read_text()
        yield web
    finally:
        web.process.terminate()
        web.process.wait(timeout=20)


@pytest.fixture
def key(user: User) -> str:
    return make_key(user=user, name="x", scopes=["read", "execute"]).secret


def test_a_request_leaves_no_session(server: WebServer, key: str) -> None:
    most = 0
    with ThreadPoolExecutor(max_workers=CLIENTS) as clients:
        answers = [clients.submit(server.ask, "/v1/me", key=key) for _ in range(REQUESTS)]
        while not all(answer.done() for answer in answers):
            most = max(most, server.count_sessions())

    assert {answer.result() for answer in answers} == {200}
    # One may not be gone yet when the next comes.
    assert most <= 2 * CLIENTS
    assert wait_until(lambda: server.count_sessions() == 0)


def test_who_waits_for_a_block_holds_no_session(server: WebServer, key: str) -> None:
    with ThreadPoolExecutor(max_workers=CLIENTS) as clients:
        answers = [
            clients.submit(server.ask, f"/v1/blocks/{TIMER}/execute?wait=30", key=key, body={"seconds": 600})
            for _ in range(CLIENTS)
        ]
        assert wait_until(lambda: Execution.objects.count() == CLIENTS)
        are_free = wait_until(lambda: server.count_sessions() == 0)
        are_waiting = not any(answer.done() for answer in answers)
        stop_executions(execution_ids=list(Execution.objects.values_list("pk", flat=True)))

    assert (are_free, are_waiting) == (True, True)
    assert {answer.result() for answer in answers} == {200}
