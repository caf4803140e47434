"""Prefect: a flow whose tasks are the nodes, in one process, with a server of its own that is told of every state.

Its folder (`PREFECT_HOME`) is empty at the start. Its database is SQLite, as it comes, unless
`PREFECT_API_DATABASE_CONNECTION_URL` names another: on PostgreSQL it needs pg_trgm, which the embedded one lacks.
"""

import os
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from prefect import flow, task

from bench.peers.serving import Request, serve
from execution.workers import die_with_parent

READY_SECONDS = 100.0


@task
def no_op(value: int) -> int:
    """Return what came in."""
    return value


@flow
def run_chain(nodes: list[int]) -> None:
    """Run the nodes one after the other."""
    for node in nodes:
        no_op(node)


@flow
def run_graph(predecessors: list[list[int]]) -> None:
    """Submit the nodes, each to wait for those before it."""
    futures: list[Any] = []
    for node, before in enumerate(predecessors):
        futures.append(no_op.submit(node, wait_for=[futures[each] for each in before]))
    for future in futures:
        future.wait()


def main() -> None:
    """Start Prefect's server and answer until stdin ends."""
    address = os.environ["PREFECT_API_URL"]
    server = subprocess.Popen(  # noqa: S603 - our own program
        [str(Path(sys.executable).with_name("prefect")), "server", "start", "--no-ui", "--port", _port(address)],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        preexec_fn=die_with_parent,
    )
    try:
        _await_server(server, f"{address}/health")
        serve(run)
    finally:
        server.terminate()
        server.wait()


def run(request: Request) -> float:
    """Run the flows and wait for their ends."""
    began = time.perf_counter()
    with ThreadPoolExecutor(max_workers=request.runs) as threads:
        for ended in [threads.submit(_run_one, request) for _ in range(request.runs)]:
            ended.result()
    return time.perf_counter() - began


def _run_one(request: Request) -> None:
    if request.is_chain:
        run_chain([node for level in request.levels for node in level])
    else:
        run_graph(request.predecessors)


def _port(address: str) -> str:
    return address.rpartition(":")[2].partition("/")[0]


def _await_server(server: "subprocess.Popen[bytes]", address: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError("Prefect's server has ended.")
        with suppress(OSError), urllib.request.urlopen(address, timeout=1) as answer:  # noqa: S310 - our own server
            if answer.status == 200:
                return
        time.sleep(0.1)
    raise TimeoutError("Prefect's server does not answer.")


if __name__ == "__main__":
    main()
