"""`manage.py audit_ledger`: prove that balances, entries and holds agree."""

import time
from typing import Any

from django.core.management.base import BaseCommand

from credits.auditing import audit


class Command(BaseCommand):
    """Exit code 0 if everything agrees, else 1."""

    help = "Compare every balance with its entries and holds, and every entry with the one before."

    def handle(self, *args: Any, **options: Any) -> None:
        """Audit and report."""
        del args, options
        began = time.monotonic()
        found = audit()
        self.stdout.write(
            f"{found.accounts:,} accounts, {found.entries:,} entries in {time.monotonic() - began:.1f} s:"
            f" balance {found.balance:,}, held {found.held:,}, owed {found.owed:,}."
        )
        for fault in found.faults:
            self.stdout.write(f"{fault.check}: {fault.subject}: {fault.detail}")
        if found.faults:
            raise SystemExit(1)
        self.stdout.write("The books agree.")
