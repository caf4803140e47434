"""Reading what py-spy has seen."""

from bench.profiling import describe, read_stacks

STACKS = """\
main (app.py:3);work (app.py:9);encode (json.py:20) 6
main (app.py:3);work (app.py:8) 3
main (app.py:4) 1
"""


def test_functions_are_counted_with_and_without_what_they_call() -> None:
    profile = read_stacks(STACKS)

    assert profile.samples == 10
    assert profile.own == {"encode (json.py)": 6, "work (app.py)": 3, "main (app.py)": 1}
    assert profile.total == {"main (app.py)": 10, "work (app.py)": 9, "encode (json.py)": 6}


def test_those_that_were_seen_most_come_first() -> None:
    assert describe(read_stacks(STACKS))[2].split() == ["100.0%", "10.0%", "main", "(app.py)"]
