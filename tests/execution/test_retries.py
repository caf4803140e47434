"""Failed attempts are tried again where that may help, later, and without a worker."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from pytest_django import Settings

from execution.engine.statuses import Status
from execution.exceptions import InputsRefusedError
from execution.models import Execution, NodeExecution, Output, PastAttempt, RunOutput
from execution.node_execution_serializers import NodeExecutionSerializer
from execution.planning import load_plan
from execution.reporting import find_node_executions
from execution.retries import ATTEMPTS_WITH_DATABASE_AWAY, RetryRule, read_rule, read_time_limit
from execution.services import start_execution
from execution.time_limits import TimeLimitError
from graphs.blocks.contract import RetryPolicy
from graphs.exceptions import BlockError
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.failing_blocks import FLAKY, MODULES, SLOW_ONCE
from tests.execution.small_graphs import INPUT, OUTPUT, draw

THREE = RetryPolicy(max_attempts=3, first_delay=1.0, max_delay=10.0)


@pytest.fixture(autouse=True)
def failing_blocks(settings: Settings) -> None:
    settings.BLOCK_MODULES = MODULES


def delay(rule: RetryRule, error: Exception, tries: int) -> float | None:
    return rule.next_delay(error, tries=tries, seed="seed")


def test_delays_grow_up_to_a_ceiling_with_full_jitter() -> None:
    rule = RetryRule(policy=RetryPolicy(max_attempts=100, first_delay=1.0, max_delay=10.0))

    for tries, ceiling in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 10.0), (90, 10.0)):
        drawn = [rule.next_delay(RuntimeError(), tries=tries, seed=str(seed)) or 0.0 for seed in range(300)]
        assert 0.9 * ceiling < max(drawn) <= ceiling
        assert min(drawn) < 0.1 * ceiling


def test_the_same_seed_gives_the_same_delay() -> None:
    rule = RetryRule(policy=THREE)

    assert delay(rule, RuntimeError(), 1) == delay(rule, RuntimeError(), 1) != delay(rule, RuntimeError(), 2)


def test_there_are_no_more_attempts_than_allowed() -> None:
    assert delay(RetryRule(policy=THREE), RuntimeError(), 2) is not None
    assert delay(RetryRule(policy=THREE), RuntimeError(), 3) is None
    assert delay(RetryRule(policy=RetryPolicy()), RuntimeError(), 1) is None


@pytest.mark.parametrize(
    ("policy", "names", "error", "is_worth_it"),
    [
        (THREE, (), RuntimeError(), True),
        (THREE, (), BlockError("no"), False),
        (THREE, (), InputsRefusedError("no"), False),
        (THREE, (), TimeLimitError(timedelta(seconds=1)), True),
        (RetryPolicy(max_attempts=3, retry_on=(ConnectionError,)), (), ConnectionResetError(), True),
        (RetryPolicy(max_attempts=3, retry_on=(ConnectionError,)), (), ValueError(), False),
        (RetryPolicy(max_attempts=3, retry_on=(ConnectionError,)), (), TimeLimitError(timedelta(seconds=1)), True),
        (RetryPolicy(max_attempts=3, retry_on=(BlockError,)), (), BlockError("503"), True),
        (RetryPolicy(max_attempts=3, retry_on=(BlockError,)), (), InputsRefusedError("no"), False),
        (THREE, ("LookupError",), KeyError(), True),
        (THREE, ("LookupError",), ValueError(), False),
    ],
)
def test_only_some_errors_are_worth_another_attempt(
    policy: RetryPolicy, names: tuple[str, ...], error: Exception, is_worth_it: bool
) -> None:
    rule = RetryRule(policy=policy, names=frozenset(names))

    assert (delay(rule, error, 1) is not None) == is_worth_it


def test_a_database_that_is_away_is_never_the_block_s_failure_but_not_for_ever() -> None:
    rule = RetryRule(policy=RetryPolicy())

    assert delay(rule, OperationalError(), ATTEMPTS_WITH_DATABASE_AWAY - 1) is not None
    assert delay(rule, OperationalError(), ATTEMPTS_WITH_DATABASE_AWAY) is None


def test_a_node_says_more_than_its_block() -> None:
    asked = {"max_attempts": 5, "first_delay": 2, "max_delay": 60.5, "retry_on": ["ValueError", 7]}

    rule = read_rule(THREE, {"retry": asked})

    assert rule.policy == RetryPolicy(max_attempts=5, first_delay=2.0, max_delay=60.5)
    assert rule.names == {"ValueError"}


@pytest.mark.parametrize(
    "asked", [None, 3, [], {}, {"max_attempts": "5"}, {"max_attempts": 0, "first_delay": -1, "max_delay": float("nan")}]
)
def test_nonsense_in_a_node_s_metadata_changes_nothing(asked: Any) -> None:
    assert read_rule(THREE, {"retry": asked}).policy == THREE


@pytest.mark.parametrize(
    ("asked", "seconds"), [(5, 5), (0.25, 0.25), (None, 60), ("5", 60), (0, 60), (-1, 60), (True, 60)]
)
def test_a_node_may_have_a_time_limit_of_its_own(asked: Any, seconds: float) -> None:
    limit = read_time_limit(timedelta(seconds=60), {"time_limit": asked})

    assert limit.total_seconds() == seconds


def start(user: User, block: str, *, constants: dict[str, Any], metadata: dict[str, Any] | None = None) -> Execution:
    document = draw(
        {
            "flaky": (block, {"value": 7, **constants}),
            "before": (OUTPUT, {"name": "before"}),
            "after": (OUTPUT, {"name": "after"}),
            "error": (OUTPUT, {"name": "error"}),
        },
        ["flaky.before -> before.value", "flaky.after -> after.value", "flaky.error -> error.value"],
    )
    document["nodes"][0]["metadata"] |= metadata or {}
    version = import_graph(owner=user, document=document).version
    return start_execution(user=user, version=version, input_data={})


def outputs(run: Execution) -> list[tuple[str, Any]]:
    return list(RunOutput.objects.filter(execution=run).order_by("position").values_list("name", "value"))


def flaky(run: Execution) -> NodeExecution:
    specs = load_plan(run.graph_version_id).specs
    (key,) = [key for key, spec in specs.items() if spec.plan.name == "flaky"]
    return NodeExecution.objects.get(execution=run, node_id=key)


@pytest.mark.django_db(transaction=True)
def test_a_block_that_fails_twice_then_works_has_worked(user: User, drain: Drain) -> None:
    run = start(user, FLAKY, constants={"failures": 2})
    drain.run()

    run.refresh_from_db()
    node = flaky(run)
    assert run.status == Status.COMPLETED
    assert run.node_error_count == 0
    assert outputs(run) == [("before", 7), ("after", 7)]
    assert (node.status, node.attempt, node.losses) == (Status.COMPLETED, 3, 0)
    assert node.log == "attempt 1\nattempt 2\nattempt 3\n"
    past = list(PastAttempt.objects.order_by("id"))
    assert [(each.number, each.outcome, each.error) for each in past] == [
        (1, "FAILED", "RuntimeError: failure 1"),
        (2, "FAILED", "RuntimeError: failure 2"),
    ]
    assert all(each.began_at <= each.ended_at and each.worker for each in past)


@pytest.mark.django_db(transaction=True)
def test_while_it_waits_it_is_a_row_with_a_time_and_holds_no_worker(user: User, drain: Drain) -> None:
    run = start(user, FLAKY, constants={"failures": 2}, metadata={"retry": {"first_delay": 1000, "max_delay": 1000}})

    drain.run_one(drain.waiting.pop())

    node = flaky(run)
    assert node.status == Status.SUSPENDED
    assert node.wake_at is not None
    assert node.attempt == 1
    (shown,) = NodeExecutionSerializer(find_node_executions(run), many=True, context={"run": run}).data[:1]
    assert shown["status"] == "RUNNING"
    assert shown["next_attempt_at"] == node.wake_at
    assert [each["error"] for each in shown["past_attempts"]] == ["RuntimeError: failure 1"]
    assert list(Output.objects.filter(node_execution=node).values_list("pin", "value")) == [("before", 7)]


@pytest.mark.django_db(transaction=True)
def test_the_last_failure_is_the_node_s_failure(user: User, drain: Drain) -> None:
    run = start(user, FLAKY, constants={"failures": 2}, metadata={"retry": {"max_attempts": 2}})
    drain.run()

    run.refresh_from_db()
    assert run.node_error_count == 1
    assert outputs(run) == [("before", 7), ("error", "RuntimeError: failure 2")]
    assert flaky(run).attempt == 2


@pytest.mark.django_db(transaction=True)
def test_what_a_block_refuses_is_not_tried_again(user: User, drain: Drain) -> None:
    run = start(user, FLAKY, constants={"refuses": True})
    drain.run()

    assert outputs(run) == [("before", 7), ("error", "I won't.")]
    assert flaky(run).attempt == 1


@pytest.mark.django_db(transaction=True)
def test_a_bad_input_is_not_tried_again_whatever_the_node_says(user: User, drain: Drain) -> None:
    nodes: dict[str, Any] = {"in": (INPUT, {"name": "in", "value": "many"}), "flaky": (FLAKY, {})}
    document = draw(nodes, ["in.result -> flaky.value"])
    document["nodes"][1]["metadata"]["retry"] = {"max_attempts": 5, "retry_on": ["Exception"]}
    version = import_graph(owner=user, document=document).version
    run = start_execution(user=user, version=version, input_data={})
    drain.run()

    assert flaky(run).attempt == 1
    assert flaky(run).status == Status.FAILED


@pytest.mark.django_db(transaction=True)
def test_a_block_that_takes_too_long_once_is_tried_again(user: User, drain: Drain) -> None:
    run = start(user, SLOW_ONCE, constants={}, metadata={"time_limit": 0.2})
    drain.run()

    assert outputs(run) == [("after", 7)]
    assert PastAttempt.objects.get().error == "The block took longer than its limit of 0.2 s."
