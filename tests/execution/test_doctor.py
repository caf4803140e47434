"""The doctor finds each kind of damage and nothing else, mends what can be mended, and lets healthy runs be."""

import io
import json
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from celery import current_app
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection, connections
from django.utils import timezone
from kombu import Connection

from execution import examination, recovery
from execution.context import RunFiles
from execution.engine.statuses import Status
from execution.examination import CHECKS, examine, treat
from execution.models import Execution, NodeExecution, Output, QueueProbe, Review, RunOutput
from execution.planning import CPU_QUEUE, IO_QUEUE
from execution.presence import Presence, find_listened
from execution.queue_examination import empty_queue, look_at_queues
from execution.run_files import FilesOfRun
from execution.services import start_execution, stop_execution
from execution.store.claims import claim
from execution.store.runs import Ready
from execution.tasks import send
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.random_graphs import make_document
from tests.execution.small_graphs import ASK, INPUT, OUTPUT, TIMER, draw

pytestmark = pytest.mark.django_db(transaction=True)

EXAMPLES = Path(__file__).parents[2] / "examples"
AN_HOUR_AGO = "clock_timestamp() - interval '1 hour'"

ECHO = draw({"in": (INPUT, {"name": "in", "value": 1}), "out": (OUTPUT, {"name": "out"})}, ["in.result -> out.value"])
ASKING = draw(
    {
        "in": (INPUT, {"name": "in", "value": 1}),
        "out": (OUTPUT, {"name": "out"}),
        "ask": (ASK, {"name": "Yes?"}),
    },
    ["in.result -> out.value", "in.result -> ask.data"],
)
SLEEPING = draw(
    {
        "in": (INPUT, {"name": "in", "value": 1}),
        "timer": (TIMER, {"hours": 1}),
        "out": (OUTPUT, {"name": "out"}),
    },
    ["in.result -> timer.input_message", "timer.output_message -> out.value"],
)


@pytest.fixture(autouse=True)
def quick_doctor(drain: Drain, broker: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The second look comes at once, what is queued goes to the drain, and there is a broker with nothing in it."""
    monkeypatch.setattr(examination, "send", drain.send)
    monkeypatch.setattr(examination, "SETTLE_SECONDS", 0.01)
    monkeypatch.setattr(examination, "PATIENCE_OF_LEASE", 0)
    monkeypatch.setattr(recovery, "PATIENCE_OF_LEASE", 0)
    yield
    for folder in default_storage.listdir("")[0]:
        _empty(folder)


def _empty(folder: str) -> None:
    folders, files = default_storage.listdir(folder)
    for name in folders:
        _empty(f"{folder}/{name}")
    for name in files:
        default_storage.delete(f"{folder}/{name}")
    default_storage.delete(folder)


@pytest.fixture
def listeners() -> Iterator[None]:
    """Somebody who says that they listen to all queues."""
    presence = Presence([CPU_QUEUE, IO_QUEUE])
    presence.start()
    while find_listened([CPU_QUEUE, IO_QUEUE]) != {CPU_QUEUE, IO_QUEUE}:
        pass
    yield
    presence.stop()


def example(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text())
    return loaded


def start(user: User, document: dict[str, Any]) -> Execution:
    return start_execution(user=user, version=import_graph(owner=user, document=document).version, input_data={})


def run_all(user: User, drain: Drain, document: dict[str, Any]) -> Execution:
    run = start(user, document)
    run_what_is_sent(drain)
    run.refresh_from_db()
    return run


def run_what_is_sent(drain: Drain) -> None:
    while drain.waiting:
        drain.run_one(drain.waiting.pop(0))


def run_until_a_sub_run_waits(user: User, drain: Drain) -> Execution:
    """Return a run that goes on, one of whose nodes waits for a sub-run that goes on."""
    run = start(user, example("triangles"))
    while not Execution.objects.filter(root=run, parent__status=Status.SUSPENDED).exists():
        drain.run_one(drain.waiting.pop(0))
    return run


def doctor(*arguments: str) -> tuple[int, dict[str, Any]]:
    out = io.StringIO()
    try:
        call_command("doctor", "--json", *arguments, stdout=out)
    except SystemExit as end:
        return int(str(end.code)), json.loads(out.getvalue())
    return 0, json.loads(out.getvalue())


def found(report: dict[str, Any]) -> set[str]:
    return {finding["check"] for finding in report["findings"]}


def change(statement: str, **parameters: Any) -> None:
    """Do damage; exactly one row must be hit."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        assert cursor.rowcount == 1


def change_run(run: Execution, changes: str) -> None:
    change(f"UPDATE execution_execution SET {changes} WHERE id = %(id)s", id=run.pk)  # noqa: S608


def change_node(run: Execution, name: str, changes: str) -> None:
    change(
        f"UPDATE execution_nodeexecution SET {changes} WHERE execution_id = %(run)s AND node_id = %(node)s",  # noqa: S608
        run=run.pk,
        node=node_of(run, name).node_id,
    )


def node_of(run: Execution, name: str) -> NodeExecution:
    nodes = run.graph_version.document().nodes
    (wanted,) = (node.id for node in nodes if node.metadata["customized_name"] == name)
    return NodeExecution.objects.get(execution=run, node_id=wanted)


def assert_found_and_mended(expected: set[str], *, subject: UUID | str, mended: bool = True) -> None:
    """The doctor finds this, changes nothing; with --repair it finds it, mends it, and finds nothing afterwards."""
    code, report = doctor()
    assert (code, found(report)) == (1, expected)
    assert str(subject) in {each["subject"] for finding in report["findings"] for each in finding["examples"]}
    assert not report["healthy"]
    assert found(doctor()[1]) == expected

    code, report = doctor("--repair")
    assert found(report) >= expected
    assert code == (0 if mended else 1)
    assert report["healthy"] is mended
    assert found(doctor()[1]) == (set() if mended else expected)


def test_nothing_is_found_in_an_empty_database() -> None:
    assert doctor() == (
        0,
        {
            "healthy": True,
            "findings": [],
            "queues": [
                {"queue": queue, "messages": 0, "queued": 0, "running": 0, "has_workers": False}
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


def test_what_is_unfinished_in_a_run_that_has_ended_is_ended(user: User, drain: Drain) -> None:
    run = run_all(user, drain, ASKING)
    stop_execution(execution_id=run.pk)
    change_node(run, "ask", "status = 'REVIEW', ended_at = NULL")

    assert_found_and_mended({"unfinished_in_ended_run"}, subject=node_of(run, "ask").pk)

    assert node_of(run, "ask").status == Status.TERMINATED
    assert node_of(run, "ask").ended_at is not None


def test_what_waits_for_pins_may_stay_in_a_run_that_completed_and_in_no_other(user: User, drain: Drain) -> None:
    run = run_all(user, drain, ECHO)
    change_node(run, "out", "status = 'INCOMPLETE', ended_at = NULL")
    change_run(run, "node_count = node_count - 1")
    assert examine() == []

    change_run(run, "status = 'FAILED'")

    assert_found_and_mended({"unfinished_in_ended_run"}, subject=node_of(run, "out").pk)


@pytest.mark.parametrize("wrong", ["5", "0"])
def test_a_wrong_count_of_the_unfinished_is_put_right(user: User, drain: Drain, wrong: str) -> None:
    run = run_all(user, drain, ASKING)
    change_run(run, f"unfinished = {wrong}")

    assert_found_and_mended({"unfinished_count"}, subject=run.pk)

    run.refresh_from_db()
    assert run.unfinished == 1
    assert run.status == Status.RUNNING


@pytest.mark.parametrize("field", ["opened", "node_count", "node_error_count"])
def test_a_wrong_count_of_node_executions_is_put_right(user: User, drain: Drain, field: str) -> None:
    run = run_all(user, drain, ECHO)
    right = getattr(run, field)
    change_run(run, f"{field} = {field} + 3")

    assert_found_and_mended({"node_counts"}, subject=run.pk)

    run.refresh_from_db()
    assert getattr(run, field) == right


def test_a_wrong_count_of_outputs_is_put_right(user: User, drain: Drain) -> None:
    run = run_all(user, drain, ECHO)
    change_node(run, "in", "output_count = 7")
    change_run(run, "output_count = 0")

    assert_found_and_mended({"output_positions", "run_output_positions"}, subject=node_of(run, "in").pk)

    assert node_of(run, "in").output_count == Output.objects.filter(node_execution=node_of(run, "in")).count()
    run.refresh_from_db()
    assert run.output_count == 1


def test_an_output_that_is_missing_can_not_be_made_up(user: User, drain: Drain) -> None:
    run = run_all(user, drain, ECHO)
    change("UPDATE execution_output SET position = 4 WHERE node_execution_id = %(id)s", id=node_of(run, "in").pk)
    change("UPDATE execution_runoutput SET position = 1 WHERE execution_id = %(id)s", id=run.pk)

    assert_found_and_mended({"output_positions", "run_output_positions"}, subject=node_of(run, "in").pk, mended=False)


def test_a_firing_that_is_missing_can_not_be_made_up(user: User, drain: Drain) -> None:
    run = run_all(user, drain, ECHO)
    change_node(run, "out", "ordinal = 2")

    assert_found_and_mended({"ordinals"}, subject=node_of(run, "out").node_id, mended=False)


@pytest.mark.parametrize("damage", ["root_id = NULL", "depth = 4"])
def test_a_sub_run_without_its_tree_is_shown(user: User, drain: Drain, damage: str) -> None:
    run = run_all(user, drain, example("triangles"))
    sub_run = Execution.objects.filter(root=run)[0]
    change_run(sub_run, damage)

    assert_found_and_mended({"trees"}, subject=sub_run.pk, mended=False)


def test_what_has_all_its_pins_and_was_never_queued_is_queued(user: User, drain: Drain) -> None:
    run = start(user, ASKING)
    drain.run_one(drain.waiting.pop(0))
    drain.waiting = [each for each in drain.waiting if each.id != node_of(run, "out").pk]
    run_what_is_sent(drain)
    change_node(run, "out", "status = 'INCOMPLETE', queued_at = NULL, inputs = '{}'")
    change_run(run, "unfinished = unfinished - 1")

    assert_found_and_mended({"ready_but_incomplete"}, subject=node_of(run, "out").pk)

    run_what_is_sent(drain)
    assert list(RunOutput.objects.values_list("name", "value")) == [("out", 1)]


def test_what_lacks_a_pin_is_left_to_wait(user: User, drain: Drain) -> None:
    document = draw(
        {
            "in": (INPUT, {"name": "in", "value": 1}),
            "ask": (ASK, {"name": "Yes?"}),
            "out": (OUTPUT, {"name": "out"}),
        },
        ["in.result -> ask.data", "in.result -> out.value", "ask.approved_data -> out.title"],
    )
    run = run_all(user, drain, document)

    assert node_of(run, "out").status == Status.INCOMPLETE
    assert examine() == []


def test_what_is_queued_without_a_time_is_sent(user: User, drain: Drain) -> None:
    run = start(user, ECHO)
    drain.waiting.clear()
    change_node(run, "in", "queued_at = NULL")

    assert_found_and_mended({"queued_without_time"}, subject=node_of(run, "in").pk)

    drain.run()
    run.refresh_from_db()
    assert run.status == Status.COMPLETED


def test_who_waits_for_a_sub_run_that_has_ended_is_woken(user: User, drain: Drain) -> None:
    run = run_until_a_sub_run_waits(user, drain)
    sub_run = Execution.objects.filter(root=run, parent__status=Status.SUSPENDED)[0]
    while not Execution.objects.filter(pk=sub_run.pk, ended_at__isnull=False).exists():
        drain.run_one(drain.waiting.pop(0))
    drain.waiting = [each for each in drain.waiting if each.id != sub_run.parent_id]
    change("UPDATE execution_nodeexecution SET status = 'SUSPENDED' WHERE id = %(id)s", id=sub_run.parent_id)

    assert_found_and_mended({"sub_run_over"}, subject=str(sub_run.parent_id))

    drain.run()
    run.refresh_from_db()
    assert run.status == Status.COMPLETED
    assert run.node_error_count == 0


def test_who_waits_for_nothing_is_woken(user: User, drain: Drain) -> None:
    run = run_all(user, drain, SLEEPING)
    change_node(run, "timer", "wake_at = NULL")

    assert_found_and_mended({"nothing_to_wait_for"}, subject=node_of(run, "timer").pk)

    drain.run()
    run.refresh_from_db()
    assert run.status == Status.COMPLETED


def test_a_question_that_is_gone_is_asked_again(user: User, drain: Drain) -> None:
    run = run_all(user, drain, ASKING)
    Review.objects.all().delete()

    assert_found_and_mended({"review_without_question"}, subject=node_of(run, "ask").pk)

    run_what_is_sent(drain)
    assert node_of(run, "ask").status == Status.REVIEW
    assert Review.objects.get().approved is None


def test_who_has_slept_too_long_is_woken(user: User, drain: Drain) -> None:
    run = run_all(user, drain, SLEEPING)
    change_node(run, "timer", f"wake_at = {AN_HOUR_AGO}")

    assert_found_and_mended({"overslept"}, subject=node_of(run, "timer").pk)

    drain.run()
    run.refresh_from_db()
    assert run.status == Status.COMPLETED


@pytest.mark.parametrize("losses", [0, 2])
def test_what_a_lost_worker_ran_goes_on_or_fails(user: User, drain: Drain, losses: int) -> None:
    run = start(user, ECHO)
    assert claim(drain.waiting.pop().id, lease_seconds=10) is not None
    change_node(run, "in", f"lease_until = {AN_HOUR_AGO}, losses = {losses}")

    assert_found_and_mended({"lease_run_out"}, subject=node_of(run, "in").pk)

    drain.run()
    run.refresh_from_db()
    assert run.status == Status.COMPLETED
    assert run.node_error_count == (1 if losses else 0)


def test_what_was_queued_before_everything_came_out_is_sent_again(user: User, drain: Drain) -> None:
    run = start(user, ECHO)
    drain.waiting.clear()
    change_node(run, "in", f"queued_at = {AN_HOUR_AGO} - interval '1 hour'")
    before = timezone.now() - timedelta(hours=1)
    QueueProbe.objects.create(queue=CPU_QUEUE, sent_at=before, passed=before, passed_at=before)

    assert_found_and_mended({"message_lost", "queue_without_workers"}, subject=node_of(run, "in").pk)

    drain.run()
    run.refresh_from_db()
    assert run.status == Status.COMPLETED


@pytest.mark.parametrize("limit", ["max_duration = 60", f"idle_limit = 60, recorded_at = {AN_HOUR_AGO}"])
def test_a_run_that_took_too_long_is_ended(user: User, drain: Drain, limit: str) -> None:
    run = run_all(user, drain, ASKING)
    change_run(run, f"{limit}, started_at = {AN_HOUR_AGO}")

    assert_found_and_mended({"overdue"}, subject=run.pk)

    run.refresh_from_db()
    assert run.status == Status.FAILED


def test_a_sub_run_whose_parent_has_ended_is_ended(user: User, drain: Drain) -> None:
    run = run_until_a_sub_run_waits(user, drain)
    sub_run = Execution.objects.filter(root=run, parent__status=Status.SUSPENDED)[0]
    change(
        "UPDATE execution_nodeexecution SET status = 'FAILED', ended_at = clock_timestamp() WHERE id = %(id)s",
        id=sub_run.parent_id,
    )
    change_run(run, "unfinished = unfinished - 1, node_count = node_count + 1, node_error_count = node_error_count + 1")

    assert_found_and_mended({"sub_run_alone"}, subject=sub_run.pk)

    sub_run.refresh_from_db()
    assert sub_run.status == Status.TERMINATED
    drain.run()
    run.refresh_from_db()
    assert run.status == Status.COMPLETED


@pytest.mark.parametrize(("on_error", "status"), [("continue", Status.COMPLETED), ("fail_run", Status.FAILED)])
def test_a_run_with_nothing_left_to_do_is_ended(user: User, drain: Drain, on_error: str, status: Status) -> None:
    run = run_all(user, drain, ASKING)
    change_node(run, "ask", "status = 'FAILED', ended_at = clock_timestamp()")
    change_run(run, f"unfinished = 0, node_count = opened, node_error_count = 1, on_error = '{on_error}'")

    assert_found_and_mended({"nothing_to_do"}, subject=run.pk)

    run.refresh_from_db()
    assert run.status == status
    assert run.ended_at is not None


def test_several_kinds_of_damage_are_mended_together(user: User, drain: Drain) -> None:
    asking, sleeping = run_all(user, drain, ASKING), run_all(user, drain, SLEEPING)
    change_node(asking, "ask", "status = 'FAILED', ended_at = clock_timestamp()")
    change_node(sleeping, "timer", "wake_at = NULL")
    change_run(sleeping, "unfinished = 9, opened = 1")

    treatment = treat()

    assert {finding.check.name for finding in treatment.found} == {
        "unfinished_count",
        "node_counts",
        "nothing_to_wait_for",
        "nothing_to_do",
    }
    assert treatment.left == []
    assert treatment.mended == {"unfinished_count": 2, "node_counts": 2, "nothing_to_wait_for": 1, "nothing_to_do": 1}
    drain.run()
    assert set(Execution.objects.values_list("status", flat=True)) == {Status.COMPLETED}
    assert examine() == []


def test_files_whose_run_is_gone_are_removed(user: User, drain: Drain) -> None:
    run = run_all(user, drain, ECHO)
    kept = RunFiles(user.pk, run.pk).save(b"kept", name="a.txt", media_type="text/plain").removeprefix("file:")
    gone = FilesOfRun(user_id=str(user.pk), execution_id=uuid4())
    default_storage.save(f"{gone.folder}/a.txt", ContentFile(b"gone"))
    default_storage.save(f"runs/{user.pk}/not-a-run/a.txt", ContentFile(b"somebody else's"))

    assert_found_and_mended({"orphaned_files"}, subject=gone.folder)

    assert not gone.exist()
    assert default_storage.exists(kept)
    assert default_storage.exists(f"runs/{user.pk}/not-a-run/a.txt")


def test_a_storage_that_can_not_be_read_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_path: str) -> tuple[list[str], list[str]]:
        raise PermissionError("no")

    with monkeypatch.context() as patch:
        patch.setattr(default_storage, "listdir", fail)
        code, report = doctor("--repair")

    assert (code, found(report)) == (1, {"orphaned_files"})


def test_a_broker_that_can_not_be_reached_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_app.conf, "broker_write_url", "redis://127.0.0.1:1/0")

    code, report = doctor("--repair")

    assert (code, found(report)) == (1, {"broker_away"})
    assert {queue["messages"] for queue in report["queues"]} == {None}


def test_a_queue_without_workers_is_found_only_if_something_has_waited_in_it(user: User, drain: Drain) -> None:
    run = start(user, ECHO)
    assert examine() == []
    change_node(run, "in", f"queued_at = {AN_HOUR_AGO}")

    assert_found_and_mended({"queue_without_workers"}, subject=CPU_QUEUE, mended=False)


def test_a_queue_of_which_nobody_has_heard_is_one_without_workers(user: User, drain: Drain, listeners: None) -> None:
    run = start(user, ECHO)
    change_node(run, "in", f"queued_at = {AN_HOUR_AGO}, queue = 'gpu'")

    assert_found_and_mended({"queue_without_workers"}, subject="gpu", mended=False)


def test_a_queue_is_stalled_if_workers_listen_and_take_nothing(user: User, drain: Drain, listeners: None) -> None:
    waiting, running = start(user, ECHO), start(user, ECHO)
    change_node(waiting, "in", f"queued_at = {AN_HOUR_AGO}")

    assert_found_and_mended({"queue_stalled"}, subject=CPU_QUEUE, mended=False)
    claim(node_of(running, "in").pk, lease_seconds=1000)

    assert examine() == []


def test_messages_about_nothing_are_thrown_away(user: User, broker: Connection) -> None:
    send([Ready(id=uuid4(), queue=CPU_QUEUE, name="nothing")])

    assert_found_and_mended({"leftover_messages"}, subject=CPU_QUEUE)

    assert [each.messages for each in look_at_queues()] == [0, 0]


def test_messages_are_not_thrown_away_while_a_row_waits_for_one(user: User, drain: Drain, broker: Connection) -> None:
    run = start(user, ECHO)
    for _ in range(2):
        send(drain.waiting)

    code, report = doctor("--repair")

    assert (code, found(report)) == (1, {"leftover_messages"})
    assert not empty_queue(CPU_QUEUE)
    assert [each.messages for each in look_at_queues()] == [2, 0]
    claim(node_of(run, "in").pk, lease_seconds=1000)
    assert doctor("--repair")[0] == 0


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
    assert "queue cpu: 0 messages, 0 queued, 0 running, no workers" in healthy
    assert healthy.endswith("Nothing found.\n")


def test_every_check_has_a_name_of_its_own() -> None:
    names = [check.name for check in CHECKS]

    assert len(set(names)) == len(names)
