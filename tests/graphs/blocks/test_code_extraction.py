"""Code is taken out of a text, and everything else is left in it."""

import pytest

from graphs.blocks.code_extraction import LANGUAGES, CodeExtractionBlock, CodeExtractionOutputs, split_code
from tests.graphs.blocks.running import run_block


@pytest.mark.parametrize(("pin", "language"), [(pin, name) for pin, names in LANGUAGES.items() for name in names])
def test_code_goes_to_the_pin_of_its_language(pin: str, language: str) -> None:
    ran = run_block(CodeExtractionBlock(), {"text": f"```{language.upper()} \nsome code\n```"})

    assert ran.outputs == [(pin, "some code")]


def test_every_language_has_its_pin() -> None:
    assert set(LANGUAGES) == set(CodeExtractionOutputs.model_fields) - {"remaining_text", "error"}


@pytest.mark.parametrize(
    "text",
    [
        "no code",
        "```\nno language\n```",
        "```klingon\nunknown\n```",
        "```python\nwithout an end",
        "```python on one line```",
        "```pythonic\nnot quite\n```",
    ],
)
def test_what_is_no_code_of_a_known_language_stays(text: str) -> None:
    assert split_code(text) == ({}, text)


def test_code_ends_at_a_fence_on_a_line_of_its_own() -> None:
    text = "a\n```python\nfence = '```'\n\n  indented\n  ```\nb"

    assert split_code(text) == ({"python": ["fence = '```'\n\n  indented"]}, "a\nb")


def test_empty_code_is_taken_out_but_not_emitted() -> None:
    ran = run_block(CodeExtractionBlock(), {"text": "a\n```sql\n```\n\n\nb"})

    assert ran.outputs == [("remaining_text", "a\nb")]


@pytest.mark.parametrize(
    "text",
    ["```python\nx" * 100_000, "\n" * 500_000, "```py" + " " * 1_000_000, "`" * 1_000_000],
    ids=["openings", "lines", "spaces", "ticks"],
)
def test_a_long_text_of_fences_takes_time_in_proportion(text: str) -> None:
    # A search that starts again at every fence would take minutes: the time limit of the whole suite would notice.
    assert split_code(text) == ({}, text.strip())
