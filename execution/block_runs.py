"""Running one block: a run like any other, of a graph that holds nothing but the block."""

import time
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db import connection

from execution.bounds import SINGLE, Allowance
from execution.engine.statuses import ENDED
from execution.models import Execution
from execution.reporting import find_node_executions, gather_outputs
from execution.services import start_execution
from graphs.block_graphs import get_block_graph

LONGEST_WAIT: Final = 60.0
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5
# For a shorter pause a new session costs more than the old one is worth.
_PAUSE_WITHOUT_SESSION: Final = 0.1


def start_block(*, user: AbstractBaseUser, block_id: str, inputs: Mapping[str, Any], simulate: bool) -> Execution:
    """Start a run of the block with these inputs. Raises `UnknownBlockError`, and what `start_execution` does."""
    version = get_block_graph(user=user, block_id=block_id)
    (node,) = version.document().nodes
    return start_execution(
        user=user, version=version, input_data={}, nodes_input_masks={str(node.id): inputs}, simulate=simulate
    )


def await_execution(*, execution_id: UUID, seconds: float) -> bool:
    """Wait until a run has ended; False if it hasn't in time. Not to be called in a transaction.

    Who waits holds no session of the database: there are fewer of them than there may be waiting.
    """
    deadline, pause = time.monotonic() + min(seconds, LONGEST_WAIT), _FIRST_PAUSE
    while not Execution.objects.filter(pk=execution_id, status__in=ENDED).exists():
        if time.monotonic() >= deadline:
            return False
        if pause >= _PAUSE_WITHOUT_SESSION and not connection.in_atomic_block:
            connection.close()
        time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    return True


def find_block_outputs(*, run: Execution) -> dict[str, list[Any]]:
    """Return what the block emitted: {pin: [values]}, with `Hidden` for what an answer has no room for."""
    fired = find_node_executions(run, bounds=SINGLE).first()
    return gather_outputs(fired, allowance=Allowance(bounds=SINGLE)) if fired else {}
