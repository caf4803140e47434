"""The validator, which reads names of pins without the engine, reads them as the engine does."""

import json

import pytest
from django.contrib.auth.models import User
from hypothesis import example, given, settings
from hypothesis import strategies as st

from execution.engine import pins as engine
from execution.engine.exceptions import InputsInvalidError
from execution.models import RunOutput
from execution.services import start_execution
from graphs import pins as graphs
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.families import make_family

PIECES = st.sampled_from(
    ["a", "list", "", "_", "$", "#", "_$_", "_#_", "_@_", "_^_", "_~_", "tools", "0", "7", "007", "-1", "x", "10000"]
    + ["10001", "999999", "000000000001", "0000000000001", "9" * 20, "²", "٣", " ", "\n", "1.0", "+1"]
)
NAMES = st.lists(PIECES, max_size=7).map("".join)


def engine_refuses(name: str, *, known: frozenset[str] = frozenset()) -> bool:
    try:
        engine.assemble({name: 1}, known=known)
    except InputsInvalidError:
        return True
    return False


def test_the_limits_are_the_same() -> None:
    assert graphs.MAX_LIST_INDEX == engine.MAX_LIST_INDEX
    assert (graphs.TOOLS_PIN, graphs.TOOL_PREFIX) == (engine.TOOLS_PIN, engine.TOOL_PREFIX)


@settings(deadline=None)
@given(name=NAMES, is_known=st.booleans())
@example(name="list_$_10000", is_known=False)
@example(name="list_$_10001", is_known=False)
@example(name="list_$_0000000000001", is_known=False)
@example(name="a_#__$_0", is_known=False)
@example(name="a_$_#_b", is_known=False)
@example(name="a_$_0_$_1_#_x", is_known=False)
@example(name="a_$_\n", is_known=False)
@example(name="cost_$_total", is_known=True)
def test_both_find_the_same_base_and_the_same_bad_indexes(name: str, *, is_known: bool) -> None:
    known = frozenset({name} if is_known else ())

    assert graphs.base_of(name, known=known) == engine.base_pin(name, known=known)
    assert (graphs.find_bad_index(name, known=known) is not None) is engine_refuses(name, known=known)


@pytest.mark.parametrize("name", ["tools", "tools_^_node_~_pin", "toolset", "tools_$_0"])
def test_both_tell_tools_from_other_pins(name: str) -> None:
    found = engine.select(emitted_pin=name, value=1, source_name=name, sink_id="s", sink_name="p")

    assert graphs.is_tool(name) is (found is engine.NOTHING)


@pytest.mark.django_db(transaction=True)
def test_an_input_of_a_sub_graph_may_look_like_a_part_of_a_pin(user: User, drain: Drain) -> None:
    text = json.dumps(make_family())
    renamed = text.replace('"name": "n"', '"name": "n_$_each"').replace('{"n": {}}', '{"n_$_each": {}}')
    document = renamed.replace('"sink_name": "n"', '"sink_name": "n_$_each"').encode()

    start_execution(user=user, version=import_graph(owner=user, document=document).version, input_data={})
    drain.run()

    outputs = RunOutput.objects.filter(name="out").order_by("position")
    assert list(outputs.values_list("value", flat=True)) == [2, 3, 4]
