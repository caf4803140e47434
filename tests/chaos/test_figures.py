"""The figures of chaos runs are what they say."""

from tests.chaos.figures import summarize


def test_percentiles_are_values_that_were_measured() -> None:
    assert summarize([float(number) for number in range(100, 0, -1)]) == {
        "count": 100,
        "p50": 50.0,
        "p95": 95.0,
        "max": 100.0,
    }


def test_one_value_is_all_percentiles() -> None:
    assert summarize([0.126]) == {"count": 1, "p50": 0.13, "p95": 0.13, "max": 0.13}


def test_nothing_measured_is_told_as_such() -> None:
    assert summarize([]) == {"count": 0}
