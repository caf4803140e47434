"""What cron expressions mean."""

from datetime import date

import pytest

from scheduling.cron import parse_cron
from scheduling.exceptions import CronInvalidError


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("* * * * *", set(range(60))),
        ("*/15 * * * *", {0, 15, 30, 45}),
        ("5/20 * * * *", {5, 25, 45}),
        ("10-20/5 * * * *", {10, 15, 20}),
        ("1,2,2,58-59 * * * *", {1, 2, 58, 59}),
        ("*/90 * * * *", {0}),
    ],
)
def test_lists_ranges_and_steps(text: str, minutes: set[int]) -> None:
    assert parse_cron(text).minutes == minutes


@pytest.mark.parametrize(
    ("text", "weekdays"),
    [
        ("0 0 * * 0", {0}),
        ("0 0 * * 7", {0}),
        ("0 0 * * SUN", {0}),
        ("0 0 * * mon-Fri", {1, 2, 3, 4, 5}),
        ("0 0 * * 5-7", {5, 6, 0}),
        ("0 0 * * sat-sun", {6, 0}),
        ("0 0 * * 0-7", set(range(7))),
        ("0 0 * * */2", {0, 2, 4, 6}),
    ],
)
def test_sunday_is_the_first_and_the_seventh_day(text: str, weekdays: set[int]) -> None:
    assert parse_cron(text).weekdays == weekdays


def test_months_have_names() -> None:
    assert parse_cron("0 0 1 jan,Mar-MAY *").months == {1, 3, 4, 5}


@pytest.mark.parametrize(
    ("macro", "written_out"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        (" @Midnight ", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ],
)
def test_macros_stand_for_what_one_expects(macro: str, written_out: str) -> None:
    assert parse_cron(macro) == parse_cron(written_out)


def test_one_of_two_named_days_is_enough() -> None:
    friday_or_13th = parse_cron("0 0 13 * fri")

    assert friday_or_13th.matches_date(date(2026, 11, 13))
    assert friday_or_13th.matches_date(date(2026, 11, 20))
    assert friday_or_13th.matches_date(date(2026, 12, 13))
    assert not friday_or_13th.matches_date(date(2026, 12, 12))


def test_a_star_leaves_it_to_the_other_day() -> None:
    odd_days_that_are_mondays = parse_cron("0 0 */2 * mon")

    assert odd_days_that_are_mondays.matches_date(date(2026, 11, 23))
    assert not odd_days_that_are_mondays.matches_date(date(2026, 11, 25))
    assert not odd_days_that_are_mondays.matches_date(date(2026, 11, 30))


def test_the_rarest_day_of_all_comes() -> None:
    assert parse_cron("0 0 29 2 *").next_date(date(2097, 1, 1)) == date(2104, 2, 29)
    assert parse_cron("0 0 */29 2 */7").next_date(date(2080, 1, 1)) is not None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "has 0"),
        ("* * * *", "has 4"),
        ("* * * * * *", "has 6"),
        ("60 * * * *", "60 is not between 0 and 59"),
        ("* 24 * * *", "hour '24'"),
        ("* * 0 * *", "0 is not between 1 and 31"),
        ("* * * 13 *", "month '13'"),
        ("* * * * 8", "8 is not between 0 and 7"),
        ("5-1 * * * *", "1 comes before 5"),
        ("*/0 * * * *", "the step must be 1 or more"),
        ("1-2-3 * * * *", "'2-3' is not a number"),
        ("-1 * * * *", "'' is not a number"),
        ("1,,2 * * * *", "'' is not a number"),
        ("* * * foo *", "'foo' is not a number or a name"),
        ("* * * * mo", "'mo' is not a number or a name"),
        ("² * * * *", "'²' is not a number"),
        ("0 0 31 2,4 *", "a day that never comes"),
        ("@reboot", "There is no '@reboot'"),
        ("* " * 200, "at most 300 characters"),
    ],
)
def test_what_can_not_be_read_is_named(text: str, complaint: str) -> None:
    with pytest.raises(CronInvalidError, match="(?s)" + complaint.replace("(", r"\(").replace("*", r"\*")):
        parse_cron(text)
