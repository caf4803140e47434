"""What `make run` runs: which programs, on which ports, and how one sees that they are up."""

import json
import os
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import Final

from config.demo_account import NAME, read_demo_password
from config.local import open_folder, open_lock, try_lock
from config.supervisor import Program, Supervisor
from execution.workers import KINDS, READY_FILE_VARIABLE, worker_command

HOST: Final = "127.0.0.1"
_NEXT_PORTS: Final = 20
_POLL_SECONDS: Final = 0.1


class StackRunsError(Exception):
    """The stack of this folder runs already; the text says where."""


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where the stack listens; only this machine can reach it."""

    web_port: int
    flower_port: int

    @property
    def web(self) -> str:
        """The web server's URL."""
        return f"http://{HOST}:{self.web_port}"

    @property
    def flower(self) -> str:
        """Flower's URL."""
        return f"http://{HOST}:{self.flower_port}"


@contextmanager
def claim_folder(addresses: Addresses) -> Iterator[None]:
    """Be the only stack of this folder; StackRunsError if there is one."""
    descriptor = open_lock("stack.lock")
    if not try_lock(descriptor):
        raise StackRunsError(_describe_running(os.pread(descriptor, 4096, 0)))
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "url": addresses.web}).encode(), 0)
    try:
        yield
    finally:
        os.close(descriptor)


def find_addresses(*, web_port: int, flower_port: int) -> Addresses:
    """Return the wanted ports, or the next free ones."""
    web = find_port(web_port)
    return Addresses(web_port=web, flower_port=find_port(flower_port, taken=web))


def find_port(wanted: int, *, taken: int | None = None) -> int:
    """Return the wanted port if nobody listens there, else one of the next, else any that is free."""
    for port in (*range(wanted, wanted + _NEXT_PORTS), 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            if found != taken:
                return found
    raise OSError(f"No free port on {HOST}.")


def list_programs(addresses: Addresses, *, concurrency: int | None) -> list[Program]:
    """Return the programs of the stack."""
    python = [sys.executable, "-m"]
    return [
        Program(
            name="web",
            command=[
                *(*python, "uvicorn", "config.asgi:application", "--host", HOST, "--port", str(addresses.web_port)),
                *("--lifespan", "off", "--log-level", "warning", "--timeout-graceful-shutdown", "3"),
            ],
        ),
        *(
            Program(
                name=kind,
                command=worker_command(kind, concurrency=concurrency if kind == "cpu" else None),
                environment={READY_FILE_VARIABLE: str(_ready_file(kind))},
                last_signal=SIGKILL,  # what it runs will be run again
            )
            for kind in KINDS
        ),
        Program(
            name="beat",
            command=[*python, "celery", "-q", "-A", "config", "beat", "-l", "WARNING", "-s", "", "--pidfile="],
        ),
        Program(
            name="flower",
            command=[
                *(*python, "celery", "-A", "config", "flower", f"--address={HOST}", f"--port={addresses.flower_port}"),
                *("--read_only=true", "--logging=warning"),
            ],
            # Not on the command line, which every user of the machine can read.
            environment={"FLOWER_BASIC_AUTH": f"{NAME}:{read_demo_password()}"},
        ),
    ]


def forget_last_run() -> None:
    """Remove what workers of an earlier stack left to say that they are ready."""
    for kind in KINDS:
        _ready_file(kind).unlink(missing_ok=True)


def await_ready(
    supervisor: Supervisor, addresses: Addresses, *, stopping: threading.Event, seconds: float
) -> list[str]:
    """Wait until everything is up, a signal came or the time is over; return what is not up."""
    checks: dict[str, Callable[[], bool]] = {
        "web": lambda: _answers(f"{addresses.web}/healthz"),
        "flower": lambda: _answers(f"{addresses.flower}/healthcheck"),
        **{kind: _ready_file(kind).exists for kind in KINDS},
    }
    deadline = time.monotonic() + seconds
    while checks and time.monotonic() < deadline and not stopping.wait(_POLL_SECONDS):
        supervisor.look_after()
        checks = {name: is_up for name, is_up in checks.items() if not is_up()}
    return list(checks)


def _ready_file(kind: str) -> Path:
    return open_folder("run") / f"{kind}.ready"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - our own address
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _describe_running(content: bytes) -> str:
    try:
        running = json.loads(content)
        return f"The stack of this folder runs already: {running['url']} (process {running['pid']})."
    except (ValueError, KeyError, TypeError):
        return "The stack of this folder is just being started by another process."
