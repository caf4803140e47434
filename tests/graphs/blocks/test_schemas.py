"""A pin's JSON Schema stands alone, whatever models its type is made of."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs
from graphs.blocks.interfaces import NO_DEFAULT
from graphs.blocks.schemas import describe_block


class Round(BaseModel):
    shape: Literal["round"]
    radius: float = 1.0


class Square(BaseModel):
    shape: Literal["square"]
    inner: list[Round] = []


class Tree(BaseModel):
    discriminator: str = "leaf"
    children: list["Tree"] = []


class DrawingInputs(BlockInputs):
    plain: int
    shape: Annotated[Round | Square, Field(discriminator="shape")] = Round(shape="round")
    tree: Tree = Field(default_factory=Tree, description="A tree.")
    token: str = Field(default="", json_schema_extra={"secret": True})
    kind: str = Field(default="", alias="class")


class Drawing(Block[DrawingInputs]):
    id = "33333333-3333-4333-8333-333333333333"
    name = "Drawing"
    Inputs = DrawingInputs
    Outputs = BlockOutputs

    def run(self, inputs: DrawingInputs, context: BlockContext) -> Any:
        yield "error", ""


PINS = describe_block(Drawing).inputs


def test_a_union_lists_its_variants_in_full() -> None:
    first, second = PINS["shape"].schema["oneOf"]

    assert first["properties"]["radius"] == {"type": "number", "default": 1.0, "title": "Radius"}
    assert second["properties"]["inner"]["items"] == first
    assert "discriminator" not in PINS["shape"].schema


def test_a_property_called_discriminator_is_kept() -> None:
    assert PINS["tree"].schema["properties"]["discriminator"]["type"] == "string"


def test_a_model_inside_itself_is_anything_there() -> None:
    assert PINS["tree"].schema["properties"]["children"]["items"] == {}
    assert PINS["tree"].schema["description"] == "A tree."


def test_defaults_are_json() -> None:
    assert PINS["plain"].default is NO_DEFAULT
    assert PINS["plain"].required
    assert PINS["shape"].default == {"shape": "round", "radius": 1.0}
    assert PINS["tree"].default == {"discriminator": "leaf", "children": []}


def test_secret_pins_are_marked() -> None:
    assert [name for name, pin in PINS.items() if pin.secret] == ["token"]


def test_a_pin_is_called_by_its_alias() -> None:
    assert "class" in PINS
    assert "kind" not in PINS
