"""`python -m tests.chaos crowding`: what a run of 100,000 node executions costs another user's run of three nodes."""

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

import django

django.setup()

from django.contrib.auth.models import User  # noqa: E402

from execution.models import Execution, NodeExecution  # noqa: E402
from execution.services import start_execution, stop_execution  # noqa: E402
from graphs.models import GraphVersion  # noqa: E402
from graphs.services import import_graph  # noqa: E402
from tests.chaos.figures import summarize  # noqa: E402
from tests.chaos.stand import Stand  # noqa: E402
from tests.execution.small_graphs import CALCULATOR, INPUT, OUTPUT, STEP, draw  # noqa: E402

COUNT: Final = int(os.environ.get("CROWD_COUNT") or 100_000)
PART: Final = 1000
SECONDS: Final = float(os.environ.get("CROWD_SECONDS") or 180)
ALONE: Final = 40
PAUSE: Final = 0.5
LOOK_SECONDS: Final = 0.02
RUN_SECONDS: Final = 60.0

SMALL: Final = draw(
    {
        "in": (INPUT, {"name": "Number", "value": 1}),
        "add": (CALCULATOR, {"operation": "Add", "b": 34}),
        "out": (OUTPUT, {"name": "Sum"}),
    },
    ["in.result -> add.a", "add.result -> out.value"],
)
LARGE: Final = draw(
    {
        "in": (INPUT, {"name": "in", "value": [list(range(PART))] * (COUNT // PART)}),
        "each": (STEP, {}),
        "part": (STEP, {}),
        "out": (OUTPUT, {"name": "out"}),
    },
    ["in.result -> each.items", "each.item -> part.items", "part.item -> out.value"],
)


class Messages:
    """A thread that counts the messages in the broker."""

    def __init__(self, stand: Stand) -> None:
        self.most = 0
        self._stand = stand
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Count no more."""
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self.most = max(self.most, self._stand.count_messages())


def run_small(stand: Stand, user: User, version: GraphVersion) -> float:
    """Return how long (seconds) a small run takes, from its acceptance to its end."""
    run = start_execution(user=user, version=version, input_data={})
    stand.wait(lambda: Execution.objects.filter(pk=run.pk, ended_at__isnull=False).exists(), seconds=RUN_SECONDS)
    run.refresh_from_db()
    return (run.ended_at - run.created_at).total_seconds() if run.ended_at else RUN_SECONDS


def measure(stand: Stand) -> dict[str, Any]:
    """Run the small one alone, then beside the large one until that has ended or the time is over."""
    ada, grace = stand.make_user("ada"), stand.make_user("grace")
    small = import_graph(owner=grace, document=SMALL).version
    large = import_graph(owner=ada, document=LARGE).version
    run_small(stand, grace, small)
    alone = [run_small(stand, grace, small) for _ in range(ALONE)]
    messages = Messages(stand)
    began = time.monotonic()
    run = start_execution(user=ada, version=large, input_data={})
    beside = []
    while time.monotonic() < began + SECONDS and Execution.objects.filter(pk=run.pk, ended_at=None).exists():
        beside.append(run_small(stand, grace, small))
        time.sleep(PAUSE)
    took = time.monotonic() - began
    messages.end()
    done = NodeExecution.objects.filter(execution=run, ended_at__isnull=False).count()
    opened = NodeExecution.objects.filter(execution=run).count()
    asked = time.monotonic()
    stop_execution(execution_id=run.pk)
    node_time = sorted(alone)[len(alone) // 2] / 3
    return {
        "node executions of the large run": {"opened": opened, "ended": done, "seconds": round(took, 1)},
        "milliseconds of the small run": {"alone": _in_ms(alone), "beside the large one": _in_ms(beside)},
        "node times that it waits longer": {
            "node time (ms)": round(node_time * 1000, 1),
            **{f"p{share}": round((_share(beside, share) - _share(alone, share)) / node_time, 1) for share in (50, 95)},
        },
        "messages in the broker at most": messages.most,
        "seconds to stop the rest of the large run": round(time.monotonic() - asked, 2),
    }


def _in_ms(times: list[float]) -> dict[str, float]:
    return summarize([seconds * 1000 for seconds in times])


def _share(times: list[float], share: int) -> float:
    return summarize([seconds * 1000 for seconds in times])[f"p{share}"] / 1000


def main(folder: Path) -> int:
    """Measure."""
    with Stand(folder) as stand:
        stand.report(measure(stand))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
