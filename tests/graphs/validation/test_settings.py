"""What a graph asks of its runs makes sense, or is refused by name."""

from typing import Any

import pytest

from graphs.document import GraphDocument
from graphs.exceptions import GraphInvalidError
from graphs.validation import WHOLE_GRAPH, explain_settings, problems_for_run, refuse_unsavable
from tests.graphs.building import INPUT, INTERFACES, make_node


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"max_node_executions": 1, "on_error": "continue", "max_duration": 0.5, "idle_limit": 1},
        {"max_node_executions": 1_000_000, "on_error": "fail_run", "max_duration": 31_622_400},
        {"max_node_executions": None, "on_error": None, "max_duration": None, "idle_limit": None},
        {"instructions": "Be kind.", "max_node_execution": "misspelt", "is_safe_mode": {"x": []}},
    ],
)
def test_sensible_and_unknown_settings_are_fine(settings: dict[str, Any]) -> None:
    assert explain_settings(settings) == {}


@pytest.mark.parametrize("value", [0, -1, 1_000_001, 2**80, "5", 5.0, True, [], {}])
def test_the_loop_guard_is_a_whole_number_in_its_range(value: Any) -> None:
    (told,) = explain_settings({"max_node_executions": value}).values()

    assert told.startswith("must be a whole number from 1 to 1,000,000, not ")


@pytest.mark.parametrize("value", ["stop", "", "CONTINUE", 1, ["continue"]])
def test_what_becomes_of_an_error_is_one_of_two_words(value: Any) -> None:
    (told,) = explain_settings({"on_error": value}).values()

    assert told.startswith("must be “continue” or “fail_run”, not ")


@pytest.mark.parametrize("key", ["max_duration", "idle_limit"])
@pytest.mark.parametrize("value", [0, -0.1, "10", True, float("inf"), float("nan"), 10**400, 31_622_401, {"s": 1}])
def test_time_limits_are_positive_seconds_of_at_most_a_year(key: str, value: Any) -> None:
    (told,) = explain_settings({key: value}).values()

    assert told.startswith("must be a number of seconds greater than 0")
    assert len(told) < 150


@pytest.mark.parametrize("simulate", [False, True])
def test_impossible_settings_keep_a_graph_from_being_saved_and_from_running(*, simulate: bool) -> None:
    settings = {"max_node_executions": "many", "on_error": "explode"}
    document = GraphDocument(name="G", nodes=(make_node("in", INPUT, name="A"),), settings=settings)

    with pytest.raises(
        GraphInvalidError, match=r"can't be saved: settings\.max_node_executions must .*, not this text\."
    ):
        refuse_unsavable(document)

    problems = problems_for_run(document, simulate=simulate, find=INTERFACES.get)
    assert set(problems[WHOLE_GRAPH]) == {"settings.max_node_executions", "settings.on_error"}
