"""`manage.py prune_executions --older-than DAYS`: delete runs that ended long ago."""

import math
from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from execution.engine.statuses import ENDED, Status
from execution.pruning import RUNS_PER_BATCH, Pruned, Retention, count, prune

MOST_DAYS = 36_500


class Command(BaseCommand):
    """Exit code 1 if files of some runs could not be removed: that is tried again the next time."""

    help = "Delete runs that ended long ago, with their sub-runs, node executions, outputs and files."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take what may go, and how."""
        parser.add_argument(
            "--older-than",
            type=_read_days,
            metavar="DAYS",
            help="how long ago they ended (default: the setting EXECUTION_RETENTION_DAYS)",
        )
        parser.add_argument(
            "--status",
            action="append",
            type=str.upper,
            choices=sorted(ENDED),
            help="only runs that ended like this; can be given more than once",
        )
        parser.add_argument("--batch", type=_read_count, default=RUNS_PER_BATCH, help="runs per transaction")
        parser.add_argument("--limit", type=_read_count, metavar="RUNS", help="no more than so many this time")
        parser.add_argument("--dry-run", action="store_true", help="only say what would go")

    def handle(self, *args: Any, **options: Any) -> None:
        """Delete, with a line after each batch if that is wanted (--verbosity 2)."""
        del args
        days = options["older_than"] if options["older_than"] is not None else settings.EXECUTION_RETENTION_DAYS
        if not days and options["older_than"] is None:
            raise CommandError("Say --older-than DAYS: EXECUTION_RETENTION_DAYS is not set, so runs are kept.")
        retention = Retention(
            age=timedelta(days=days),
            statuses=[Status(status) for status in options["status"] or sorted(ENDED)],
            batch=options["batch"],
            limit=options["limit"],
        )
        if options["dry_run"]:
            would = count(retention)
            self.stdout.write(_write("Would delete", would.runs, would.sub_runs, would.node_executions))
            return
        is_chatty = options["verbosity"] > 1
        pruned = prune(retention, report=lambda so_far: self._tell(so_far) if is_chatty else None)
        self._tell(pruned)
        if pruned.failed:
            self.stderr.write(f"The files of {pruned.failed} runs can't be removed now, the next time tries again:")
            for failure in pruned.failures:
                self.stderr.write(f"  {failure}")
            raise SystemExit(1)

    def _tell(self, pruned: Pruned) -> None:
        line = _write("Deleted", pruned.runs, pruned.sub_runs, pruned.node_executions)
        self.stdout.write(f"{line} Files: {pruned.files}.")


def _write(verb: str, runs: int, sub_runs: int, node_executions: int) -> str:
    return f"{verb} {runs} runs, {sub_runs} sub-runs of theirs, and {node_executions} node executions."


def _read_days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not 0 <= days <= MOST_DAYS:
        raise ArgumentTypeError(f"{text} is not a number of days")
    return days


def _read_count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"{text} is not a number from 1 on")
    return int(text)
