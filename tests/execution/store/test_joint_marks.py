"""What is recorded together passes the fence each by itself, locked in one order, and has its own outputs."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from psycopg import Connection

from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution, Output
from execution.planning import load_plan
from execution.store.claims import Claimed, claim
from execution.store.parts import End, Part
from execution.store.recording import JointlyRecorded, open_writer, record_jointly
from execution.store.starting import Order, start_run
from graphs.services import import_graph
from tests.execution.lock_waits import running_into, session_beside
from tests.execution.small_graphs import INPUT, draw

pytestmark = pytest.mark.django_db(transaction=True)

COUNT = 3
COMPLETED = End(status=Status.COMPLETED)
LOCK = "SELECT FROM execution_nodeexecution WHERE id = %s FOR NO KEY UPDATE NOWAIT"


@pytest.fixture
def claims(user: User) -> list[Claimed]:
    """Claims of one run, by their ids. The rows lie the other way round: the first was written last."""
    document = draw({f"in {number}": (INPUT, {"name": str(number), "value": 1}) for number in range(COUNT)})
    version = import_graph(owner=user, document=document).version
    start_run(Order(user_id=user.pk, graph=load_plan(version.pk), input_data={}))
    keys = NodeExecution.objects.order_by("-id").values_list("pk", flat=True)
    found = [claim(key, lease_seconds=1000) for key in keys]
    return [each for each in reversed(found) if each is not None]


@pytest.fixture
def other() -> Iterator["Connection[Any]"]:
    with session_beside() as session:
        yield session


def complete(claims: Sequence[Claimed]) -> JointlyRecorded:
    """Record the ends of these, each with its number as its output."""
    return record_jointly([part_of(claimed, [("result", number)]) for number, claimed in enumerate(claims)])


def part_of(
    claimed: Claimed, outputs: Sequence[tuple[str, Any]], *, position: int = 0, end: End | None = COMPLETED
) -> Part:
    return Part(claimed=claimed, outputs=outputs, position=position, end=end, writer=open_writer(claimed))


def written_by(claimed: Claimed) -> list[tuple[int, str, Any]]:
    outputs = Output.objects.filter(node_execution=claimed.id).order_by("position")
    return list(outputs.values_list("position", "pin", "value"))


def status_of(claimed: Claimed) -> str:
    return NodeExecution.objects.values_list("status", flat=True).get(pk=claimed.id)


@pytest.mark.parametrize("number", range(COUNT))
@pytest.mark.parametrize(
    "change", [{"token": uuid4()}, {"status": Status.SUSPENDED}, {"output_count": 1}, {"id": UUID(int=1)}], ids=" ".join
)
def test_who_does_not_pass_the_fence_is_refused_alone(
    claims: list[Claimed], change: dict[str, Any], number: int
) -> None:
    lost = claims[number]
    NodeExecution.objects.filter(pk=lost.id).update(**change)

    recorded = complete(claims)

    held = [claimed for claimed in claims if claimed is not lost]
    assert recorded.accepted == {claimed.token for claimed in held}
    assert [status_of(claimed) for claimed in held] == [Status.COMPLETED] * (COUNT - 1)
    assert [written_by(claimed) for claimed in held] == [[(0, "result", claims.index(claimed))] for claimed in held]
    assert written_by(lost) == []
    assert NodeExecution.objects.filter(status=Status.COMPLETED).count() == COUNT - 1


def test_each_is_told_its_own(claims: list[Claimed]) -> None:
    ends = [
        End(status=Status.COMPLETED, walltime=1.5, cputime=0.5, log="first\n"),
        End(status=Status.FAILED, error="bad", walltime=float("inf"), log='"{,}\\'),
        None,
    ]

    record_jointly([part_of(claimed, [], end=end) for claimed, end in zip(claims, ends, strict=True)])

    rows = [NodeExecution.objects.get(pk=claimed.id) for claimed in claims]
    assert [row.status for row in rows] == [Status.COMPLETED, Status.FAILED, Status.RUNNING]
    assert [row.ended_at is not None for row in rows] == [True, True, False]
    assert [(row.walltime, row.cputime) for row in rows] == [(1.5, 0.5), (float("inf"), 0.0), (0.0, 0.0)]
    assert [row.log for row in rows] == ["first\n", '"{,}\\', ""]


def test_outputs_of_several_have_the_positions_of_their_own(claims: list[Claimed]) -> None:
    first, second, third = claims
    begun = [("result", "early"), ("result", "too")]
    record_jointly([part_of(second, begun, end=None)])

    record_jointly(
        [
            part_of(third, [("result", "a"), ("result", "b")]),
            part_of(first, []),
            part_of(second, [("result", "c"), ("other", "d")], position=2),
        ]
    )

    assert written_by(first) == []
    assert written_by(second) == [(0, *begun[0]), (1, *begun[1]), (2, "result", "c"), (3, "other", "d")]
    assert written_by(third) == [(0, "result", "a"), (1, "result", "b")]
    counts = [NodeExecution.objects.get(pk=claimed.id).output_count for claimed in claims]
    assert counts == [0, 4, 2]


@pytest.mark.parametrize("order", permutations(range(COUNT)))
def test_they_are_locked_in_the_order_of_their_ids(
    claims: list[Claimed], other: "Connection[Any]", order: Sequence[int]
) -> None:
    other.execute(LOCK, [claims[0].id])

    # Who waits for the first holds none of the others meanwhile, so whoever has it can go on.
    with running_into(other, lambda: complete_from_table([claims[number] for number in order])) as recorded:
        for claimed in claims[1:]:
            other.execute(LOCK, [claimed.id])

    assert recorded.result().accepted == {claimed.token for claimed in claims}


def complete_from_table(claims: Sequence[Claimed]) -> JointlyRecorded:
    """Record with the rows read as they lie there: an index may have another order by chance."""
    with connection.cursor() as cursor:
        cursor.execute("SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off")
    return complete(claims)


@pytest.mark.parametrize("number", range(COUNT))
@pytest.mark.parametrize("change", ["token = gen_random_uuid()", "status = 'SUSPENDED'", "output_count = 1"])
def test_a_claim_that_is_lost_while_it_is_waited_for_is_refused(
    claims: list[Claimed], other: "Connection[Any]", change: str, number: int
) -> None:
    lost = claims[number]
    change_row(other, lost, change)

    with running_into(other, lambda: complete(claims)) as recorded:
        other.execute("COMMIT")

    assert recorded.result().accepted == {claimed.token for claimed in claims if claimed is not lost}
    assert status_of(lost) != Status.COMPLETED
    assert written_by(lost) == []


@pytest.mark.parametrize("number", range(COUNT))
def test_a_claim_that_is_renewed_while_it_is_waited_for_holds(
    claims: list[Claimed], other: "Connection[Any]", number: int
) -> None:
    change_row(other, claims[number], "lease_until = clock_timestamp() + interval '1 day', log = 'meanwhile '")

    with running_into(other, lambda: complete(claims)) as recorded:
        other.execute("COMMIT")

    assert recorded.result().accepted == {claimed.token for claimed in claims}
    assert [status_of(claimed) for claimed in claims] == [Status.COMPLETED] * COUNT
    assert NodeExecution.objects.get(pk=claims[number].id).log == "meanwhile "


def change_row(session: "Connection[Any]", claimed: Claimed, change: str) -> None:
    session.execute(f"UPDATE execution_nodeexecution SET {change} WHERE id = %s", [claimed.id])  # noqa: S608 - our own


def test_who_has_lost_its_claim_to_another_of_the_same_record_is_refused(claims: list[Claimed]) -> None:
    held = claims[0]
    stale = replace(held, token=uuid4())

    recorded = record_jointly([part_of(held, [("result", 0)]), part_of(stale, [])])

    assert recorded.accepted == {held.token}
    run = Execution.objects.get(pk=held.execution_id)
    assert (run.unfinished, run.node_count) == (COUNT - 1, 1)
    assert written_by(held) == [(0, "result", 0)]
