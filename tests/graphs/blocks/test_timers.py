"""The timer waits without a worker, and not for ever."""

from typing import Any

import pytest
from pydantic import ValidationError

from graphs.blocks.contract import Sleep
from graphs.blocks.timers import MAX_SECONDS, CountdownTimerBlock
from tests.graphs.blocks.running import Ran, run_block


def count_down(**inputs: Any) -> Ran:
    return run_block(CountdownTimerBlock(), inputs)


def test_all_units_add_up() -> None:
    ran = count_down(seconds=1, minutes="2", hours=3, days="4")

    assert ran.waits == [Sleep(1 + 2 * 60 + 3 * 3600 + 4 * 86400)]


def test_it_waits_before_each_message() -> None:
    ran = count_down(seconds=5, repeat=3, input_message="ping")

    assert ran.waits == [Sleep(5)] * 3
    assert ran.outputs == [("output_message", "ping")] * 3


@pytest.mark.parametrize("inputs", [{}, {"seconds": -5}])
def test_no_time_is_no_wait(inputs: dict[str, Any]) -> None:
    ran = count_down(**inputs)

    assert ran.waits == []
    assert ran.outputs == [("output_message", "timer finished")]


def test_seven_days_are_allowed_and_not_a_second_more() -> None:
    assert count_down(days=7).waits == [Sleep(MAX_SECONDS)]
    assert count_down(days=7, seconds=1).outputs[0][0] == "error"
    assert count_down(days=1, repeat=8).outputs[0][0] == "error"


@pytest.mark.parametrize("amount", ["soon", "", "1.5", "9" * 5000])
def test_an_amount_that_is_not_a_whole_number_is_an_error(amount: str) -> None:
    ((pin, text),) = count_down(minutes=amount).outputs

    assert pin == "error"
    assert text.startswith("minutes must be a whole number")
    assert len(text) < 200


@pytest.mark.parametrize("repeat", [0, -1, 1001])
def test_it_repeats_once_to_a_thousand_times(repeat: int) -> None:
    with pytest.raises(ValidationError):
        count_down(repeat=repeat)
