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


def test_lists_of_values_are_one() -> None:
    assert normalize("INSERT INTO t VALUES (1, 'a'), (2, 'b')") == normalize("INSERT INTO t VALUES (3, 'c')")
