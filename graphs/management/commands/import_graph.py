"""`manage.py import_graph FILE…`: save exported graphs as graphs of a user's."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import AbstractBaseUser
from django.core.management.base import BaseCommand, CommandError

from graphs.exceptions import GraphsError
from graphs.models import GraphVersion
from graphs.services import ImportedGraph, import_graph, read_limits

DEMO_USER = "demo"
STANDARD_INPUT = "-"


class Command(BaseCommand):
    """Each file is imported by itself; the first that can't be ends the command with exit code 1."""

    help = "Import graphs from the JSON that AutoGPT exports, sub-graphs included."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take files, whose graphs they become, and how to print."""
        parser.add_argument("files", nargs="+", metavar="FILE", help="an exported graph; - reads the standard input")
        parser.add_argument(
            "--user", help=f"name of the owner (default: the first superuser; else {DEMO_USER}, made if need be)"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON array of what was imported")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import and print."""
        del args
        owner = find_owner(options["user"])
        shown = []
        for name in options["files"]:
            imported = _import_file(name, owner=owner)
            shown.append(_describe(imported))
            if not options["json"]:
                self._print(imported)
        if options["json"]:
            self.stdout.write(json.dumps(shown, ensure_ascii=False, indent=2))

    def _print(self, imported: ImportedGraph) -> None:
        self.stdout.write(_name(imported.version))
        for sub_graph in imported.sub_graphs:
            self.stdout.write(f"  sub-graph {_name(sub_graph)}")
        for warning in imported.warnings:
            self.stdout.write(f"  warning: {warning}")


def find_owner(name: str | None) -> AbstractBaseUser:
    """Return the user of that name; without one the first superuser, else the demo user, made if need be.

    Raises `CommandError` if there is no such user.
    """
    users: Any = get_user_model()._default_manager
    if name is not None:
        user = users.filter(**{get_user_model().USERNAME_FIELD: name}).first()
        if user is None:
            raise CommandError(f"There is no user “{name}”.")
    else:
        user = users.filter(is_superuser=True).order_by("pk").first()
        user = user or _make_demo_user(users)
    found: AbstractBaseUser = user
    return found


def _make_demo_user(users: Any) -> Any:
    """Return the demo user; a new one can't log in: it has no password."""
    name = {get_user_model().USERNAME_FIELD: DEMO_USER}
    user, _is_new = users.get_or_create(**name, defaults={"password": make_password(None)})
    return user


def _import_file(name: str, *, owner: AbstractBaseUser) -> ImportedGraph:
    try:
        return import_graph(owner=owner, document=_read(name))
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror or error}") from error
    except GraphsError as error:
        raise CommandError(f"{name}: {error}") from error


def _read(name: str) -> bytes:
    """Read no more than the importer would take: one byte beyond that tells it that there is too much."""
    limit = read_limits().max_bytes + 1
    if name == STANDARD_INPUT:
        return sys.stdin.buffer.read(limit)
    with Path(name).open("rb") as file:
        return file.read(limit)


def _describe(imported: ImportedGraph) -> dict[str, Any]:
    return {
        **_identify(imported.version),
        "sub_graphs": [_identify(sub_graph) for sub_graph in imported.sub_graphs],
        "warnings": list(imported.warnings),
    }


def _identify(version: GraphVersion) -> dict[str, Any]:
    return {"id": str(version.graph_id), "version": version.version, "name": version.name}


def _name(version: GraphVersion) -> str:
    return f"{version.graph_id} v{version.version} {version.name}"
