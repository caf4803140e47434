"""What a block is.

A block is a small class: typed input pins, typed output pins and a generator that turns one into the other. It
knows nothing of the database, the queue or the graph it stands in; what it needs from outside comes with its
`BlockContext`. `CONTRIBUTING.md` shows how to add one.
"""

import inspect
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar, Generic, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

ERROR_PIN = "error"

DEFAULT_TIME_LIMIT = timedelta(seconds=1800)


class Kind(StrEnum):
    """How the engine treats a block."""

    STANDARD = "STANDARD"
    INPUT = "INPUT"
    OUTPUT = "OUTPUT"
    NOTE = "NOTE"
    AGENT = "AGENT"
    AI = "AI"
    HUMAN_IN_THE_LOOP = "HUMAN_IN_THE_LOOP"


class Need(StrEnum):
    """What a block needs from outside; a simulated run does without it."""

    NETWORK = "NETWORK"
    CREDENTIALS = "CREDENTIALS"
    PERSON = "PERSON"


class CostType(StrEnum):
    """How a cost's amount is applied."""

    RUN = "RUN"
    BYTE = "BYTE"
    SECOND = "SECOND"
    ITEMS = "ITEMS"
    COST_USD = "COST_USD"
    TOKENS = "TOKENS"


@dataclass(frozen=True, kw_only=True)
class TokenRates:
    """Credits per million tokens of a model."""

    input: float = 0
    output: float = 0
    cache_read: float = 0
    cache_write: float = 0


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A price in credits (1 credit = 1 US cent) that holds for the inputs that `filter` is a subset of.

    What is priced by TOKENS costs `amount` unless `rates` has the model that was used.
    """

    amount: float
    type: CostType = CostType.RUN
    divisor: float = 1
    filter: Mapping[str, Any] = field(default_factory=dict)
    rates: Mapping[str, TokenRates] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """What a model was given and gave back."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0


@dataclass(kw_only=True)
class Usage:
    """What a block says that it used, as it goes: items, US dollars, tokens by model. Its price may go by that."""

    items: float | None = None
    usd: float | None = None
    tokens: dict[str, Tokens] = field(default_factory=dict)

    def add_items(self, count: float) -> None:
        """Count items that were handled."""
        self.items = (self.items or 0) + count

    def add_usd(self, amount: float) -> None:
        """Count US dollars that a service was paid."""
        self.usd = (self.usd or 0) + amount

    def add_tokens(self, model: str, tokens: Tokens) -> None:
        """Count the tokens of a call to a model."""
        known = self.tokens.get(model, Tokens())
        self.tokens[model] = Tokens(
            input=known.input + tokens.input,
            output=known.output + tokens.output,
            cache_read=known.cache_read + tokens.cache_read,
            cache_write=known.cache_write + tokens.cache_write,
        )


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often a failed attempt is tried again, and how long to wait before it (seconds, exponential)."""

    max_attempts: int = 1
    first_delay: float = 1.0
    max_delay: float = 300.0
    retry_on: tuple[type[Exception], ...] = ()


class BlockInputs(BaseModel):
    """The input pins of a block. Unknown keys are ignored: flattened nested pins arrive beside their base value."""

    model_config = ConfigDict(extra="ignore", arbitrary_types_allowed=True)


class BlockOutputs(BaseModel):
    """The output pins of a block. Every block has `error`; it carries the text of what went wrong."""

    model_config = ConfigDict(extra="ignore")

    error: str = Field(default="", description="What went wrong, if anything did.")


@dataclass(frozen=True)
class Sleep:
    """Yielded by a block to wait without holding a worker.

    The node execution is suspended for `seconds`; then the block runs again from its start, and what it already
    emitted and slept is skipped. So a block that sleeps must yield the same things again on the same inputs.
    """

    seconds: float


@dataclass(frozen=True)
class AskPerson:
    """Yielded by a block to wait for a person's decision; the generator is sent a `Decision`.

    The node execution stands in REVIEW until somebody decides.
    """

    name: str
    data: Any
    editable: bool = True


@dataclass(frozen=True)
class Decision:
    """What a person decided about an `AskPerson`: `data` is theirs if they edited it."""

    approved: bool
    data: Any
    message: str = ""


@dataclass(frozen=True)
class RunGraph:
    """Yielded by the agent block: run another graph, and emit each of its outputs as `(name, value)`.

    The node execution is suspended until that run has ended.
    """

    graph_id: UUID
    graph_version: int
    inputs: Mapping[str, Any]
    nodes_input_masks: Mapping[str, Any] | None = None


Emission = tuple[str, Any]
Yielded = Emission | Sleep | AskPerson | RunGraph


@dataclass(frozen=True, kw_only=True)
class Media:
    """The content of a file and what is known of it."""

    content: bytes
    name: str
    media_type: str


class Files(Protocol):
    """Where the files of a run come from and are kept. A reference is an opaque string that later nodes pass on."""

    def save(self, content: bytes, *, name: str, media_type: str) -> str:
        """Keep `content` with the run; return its reference."""
        ...

    def load(self, reference: str) -> bytes:
        """Return the content behind a reference or a `data:` URI; raises `BlockError` for anything else."""
        ...

    async def fetch(self, url: str) -> Media:
        """Return the file at an http(s) URL; raises `BlockError` if it can't be had. A simulated run makes it up."""
        ...


class Memory(Protocol):
    """Values that outlive a run: one store per user, and one per user and graph."""

    def get(self, key: str, *, across_agents: bool) -> Any:
        """Return the value kept under `key`, or None."""
        ...

    def set(self, key: str, value: Any, *, across_agents: bool) -> None:
        """Keep `value` (JSON) under `key`."""
        ...


@dataclass(frozen=True, kw_only=True)
class BlockContext:
    """What a block may know of the run it is in.

    `idempotency_key` is the same for every attempt of one node execution: pass it to services that take one.
    `usage` is where the block says what it used, if its price goes by that.
    `random` is seeded with it, so a repeated attempt draws the same numbers. `time_zone` is an IANA name.
    """

    user_id: str
    graph_id: str
    execution_id: str
    node_id: str
    idempotency_key: str
    attempt: int
    time_zone: str
    files: Files
    memory: Memory
    now: Callable[[], datetime]
    log: Callable[[str], None]
    usage: Usage = field(default_factory=Usage)

    @cached_property
    def random(self) -> random.Random:
        """The attempt's one generator; it starts at the same place in every attempt."""
        return random.Random(self.idempotency_key)  # noqa: S311 - not for secrets


@dataclass(frozen=True, kw_only=True)
class Example:
    """Inputs and what the block emits for them: its documentation and its test in one.

    `decision` answers an `AskPerson`; `memory` is what `context.memory` holds before; `now` is the clock.
    A value in `outputs` may be a function that takes the emitted value and returns whether it is right.
    """

    inputs: Mapping[str, Any]
    outputs: tuple[tuple[str, Any], ...]
    decision: Decision | None = None
    memory: Mapping[str, Any] = field(default_factory=dict)
    now: datetime | None = None


InputsT = TypeVar("InputsT", bound=BlockInputs)


class Block(ABC, Generic[InputsT]):
    """One reusable operation. Subclasses set the class attributes and write `run`.

    `id` never changes: graphs refer to it. `Inputs` is `InputsT`, named again so that it can be read at run time.
    A `run` that is an async generator goes to the `io` workers, a plain generator to the `cpu` workers.
    `leaves_traces`: it changes what outlives its run, by itself, so that one notices if a crash repeats it. What has
    `needs` counts as such anyway.
    """

    id: ClassVar[str]
    name: ClassVar[str]
    description: ClassVar[str] = ""
    kind: ClassVar[Kind] = Kind.STANDARD
    Inputs: ClassVar[type[BlockInputs]]
    Outputs: ClassVar[type[BlockOutputs]]
    static_output: ClassVar[bool] = False
    needs: ClassVar[frozenset[Need]] = frozenset()
    leaves_traces: ClassVar[bool] = False
    costs: ClassVar[tuple[Cost, ...]] = ()
    charge_on_failure: ClassVar[bool] = False
    time_limit: ClassVar[timedelta] = DEFAULT_TIME_LIMIT
    retry: ClassVar[RetryPolicy] = RetryPolicy()
    examples: ClassVar[tuple[Example, ...]] = ()

    @property
    def is_async(self) -> bool:
        """Whether `run` is an async generator."""
        return inspect.isasyncgenfunction(self.run)

    @abstractmethod
    def run(self, inputs: InputsT, context: BlockContext) -> Iterator[Yielded] | AsyncIterator[Yielded]:
        """Yield `(pin, JSON value)` for each output, or something to wait for.

        Raise `BlockError` with a text meant for the user; it becomes the node execution's `error` output.
        """
