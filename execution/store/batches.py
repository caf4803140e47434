"""Statements that go to the database together: a step of a run takes two round trips, not ten.

PostgreSQL runs them one after the other: each sees what those before it did, and what others had committed when it
began.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import Error as DatabaseError
from django.db import connection, transaction

from execution.store.round_trips import READ_NOTHING_WHOLE, Params, Prepared, Row, exchange


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
        answers = exchange([(each.statement, each.params) for each in waiting])
        for each, rows in zip(waiting, answers, strict=True):
            each.take(rows)

    def abandon(self) -> None:
        """Let nothing of the transaction stay."""
        self._waiting = []
        self.is_abandoned = True


@contextmanager
def one_transaction() -> Iterator[Batch]:
    """Run a batch in a transaction of its own, or as a part of the one that Django has open.

    Its beginning and its end travel with the statements. Nothing in it may use `transaction.atomic`.
    """
    if connection.in_atomic_block:
        with transaction.atomic():
            batch = Batch()
            yield batch
            batch.flush()
            if batch.is_abandoned:
                transaction.set_rollback(True)
        return
    batch = Batch()
    batch.ask("BEGIN")
    batch.ask(READ_NOTHING_WHOLE)
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
