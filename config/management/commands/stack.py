"""`manage.py stack`: everything on this machine, in the foreground, until Ctrl-C."""

import signal
import threading
from argparse import ArgumentParser
from types import FrameType
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from config.demo_account import NAME, DemoAccount, ensure_demo_account, load_examples, read_demo_password
from config.schema import bring_schema_up_to_date
from config.stack import (
    Addresses,
    StackRunsError,
    await_ready,
    claim_folder,
    find_addresses,
    forget_last_run,
    list_programs,
)
from config.supervisor import Supervisor, print_line

_START_SECONDS: Final = 60.0
# What a worker needs to hand back what it runs, after its own grace period.
_LAST_WORDS_SECONDS: Final = 5.0


class Command(BaseCommand):
    """Ctrl-C or SIGTERM ends it all; a second one doesn't wait for what still runs."""

    requires_system_checks = ()
    help = "Run web, workers, beat and Flower in the foreground."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the ports to try first, and how much work is done at once."""
        parser.add_argument(
            "--port", type=int, default=8000, help="of the web server; the next free one if it is taken"
        )
        parser.add_argument("--flower-port", type=int, default=5555, help="of Flower; likewise")
        parser.add_argument("--concurrency", type=int, help="processes for plain blocks (default: the cores)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until a signal says stop."""
        del args
        addresses = find_addresses(web_port=options["port"], flower_port=options["flower_port"])
        try:
            with claim_folder(addresses):
                self._run(addresses, concurrency=options["concurrency"])
        except StackRunsError as error:
            raise CommandError(str(error)) from error

    def _run(self, addresses: Addresses, *, concurrency: int | None) -> None:
        stopping, hurry = _listen_to_signals()
        bring_schema_up_to_date()
        account = ensure_demo_account()
        for problem in load_examples(account.user) if account else ():
            print_line(problem)
        connection.close()
        forget_last_run()
        supervisor = Supervisor(list_programs(addresses, concurrency=concurrency))
        try:
            missing = await_ready(supervisor, addresses, stopping=stopping, seconds=_START_SECONDS)
            if not stopping.is_set():
                _welcome(addresses, account, missing=missing)
                supervisor.run_until(stopping)
        finally:
            print_line("Stopping…")
            supervisor.stop(grace=settings.SHUTDOWN_GRACE_SECONDS + _LAST_WORDS_SECONDS, hurry=hurry)
        print_line("Stopped. Your data are kept in .local.")


def _listen_to_signals() -> tuple[threading.Event, threading.Event]:
    """Return the events "stop" and "stop now", set by the first and second signal."""
    stopping, hurry = threading.Event(), threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        (hurry if stopping.is_set() else stopping).set()

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, stop)
    return stopping, hurry


def _welcome(addresses: Addresses, account: DemoAccount | None, *, missing: list[str]) -> None:
    print_line(
        f"""
  Admin      {addresses.web}/admin/
  API        {addresses.web}/v1/docs/
  Flower     {addresses.flower}/
{_describe_logins(addresses, account)}

  Ctrl-C stops everything.
"""
    )
    if missing:
        print_line(f"Not up yet, see .local/log: {', '.join(missing)}.")


def _describe_logins(addresses: Addresses, account: DemoAccount | None) -> str:
    if account is None:
        return f"""  Login      the accounts of your database (DATABASE_URL)
  Flower's   {NAME}   password  {read_demo_password()}"""
    return f"""  Login      {account.user.username}   password  {account.password}
  API key    export URL={addresses.web} KEY={account.api_key}"""
