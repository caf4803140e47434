"""`manage.py replay_execution ID NODE_EXECUTION`: repeat a run from one of its node executions on, as a new run."""

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from execution.exceptions import ExecutionError
from execution.models import NodeExecution
from execution.services import replay_execution
from graphs.exceptions import GraphsError


class Command(BaseCommand):
    """Prints the id of the new run; exit code 1 if it was refused."""

    help = "Repeat a run that has ended from a node execution on, as a new run that reuses the outputs before it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the run, the node execution and the version."""
        parser.add_argument("execution", metavar="ID", type=UUID, help="the run to repeat")
        parser.add_argument("node_execution", metavar="NODE_EXECUTION", type=UUID, help="what runs again first")
        parser.add_argument(
            "--graph-version", type=int, metavar="N", help="a newer version of the graph (default: that of the run)"
        )

    def handle(self, *_args: Any, execution: UUID, node_execution: UUID, **options: Any) -> None:
        """Start it; workers run it."""
        try:
            run = replay_execution(
                execution_id=execution, node_execution_id=node_execution, version=options["graph_version"]
            )
        except (ExecutionError, GraphsError) as error:
            raise CommandError(str(error)) from error
        reused = NodeExecution.objects.filter(execution=run, reused_from__isnull=False).count()
        if options["verbosity"] > 1:
            self.stderr.write(f"{reused} of its {run.opened} node executions are reused.")
        self.stdout.write(str(run.pk))
