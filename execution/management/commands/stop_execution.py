"""`manage.py stop_execution ID…`: stop runs and all runs below them, and print what that did."""

import json
from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand

from execution.exceptions import ExecutionNotFoundError
from execution.receipts import ReceiptSerializer, describe_receipt
from execution.services import stop_execution


class Command(BaseCommand):
    """Exit code 0 if every run is over now, 1 if there is no such run."""

    help = "Stop runs at once, with all of their sub-runs. What has ended stays as it is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the runs, and how to print."""
        parser.add_argument("executions", metavar="ID", nargs="+", type=UUID, help="the run to stop")
        parser.add_argument("--json", action="store_true", help="print a JSON list with a receipt for each run")

    def handle(self, *_args: Any, executions: list[UUID], **options: Any) -> None:
        """Stop them one after the other; a run that is not there keeps none of the others running."""
        receipts, missing = [], []
        for execution_id in executions:
            try:
                receipts.append(stop_execution(execution_id=execution_id))
            except ExecutionNotFoundError as error:
                missing.append(str(error))
        if options["json"]:
            self.stdout.write(json.dumps([ReceiptSerializer(receipt).data for receipt in receipts], indent=2))
        else:
            for receipt in receipts:
                self.stdout.write(describe_receipt(receipt))
        for text in missing:
            self.stderr.write(text)
        if missing:
            raise SystemExit(1)
