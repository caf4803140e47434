"""`manage.py demo`: an example graph, from nothing to its outputs."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from config.demo_account import EXAMPLES
from config.schema import bring_schema_up_to_date

DEFAULT = EXAMPLES / "triangles.json"


class Command(BaseCommand):
    """What `make demo` runs. Exit code 0 only if the run was COMPLETED."""

    requires_system_checks = ()
    help = "Import an example graph, run it through real workers and print its outputs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take another graph than the usual one."""
        parser.add_argument("file", nargs="?", type=Path, default=DEFAULT, help="an exported graph")

    def handle(self, *args: Any, **options: Any) -> None:
        """Lay out the database and run the graph."""
        del args
        file: Path = options["file"]
        if not file.is_file():
            raise CommandError(f"There is no file {file}.")
        bring_schema_up_to_date()
        call_command("run_graph", str(file))
