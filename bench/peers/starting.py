"""Starting the peers: each on the session's servers, in a database of its own."""

import os
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench.contender import RunFailedError, Work
from bench.peers.environments import PEERS_VARIABLE
from bench.peers.process import Peer
from bench.shapes import Shape
from config.embedded.postgres import USER, PostgresServer
from config.embedded.valkey import socket_path
from config.environment import broker_url_of, with_database
from config.local import open_folder, socket_folder
from config.supervisor import print_line

PREFECT_DATABASE_VARIABLE: Final = "BENCH_PREFECT_DATABASE_URL"
_CELERY_DATABASE: Final = "9"


def start_peer(stack: ExitStack, name: str) -> Peer | None:
    """Start a peer that ends with `stack`; None, with a word about why, if it isn't to be had."""
    try:
        return stack.enter_context(_MAKERS[name](open_folder("log") / f"{name}.log"))
    except (RunFailedError, OSError) as error:
        print_line(f"{name} is left out: {error}")
        return None


def _make_celery(log: Path) -> Peer:
    url = with_database(f"unix://{socket_path()}", _CELERY_DATABASE)
    return Peer(
        "celery",
        command=[sys.executable, "-m", "bench.peers.celery_peer"],
        environment={"BENCH_REDIS_URL": url, "BENCH_CELERY_URL": broker_url_of(url)},
        log=log,
        suits=_has_canvas,
    )


def _make_dbos(log: Path) -> Peer:
    return Peer(
        "dbos",
        command=[_python_of("dbos"), "-m", "bench.peers.dbos_peer"],
        environment={"BENCH_DATABASE_URL": f"postgresql://{USER}@/dbos?host={socket_folder(PostgresServer.name)}"},
        log=log,
        suits=_does_no_op,
    )


def _make_prefect(log: Path) -> Peer:
    database = os.environ.get(PREFECT_DATABASE_VARIABLE)
    return Peer(
        "prefect",
        command=[_python_of("prefect"), "-m", "bench.peers.prefect_peer"],
        environment={
            "PREFECT_HOME": str(open_folder("prefect")),
            "PREFECT_API_URL": f"http://127.0.0.1:{_free_port()}/api",
            "PREFECT_LOGGING_LEVEL": "WARNING",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            **({"PREFECT_API_DATABASE_CONNECTION_URL": database} if database else {}),
        },
        log=log,
        suits=_does_no_op,
    )


_MAKERS: Final[dict[str, Callable[[Path], Peer]]] = {
    "celery": _make_celery,
    "dbos": _make_dbos,
    "prefect": _make_prefect,
}


def _python_of(name: str) -> str:
    """Return the Python of a peer's environment, which `bench` installs before; RunFailedError if it isn't there."""
    python = Path(os.environ[PEERS_VARIABLE]) / name / "bin" / "python"
    if not (python.parents[1] / "installed.txt").exists():
        raise RunFailedError("it is not installed.")
    return str(python)


def _has_canvas(shape: Shape, work: Work) -> bool:
    widths = [len(level) for level in shape.levels]
    if work is Work.FIB:
        return len(widths) == 1
    return len(widths) == shape.size or (len(widths) == 3 and widths[0] == widths[2] == 1)


def _does_no_op(_shape: Shape, work: Work) -> bool:
    return work is Work.NO_OP


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
