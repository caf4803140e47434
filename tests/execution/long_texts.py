"""Runs that emit long texts, one for each number."""

import random

from django.contrib.auth.models import User

from execution.models import Execution
from execution.services import start_execution
from graphs.services import import_graph
from tests.execution.blocks import LongTextBlock
from tests.execution.drain import Drain
from tests.execution.small_graphs import INPUT, OUTPUT, STEP, draw


def run_long_texts(
    user: User, drain: Drain, *, count: int, length: int, order: random.Random | None = None
) -> Execution:
    """Return a run with `count` texts of `length` letters that has ended. `order` draws what is run next."""
    document = draw(
        {
            "in": (INPUT, {"name": "in", "value": list(range(count))}),
            "each": (STEP, {}),
            "long": (LongTextBlock.id, {"length": length}),
            "out": (OUTPUT, {"name": "out"}),
        },
        ["in.result -> each.items", "each.item -> long.value", "long.text -> out.value"],
    )
    version = import_graph(owner=user, document=document).version
    run = start_execution(user=user, version=version, input_data={})
    drain.run(order=order)
    return run
