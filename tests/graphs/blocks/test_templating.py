"""Templates fill in what they may, and are stopped at what they may not."""

import time

import pytest
from jinja2.filters import FILTERS

from graphs.blocks.templating import MAX_GROWTH, REMOVED_FILTERS, render
from graphs.exceptions import BlockError

# The hostile templates would take hours or gigabytes; their limit is far below this.
PATIENCE = 20.0
SHORT = 1.0
AMPLE = 30.0


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{a}} and {{ b.c[0] }}", "1 and x"),
        ("[{{ missing }}]", "[]"),
        ("{{ b }}", "{'c': ['x']}"),
        ("{% if a > 0 %}yes{% else %}no{% endif %}", "yes"),
        ("{% for k, v in b.items() %}{{ k }}={{ v|join('+') }}{% endfor %}", "c=x"),
        ("{% set n = 'Alice' %}{{ n }}", "Alice"),
        ("{% set l = [] %}{% set _ = l.append(3) %}{{ l }}", "[3]"),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(a) }}", "<1>"),
        ("{{ text | replace('\\r\\n', '\\n') | replace('\\n', '  \\n') }}", "one  \ntwo"),
        ("{{ 2.5 | format('%.2f') }} {{ '3' | format('%.1f') }} {{ a | format }}", "2.50 3.0 1"),
        ("{{ '%s-%d' | format('x', 2) }} {{ '%(k)s' | format(k=1) }}", "x-2 1"),
        ("{{ '{} {name}'.format(1, name='n') }}", "1 n"),
        ("{{ '<b>' }} {{ text|safe|length }}", "<b> 8"),
        ("{single} braces", "{single} braces"),
        ("ends with a line\n", "ends with a line"),
    ],
)
def test_a_template_is_filled_in(template: str, expected: str) -> None:
    assert render(template, {"a": 1, "b": {"c": ["x"]}, "text": "one\r\ntwo"}) == expected


def test_values_are_escaped_for_html_only_when_asked() -> None:
    template, values = "<i>{{ v }}{{ v|safe }}</i>", {"v": "<b>&"}

    assert render(template, values, escape_html=True) == "<i>&lt;b&gt;&amp;<b>&</i>"
    assert render(template, values, escape_html=False) == "<i><b>&<b>&</i>"


def test_a_render_leaves_nothing_behind_for_the_next() -> None:
    template = "{% set seen = seen or 'no' %}{{ seen }}{% set _ = l.append(1) %}{{ l }}"

    assert [render(template, {"l": []}) for _ in range(2)] == ["no[1]", "no[1]"]


# Filters import what they need when they are first used, and a confined process can't open files any more.
ARGUMENTS = {
    "attr": "('x')",
    "batch": "(2)|list",
    "groupby": "(0)",
    "map": "('upper')|list",
    "max": "",
    "reject": "('none')|list",
    "rejectattr": "('x')|list",
    "replace": "('a', 'b')",
    "select": "('none')|list",
    "selectattr": "('x')|list",
    "slice": "(2)|list",
    "wordwrap": "(3)",
}
VALUES_OF = {
    "number": {"abs", "round", "filesizeformat", "float", "format", "int"},
    "mapping": {"dictsort", "items"},
    "numbers": {"sum"},
}


@pytest.mark.parametrize("name", sorted(set(FILTERS) - set(REMOVED_FILTERS)))
def test_a_filter_that_is_left_works_where_no_file_can_be_opened(name: str) -> None:
    value = next((value for value, names in VALUES_OF.items() if name in names), "text")
    template = f"{{% set r = {value}|{name}{ARGUMENTS.get(name, '')} %}}done"

    assert render(template, {"number": 2, "mapping": {"a": 1}, "numbers": [1, 2], "text": "<b>a &amp; b</b>"}) == "done"


@pytest.mark.parametrize("name", REMOVED_FILTERS)
def test_a_filter_that_was_removed_is_unknown(name: str) -> None:
    with pytest.raises(BlockError, match=f"line 1: No filter named '{name}'"):
        render(f"{{{{ 'x'|{name} }}}}", {})


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__ }}",
        "{{ ''['__class__'] }}",
        "{{ ''|attr('__class__') }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ '{a.__class__}'.format_map({'a': 1}) }}",
        "{{ ['{0.__class__}'.format]|map('call', 1)|list }}{{ ['x']|map(attribute='__class__')|list }}",
        "{{ ['x']|groupby('__class__') }}",
        "{{ [1]|sum(attribute='__class__') }}",
        "{{ range.__globals__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ [].append.__self__ }}",
        "{{ missing.__class__ }}",
        "{% set x = ''.__class__ %}nothing is printed",
        "{% for x in [''.__doc__] %}{% endfor %}",
    ],
)
def test_an_attribute_that_begins_with_an_underscore_is_refused(template: str) -> None:
    with pytest.raises(BlockError, match=r"unsafe|undefined|No filter"):
        render(template, {})


@pytest.mark.parametrize("name", ["lipsum", "cycler", "joiner", "dict", "namespace", "__builtins__"])
def test_there_are_no_functions_but_range(name: str) -> None:
    with pytest.raises(BlockError, match="undefined"):
        render(f"{{{{ {name}() }}}}", {})


@pytest.mark.parametrize(
    "allowed",
    ["{{ range(10000)|length }}", "{{ range(9, 20009, 2)|length }}", "{{ ('a' * 10000)|length }}"],
)
def test_ten_thousand_items_are_allowed(allowed: str) -> None:
    assert render(allowed, {}) == "10000"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ range(10001)|length }}", "range"),
        ("{{ range(0, -10001, -1)|length }}", "range"),
        ("{{ range(10 ** 30)|first }}", "range"),
        ("{{ ('a' * 10001)|length }}", "repeated"),
        ("{{ (10001 * 'a')|length }}", "repeated"),
        ("{{ ([1, 2] * 5001)|length }}", "repeated"),
        ("{{ ('a' * 10000 * 2)|length }}", "repeated"),
        ("{{ ((1, 2) * 5001)|length }}", "repeated"),
    ],
)
def test_more_than_ten_thousand_items_are_refused(template: str, reason: str) -> None:
    with pytest.raises(BlockError, match=f"{reason}.* 10,000"):
        render(template, {})


def test_an_exponent_is_at_most_a_thousand() -> None:
    assert render("{{ 2 ** 1000 }} {{ 4 ** -1000 }}", {}) == f"{2**1000} 0.0"
    for template in ("{{ 2 ** 1001 }}", "{{ 1.5 ** 1001 }}", "{{ 2 ** -1001 }}"):
        with pytest.raises(BlockError, match="exponent is at most 1,000"):
            render(template, {})


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(10000) %}{% for j in range(10000) %}{% for k in range(10000) %}"
        "{% endfor %}{% endfor %}{% endfor %}",
        "{% for i in range(10000) %}{% for j in range(10000) %}{% set x = i ~ j %}{% endfor %}{% endfor %}",
        "{% set n = (10 ** 1000) ** 1000 %}{% set n = n * n * n %}{{ n * n % 7 }}",
    ],
    ids=["empty loops", "loops", "numbers"],
)
def test_a_template_without_end_is_stopped_at_its_limit(template: str) -> None:
    started = time.monotonic()

    with pytest.raises(BlockError, match=r"The template took longer than 1 s and was stopped\."):
        render(template, {}, time_limit=SHORT)

    assert time.monotonic() - started < PATIENCE


DOUBLED = "{% set s = '0123456789' %}" + "{% set s = s ~ s %}" * 40


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'x'|center(1000000000) }}",
        "{{ 'x'.ljust(1000000000) }}",
        "{{ 'x'|indent(1000000000, true) }}",
        "{{ '%1000000000d'|format(1) }}",
        "{{ 1|format('%1000000000f') }}",
        "{{ '%*d'|format(1000000000, 1) }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ ('a' * 10000)|replace('', 'b' * 10000)|replace('b', 'c' * 1000) }}",
        "{{ ('a' * 10000).join('b' * 10000).join('c' * 1000) }}",
        DOUBLED,
        "{% set l = [1] %}{% for i in range(100) %}{% set _ = l.extend(l) %}{% endfor %}",
        "{% set x %}{% for i in range(10000) %}{% for j in range(100) %}{{ 'a' * 1000 }}"
        "{% endfor %}{% endfor %}{% endset %}",
    ],
    ids=str.split("center ljust indent printf number-format printf-star str.format replace join double extend block"),
)
def test_a_template_that_needs_too_much_memory_is_stopped(template: str) -> None:
    with pytest.raises(BlockError, match="The template needs more memory than the 256 MiB"):
        render(template, {}, time_limit=AMPLE)


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'x'|center(2000000) }}",
        "{% for i in range(10000) %}{% for j in range(10000) %}{{ 'a' * 10000 }}{% endfor %}{% endfor %}",
        "{% for i in range(10000) %}{{ v * 20 }}{% endfor %}",
    ],
)
def test_a_template_does_not_make_a_long_text_from_a_short_one(template: str) -> None:
    with pytest.raises(BlockError, match="makes a text of more than"):
        render(template, {"v": "some value"}, time_limit=AMPLE)


def test_a_long_value_comes_through() -> None:
    value = "é" * (2 * MAX_GROWTH)

    assert render("{{ value }}!", {"value": value}, time_limit=AMPLE) == value + "!"


@pytest.mark.parametrize(
    "template",
    [
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{{ " + "[" * 100_000,
        "{% if 1 %}" * 5000 + "{% endif %}" * 5000,
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ " + "-" * 50_000 + "1 }}",
        "{{ 1" + "+1" * 50_000 + " }}",
    ],
    ids=["parentheses", "lists", "conditions", "macros", "signs", "sums"],
)
def test_a_template_that_is_nested_too_deeply_is_refused(template: str) -> None:
    with pytest.raises(BlockError):
        render(template, {}, time_limit=AMPLE)

    assert render("{{ 1 }}", {}) == "1"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("one\n{{ two", "wrong in line 2: unexpected end of template"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ missing.attribute }}", "'missing' is undefined"),
        ("{{ nobody() }}", "'nobody' is undefined"),
        ("{{ 1 + 'a' }}", "unsupported operand"),
        ("{% include 'other' %}", "no loader"),
        ("{{ 10 ** 1000 * 10 ** 1000 * 10 ** 1000 * 10 ** 1000 * 10 ** 1000 }}", "4300 digits"),
    ],
)
def test_a_mistake_in_a_template_is_explained(template: str, reason: str) -> None:
    with pytest.raises(BlockError, match=reason):
        render(template, {})
