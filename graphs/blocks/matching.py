"""Matches regular expressions from users, in a confined process: some of them take longer than the world will last.

They are Python's own (`re`), as in AutoGPT. A match that takes longer than 5 seconds is stopped.
"""

import re
import unicodedata  # noqa: F401 - `\N{…}` imports it when used, and a confined process can't open files any more

from graphs.blocks.confinement import MEBIBYTE, Confined
from graphs.exceptions import BlockError

TIME_LIMIT = 5.0
MEMORY_LIMIT = 512 * MEBIBYTE
MAX_MATCHES = 1_000

# A thousand matches that overlap could each be nearly the whole text.
MAX_MATCHED_LENGTH = 10_000_000


def search(
    pattern: str, text: str, *, case_sensitive: bool = True, dot_all: bool = True, time_limit: float = TIME_LIMIT
) -> bool:
    """Return whether `pattern` matches somewhere in `text`.

    Raises `BlockError` for an invalid pattern and for one that takes too long or too much memory.
    """
    flags = _flags(case_sensitive=case_sensitive, dot_all=dot_all)
    return bool(_find_confined(pattern, text, flags, 0, 1, time_limit=time_limit))


def find(
    pattern: str,
    text: str,
    *,
    group: int = 0,
    limit: int = MAX_MATCHES,
    case_sensitive: bool = True,
    dot_all: bool = True,
    time_limit: float = TIME_LIMIT,
) -> list[str]:
    """Return what `group` of `pattern` matched (0: all of it), first matches first, at most `limit` of them.

    A match without the group counts as none, so a group that the pattern doesn't have gives an empty list. Raises
    `BlockError` as `search` does, and for a negative group.
    """
    flags = _flags(case_sensitive=case_sensitive, dot_all=dot_all)
    matches: list[str] = _find_confined(pattern, text, flags, group, limit, time_limit=time_limit)
    return matches


def find_here(pattern: str, text: str, flags: int, group: int, limit: int) -> list[str]:
    """Do what `find` promises in this process, which must be a confined one."""
    try:
        compiled = re.compile(pattern, flags)
    except (re.error, OverflowError) as error:
        raise BlockError(f"The pattern {pattern[:200]!r} is not a regular expression: {error}") from error
    if group < 0:
        raise BlockError(f"There is no group {group} in a pattern: groups count from 0, the whole match.")
    if group > compiled.groups:
        return []
    found: list[str] = []
    length = 0
    for match in compiled.finditer(text):
        matched = match.group(group)
        if matched is None:
            continue
        length += len(matched)
        if length > MAX_MATCHED_LENGTH:
            raise BlockError(f"The pattern matches more than {MAX_MATCHED_LENGTH:,} characters.")
        found.append(matched)
        if len(found) >= limit:
            break
    return found


_find_confined = Confined(find_here, subject="The pattern", memory_limit=MEMORY_LIMIT)


def _flags(*, case_sensitive: bool, dot_all: bool) -> int:
    return (0 if case_sensitive else re.IGNORECASE) | (re.DOTALL if dot_all else 0)
