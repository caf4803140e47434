"""The template block, beyond its examples."""

import asyncio

from graphs.blocks.contract import Yielded
from graphs.blocks.templates import FillTextTemplateBlock, FillTextTemplateInputs
from tests.graphs.blocks.context import make_context
from tests.graphs.blocks.running import run_block

# A million rounds that print nothing: a twentieth of a second at least.
SLOW = "{% for i in range(1000) %}{% for j in range(1000) %}{% endfor %}{% endfor %}done"


async def fill_in(template: str) -> list[Yielded]:
    inputs = FillTextTemplateInputs(values={}, format=template)
    return [emitted async for emitted in FillTextTemplateBlock().run(inputs, make_context())]


def test_the_event_loop_goes_round_while_a_template_is_filled_in() -> None:
    async def count_rounds() -> tuple[int, list[Yielded]]:
        slow = asyncio.create_task(fill_in(SLOW))
        rounds = 0
        while not slow.done():
            rounds += 1
            await asyncio.sleep(0)
        return rounds, slow.result()

    rounds, emitted = asyncio.run(count_rounds())

    assert emitted == [("output", "done")]
    # A loop that is held up goes round once or twice.
    assert rounds > 50


def test_many_templates_are_filled_in_at_once() -> None:
    async def fill_in_many() -> list[list[Yielded]]:
        return await asyncio.gather(*(fill_in(f"{{{{ {number} }}}}") for number in range(200)))

    assert asyncio.run(fill_in_many()) == [[("output", str(number))] for number in range(200)]


def test_a_forbidden_template_is_the_blocks_error() -> None:
    ran = run_block(FillTextTemplateBlock(), {"values": {}, "format": "{{ ''.__class__ }}"})

    assert [pin for pin, _ in ran.outputs] == ["error"]
    assert "__class__" in ran.outputs[0][1]
