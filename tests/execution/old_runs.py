"""Runs that ended long ago."""

import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import F

from execution.models import Execution
from execution.pruning import Retention
from execution.run_files import FilesOfRun
from execution.services import start_execution
from execution.store.clearing import AFTER_RUNS
from execution.store.pruning import WITH_RUNS
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.small_graphs import INPUT, OUTPUT, draw

EXAMPLES = Path(__file__).parents[2] / "examples"

MONTH = timedelta(days=30)

OLD = Retention(age=MONTH)

ECHO = draw({"in": (INPUT, {"name": "in", "value": 1}), "out": (OUTPUT, {"name": "out"})}, ["in.result -> out.value"])


def folders_of_runs() -> Iterator[FilesOfRun]:
    for run in Execution.objects.all():
        yield FilesOfRun(user_id=str(run.user_id), execution_id=run.pk)


def run_to_its_end(user: User, drain: Drain, document: dict[str, Any] = ECHO) -> Execution:
    run = start_execution(user=user, version=import_graph(owner=user, document=document).version, input_data={})
    drain.run()
    run.refresh_from_db()
    return run


def example(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text())
    return loaded


def age(*runs: Execution, by: timedelta = 2 * MONTH) -> None:
    """Let these runs, and what is below them, have taken place earlier; their ids stay: they only have to be older."""
    for run in runs:
        for model in (Execution.objects.filter(pk=run.pk), Execution.objects.filter(root=run)):
            model.update(created_at=F("created_at") - by, ended_at=F("ended_at") - by)
        _rename(run, by)


def _rename(run: Execution, by: timedelta) -> None:
    """Give a run the id of its age: ids tell the time."""
    old = run.pk
    new = UUID(int=old.int - (int(by.total_seconds() * 1000) << 80))
    with transaction.atomic(), connection.cursor() as cursor:
        for table in (*WITH_RUNS, *AFTER_RUNS):
            cursor.execute(f"UPDATE {table} SET execution_id = %s WHERE execution_id = %s", [new, old])  # noqa: S608
        cursor.execute("UPDATE execution_execution SET root_id = %s WHERE root_id = %s", [new, old])
        cursor.execute("UPDATE execution_execution SET origin_id = %s WHERE origin_id = %s", [new, old])
        cursor.execute("UPDATE execution_execution SET id = %s WHERE id = %s", [new, old])
    run.pk = new


def exists(run: Execution) -> bool:
    return Execution.objects.filter(pk=run.pk).exists()


def prune_by_command(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("prune_executions", *arguments, stdout=out, stderr=err)
    except SystemExit as end:
        return int(str(end.code)), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()
