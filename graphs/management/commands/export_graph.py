"""`manage.py export_graph ID`: write a graph as the JSON that AutoGPT exports."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from graphs.exceptions import GraphsError
from graphs.models import Graph
from graphs.services import export_graph, get_version


class Command(BaseCommand):
    """Prints to the standard output, or writes a file. No secret is in it."""

    help = "Export a graph with its sub-graphs, without secrets."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the graph, the version, and where to write."""
        parser.add_argument("graph", help="the graph's id")
        parser.add_argument("--version-number", type=int, help="the version (default: the active one)")
        parser.add_argument("--output", metavar="FILE", help="write here (default: the standard output)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Export and write."""
        del args
        text = json.dumps(_export(options["graph"], number=options["version_number"]), ensure_ascii=False, indent=2)
        if options["output"] is None:
            self.stdout.write(text)
            return
        try:
            Path(options["output"]).write_text(f"{text}\n", encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{options['output']}: {error.strerror or error}") from error


def _export(graph_id: str, *, number: int | None) -> dict[str, Any]:
    """Export anybody's graph: an operator may."""
    try:
        graph = Graph.objects.select_related("owner").filter(pk=UUID(graph_id)).first()
    except ValueError:
        raise CommandError(f"“{graph_id}” is not the id of a graph.") from None
    if graph is None:
        raise CommandError(f"There is no graph {graph_id}.")
    try:
        return export_graph(version=get_version(user=graph.owner, graph_id=graph.pk, version=number))
    except GraphsError as error:
        raise CommandError(str(error)) from error
