"""`manage.py prune_executions`, and the workers that do the same on a schedule."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from pytest_django import Settings

from execution.models import (
    Execution,
    NodeExecution,
)
from execution.pruning import count, prune
from execution.retention import PRUNING_LOCK, prune_expired
from execution.store.sessions import open_session
from tests.execution.drain import Drain
from tests.execution.old_runs import OLD, age, example, exists, folders_of_runs, prune_by_command, run_to_its_end

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def no_files() -> Iterator[None]:
    yield
    for files in list(folders_of_runs()):
        files.remove()


def test_a_dry_run_says_what_would_go_and_deletes_nothing(user: User, drain: Drain) -> None:
    run = run_to_its_end(user, drain, example("triangles"))
    age(run)
    nodes, sub_runs = NodeExecution.objects.count(), Execution.objects.filter(root=run).count()

    code, out, _ = prune_by_command("--older-than", "30", "--dry-run")

    assert code == 0
    assert out == f"Would delete 1 runs, {sub_runs} sub-runs of theirs, and {nodes} node executions.\n"
    assert count(OLD).node_executions == nodes
    assert exists(run)
    assert prune(OLD).node_executions == nodes


def test_without_a_setting_the_command_wants_to_be_told_how_old(user: User, drain: Drain, settings: Settings) -> None:
    run = run_to_its_end(user, drain)
    age(run)

    with pytest.raises(CommandError, match="--older-than"):
        call_command("prune_executions")
    assert exists(run)
    settings.EXECUTION_RETENTION_DAYS = 30
    assert prune_by_command()[0] == 0
    assert not exists(run)


@pytest.mark.parametrize("arguments", [["--older-than", "-1"], ["--older-than", "nan"], ["--batch", "0"]])
def test_nonsense_is_refused(arguments: list[str]) -> None:
    with pytest.raises(CommandError, match="is not a number"):
        call_command("prune_executions", *arguments)


def test_workers_prune_only_if_they_are_told_to_and_one_at_a_time(user: User, drain: Drain, settings: Settings) -> None:
    run = run_to_its_end(user, drain)
    age(run)

    assert prune_expired() is None
    settings.EXECUTION_RETENTION_DAYS = 30
    # A session that is only closed may keep its locks for a while.
    with closing(open_session()) as other, other.transaction():
        other.execute("SELECT pg_advisory_xact_lock(%s)", [PRUNING_LOCK])
        assert prune_expired() is None
    assert exists(run)
    pruned = prune_expired()

    assert pruned is not None
    assert pruned.runs == 1
    assert not exists(run)
