"""What is told of repeated measurements."""

import pytest

from bench.samples import ratio, summarize


def test_the_median_and_the_middle_half_of_some_samples() -> None:
    summary = summarize([1.0, 2.0, 3.0, 4.0, 100.0])

    assert (summary.low, summary.median, summary.high, summary.count) == (2.0, 3.0, 4.0, 5)
    assert summary.spread == pytest.approx(2 / 3)


def test_one_sample_has_no_spread() -> None:
    assert summarize([2.0]).spread == 0


def test_no_sample_is_an_error() -> None:
    with pytest.raises(ValueError, match="no sample"):
        summarize([])


def test_a_ratio_compares_medians() -> None:
    assert ratio([2.0, 4.0, 90.0], [1.0, 2.0, 3.0]) == 2.0


def test_what_was_not_measured_has_no_ratio() -> None:
    assert ratio([1.0], []) is None
    assert ratio([], [1.0]) is None
