"""`manage.py stack` runs everything, says where, and leaves nothing behind."""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from config.stack import find_port
from tests.config.processes import environment_for, processes_of, run_manage, start_python, wait_until

LAST_LINE = "Ctrl-C stops everything."
KEY = r"export URL=\S+ KEY=([\w-]+)"


# Test processes that run side by side must not find the same port free.
FIRST_PORT = 18000 + 100 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


@dataclass
class RunningStack:
    """A stack that has said that it is up."""

    process: subprocess.Popen[str]
    local: Path
    output: str

    def find(self, pattern: str) -> str:
        found = re.search(pattern, self.output)
        assert found, self.output
        return found[1]

    def finish(self) -> str:
        """Wait for its end; return what it said meanwhile."""
        return self.process.communicate(timeout=60)[0]


@dataclass
class EndedStack:
    """A stack that was started where there was nothing, and ended with Ctrl-C."""

    stack: RunningStack
    farewell: str
    left: list[str]
    copy: Path
    """Of its folder, as it was at the end."""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> EndedStack:
    folder = tmp_path_factory.mktemp("first")
    local, copy = folder / ".local", folder / "copy"
    stack = start_stack(local)
    stack.process.send_signal(signal.SIGINT)
    farewell, left = stack.finish(), processes_of(local)
    # With its owners: as root, the database runs under an account of its own.
    subprocess.run(["cp", "-a", local, copy], check=True)  # noqa: S607 - whichever cp there is
    return EndedStack(stack=stack, farewell=farewell, left=left, copy=copy)


@pytest.fixture(scope="module")
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


@pytest.fixture(scope="module")
def stack(first: EndedStack, taken_port: int) -> Iterator[RunningStack]:
    """The next one in the same folder. It is asked for a port that is taken."""
    with stopped_at_the_end(first.stack.local, "--port", str(taken_port), "--flower-port", str(taken_port)) as running:
        yield running


@pytest.fixture
def stack_to_kill(first: EndedStack) -> Iterator[RunningStack]:
    with stopped_at_the_end(first.copy) as running:
        yield running


@contextmanager
def stopped_at_the_end(local: Path, *options: str) -> Iterator[RunningStack]:
    running = start_stack(local, *options)
    yield running
    if running.process.poll() is None:
        running.process.terminate()
        running.finish()
    assert wait_until(lambda: not processes_of(local)), f"left behind: {processes_of(local)}"


def start_stack(local: Path, *options: str) -> RunningStack:
    free = ("--port", str(find_port(FIRST_PORT)), "--flower-port", str(find_port(FIRST_PORT + 50)))
    arguments = ("manage.py", "stack", *(options or free), "--concurrency", "1")
    process = start_python(*arguments, environment=environment_for(local))
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if LAST_LINE in line:
            return RunningStack(process=process, local=local, output="".join(lines))
    process.communicate(timeout=60)
    raise AssertionError(f"The stack did not start: {''.join(lines)}")


def get(url: str, **headers: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_a_stack_is_up_when_it_says_so_and_a_second_one_is_told_where(stack: RunningStack) -> None:
    web = stack.find(r"Admin\s+(http://\S+)/admin/")
    flower = stack.find(r"Flower\s+(http://\S+)")
    token = "Bearer " + stack.find(KEY)
    password = stack.find(r"password\s+(\S+)")
    login = "Basic " + base64.b64encode(f"demo:{password}".encode()).decode()

    status, graphs = get(f"{web}/v1/graphs", Authorization=token)
    second = run_manage("stack", environment=environment_for(stack.local))

    assert status == 200
    assert json.loads(graphs)["results"], "the examples are not loaded"
    assert get(f"{web}/healthz")[0] == 200
    assert get(f"{web}/admin/login/")[0] == 200
    assert get(f"{web}/v1/docs/")[0] == 200
    assert get(f"{web}/v1/graphs")[0] == 401
    assert get(flower)[0] == 401
    assert get(flower, Authorization=login)[0] == 200
    assert second.returncode == 1
    assert f"runs already: {web} (process {stack.process.pid})" in second.stderr


def test_ctrl_c_leaves_no_process(first: EndedStack) -> None:
    assert first.stack.process.returncode == 0
    assert "Stopped." in first.farewell
    assert first.left == []


def test_the_next_start_finds_the_data_of_the_last(first: EndedStack, stack: RunningStack) -> None:
    url = stack.find(r"export URL=(\S+) KEY=")

    _status, graphs = get(f"{url}/v1/graphs", Authorization="Bearer " + stack.find(KEY))

    assert stack.find(r"password\s+(\S+)") == first.stack.find(r"password\s+(\S+)")
    names = [graph["name"] for graph in json.loads(graphs)["results"]]
    assert names
    assert len(names) == len(set(names)), "the examples were loaded twice"


def test_ports_that_are_taken_are_not_used(stack: RunningStack, taken_port: int) -> None:
    ports = {stack.find(r"Admin\s+http://127.0.0.1:(\d+)"), stack.find(r"Flower\s+http://127.0.0.1:(\d+)")}

    assert len(ports) == 2
    assert str(taken_port) not in ports


def test_a_worker_that_dies_is_started_again(stack: RunningStack) -> None:
    ready = stack.local / "run" / "io.ready"
    worker = int(ready.read_text())
    ready.unlink()

    os.kill(worker, signal.SIGKILL)

    assert wait_until(ready.exists, seconds=30)


def test_a_killed_stack_leaves_no_process(stack_to_kill: RunningStack) -> None:
    stack_to_kill.process.kill()
    stack_to_kill.finish()

    local = stack_to_kill.local
    assert wait_until(lambda: not processes_of(local), seconds=40), processes_of(local)
