"""The doctor lets healthy runs be, whatever they are doing, and says what it found and mended."""

import io
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections

from execution import recovery
from execution.engine.statuses import Status
from execution.examination import CHECKS, examine
from execution.queues import CPU_QUEUE, IO_QUEUE
from execution.services import resume_execution, start_execution, stop_execution
from graphs.services import import_graph
from tests.execution.damage import (
    AN_HOUR_AGO,
    ASKING,
    SLEEPING,
    change_node,
    change_run,
    doctor,
    example,
    run_all,
    run_until_a_sub_run_waits,
    start,
)
from tests.execution.drain import Drain
from tests.execution.random_graphs import make_document
from tests.execution.small_graphs import node_id

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_doctor")]


def test_nothing_is_found_in_an_empty_database() -> None:
    assert doctor() == (
        0,
        {
            "healthy": True,
            "findings": [],
            "queues": [
                {"queue": queue, "messages": 0, "queued": 0, "held_back": 0, "running": 0, "has_workers": False}
                for queue in (CPU_QUEUE, IO_QUEUE)
            ],
        },
    )


@pytest.mark.parametrize("name", ["doubling", "word_lengths", "triangles", "approval"])
def test_nothing_is_found_at_any_moment_of_a_healthy_run(user: User, drain: Drain, name: str) -> None:
    start(user, example(name))
    chance = random.Random(name)

    while drain.waiting:
        if chance.random() < 0.3:
            assert examine() == []
        drain.run_one(drain.waiting.pop(0))

    assert examine() == []


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_found_while_others_work(user: User, drain: Drain, seed: int) -> None:
    start(user, make_document(seed))

    with ThreadPoolExecutor(max_workers=1) as pool:
        working = pool.submit(_drain_elsewhere, drain, seed)
        looks = 0
        while not working.done() or not looks:
            assert [finding.check.name for finding in examine()] == []
            looks += 1

    assert working.result() > 0
    assert examine() == []


def _drain_elsewhere(drain: Drain, seed: int) -> int:
    try:
        return drain.run(order=random.Random(seed))
    finally:
        connections.close_all()


def test_nothing_is_found_when_runs_were_stopped(user: User, drain: Drain) -> None:
    for run in (run_all(user, drain, ASKING), run_until_a_sub_run_waits(user, drain)):
        stop_execution(execution_id=run.pk)

    assert examine() == []


def test_what_mends_itself_meanwhile_is_no_finding(user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_all(user, drain, SLEEPING)
    change_node(run, "timer", f"wake_at = {AN_HOUR_AGO}")

    def wake_meanwhile(_seconds: float) -> None:
        recovery.sweep(drain.send)

    monkeypatch.setattr(time, "sleep", wake_meanwhile)

    assert examine() == []


def test_the_report_for_people_says_what_is_wrong_and_what_became_of_it(user: User, drain: Drain) -> None:
    run = run_all(user, drain, ASKING)
    change_run(run, "unfinished = 5")

    reports = []
    for arguments in ((), ("--repair",), ()):
        out = io.StringIO()
        try:
            call_command("doctor", *arguments, stdout=out)
        except SystemExit as end:
            assert end.code == 1
        reports.append(out.getvalue())

    sick, mended, healthy = reports
    assert f"  {run.pk}: counts 5, has 1" in sick
    assert "mended: 1, left: 0" in mended
    assert "All of it is mended." in mended
    assert "queue cpu: 0 messages, 0 queued, 0 held back, 0 running, no workers" in healthy
    assert healthy.endswith("Nothing found.\n")


def test_every_check_has_a_name_of_its_own() -> None:
    names = [check.name for check in CHECKS]

    assert len(set(names)) == len(names)


def test_nothing_is_found_at_any_moment_of_a_run_that_is_resumed(user: User, drain: Drain) -> None:
    run = run_until_a_sub_run_waits(user, drain)
    stop_execution(execution_id=run.pk)
    drain.waiting.clear()

    resume_execution(execution_id=run.pk)
    while drain.waiting:
        assert examine() == []
        drain.run_one(drain.waiting.pop(0))

    assert examine() == []
    run.refresh_from_db()
    assert run.status == Status.COMPLETED


@pytest.mark.parametrize("is_simulated", [False, True])
def test_nothing_is_found_in_simulated_and_masked_runs(user: User, drain: Drain, is_simulated: bool) -> None:
    imported = import_graph(owner=user, document=ASKING)
    (out,) = imported.node_ids[node_id("out")]
    start_execution(
        user=user,
        version=imported.version,
        input_data={},
        nodes_input_masks={str(out): {"value": 5}},
        simulate=is_simulated,
    )

    while drain.waiting:
        assert examine() == []
        drain.run_one(drain.waiting.pop(0))

    assert examine() == []
