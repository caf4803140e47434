"""A person's decision chooses the pin."""

from typing import Any

from graphs.blocks.contract import AskPerson, Decision, Kind, Need
from graphs.blocks.people import HumanInTheLoopBlock
from tests.graphs.blocks.running import Ran, run_block


def ask(decision: Decision, **inputs: Any) -> Ran:
    return run_block(HumanInTheLoopBlock(), {"name": "Letter", "data": {"to": "Ada"}, **inputs}, decision=decision)


def test_the_person_is_shown_the_data() -> None:
    ran = ask(Decision(approved=True, data={"to": "Ada"}))

    assert ran.waits == [AskPerson(name="Letter", data={"to": "Ada"}, editable=True)]


def test_what_was_approved_goes_on_as_the_person_left_it() -> None:
    assert ask(Decision(approved=True, data={"to": "Bob"})).outputs == [("approved_data", {"to": "Bob"})]


def test_what_was_rejected_goes_the_other_way_with_the_message_behind() -> None:
    ran = ask(Decision(approved=False, data={"to": "Ada"}, message="Too late"))

    assert ran.outputs == [("rejected_data", {"to": "Ada"}), ("review_message", "Too late")]


def test_what_is_not_editable_stays_as_it_was() -> None:
    ran = ask(Decision(approved=True, data={"to": "Eve"}), editable=False)

    assert ran.outputs == [("approved_data", {"to": "Ada"})]


def test_the_engine_knows_that_it_needs_a_person() -> None:
    assert HumanInTheLoopBlock.kind is Kind.HUMAN_IN_THE_LOOP
    assert HumanInTheLoopBlock.needs == {Need.PERSON}
