"""Things done at the same moment by several threads."""

import threading
import time
from collections.abc import Callable
from typing import Final

from django.db import connections

BEGIN_SECONDS: Final = 30.0
END_SECONDS: Final = 120.0


def run_at_once(*works: Callable[[], object]) -> None:
    """Begin all of these together, each in a thread with database sessions of its own, and wait for the end of all.

    Raises what the first of them to fail has raised; TimeoutError if one doesn't end.
    """
    gate, problems = threading.Barrier(len(works)), list[BaseException]()

    def run(work: Callable[[], object]) -> None:
        try:
            gate.wait(timeout=BEGIN_SECONDS)
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below
            problems.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[work], daemon=True) for work in works]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + END_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if problems:
        raise problems[0]
    if any(thread.is_alive() for thread in threads):
        raise TimeoutError(f"What was begun has not ended after {END_SECONDS:.0f} seconds.")
