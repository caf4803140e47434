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


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / ".local"
    yield folder
    assert wait_until(lambda: not processes_of(folder)), f"left behind: {processes_of(folder)}"


@pytest.fixture
def stack(local: Path) -> Iterator[RunningStack]:
    running = start_stack(local)
    yield running
    if running.process.poll() is None:
        running.process.terminate()
        running.finish()


def start_stack(local: Path, *options: str) -> RunningStack:
    web, flower = find_port(FIRST_PORT), find_port(FIRST_PORT + 50)
    wanted = ("--port", str(web), "--flower-port", str(flower), "--concurrency", "1")
    process = start_python("manage.py", "stack", *(options or wanted), environment=environment_for(local))
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if LAST_LINE in line:
            break
    return RunningStack(process=process, local=local, output="".join(lines))


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


def test_ctrl_c_leaves_no_process_and_the_next_start_finds_its_data(local: Path) -> None:
    first = start_stack(local)
    first.process.send_signal(signal.SIGINT)
    farewell = first.finish()
    left = processes_of(local)
    second = start_stack(local)
    url = second.find(r"export URL=(\S+) KEY=")
    _status, graphs = get(f"{url}/v1/graphs", Authorization="Bearer " + second.find(KEY))
    second.process.terminate()
    second.finish()

    assert first.process.returncode == 0
    assert "Stopped." in farewell
    assert left == []
    assert second.find(r"password\s+(\S+)") == first.find(r"password\s+(\S+)")
    names = [graph["name"] for graph in json.loads(graphs)["results"]]
    assert len(names) == len(set(names)), "the examples were loaded twice"


def test_a_killed_stack_leaves_no_process(stack: RunningStack) -> None:
    stack.process.kill()
    stack.finish()

    assert wait_until(lambda: not processes_of(stack.local), seconds=40), processes_of(stack.local)


def test_a_worker_that_dies_is_started_again(stack: RunningStack) -> None:
    ready = stack.local / "run" / "io.ready"
    ready.unlink()

    os.kill(int(stack.find(r"io-(\d+)@\S+ ready")), signal.SIGKILL)

    assert wait_until(ready.exists, seconds=30)


def test_ports_that_are_taken_are_not_used(local: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stack = start_stack(local, "--port", str(port), "--flower-port", str(port), "--concurrency", "1")
        stack.process.terminate()
        stack.finish()

    ports = {stack.find(r"Admin\s+http://127.0.0.1:(\d+)"), stack.find(r"Flower\s+http://127.0.0.1:(\d+)")}
    assert len(ports) == 2
    assert str(port) not in ports
