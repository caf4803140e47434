"""Statements that go to the database together: a step of a run takes two round trips, not ten.

They are sent as one text, values written into it by the driver, and PostgreSQL runs them one after the other: each sees
what those before it did, and what others had committed when it began.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from weakref import WeakKeyDictionary

from django.db import Error as DatabaseError
from django.db import connection, transaction

Row = tuple[Any, ...]
Params = Sequence[Any] | Mapping[str, Any]


class Prepared:
    """A statement that is planned once per session, and from then on only called: more than half of its time.

    `parameters` are its names and types as SQL writes them (`run uuid, count int`); the text has them as `%(run)s`.
    """

    def __init__(self, name: str, parameters: str, text: str) -> None:
        self.name = name
        names, self._types = zip(*(each.split() for each in parameters.split(", ")), strict=True)
        self._text = text % {each: f"${number}" for number, each in enumerate(names, start=1)}
        self.call = f"EXECUTE {name}({', '.join(f'%({each})s' for each in names)})"

    @property
    def definition(self) -> str:
        """What makes it known to a session."""
        return f"PREPARE {self.name} ({', '.join(self._types)}) AS {self._text}"


# The sessions that live, with the names of what they know.
_known: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()


class Answer:
    """What a statement that was put into a batch returns."""

    def __init__(self, batch: "Batch", statement: str | Prepared, params: Params) -> None:
        self.statement = statement
        self.params = params
        self._batch = batch
        self._rows: list[Row] | None = None

    @property
    def rows(self) -> list[Row]:
        """The rows. The first look sends the batch."""
        if self._rows is None:
            self._batch.flush()
        return self._rows or []

    def write(self, cursor: Any, known: set[str]) -> str:
        """Return the statement with its values in it. `known` names what the session knows: it gets to know this."""
        text = self.statement
        if isinstance(text, Prepared):
            if text.name not in known:
                cursor.execute(text.definition)
                known.add(text.name)
            text = text.call
        # The driver's own cursor: Django's takes longer to pass a question on than that to answer it.
        return str(cursor.cursor.mogrify(text, self.params)) if self.params else text

    def take(self, rows: list[Row]) -> None:
        """Keep what came back."""
        self._rows = rows


class Batch:
    """Statements that wait to be sent together: until an answer is looked at, or for the `flush`."""

    def __init__(self, *, sends_at_once: bool = False) -> None:
        self._waiting: list[Answer] = []
        self._sends_at_once = sends_at_once
        self.is_abandoned = False

    def ask(self, statement: str | Prepared, params: Params = ()) -> Answer:
        """Put a statement behind those that wait; its answer can be looked at when it is needed."""
        answer = Answer(self, statement, params)
        self._waiting.append(answer)
        if self._sends_at_once:
            self.flush()
        return answer

    def fetch(self, statement: str | Prepared, params: Params = ()) -> list[Row]:
        """Send a statement, after those that wait, and return its rows."""
        return self.ask(statement, params).rows

    def flush(self) -> None:
        """Send what waits."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        with connection.cursor() as cursor:
            known = _known.setdefault(connection.connection, set())
            cursor.execute(";\n".join([each.write(cursor, known) for each in waiting]))
            # All results are there: no error of the database can come any more that Django would have to translate.
            results = cursor.cursor
            for each in waiting:
                each.take(results.fetchall() if results.pgresult.nfields else [])
                results.nextset()

    def abandon(self) -> None:
        """Let nothing of the transaction stay."""
        self._waiting = []
        self.is_abandoned = True


# A plan is kept until there are new statistics: while a table is empty it must not be to read it from end to end.
_READ_NOTHING_WHOLE: Final = "SET LOCAL enable_seqscan = off"


@contextmanager
def one_transaction() -> Iterator[Batch]:
    """Run a batch in a transaction of its own, or as a part of the one that Django has open.

    Its beginning and its end travel with the statements. Nothing in it may use `transaction.atomic`.
    """
    if connection.in_atomic_block:
        # What is SET LOCAL in a savepoint that stays holds until the transaction of Django's ends.
        with transaction.atomic():
            batch = Batch()
            batch.ask(_READ_NOTHING_WHOLE)
            yield batch
            batch.flush()
            if batch.is_abandoned:
                transaction.set_rollback(True)
        return
    batch = Batch()
    batch.ask("BEGIN")
    batch.ask(_READ_NOTHING_WHOLE)
    try:
        yield batch
        batch.ask("ROLLBACK" if batch.is_abandoned else "COMMIT")
        batch.flush()
    except BaseException:
        _roll_back()
        raise


def _roll_back() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("ROLLBACK")
    except DatabaseError:
        # It is broken, or was cut off in the middle of something: the database rolls back by itself.
        connection.close()
