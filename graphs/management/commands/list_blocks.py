"""Lists the blocks that graphs may use."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from graphs.blocks.interfaces import NO_DEFAULT, InputPin, Interface
from graphs.blocks.registry import BlockModulesError, all_interfaces

HEADINGS = ("NAME", "ID", "KIND", "RUNS HERE", "DESCRIPTION")


class Command(BaseCommand):
    """`manage.py list_blocks`: a table for people, or `--json` with every pin for programs."""

    help = "List the blocks that graphs may use: ours, and those of services that we don't have."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare `--json`."""
        parser.add_argument("--json", action="store_true", help="print one JSON array, with the pins of each block")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the list; a setting that can't be loaded is one line on stderr."""
        del args
        try:
            interfaces = all_interfaces()
        except BlockModulesError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            entries = [_describe(interface) for interface in interfaces]
            self.stdout.write(json.dumps(entries, indent=2, ensure_ascii=False))
        else:
            self.stdout.write(_draw_table([HEADINGS, *(_draw_row(interface) for interface in interfaces)]))


def _describe(interface: Interface) -> dict[str, Any]:
    return {
        "id": interface.id,
        "name": interface.name,
        "description": interface.description,
        "kind": interface.kind.value,
        "available": interface.available,
        "static_output": interface.static_output,
        "needs": sorted(interface.needs),
        "inputs": {name: _describe_pin(pin) for name, pin in interface.inputs.items()},
        "outputs": dict(interface.outputs),
    }


def _describe_pin(pin: InputPin) -> dict[str, Any]:
    default = {} if pin.default is NO_DEFAULT else {"default": pin.default}
    return {"schema": pin.schema, "required": pin.required, "secret": pin.secret, **default}


def _draw_row(interface: Interface) -> tuple[str, ...]:
    runs = "yes" if interface.available else f"no: {', '.join(sorted(interface.needs)).lower()}"
    return interface.name, interface.id, interface.kind.value, runs, interface.description


def _draw_table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
