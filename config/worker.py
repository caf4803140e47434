"""A worker process: `python -m config.worker cpu|io [--concurrency N]`.

The same as `celery -A config worker -Q cpu -P prefork …`, ready half a second earlier because Celery's command line is
not loaded. An `io` worker is watched by its parent process, which replaces it when a block holds up its event loop.
"""

import argparse
import os
import socket
import sys
import warnings
from typing import Any

import django
from django.utils.module_loading import import_string

from config.celery import app
from config.startup import STARTUP_ERRORS

IO_CONCURRENCY = 500


def main(arguments: list[str]) -> int:
    """Work until a signal says stop; return the exit code."""
    options = _parse(arguments)
    # It is about the pickle format, which our workers don't accept.
    warnings.filterwarnings("ignore", message="You're running the worker with superuser privileges")
    try:
        if options.kind == "cpu":
            return _work(options)
        django.setup()
        # It knows models, so it can only be imported now.
        return int(import_string("execution.loop_watch.run_watched")(lambda: _work(options)))
    except STARTUP_ERRORS as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _work(options: argparse.Namespace) -> int:
    worker = app.Worker(
        hostname=f"{options.kind}-{os.getpid()}@{socket.gethostname()}",
        queues=options.kind,
        loglevel="INFO",
        task_events=True,
        without_gossip=True,
        without_mingle=True,
        quiet=True,
        **_pool(options),
    )
    worker.start()
    return int(worker.exitcode or 0)


def _pool(options: argparse.Namespace) -> dict[str, Any]:
    if options.kind == "io":
        return {"pool": "execution.async_pool:TaskPool", "concurrency": options.concurrency or IO_CONCURRENCY}
    return {"pool": "prefork", "concurrency": options.concurrency or os.cpu_count()}


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m config.worker")
    parser.add_argument("kind", choices=("cpu", "io"), help="which queue: plain blocks or async blocks")
    parser.add_argument("--concurrency", type=int, help="node executions at once (default: the cores; io: 500)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
