"""A round trip to PostgreSQL: statements that travel together, and the rows of each.

They go through libpq's pipeline, most of them as calls of what the session has planned before. The driver's own way
into it takes twice as much of the processor.
"""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from operator import attrgetter
from types import NoneType
from typing import Any, Final, cast
from uuid import UUID
from weakref import WeakKeyDictionary

from django.db import DEFAULT_DB_ALIAS, connections
from psycopg.abc import Transformer as Adapter
from psycopg.adapt import Transformer
from psycopg.errors import DataError, error_from_result
from psycopg.generators import fetch_many, send
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult

Row = tuple[Any, ...]
Params = Sequence[Any] | Mapping[str, Any]
# Puts a statement into the connection's buffer.
_Message = Callable[[PGconn], None]


class Prepared:
    """A statement that is planned once per session, and from then on only called: more than half of its time.

    `parameters` are its names and types as SQL writes them (`run uuid, count int`); the text has them as `%(run)s`.
    """

    def __init__(self, name: str, parameters: str, text: str) -> None:
        self.name = name
        self._names, self._types = zip(*(each.split() for each in parameters.split(", ")), strict=True)
        self._text = text % {each: f"${number}" for number, each in enumerate(self._names, start=1)}
        self._key = name.encode()

    @property
    def call(self) -> str:
        """The call as SQL writes it, with `%(run)s` for values."""
        return f"EXECUTE {self.name}({', '.join(f'%({each})s' for each in self._names)})"

    @property
    def definition(self) -> str:
        """What makes it known to a session."""
        return f"PREPARE {self.name} ({', '.join(self._types)}) AS {self._text}"

    def write(self, params: Mapping[str, Any]) -> _Message:
        """Return its call with these values. As text they are of any type: of that which it was prepared for."""
        values = [_write_value(params[name]) for name in self._names]
        return lambda wire: wire.send_query_prepared(self._key, values)


class _Forms(dict[type, Callable[[Any], str]]):
    """How values are written, by their types: the driver finds out for each. What is new is written as its parent."""

    def __missing__(self, kind: type) -> Callable[[Any], str]:
        form = next((self[parent] for parent in kind.__mro__ if parent in self), None)
        if form is None:
            raise TypeError(f"A {kind.__name__} can't be a parameter of a prepared statement, nor in an array.")
        self[kind] = form
        return form


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_PLAIN: Final[dict[type, Callable[[Any], str]]] = {
    bool: str,
    int: int.__repr__,
    float: float.__repr__,
    UUID: attrgetter("hex"),
}
_IN_ARRAYS: Final = _Forms(_PLAIN | {str: _quote, NoneType: lambda _: "NULL"})


def _write_array(values: Sequence[Any]) -> str:
    return "{" + ",".join([_IN_ARRAYS[type(value)](value) for value in values]) + "}"


_ALONE: Final = _Forms(_PLAIN | {str: str.__str__, list: _write_array})


def _write_value(value: Any) -> bytes | None:
    if value is None:
        return None
    text = _ALONE[type(value)](value)
    if "\0" in text:
        # It would be cut off there.
        raise DataError("PostgreSQL has no text with a zero in it.")
    return text.encode()


# A plan is kept until there are new statistics, by whichever statement needs it first: while a table is empty, or was
# lately, it must not be to read it from end to end. It holds to the end of the transaction, so of these statements.
READ_NOTHING_WHOLE: Final = "SELECT set_config('enable_seqscan', 'off', true)"

# The sessions that live, with the names of what they know.
_known: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()


def exchange(statements: Sequence[tuple[str | Prepared, Params]]) -> list[list[Row]]:
    """Send statements and return the rows of each; outside of a transaction they are one.

    Raises the first one's error that fails; those behind it are not executed.
    """
    wrapper = connections[DEFAULT_DB_ALIAS]
    wrapper.close_if_health_check_failed()
    wrapper.ensure_connection()
    wrapper.validate_no_broken_transaction()
    session: Any = wrapper.connection
    with wrapper.wrap_database_errors:
        _introduce(session, [statement for statement, _ in statements if isinstance(statement, Prepared)])
        transformer: Adapter = Transformer(session)
        messages = [_write(statement, params, session) for statement, params in statements]
        if statements[0][0] != "BEGIN":
            # Who begins a transaction says so itself.
            messages.insert(0, _say(READ_NOTHING_WHOLE))
        if not session.autocommit and session.pgconn.transaction_status == TransactionStatus.IDLE:
            # The driver begins a transaction with its first statement, and these pass it by.
            messages.insert(0, _say("BEGIN"))
        began = time.monotonic()
        try:
            results = _converse(session, messages)
        finally:
            # Then Django looks whether the session still lives before it is used again.
            wrapper.errors_occurred = wrapper.errors_occurred or session.closed
        if wrapper.queries_logged:
            text = ";\n".join(str(getattr(statement, "name", statement)) for statement, _ in statements)
            wrapper.queries_log.append({"sql": text, "time": f"{time.monotonic() - began:.3f}"})
        return [_read(result, transformer) for result in results[-len(statements) :]]


def _introduce(session: Any, statements: Sequence[Prepared]) -> None:
    known = _known.setdefault(session, set())
    for statement in statements:
        if statement.name not in known:
            session.execute(statement.definition)
            known.add(statement.name)


def _write(statement: str | Prepared, params: Params, session: Any) -> _Message:
    if isinstance(statement, Prepared):
        return statement.write(cast(Mapping[str, Any], params))
    return _say(session.cursor().mogrify(statement, params) if params else statement)


def _say(text: str) -> _Message:
    return lambda wire: wire.send_query_params(text.encode(), None)


def _converse(session: Any, messages: Sequence[_Message]) -> list[PGresult]:
    """Return the result of each message. If that fails otherwise than by a statement, the session is at its end."""
    wire: PGconn = session.pgconn
    try:
        wire.enter_pipeline_mode()
        for message in messages:
            message(wire)
        wire.pipeline_sync()
        results = session.wait(_gather(wire, len(messages)))
        wire.exit_pipeline_mode()
    except BaseException:
        # A part of the answer may still be on its way.
        session.close()
        raise
    for result in results:
        if result.status == ExecStatus.FATAL_ERROR:
            raise error_from_result(result)
    return list(results)


def _gather(wire: PGconn, count: int) -> Generator[Any, Any, list[PGresult]]:
    yield from send(wire)
    results: list[PGresult] = []
    for _ in range(count):
        results += yield from fetch_many(wire)
    yield from fetch_many(wire)  # that all are there
    return results


def _read(result: PGresult, transformer: Adapter) -> list[Row]:
    if not result.ntuples:
        return []
    transformer.set_pgresult(result)
    return transformer.load_rows(0, result.ntuples, tuple)
