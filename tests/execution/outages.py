"""`python -m tests.execution.outages`: runs during which the servers die; says what came of them.

For a `.local` folder of its own: the servers of others must live.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import redis
from django.core.management import call_command

django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.db import DatabaseError, connection  # noqa: E402
from kombu.exceptions import KombuError  # noqa: E402

from config.local import LOCAL_DIR  # noqa: E402
from config.startup import require_broker, require_database  # noqa: E402
from execution.models import Execution, NodeExecution, Output, RunOutput  # noqa: E402
from execution.services import start_execution  # noqa: E402
from execution.workers import WorkerProcesses  # noqa: E402
from graphs.services import import_graph  # noqa: E402
from tests.execution.small_graphs import INPUT, OUTPUT, draw  # noqa: E402

PLAIN_PAUSE = "5a2f0a52-2c6e-4f0b-9a55-4a8d3a9d2b01"
ASYNC_PAUSE = "5a2f0a52-2c6e-4f0b-9a55-4a8d3a9d2b02"
BRANCHES = 12
FAULTS = ("postgres", "valkey", "postgres", "both")
DEADLINE = 90.0


def make_document() -> dict[str, Any]:
    """Branches that each take a moment, half of them as coroutines, and meet in one OUTPUT node."""
    nodes: dict[str, tuple[str, dict[str, Any]]] = {"out": (OUTPUT, {"name": "out"})}
    arrows = []
    for number in range(BRANCHES):
        pause = (PLAIN_PAUSE, ASYNC_PAUSE)[number % 2]
        nodes |= {f"in{number}": (INPUT, {"name": f"in{number}", "value": number})}
        nodes |= {f"a{number}": (pause, {"seconds": 0.3}), f"b{number}": (pause, {"seconds": 0.3})}
        arrows += [f"in{number}.result -> a{number}.value", f"a{number}.after -> b{number}.value"]
        arrows += [f"b{number}.after -> out.value"]
    return draw(nodes, arrows)


def kill_postgres() -> None:
    """Stop PostgreSQL as `pg_ctl stop -m immediate` does."""
    pid_file = LOCAL_DIR / "postgres" / "data" / "postmaster.pid"
    os.kill(int(pid_file.read_text().splitlines()[0]), signal.SIGQUIT)


def kill_valkey() -> None:
    """Kill the broker, which forgets everything."""
    client: Any = redis.Redis.from_url(str(settings.REDIS_URL))
    pid = int(client.info("server")["process_id"])
    client.close()
    os.kill(pid, signal.SIGKILL)


def commit_faults(run: Execution) -> Iterator[str]:
    """Let the servers die, each time when the run has come a bit further."""
    for number, fault in enumerate(FAULTS):
        await_progress(run, 6 * (number + 1))
        if fault in ("valkey", "both"):
            kill_valkey()
        if fault in ("postgres", "both"):
            kill_postgres()
        yield fault


def await_progress(run: Execution, count: int) -> None:
    """Wait until so many node executions have ended; the database may be away meanwhile."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            if NodeExecution.objects.filter(execution=run, ended_at__isnull=False).count() >= count:
                return
            if Execution.objects.filter(pk=run.pk, ended_at__isnull=False).exists():
                return
        except (DatabaseError, KombuError):
            connection.close()
        time.sleep(0.05)


def main(folder: Path) -> None:
    """Run, and print what came of it as JSON."""
    require_database()
    require_broker()
    call_command("migrate", verbosity=0)
    user = User.objects.create_user(username="ada")
    version = import_graph(owner=user, document=make_document()).version
    with WorkerProcesses(concurrency=2, log_folder=folder, grace_seconds=5) as workers:
        run = start_execution(user=user, version=version, input_data={})
        faults = list(commit_faults(run))
        await_progress(run, 1000)
        run.refresh_from_db()
        report = {
            "status": run.status,
            "error": run.error,
            "faults": faults,
            "errors": list(Output.objects.filter(pin="error").values_list("value", flat=True)),
            "outputs": sorted(int(each.value or 0) for each in RunOutput.objects.filter(execution=run)),
            "node_executions": NodeExecution.objects.count(),
            "unfinished": NodeExecution.objects.exclude(status="COMPLETED").count(),
            "emitted": Output.objects.count(),
            "tracebacks": workers.logs().count("raised unexpected"),
        }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
