"""Fills a text template in: Jinja2's sandbox, with limits, in a confined process.

The limits: `range` and the repetition of a sequence make at most 10,000 items, an exponent is at most 1,000, the text
may be at most 1 MiB (characters) longer than the template and its values together, a render has 10 seconds and 256 MiB
of memory. A loop that prints nothing is stopped as well as a text that doubles itself.
"""

import codecs
import functools
import html  # noqa: F401 - `striptags` imports it when used, and a confined process can't open files any more
import json
import textwrap  # noqa: F401 - the same, for `wordwrap`
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import jinja2.debug  # noqa: F401 - the same, for any error in a template
from jinja2 import Template, TemplateError, TemplateSyntaxError
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from graphs.blocks.confinement import MEBIBYTE, Confined
from graphs.exceptions import BlockError

TIME_LIMIT = 10.0
MEMORY_LIMIT = 256 * MEBIBYTE
MAX_GROWTH = MEBIBYTE
MAX_ITEMS = 10_000
MAX_EXPONENT = 1_000

# They make HTML or JSON whose escaping an autoescaped text can't rely on.
REMOVED_FILTERS = ("pprint", "tojson", "urlize", "xmlattr")

# Jinja2 reads string literals with it: loaded now, for the reason of the imports above.
codecs.lookup("unicode_escape")

_CACHED_TEMPLATES = 64
_CACHED_TEMPLATE_LENGTH = 16_384


def render(
    template: str, values: Mapping[str, Any], *, escape_html: bool = False, time_limit: float = TIME_LIMIT
) -> str:
    """Return `template` with `values` (JSON) filled in, each reachable by its key; what is not there stays empty.

    `escape_html` escapes the values for HTML. Blocks its thread for up to `time_limit` seconds. Raises `BlockError`
    for a mistake in the template, an attribute it may not see, or a limit of this module.
    """
    text: str = _render_confined(template, dict(values), escape_html, time_limit=time_limit)
    return text


def render_here(template: str, values: dict[str, Any], escape_html: bool) -> str:
    """Render in this process, which must be a confined one: only the limits on numbers and length hold here."""
    try:
        return _join(_compile(template, escape_html), values, limit=_length_limit(template, values))
    except TemplateSyntaxError as error:
        raise BlockError(f"The template is wrong in line {error.lineno}: {error.message}") from error
    except (MemoryError, RecursionError, BlockError):
        raise
    except (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise BlockError(f"The template can't be filled in: {error}") from error


_render_confined = Confined(render_here, subject="The template", memory_limit=MEMORY_LIMIT)


def _length_limit(template: str, values: dict[str, Any]) -> int:
    return MAX_GROWTH + len(template) + len(json.dumps(values))


def _join(template: Template, values: dict[str, Any], *, limit: int) -> str:
    parts, length = [], 0
    for part in template.generate(values):
        length += len(part)
        if length > limit:
            raise BlockError(f"The template makes a text of more than {limit:,} characters.")
        parts.append(part)
    return "".join(parts)


def _compile(template: str, escape_html: bool) -> Template:
    short = len(template) <= _CACHED_TEMPLATE_LENGTH
    return _compile_once(template, escape_html) if short else _environment(escape_html).from_string(template)


@functools.lru_cache(_CACHED_TEMPLATES)
def _compile_once(template: str, escape_html: bool) -> Template:
    return _environment(escape_html).from_string(template)


@functools.cache
def _environment(escape_html: bool) -> "LimitedEnvironment":
    return LimitedEnvironment(autoescape=escape_html)


class LimitedEnvironment(SandboxedEnvironment):
    """Jinja2's sandbox, with bounds on what a short expression can make, and no silence about forbidden attributes."""

    intercepted_binops = frozenset({"*", "**"})

    def __init__(self, *, autoescape: bool) -> None:
        super().__init__(autoescape=autoescape)
        self.globals = {"range": _limited_range}
        for name in REMOVED_FILTERS:
            del self.filters[name]
        self.filters["format"] = _format

    def unsafe_undefined(self, obj: Any, attribute: str) -> NoReturn:
        """Refuse at once: Jinja2 itself lets a forbidden attribute pass as an empty text until something is done."""
        raise SecurityError(f"access to attribute {attribute!r} of {type(obj).__name__!r} object is unsafe.")

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Check the operands of `*` and `**`, then do what the operator does."""
        check: Callable[[Any, Any], None] = {"*": _check_repetition, "**": _check_exponent}[operator]
        check(left, right)
        return super().call_binop(context, operator, left, right)


def _limited_range(*bounds: int) -> range:
    numbers = range(*bounds)
    # Not len(), which fails beyond the machine's word.
    if numbers and (numbers[-1] - numbers[0]) // numbers.step >= MAX_ITEMS:
        raise BlockError(f"range() makes at most {MAX_ITEMS:,} numbers in a template.")
    return numbers


def _check_repetition(left: Any, right: Any) -> None:
    for sequence, times in ((left, right), (right, left)):
        if isinstance(sequence, str | list | tuple) and isinstance(times, int) and len(sequence) * times > MAX_ITEMS:
            raise BlockError(f"A text or list is repeated to at most {MAX_ITEMS:,} items in a template.")


def _check_exponent(base: Any, exponent: Any) -> None:
    if isinstance(exponent, int | float) and isinstance(base, int | float) and abs(exponent) > MAX_EXPONENT:
        raise BlockError(f"An exponent is at most {MAX_EXPONENT:,} in a template.")


def _format(value: Any, *arguments: Any, **named: Any) -> Any:
    """Format a number, `{{ 2.5 | format("%.2f") }}`, as AutoGPT does, or a pattern, `{{ "%s" | format(x) }}`."""
    if isinstance(value, str) and "%" in value:
        return value % (named or arguments)
    return arguments[0] % float(value) if arguments and arguments[0] else value
