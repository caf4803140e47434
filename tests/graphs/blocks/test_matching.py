"""Regular expressions match as Python's do, and are stopped when they would not end."""

import time

import pytest

from graphs.blocks.matching import MAX_MATCHED_LENGTH, find, search
from graphs.exceptions import BlockError

PATIENCE = 20.0
SHORT = 0.3
AMPLE = 30.0


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (r"(?<=!chat ).*", "!chat hello", True),
        (r"^(?!\s*$).+", "  \n ", False),
        (r"^(?P<a>.)(?P=a)$", "éé", True),
        (r"\N{BULLET}", "•", True),
        ("", "", True),
    ],
)
def test_a_pattern_is_found_or_not(pattern: str, text: str, expected: bool) -> None:
    assert search(pattern, text) is expected


def test_the_flags_are_those_asked_for() -> None:
    assert not search("A.B", "a\nb", case_sensitive=True, dot_all=True)
    assert not search("A.B", "a\nb", case_sensitive=False, dot_all=False)
    assert search("A.B", "a\nb", case_sensitive=False, dot_all=True)


def test_the_first_matches_are_found_up_to_the_limit() -> None:
    assert find(r"\d", "a1b2c3", limit=2) == ["1", "2"]
    assert len(find("a", "a" * 1_500)) == 1_000


def test_a_group_that_is_not_there_is_no_match() -> None:
    assert find("(a)|(b)", "ab", group=2) == ["b"]
    assert find("(a)", "a", group=2) == []


def test_a_negative_group_is_refused() -> None:
    with pytest.raises(BlockError, match="no group -1"):
        find("(a)", "a", group=-1)


@pytest.mark.parametrize("pattern", ["(", "[z-a]", "a{99999999999999}", "(?<name", "(?<=a+)b", "*"])
def test_what_is_no_pattern_is_named(pattern: str) -> None:
    with pytest.raises(BlockError, match="is not a regular expression") as refusal:
        find(pattern, "text")

    assert pattern in str(refusal.value)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+$", "a" * 50 + "b"),
        ("(a|aa)+$", "a" * 100 + "b"),
        (r"(.*)(.*)(.*)(.*)(.*)(.*)(.*)\1\2\3\4\5\6\7x", "ab" * 100),
    ],
    ids=["nested repetition", "ambiguous choice", "references"],
)
def test_a_pattern_without_end_is_stopped_at_its_limit(pattern: str, text: str) -> None:
    started = time.monotonic()

    with pytest.raises(BlockError, match=r"The pattern took longer than 0\.3 s and was stopped\."):
        search(pattern, text, time_limit=SHORT)

    assert time.monotonic() - started < PATIENCE
    assert search("a", "a")


def test_matches_that_overlap_do_not_add_up_to_gigabytes() -> None:
    with pytest.raises(BlockError, match=f"more than {MAX_MATCHED_LENGTH:,} characters"):
        find("(?=(.*))", "x" * 1_000_000, group=1, time_limit=AMPLE)


@pytest.mark.parametrize(
    "pattern", ["(" * 5_000 + ")" * 5_000, "(?:" * 2_000 + "a" + ")*" * 2_000], ids=["groups", "repetitions"]
)
def test_a_pattern_that_is_nested_too_deeply_is_refused(pattern: str) -> None:
    with pytest.raises(BlockError):
        find(pattern, "a", time_limit=AMPLE)
