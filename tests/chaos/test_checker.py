"""The checker of chaos runs sees whatever chaos could do to a database."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import F
from pytest_django import Settings

from credits.models import LedgerEntry
from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution, Output, PastAttempt, RunOutput
from execution.planning import load_plan
from execution.services import start_execution, stop_execution
from graphs.services import import_graph
from tests.chaos.checker import examine
from tests.chaos.prices import examine_charges, make_blocks_cost
from tests.chaos.tasks import Answer
from tests.chaos.workload import trace
from tests.execution.drain import Drain
from tests.execution.families import make_family
from tests.execution.random_graphs import make_document
from tests.execution.reference import outputs_by_name, run_in_memory

pytestmark = pytest.mark.django_db(transaction=True)

Answers = dict[UUID, Answer]


@pytest.fixture(autouse=True)
def blocks_of_the_tests(settings: Settings) -> None:
    settings.BLOCK_MODULES = [*settings.BLOCK_MODULES, "tests.execution.blocks"]


@pytest.fixture
def answers(user: User, drain: Drain) -> Answers:
    """A database with two runs, one of which had sub-runs, that ended as they should; and how that is."""
    make_blocks_cost(user)
    computed = import_graph(owner=user, document=make_document(7)).version
    machine = run_in_memory(load_plan(computed.pk), {})
    known = import_graph(owner=user, document=make_family()).version
    for version in (computed, known):
        start_execution(user=user, version=version, input_data={})
    drain.run()
    return {
        computed.pk: Answer(
            outputs=outputs_by_name(machine.outputs),
            steps={key: (step.status, list(step.emitted)) for key, step in machine.steps.items()},
        ),
        known.pk: Answer(outputs={"out": [2, 3, 4]}, sub_runs=3),
    }


@contextmanager
def lawless() -> Iterator[None]:
    """Let the database accept whatever is written."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        try:
            yield
        finally:
            cursor.execute("SET session_replication_role = origin")


def test_a_charge_that_is_not_the_price_is_found(answers: Answers) -> None:
    paid = LedgerEntry.objects.filter(node_execution_id__isnull=False)
    first, last = paid.earliest("id"), paid.latest("id")
    undisturbed = list(examine_charges())

    with lawless():
        paid.filter(pk=first.pk).update(amount=F("amount") - 1)
        paid.filter(pk=last.pk).delete()

    complaints = list(examine_charges())
    assert undisturbed == []
    assert len(complaints) == 2
    assert str(first.node_execution_id) in "".join(complaints)
    assert str(last.node_execution_id) in "".join(complaints)


def test_a_fee_that_is_not_paid_is_found(answers: Answers, settings: Settings) -> None:
    settings.NODE_EXECUTIONS_PER_CREDIT = 3

    (complaint,) = examine_charges()

    assert "paid 0 for" in complaint


def test_runs_that_nobody_disturbed_give_no_reason_to_complain(answers: Answers) -> None:
    assert examine(answers) == []


def drop_last_output() -> None:
    last = Output.objects.order_by("node_execution", "-position").first()
    assert last is not None
    Output.objects.filter(node_execution=last.node_execution_id, position=last.position).delete()


def drop_first_run_output() -> None:
    RunOutput.objects.filter(position=0).delete()


def change_output() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE execution_output SET value = '\"another\"' WHERE position = 0")


def change_run_output() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE execution_runoutput SET value = '\"another\"' WHERE position = 0")


def repeat_firing() -> None:
    """Let a node fire once more than it should, with everything counted as if that were right."""
    last = NodeExecution.objects.filter(execution__parent=None, execution__graph_version__name="random 7").latest("pk")
    outputs = list(Output.objects.filter(node_execution=last))
    following = NodeExecution.objects.filter(execution=last.execution_id, node_id=last.node_id).count()
    Execution.objects.filter(pk=last.execution_id).update(opened=F("opened") + 1, node_count=F("node_count") + 1)
    last._state.adding, last.pk, last.ordinal = True, UUID(int=1), following
    last.save(force_insert=True)
    for output in outputs:
        Output.objects.create(node_execution=last, position=output.position, pin=output.pin, value=output.value)


def skip_ordinal() -> None:
    NodeExecution.objects.filter(ordinal=0).update(ordinal=1000)


def leave_running() -> None:
    NodeExecution.objects.filter(pk=_any_node().pk).update(
        status=Status.RUNNING, token=UUID(int=1), lease_until=F("opened_at")
    )


def leave_queued() -> None:
    NodeExecution.objects.filter(pk=_any_node().pk).update(status=Status.QUEUED)


def leave_run_running() -> None:
    Execution.objects.filter(parent=None).update(status=Status.RUNNING)


def leave_sub_run_terminated() -> None:
    Execution.objects.exclude(parent=None).update(status=Status.TERMINATED)


def terminate_unasked() -> None:
    Execution.objects.filter(parent=None).update(status=Status.TERMINATED)


def lose_sub_run() -> None:
    sub_run = Execution.objects.exclude(parent=None).first()
    assert sub_run is not None
    sub_run.delete()


def forget_loss() -> None:
    NodeExecution.objects.filter(pk=_any_node().pk).update(losses=1)


def forget_loss_of_a_run_that_was_resumed() -> None:
    Execution.objects.update(resumptions=1)
    forget_loss()


def remember_loss_twice() -> None:
    node = _any_node()
    PastAttempt.objects.create(
        node_execution=node, number=1, outcome="LOST", began_at=node.opened_at, ended_at=node.opened_at
    )


def count(field: str) -> Callable[[], None]:
    def count_twice() -> None:
        Execution.objects.filter(parent=None).update(**{field: F(field) + 1})

    count_twice.__name__ = f"count_{field}_twice"
    return count_twice


def _any_node() -> NodeExecution:
    node = NodeExecution.objects.filter(status=Status.COMPLETED).first()
    assert node is not None
    return node


CORRUPTIONS = (
    drop_last_output,
    drop_first_run_output,
    change_output,
    change_run_output,
    repeat_firing,
    skip_ordinal,
    leave_running,
    leave_queued,
    leave_run_running,
    leave_sub_run_terminated,
    terminate_unasked,
    lose_sub_run,
    forget_loss,
    forget_loss_of_a_run_that_was_resumed,
    remember_loss_twice,
    *map(count, ("opened", "node_count", "node_error_count", "unfinished", "output_count")),
)


def test_whatever_is_wrong_is_complained_of(answers: Answers) -> None:
    for corrupt in CORRUPTIONS:
        with transaction.atomic():
            corrupt()

            assert examine(answers) != [], corrupt.__name__

            transaction.set_rollback(True)
    assert examine(answers) == []


def test_a_loss_from_before_a_run_was_resumed_is_remembered_and_not_counted(answers: Answers) -> None:
    Execution.objects.update(resumptions=1)
    remember_loss_twice()

    assert examine(answers) == []


def test_what_a_stopped_run_records_later_is_complained_of(user: User, drain: Drain) -> None:
    version = import_graph(owner=user, document=make_family()).version
    run = start_execution(user=user, version=version, input_data={})
    stop_execution(execution_id=run.pk)
    stopped = {run.pk: trace(run.pk)}
    assert examine({}, asked_to_stop={run.pk}, stopped=stopped) == []

    Execution.objects.filter(pk=run.pk).update(event_number=F("event_number") + 1)

    (complaint,) = examine({}, asked_to_stop={run.pk}, stopped=stopped)
    assert "after its end" in complaint


def test_a_stop_that_did_not_last_is_complained_of(answers: Answers) -> None:
    run = Execution.objects.filter(parent=None).earliest("pk")

    (complaint,) = examine(answers, asked_to_stop={run.pk}, stopped={run.pk: None})

    assert "receipt" in complaint
