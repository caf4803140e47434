"""Counting SQL statements from PostgreSQL's log."""

import pytest

from bench.statements import StatementLog, normalize, read_log

LOG = """\
bench<12>LOG:  duration: 0.500 ms  statement: SELECT a
\tFROM b WHERE id = 'x'
bench<13>LOG:  duration: 1.500 ms  statement: SELECT a FROM b WHERE id = 'it''s another'
bench<13>LOG:  duration: 0.100 ms  parse <unnamed>: SELECT $1
bench<13>LOG:  duration: 0.200 ms  bind <unnamed>: SELECT $1
bench<13>LOG:  duration: 0.300 ms  execute <unnamed>: SELECT $1
bench<13>DETAIL:  Parameters: $1 = '7'
bench<14>ERROR:  something else
"""


def test_the_same_statement_with_other_values_is_counted_together() -> None:
    log = StatementLog()

    read_log(LOG, into=log)

    first, second = log.by_time()
    assert (first.text, first.calls, first.milliseconds) == ("SELECT a FROM b WHERE id = ?", 2, 2.0)
    assert (second.text, second.calls) == ("SELECT ?", 1)
    assert second.milliseconds == pytest.approx(0.6)
    assert log.calls == 3


def test_what_a_session_knows_is_counted_under_its_name() -> None:
    log = StatementLog()
    prepared = "PREPARE mark (uuid, text[]) AS UPDATE n SET a = $2 WHERE id = $1"

    read_log(
        f"bench<7>LOG:  duration: 0.100 ms  bind mark: {prepared}\n"
        f"bench<7>LOG:  duration: 0.300 ms  execute mark: {prepared}\n"
        f"bench<7>LOG:  duration: 9.000 ms  statement: {prepared}\n",
        into=log,
    )

    called, planned = sorted(log.statements.values(), key=lambda statement: statement.milliseconds)
    assert (called.text, called.calls) == ("mark: UPDATE n SET a = ? WHERE id = ?", 1)
    assert called.milliseconds == pytest.approx(0.4)
    assert (planned.calls, planned.milliseconds) == (1, 9.0)


def test_lists_of_values_are_one() -> None:
    assert normalize("INSERT INTO t VALUES (1, 'a'), (2, 'b')") == normalize("INSERT INTO t VALUES (3, 'c')")
