"""How many tokens a text is for a language model, near enough to cut lists into pieces that fit.

The real tokenizers need tables of megabytes that are fetched from the network. This estimate looks at the pieces that
they split a text into first. Next to `o200k_base` it counts 0 to 40 % more in prose, Markdown, Python and JSON, and up
to twice as many in Chinese and Japanese, so that what was cut by it fits; only in long numbers and emoji it counts a
third too few.
"""

import re

LETTERS_PER_TOKEN = 8
OTHER_LETTERS_PER_TOKEN = 3
DIGITS_PER_TOKEN = 3

PIECES = re.compile(
    r"(?P<latin>[A-Za-z]+)"
    r"|(?P<digits>[0-9]+)"
    r"|(?P<wide>[\u2E80-\U0010FFFF])"
    r"|(?P<letters>[^\W\d_A-Za-z\u2E80-\U0010FFFF]+)"
    r"|(?P<space>\n\s*|\s{2,})"
    r"|(?P<sign>\S)"
)
CHARACTERS_PER_TOKEN = {
    "latin": LETTERS_PER_TOKEN,
    "digits": DIGITS_PER_TOKEN,
    "wide": 1,
    "letters": OTHER_LETTERS_PER_TOKEN,
    "sign": 1,
}


def estimate_tokens(text: str) -> int:
    """Return about how many tokens the text is; a run of white space counts as one, a single space as none."""
    return sum(_count(match.lastgroup or "", len(match.group())) for match in PIECES.finditer(text))


def _count(kind: str, length: int) -> int:
    return -(-length // CHARACTERS_PER_TOKEN.get(kind, length))
