"""A block that takes credentials and says which it was given."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Cost, Yielded

MODULES = ["graphs.blocks", "tests.execution.credential_blocks"]

POSTING = "9a3c5e70-1111-4222-8333-0000000000c1"
FIELD = "forge_api_key-oauth2_credentials"


class PostingInputs(BlockInputs):
    """Whose account it is."""

    credentials: dict[str, Any] = Field(
        description="Whose account it is.",
        json_schema_extra={"credentials_provider": ["forge"], "credentials_types": ["oauth2", "api_key"]},
    )
    note: str = Field(default="", description="What is said along with it.")


class PostingOutputs(BlockOutputs):
    """The credentials that were meant."""

    used: str = Field(description="Their id.")


class PostingBlock(Block[PostingInputs]):
    """Says which credentials it was given."""

    id = POSTING
    name = "PostingBlock"
    Inputs = PostingInputs
    Outputs = PostingOutputs
    costs = (Cost(amount=7),)

    def run(self, inputs: PostingInputs, context: BlockContext) -> Iterator[Yielded]:
        yield "used", inputs.credentials["id"]
