"""Where values enter a graph. A run's input of the same name becomes `value`; without one, the constant stands."""

from abc import ABC
from collections.abc import Iterator
from datetime import date, time
from typing import Any, TypeVar

from pydantic import Field
from pydantic_core import to_jsonable_python

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Kind, Yielded


class AgentInputInputs(BlockInputs):
    """The pins that every input block has."""

    name: str = Field(description="The name of the input: the run's input of this name comes out here.")
    value: Any = Field(default=None, description="The value, if the run brings none.")
    title: str | None = Field(default=None, description="How the input is called in a form.")
    description: str | None = Field(default=None, description="What the input is for.")
    advanced: bool = Field(default=False, description="Whether a form shows it only on demand.")


class AgentInputOutputs(BlockOutputs):
    """The value."""

    result: Any = Field(description="The value; nothing if there is none.")


N = TypeVar("N", bound=AgentInputInputs)


class InputBlock(Block[N], ABC):
    """Emits its value, as JSON, unless it is None."""

    kind = Kind.INPUT
    static_output = True

    def run(self, inputs: N, context: BlockContext) -> Iterator[Yielded]:
        """Emit the value."""
        if inputs.value is not None:
            yield "result", to_jsonable_python(inputs.value)


class AgentInputBlock(InputBlock[AgentInputInputs]):
    """An input of any type."""

    id = "c0a8e994-ebf1-4a9c-a4d8-89d09c86741b"
    name = "AgentInputBlock"
    description = "An input of the graph, of any type."
    Inputs = AgentInputInputs
    Outputs = AgentInputOutputs
    examples = (
        Example(inputs={"name": "Greeting", "value": {"en": "Hello"}}, outputs=(("result", {"en": "Hello"}),)),
        Example(inputs={"name": "Switched off", "value": False}, outputs=(("result", False),)),
        Example(inputs={"name": "Nothing"}, outputs=()),
    )


class ShortTextInputs(AgentInputInputs):
    """A text."""

    value: str | None = Field(default=None, description="The text, if the run brings none.")


class TextOutputs(AgentInputOutputs):
    """A text."""

    result: str = Field(description="The text; nothing if there is none.")


class AgentShortTextInputBlock(InputBlock[ShortTextInputs]):
    """A text of one line."""

    id = "7fcd3bcb-8e1b-4e69-903d-32d3d4a92158"
    name = "AgentShortTextInputBlock"
    description = "An input of the graph: a short text."
    Inputs = ShortTextInputs
    Outputs = TextOutputs
    examples = (Example(inputs={"name": "City", "value": "Graz"}, outputs=(("result", "Graz"),)),)


class LongTextInputs(AgentInputInputs):
    """A text."""

    value: str | None = Field(default=None, description="The text, if the run brings none.")


class AgentLongTextInputBlock(InputBlock[LongTextInputs]):
    """A text of many lines."""

    id = "90a56ffb-7024-4b2b-ab50-e26c5e5ab8ba"
    name = "AgentLongTextInputBlock"
    description = "An input of the graph: a long text."
    Inputs = LongTextInputs
    Outputs = TextOutputs
    examples = (Example(inputs={"name": "Poem", "value": "Roses\nare red"}, outputs=(("result", "Roses\nare red"),)),)


class NumberInputs(AgentInputInputs):
    """A number."""

    value: int | None = Field(default=None, description="The number, if the run brings none.")


class NumberOutputs(AgentInputOutputs):
    """A number."""

    result: int = Field(description="The number; nothing if there is none.")


class AgentNumberInputBlock(InputBlock[NumberInputs]):
    """A whole number."""

    id = "96dae2bb-97a2-41c2-bd2f-13a3b5a8ea98"
    name = "AgentNumberInputBlock"
    description = "An input of the graph: a whole number."
    Inputs = NumberInputs
    Outputs = NumberOutputs
    examples = (
        Example(inputs={"name": "Count", "value": 42}, outputs=(("result", 42),)),
        Example(inputs={"name": "Count", "value": "42"}, outputs=(("result", 42),)),
        Example(inputs={"name": "Count", "value": 0}, outputs=(("result", 0),)),
    )


class DateInputs(AgentInputInputs):
    """A date."""

    value: date | None = Field(default=None, description="The date as YYYY-MM-DD, if the run brings none.")


class DateOutputs(AgentInputOutputs):
    """A date."""

    result: date = Field(description="The date as YYYY-MM-DD; nothing if there is none.")


class AgentDateInputBlock(InputBlock[DateInputs]):
    """A date."""

    id = "7e198b09-4994-47db-8b4d-952d98241817"
    name = "AgentDateInputBlock"
    description = "An input of the graph: a date."
    Inputs = DateInputs
    Outputs = DateOutputs
    examples = (Example(inputs={"name": "Day", "value": "2024-02-29"}, outputs=(("result", "2024-02-29"),)),)


class TimeInputs(AgentInputInputs):
    """A time of day."""

    value: time | None = Field(default=None, description="The time as HH:MM:SS, if the run brings none.")


class TimeOutputs(AgentInputOutputs):
    """A time of day."""

    result: time = Field(description="The time as HH:MM:SS; nothing if there is none.")


class AgentTimeInputBlock(InputBlock[TimeInputs]):
    """A time of day."""

    id = "2a1c757e-86cf-4c7e-aacf-060dc382e434"
    name = "AgentTimeInputBlock"
    description = "An input of the graph: a time of day."
    Inputs = TimeInputs
    Outputs = TimeOutputs
    examples = (Example(inputs={"name": "Alarm", "value": "09:30"}, outputs=(("result", "09:30:00"),)),)


class DropdownInputs(AgentInputInputs):
    """One of some options."""

    value: str | None = Field(default=None, description="The chosen option, if the run brings none.")
    options: list[Any] = Field(default_factory=list, description="What a form offers; anything if it is empty.")


class AgentDropdownInputBlock(InputBlock[DropdownInputs]):
    """One of some options. The form holds to them; a value from elsewhere passes."""

    id = "655d6fdf-a334-421c-b733-520549c07cd1"
    name = "AgentDropdownInputBlock"
    description = "An input of the graph: one of some options."
    Inputs = DropdownInputs
    Outputs = TextOutputs
    examples = (Example(inputs={"name": "Size", "value": "M", "options": ["S", "M", "L"]}, outputs=(("result", "M"),)),)


class ToggleInputs(AgentInputInputs):
    """Yes or no."""

    value: bool = Field(default=False, description="Yes or no, if the run doesn't say.")


class ToggleOutputs(AgentInputOutputs):
    """Yes or no."""

    result: bool = Field(description="Yes or no.")


class AgentToggleInputBlock(InputBlock[ToggleInputs]):
    """Yes or no."""

    id = "cbf36ab5-df4a-43b6-8a7f-f7ed8652116e"
    name = "AgentToggleInputBlock"
    description = "An input of the graph: yes or no."
    Inputs = ToggleInputs
    Outputs = ToggleOutputs
    examples = (
        Example(inputs={"name": "Loud", "value": True}, outputs=(("result", True),)),
        Example(inputs={"name": "Loud"}, outputs=(("result", False),)),
    )


class TableInputs(AgentInputInputs):
    """Rows."""

    value: list[dict[str, Any]] | None = Field(
        default=None, description="The rows, each a dictionary by column, if the run brings none."
    )
    column_headers: list[str] = Field(
        default_factory=lambda: ["Column 1", "Column 2", "Column 3"], description="The columns that a form shows."
    )


class TableOutputs(AgentInputOutputs):
    """Rows."""

    result: list[dict[str, Any]] = Field(
        description="The rows, each a dictionary by column; no rows if there are none."
    )


class AgentTableInputBlock(InputBlock[TableInputs]):
    """Rows. Without any it emits an empty list."""

    id = "5603b273-f41e-4020-af7d-fbc9c6a8d928"
    name = "AgentTableInputBlock"
    description = "An input of the graph: a table."
    Inputs = TableInputs
    Outputs = TableOutputs
    examples = (
        Example(
            inputs={"name": "People", "column_headers": ["Name"], "value": [{"Name": "Ada"}]},
            outputs=(("result", [{"Name": "Ada"}]),),
        ),
        Example(inputs={"name": "People"}, outputs=(("result", []),)),
    )

    def run(self, inputs: TableInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the rows."""
        yield "result", inputs.value or []
