"""`manage.py run_graph FILE|ID`: run a graph, watch it, and print its outputs."""

import json
import math
import signal
import sys
import threading
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any, Final, TextIO
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.db import connection

from execution.engine.statuses import ENDED, Status
from execution.exceptions import ExecutionError
from execution.large_values import read
from execution.management.arguments import FoundGraph, find_graph, read_inputs, read_mocks
from execution.management.database_errors import explain_database_error
from execution.management.live_progress import LiveProgress, make_printable
from execution.management.results import Result, load_result, write_json, write_text
from execution.management.worker_supply import WorkerSupply
from execution.progress import RunWatch
from execution.reporting import find_open_reviews, get_run
from execution.services import start_execution
from execution.workers import WorkersNotReadyError
from graphs.blocks.registry import find_interface
from graphs.exceptions import GraphInvalidError, GraphsError
from graphs.validation import describe_node

LOOK_SECONDS: Final = 0.2
SUPPLY_SECONDS: Final = 1.0
LOOKING_SHARE: Final = 0.2
"""The part of the time that looking may take: a huge run is looked at less often."""


class Command(BaseCommand):
    """Exit code 0 if the run COMPLETED, 1 if it didn't, 2 if the command makes no sense."""

    help = "Run a graph, show its progress, and print its outputs. Uses the workers that run, or its own."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the graph, its inputs, and how to run and print."""
        parser.add_argument("graph", metavar="FILE|ID", help="an exported graph (- is stdin), or the id of a saved one")
        parser.add_argument(
            "--input",
            action="append",
            default=[],
            metavar="NAME=JSON",
            help="an input of the run; what isn't JSON is taken as text",
        )
        parser.add_argument("--inputs", metavar="FILE", help="a JSON object with inputs")
        parser.add_argument(
            "--simulate",
            action="store_true",
            help="make up inputs that have no value, and what blocks emit that need a network or credentials",
        )
        parser.add_argument(
            "--mock",
            metavar="FILE",
            help="simulate, with what nodes emit: {node id or block id: {pin: value} or [[pin, value], …]}",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object to stdout, and nothing else")
        parser.add_argument("--timeout", type=_read_seconds, metavar="S", help="stop waiting after S seconds")
        parser.add_argument("--user", help="who runs it (default: the graph's owner; of a file: as import_graph)")
        parser.add_argument("--version-number", type=int, metavar="N", help="the version (default: the active one)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run, watch and print."""
        del args
        stream: TextIO = options.get("stderr") or sys.stderr
        try:
            with _interrupted_by_signals():
                result = _run(options, stream)
        except DatabaseError as error:
            raise CommandError(explain_database_error(error)) from error
        self._print(result, stream, as_json=options["json"])
        if result.status is not Status.COMPLETED:
            raise SystemExit(1)

    def _print(self, result: Result, stream: TextIO, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(write_json(result))
        else:
            for warning in result.warnings:
                _say(stream, f"warning: {warning['message']}")
            if result.id is not None:
                self.stdout.write(write_text(result), ending="")
        _say(stream, result.error or result.stats["activity_status"])


def _run(options: dict[str, Any], stream: TextIO) -> Result:
    """Return what came of it; raises `CommandError` for what can't be understood."""
    inputs = read_inputs(options["input"], file=options["inputs"])
    try:
        found = find_graph(options["graph"], user_name=options["user"], number=options["version_number"])
    except GraphsError as error:
        return Result(status=Status.FAILED, error=f"{options['graph']}: {error}")
    for warning in found.warnings:
        _say(stream, f"warning: {warning}")
    mocks = read_mocks(options["mock"], node_ids=found.node_ids) if options["mock"] else {}
    try:
        run = start_execution(
            user=found.user,
            version=found.version,
            input_data=inputs,
            simulate=options["simulate"] or bool(mocks),
            mocks=mocks,
        )
    except GraphInvalidError as error:
        _list_problems(found, error, stream)
        return Result(status=Status.FAILED, error=str(error), node_errors=error.node_errors)
    except (GraphsError, ExecutionError) as error:
        return Result(status=Status.FAILED, error=str(error))
    for name in (name for name in run.input_data if name not in inputs):
        _say(stream, f"made up: {name} = {json.dumps(read(run.input_data[name]), ensure_ascii=False)}")
    return _follow(run.pk, timeout=options["timeout"], stream=stream)


def _follow(execution_id: UUID, *, timeout: float | None, stream: TextIO) -> Result:
    """Watch the run to its end, or as long as somebody wants to wait."""
    supply = None
    try:
        with LiveProgress(stream) as screen, RunWatch(execution_id) as watch, WorkerSupply(screen.say) as supply:
            _await_end(execution_id, watch=watch, screen=screen, supply=supply, timeout=timeout)
        reason = f"Not done after {timeout} seconds."
    except KeyboardInterrupt:
        reason = "Interrupted."
        # It may have been in the middle of a query.
        connection.close()
    except WorkersNotReadyError as error:
        reason = str(error)
    result = load_result(get_run(execution_id=execution_id))
    if result.status in ENDED:
        return result
    goes_on = supply is not None and not supply.is_own
    fate = "It goes on: workers are running." if goes_on else "It goes on as soon as workers are running (`make run`)."
    return replace(result, error=f"{reason} The run {execution_id} is {result.status}. {fate}")


def _await_end(
    execution_id: UUID, *, watch: RunWatch, screen: LiveProgress, supply: WorkerSupply, timeout: float | None
) -> None:
    deadline = time.monotonic() + (math.inf if timeout is None else timeout)
    next_supply = 0.0
    asked: set[UUID] = set()
    while (now := time.monotonic()) < deadline:
        if now >= next_supply:
            supply.look_after()
            asked |= _tell_reviews(execution_id, screen, told=asked)
            next_supply = time.monotonic() + SUPPLY_SECONDS
        looked_at = time.monotonic()
        progress = watch.look()
        screen.show(progress)
        if progress.has_ended:
            return
        pause = max(LOOK_SECONDS, (time.monotonic() - looked_at) / LOOKING_SHARE)
        watch.wait(max(0.0, min(pause, deadline - time.monotonic())))


def _tell_reviews(execution_id: UUID, screen: LiveProgress, *, told: set[UUID]) -> set[UUID]:
    """Say which new decisions the run waits for; return them."""
    new = {review.pk: review.name for review in find_open_reviews(execution_id) if review.pk not in told}
    for key, name in new.items():
        screen.say(f"A person must decide about “{name}”: in the admin, or with POST /v1/reviews/{key}/decide.")
    return set(new)


def _list_problems(found: FoundGraph, error: GraphInvalidError, stream: TextIO) -> None:
    nodes = {str(node.id): node for node in found.version.document().nodes}
    for node_id, fields in error.node_errors.items():
        node = nodes.get(node_id)
        name = f"{describe_node(node, find_interface(node.block_id))} {node_id}" if node else node_id
        for field, message in fields.items():
            _say(stream, f"{name}: {field}: {message}")


def _say(stream: TextIO, sentence: str) -> None:
    stream.write(f"{make_printable(sentence)}\n")
    stream.flush()


def _read_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ArgumentTypeError(f"{text} is not a number of seconds")
    return seconds


@contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP as Ctrl-C, so that whoever ends the command gets its own workers stopped as well."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {each: signal.signal(each, interrupt) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
