"""Statements that share a round trip: values arrive as they are, and nobody gets the answer to another's question."""

import math
import os
import signal
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import DataError, IntegrityError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from psycopg import Connection

from execution.database_patience import patiently
from execution.engine.statuses import Status
from execution.store.batches import one_transaction
from execution.store.round_trips import Prepared, exchange
from tests.config.processes import wait_until
from tests.execution.lock_waits import do_beside, session_beside

pytestmark = pytest.mark.django_db(transaction=True)

ECHO = Prepared(
    "test_echo",
    "texts text[], keys uuid[], numbers bigint[], flags bool[], shares float8[],"
    " text text, key uuid, number bigint, flag bool, share float8",
    "SELECT %(texts)s, %(keys)s, %(numbers)s, %(flags)s, %(shares)s,"
    " %(text)s, %(key)s, %(number)s, %(flag)s, %(share)s",
)
NOTHING: dict[str, Any] = {
    **{name: [] for name in ("texts", "keys", "numbers", "flags", "shares")},
    **{name: None for name in ("text", "key", "number", "flag", "share")},
}
REPEAT = Prepared("test_repeat", "text text", "SELECT %(text)s")
ADD = Prepared("test_add", "name text", "INSERT INTO auth_group (name) VALUES (%(name)s)")

TRICKY = (
    "",
    "NULL",
    "null",
    '"',
    '""',
    "\\",
    '\\"',
    "'",
    ",",
    "{",
    "}",
    "{}",
    "{a,b}",
    " ",
    "\n",
    "$1",
    "%s",
    "é",
    "🙂",
)
# PostgreSQL has no text with a zero in it, and UTF-8 no half of a pair.
texts = st.sampled_from(TRICKY) | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
bigints = st.integers(-(2**63), 2**63 - 1)


def list_of(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.none() | values, max_size=8)


VALUES = st.fixed_dictionaries(
    {
        "texts": list_of(texts),
        "keys": list_of(st.uuids()),
        "numbers": list_of(bigints),
        "flags": list_of(st.booleans()),
        "shares": list_of(st.floats(allow_nan=False)),
        "text": st.none() | texts,
        "key": st.none() | st.uuids(),
        "number": st.none() | bigints,
        "flag": st.none() | st.booleans(),
        "share": st.none() | st.floats(allow_nan=False),
    }
)


def session_id() -> int:
    """Which session of the server's this one is: another one, once it was opened anew."""
    (((pid,),),) = exchange([("SELECT pg_backend_pid()", ())])
    return int(pid)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(values=VALUES)
def test_values_come_back_as_they_went(values: dict[str, Any]) -> None:
    ((row,),) = exchange([(ECHO, values)])

    assert dict(zip(NOTHING, row, strict=True)) == values


class Size(IntEnum):
    """A number with a name."""

    LARGE = 7


def test_what_is_no_number_stays_that() -> None:
    ((row,),) = exchange([(ECHO, NOTHING | {"share": math.nan, "shares": [math.nan, 1.0]})])

    found = dict(zip(NOTHING, row, strict=True))
    assert math.isnan(found["share"])
    assert math.isnan(found["shares"][0])
    assert found["shares"][1] == 1.0


def test_what_has_a_name_is_written_as_what_it_is() -> None:
    values = {"text": Status.QUEUED, "texts": [Status.FAILED], "number": Size.LARGE, "numbers": [Size.LARGE]}

    ((row,),) = exchange([(ECHO, NOTHING | values)])

    found = dict(zip(NOTHING, row, strict=True))
    assert {name: found[name] for name in values} == {
        "text": "QUEUED",
        "texts": ["FAILED"],
        "number": 7,
        "numbers": [7],
    }


TOO_LARGE = (DataError, "out of range")
UNKNOWN = (TypeError, "can't be a parameter")
WITH_A_ZERO = (DataError, "zero")
NO_TEXT = (UnicodeEncodeError, "surrogates not allowed")


@pytest.mark.parametrize(
    ("refusal", "values"),
    [
        *((TOO_LARGE, values) for values in ({"number": 2**63}, {"numbers": [1, -(2**63) - 1]})),
        *((UNKNOWN, values) for values in ({"text": b"a"}, {"texts": [b"a"]}, {"texts": [["a"]]}, {"texts": ("a",)})),
        *((WITH_A_ZERO, values) for values in ({"text": "a\0b"}, {"texts": ["a", "b\0"]})),
        *((NO_TEXT, values) for values in ({"text": "\ud800"}, {"texts": ["a", "\ud800"]})),
    ],
)
def test_what_cannot_be_written_is_refused_and_does_no_harm(
    refusal: tuple[type[Exception], str], values: dict[str, Any]
) -> None:
    before = session_id()
    error, text = refusal

    with pytest.raises(error, match=text):
        exchange([(ADD, {"name": "a"}), (ECHO, NOTHING | values)])

    assert not Group.objects.exists()
    assert session_id() == before


def add_twice() -> None:
    exchange([(ADD, {"name": "a"}), (ADD, {"name": "a"}), (ADD, {"name": "b"})])


def add_twice_in_a_batch() -> None:
    with one_transaction() as batch:
        batch.fetch(ADD, {"name": "before"})
        for name in ("a", "a", "b"):
            batch.ask(ADD, {"name": name})


@pytest.mark.parametrize("add", [add_twice, add_twice_in_a_batch])
def test_of_what_fails_in_the_middle_nothing_stays(add: Callable[[], None]) -> None:
    before = session_id()

    with pytest.raises(IntegrityError, match='duplicate key value violates unique constraint "auth_group_name_key"'):
        add()

    assert not Group.objects.exists()
    assert session_id() == before


def test_a_failure_within_a_savepoint_leaves_what_was_before_it() -> None:
    with transaction.atomic():
        exchange([(ADD, {"name": "before"})])
        with pytest.raises(IntegrityError), transaction.atomic():
            add_twice()
        exchange([(ADD, {"name": "after"})])

    assert set(Group.objects.values_list("name", flat=True)) == {"before", "after"}


def test_what_fails_at_the_commit_is_an_error_too() -> None:
    """Foreign keys are looked at then."""
    with pytest.raises(IntegrityError, match="foreign key"), one_transaction() as batch:
        batch.ask("INSERT INTO auth_user_groups (user_id, group_id) VALUES (0, 0)")

    assert not Group.objects.exists()


def test_the_first_statement_of_a_transaction_of_django_s_is_part_of_it() -> None:
    """Whether it is new to the session or not: it gets to know it within the transaction, too."""
    connection.close()
    for name in ("new to the session", "known to it"):
        with transaction.atomic():
            exchange([(ADD, {"name": name})])
            transaction.set_rollback(True)
    with transaction.atomic():
        exchange([(ADD, {"name": "kept"})])

    assert [group.name for group in Group.objects.all()] == ["kept"]


def test_a_test_sees_what_was_sent() -> None:
    exchange([(REPEAT, {"text": "a session learns the statement once"})])

    with CaptureQueriesContext(connection) as queries:
        exchange([(REPEAT, {"text": "a"}), ("SELECT %s::int", [2])])

    assert [query["sql"] for query in queries] == ["test_repeat;\nSELECT %s::int"]


def test_neither_side_waits_for_the_other_to_read() -> None:
    """More goes either way than there is room for on the way."""
    sent = [str(number) * 100_000 for number in range(100)]

    answers = exchange([(REPEAT, {"text": text}) for text in sent])

    assert answers == [[(text,)] for text in sent]


LOCK = 0x7E57
WAITING = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = %s)"
END_WHO_WAITS = (
    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = %s"
)


class DiversionError(Exception):
    """Somebody wants this thread to do something else."""


@pytest.fixture
def other() -> Iterator["Connection[Any]"]:
    """Somebody who holds the lock."""
    with session_beside() as session:
        session.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        yield session


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A signal ends what this thread does."""

    def interrupt(_number: int, _frame: Any) -> None:
        raise DiversionError

    before = signal.signal(signal.SIGUSR1, interrupt)
    yield
    signal.signal(signal.SIGUSR1, before)


def interrupt(_other: "Connection[Any]") -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


def kill(other: "Connection[Any]") -> None:
    other.execute(END_WHO_WAITS, [LOCK])


Fault = Callable[["Connection[Any]"], None]


def meet(fault: Fault, other: "Connection[Any]", work: Callable[[], Any]) -> None:
    """Do `work`, which waits for the lock; the fault comes then, and whoever holds the lock lets it go."""

    def commit_fault() -> None:
        assert wait_until(lambda: other.execute(WAITING, [LOCK]).fetchone() == (True,))
        fault(other)

    with do_beside(commit_fault):
        work()
    other.execute("ROLLBACK")


def ask_three() -> None:
    exchange([("SELECT 'early'", ()), ("SELECT pg_advisory_xact_lock(%s)", [LOCK]), (REPEAT, {"text": "late"})])


def ask_three_in_a_batch() -> None:
    with one_transaction() as batch:
        batch.fetch(ADD, {"name": "a"})
        batch.ask("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        batch.ask(REPEAT, {"text": "late"})


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("fault", "error"), [(interrupt, DiversionError), (kill, OperationalError)])
def test_no_answer_is_taken_for_that_to_another_question(
    other: "Connection[Any]", fault: Fault, error: type[Exception]
) -> None:
    before = session_id()
    with pytest.raises(error):
        meet(fault, other, ask_three)

    answers = patiently(lambda: exchange([(REPEAT, {"text": "mine"}), ("SELECT 2", ())]), seconds=10)

    assert answers == [[("mine",)], [(2,)]]
    assert session_id() != before


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("fault", "error"), [(interrupt, DiversionError), (kill, OperationalError)])
def test_a_batch_that_is_cut_off_leaves_nothing_but_a_session_that_works(
    other: "Connection[Any]", fault: Fault, error: type[Exception]
) -> None:
    with pytest.raises(error):
        meet(fault, other, ask_three_in_a_batch)

    assert exchange([(REPEAT, {"text": "mine"})]) == [[("mine",)]]
    assert not Group.objects.exists()
