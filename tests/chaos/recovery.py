"""`python -m tests.chaos recovery`: how long lost workers and messages cost, with the settings that everybody has."""

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import django

django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.db.models import Q, QuerySet  # noqa: E402
from django.db.models.functions import Now  # noqa: E402

from execution.models import Execution, NodeExecution, PastAttempt  # noqa: E402
from execution.queues import CPU_QUEUE  # noqa: E402
from execution.services import start_execution  # noqa: E402
from graphs.models import GraphVersion  # noqa: E402
from graphs.services import import_graph  # noqa: E402
from tests.chaos.crew import Post  # noqa: E402
from tests.chaos.figures import measure_losses, summarize  # noqa: E402
from tests.chaos.stand import Stand  # noqa: E402
from tests.chaos.tasks import numbers_into  # noqa: E402
from tests.execution.blocks import AsyncPauseBlock, PlainPauseBlock  # noqa: E402

TIMES: Final = 6
RUNS: Final = 3
LONG: Final = 3.0
SHORT: Final = 0.2
FEW: Final = 4
WAIT_SECONDS: Final = 120.0
_ID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


class Measurement:
    """Keeps the workers busy, and does something to them."""

    def __init__(self, stand: Stand, user: User) -> None:
        self._stand = stand
        self._user = user
        self._long = [self._save(block, seconds=LONG, count=8) for block in (PlainPauseBlock.id, AsyncPauseBlock.id)]
        self._short = self._save(PlainPauseBlock.id, seconds=SHORT, count=8)

    def lose_workers(self) -> dict[str, Any]:
        """Kill whole workers in turn, and the process that does their work with them."""
        deaths: dict[int, float] = {}
        for number in range(TIMES):
            for version in self._long:
                self._start(version, RUNS)
            post = self._stand.crew.posts[number % len(self._stand.crew.posts)]
            self._stand.wait(lambda post=post: bool(self._running_of(post)), seconds=WAIT_SECONDS)  # type: ignore[misc]
            lost = list(self._running_of(post).values_list("pk", flat=True))
            deaths |= dict.fromkeys([post.pid, *post.children()], time.time())
            post.kill()
            self._stand.wait(self._goes_on(lost), seconds=WAIT_SECONDS)
            self._end_all()
        noticed, resumed = measure_losses(deaths)
        return {"noticed": summarize(noticed), "goes on": summarize(resumed)}

    def flush(self) -> dict[str, Any]:
        """Take everything from the broker."""
        return self._lose(self._flush)

    def lose_messages(self) -> dict[str, Any]:
        """Take some messages from the broker, the newest, and leave the others."""
        return self._lose(self._take_some)

    def _flush(self) -> list[UUID]:
        sent = NodeExecution.objects.filter(status="QUEUED", held_back=False, queued_at__lt=Now())
        self._stand.broker.flushall()
        return list(sent.values_list("pk", flat=True))

    def _take_some(self) -> list[UUID]:
        taken = [self._stand.broker.lpop(CPU_QUEUE) for _ in range(FEW)]
        return [UUID(found[0].decode()) for each in taken if isinstance(each, bytes) and (found := _ID.findall(each))]

    def _lose(self, lose: Callable[[], list[UUID]]) -> dict[str, Any]:
        first, last = [], []
        for _ in range(TIMES):
            self._start(self._short, RUNS)
            self._stand.wait(lambda: self._stand.broker.llen(CPU_QUEUE) > FEW, seconds=WAIT_SECONDS)
            at, lost = time.time(), lose()
            self._end_all()
            begun = NodeExecution.objects.filter(pk__in=lost, claimed_at__isnull=False)
            times = sorted(each.timestamp() - at for each in begun.values_list("claimed_at", flat=True) if each)
            first += times[:1]
            last += times[-1:]
        return {"the first goes on": summarize(first), "the last goes on": summarize(last)}

    def _save(self, block_id: str, *, seconds: float, count: int) -> GraphVersion:
        document = numbers_into(block_id, ["after"], count=count, seconds=seconds)
        version: GraphVersion = import_graph(owner=self._user, document=document).version
        return version

    def _start(self, version: GraphVersion, count: int) -> None:
        for _ in range(count):
            start_execution(user=self._user, version=version, input_data={})

    def _running_of(self, post: Post) -> QuerySet[NodeExecution]:
        own = Q(worker="")
        for pid in (post.pid, *post.children()):
            own |= Q(worker__endswith=f":{pid}")
        return NodeExecution.objects.filter(own, status="RUNNING")

    def _goes_on(self, lost: list[UUID]) -> Callable[[], bool]:
        def look() -> bool:
            done = PastAttempt.objects.filter(node_execution__in=lost, outcome=PastAttempt.Outcome.LOST)
            waiting = NodeExecution.objects.filter(pk__in=lost, status="QUEUED").exists()
            return done.values("node_execution").distinct().count() == len(lost) and not waiting

        return look

    def _end_all(self) -> None:
        self._stand.wait(lambda: not Execution.objects.filter(ended_at=None).exists(), seconds=WAIT_SECONDS)


def main(folder: Path) -> int:
    """Measure."""
    with Stand(folder) as stand:
        measurement = Measurement(stand, stand.make_user("ada"))
        stand.report(
            {
                "a worker is killed": measurement.lose_workers(),
                "messages are lost": measurement.lose_messages(),
                "the broker is flushed": measurement.flush(),
            }
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
