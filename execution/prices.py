"""What node executions cost: what their blocks say, or an admin instead, for the inputs that they have."""

import json
from collections.abc import Collection, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.conf import settings

from credits import pricing
from credits.metering import Price, find_price
from credits.price_list import PriceList, find_block_names, find_price_list
from execution.engine.exceptions import InputsInvalidError
from execution.engine.inputs import can_be_invalid, resolve_inputs
from execution.engine.pins import base_pin
from execution.planning import NodeSpec
from execution.values import dump
from graphs import costs
from graphs.blocks.contract import Block, Tokens, Usage
from graphs.blocks.registry import all_blocks


def offer_blocks() -> None:
    """Let an admin set prices for the blocks that can run here, and have these shown with the blocks."""
    find_block_names.append(lambda: {block.id: block.name for block in all_blocks()})
    costs.find_prices.append(lambda block: pricing.write_costs(find_prices_of(block).costs))


def may_cost(spec: NodeSpec) -> bool:
    """Whether executions of a node cost something for some inputs."""
    return bool(find_prices(spec).costs)


def find_prices(spec: NodeSpec) -> PriceList:
    """Return what a node's block costs now."""
    return find_prices_of(spec.block) if spec.block else PriceList(costs=())


def find_prices_of(block: Block[Any]) -> PriceList:
    """Return what a block costs now."""
    return find_price_list(block_id=block.id, listed=list_costs(type(block)), charge_on_failure=block.charge_on_failure)


def price(spec: NodeSpec, *, delivered: Mapping[str, Any], mask: Mapping[str, Any]) -> Price | None:
    """Return what one execution of a node costs; None if it is free, as one is whose inputs don't fit."""
    block = spec.block
    if block is None:
        return None
    if (flat := flat_price(spec, pins=delivered.keys(), mask=mask)) is not None:
        return flat
    prices = find_prices_of(block)
    try:
        inputs = resolve_inputs(node=spec.plan, delivered=delivered, mask=mask)
    except InputsInvalidError:
        return None
    return find_price(
        block_id=block.id,
        prices=prices,
        inputs={**_list_defaults(type(block)), **_leave_known(block, inputs)},
        size=len(dump(inputs).encode()) if pricing.goes_by_size(prices.costs) else 0,
    )


def flat_price(spec: NodeSpec, *, pins: Collection[str], mask: Mapping[str, Any]) -> Price | None:
    """Return what an execution with values for these pins costs, if that is known without a look at them, and not 0."""
    if spec.block is None:
        return None
    prices = find_prices_of(spec.block)
    if not _is_flat(spec.block, prices) or can_be_invalid(node=spec.plan, delivered=pins, mask=mask):
        return None
    return find_price(block_id=spec.block.id, prices=prices, inputs={}, size=0)


def _is_flat(block: Block[Any], prices: PriceList) -> bool:
    """Whether the inputs need not be looked at, which takes its time: all that fit cost the same."""
    return pricing.is_flat(prices.costs) and not _takes_credentials(type(block))


def uses_own_credentials(spec: NodeSpec, *, mask: Mapping[str, Any]) -> bool:
    """Whether all executions of a node are free because its constants name its user's own credentials."""
    linked = {base_pin(name, known=spec.plan.pins) for name in spec.plan.connected} - mask.keys()
    if spec.block is None or any(pricing.is_for_credentials(pin) for pin in linked):
        return False
    try:
        inputs = resolve_inputs(node=spec.plan, delivered={}, mask=mask)
    except InputsInvalidError:
        return False
    known = _leave_known(spec.block, inputs)
    return pricing.uses_own_credentials(known, platform_credentials=settings.PLATFORM_CREDENTIAL_IDS)


def _leave_known(block: Block[Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what comes under a name that the block doesn't have: it is nothing to it, and must not make it free."""
    pins = _list_pins(type(block))
    return {name: value for name, value in inputs.items() if name in pins}


@lru_cache(maxsize=1000)
def _list_pins(block: type[Block[Any]]) -> frozenset[str]:
    return frozenset(field.alias or name for name, field in block.Inputs.model_fields.items())


@lru_cache(maxsize=1000)
def _takes_credentials(block: type[Block[Any]]) -> bool:
    """Whether a block has a pin by which a user's own credentials can make it free."""
    return any(pricing.is_for_credentials(pin) for pin in _list_pins(block))


@lru_cache(maxsize=1000)
def list_costs(block: type[Block[Any]]) -> tuple[pricing.Cost, ...]:
    """Return what a block's code says that it costs."""
    return tuple(
        pricing.Cost(
            amount=Decimal(str(cost.amount)),
            type=pricing.CostType(cost.type.value),
            divisor=Decimal(str(cost.divisor)),
            filter=cost.filter,
            rates={
                model: pricing.TokenRates(**{name: Decimal(str(rate)) for name, rate in vars(rates).items()})
                for model, rates in cost.rates.items()
            },
        )
        for cost in block.costs
    )


@lru_cache(maxsize=1000)
def _list_defaults(block: type[Block[Any]]) -> dict[str, Any]:
    """Return what pins hold that nobody gives a value: a price may be for that."""
    fields = block.Inputs.model_fields
    return {field.alias or name: field.get_default() for name, field in fields.items() if not field.is_required()}


def read_usage(usage: Usage, *, seconds: float) -> pricing.Usage:
    """Return what a block says that it used, as far as it makes sense, with how long it ran."""
    told: Any = usage.tokens
    tokens: dict[Any, Any] = told if isinstance(told, dict) else {}
    return pricing.Usage(
        seconds=seconds,
        items=pricing.read_quantity(usage.items),
        usd=pricing.read_quantity(usage.usd),
        tokens={
            pricing.read_model(model): pricing.Tokens(
                **{name: pricing.read_tokens(count) for name, count in vars(used).items()}
            )
            for model, used in tokens.items()
            if isinstance(used, Tokens)
        },
    )


def count_usage(usage: Usage, *, seconds: float, spent: Mapping[str, Any] | None) -> pricing.Usage:
    """Return what a node execution used up to now, with what it had `spent` before its waits (see `dump_usage`)."""
    take_up(usage, spent)
    return read_usage(usage, seconds=seconds + (spent["seconds"] if spent else 0.0))


def take_up(usage: Usage, spent: Mapping[str, Any] | None) -> None:
    """Let `usage` say no less than what was told up to a wait.

    A block runs from its start again. Most tell the same again on the way to the wait, so it must not be added; what
    one remembers instead of doing it again, it doesn't tell again, and has used all the same.
    """
    if spent is None:
        return
    told = read_usage(usage, seconds=0.0)
    if spent["items"] is not None:
        usage.items = max(told.items or 0, spent["items"])
    if spent["usd"] is not None:
        usage.usd = max(told.usd or 0, spent["usd"])
    if spent["tokens"]:
        usage.tokens = {model: Tokens(**vars(used)) for model, used in told.tokens.items()} | {
            model: _most(told.tokens.get(model, pricing.Tokens()), used) for model, used in spent["tokens"].items()
        }


def _most(told: pricing.Tokens, spent: Mapping[str, int]) -> Tokens:
    return Tokens(**{name: max(count, spent[name]) for name, count in vars(told).items()})


def dump_usage(usage: pricing.Usage) -> str:
    """Return JSON of what was used: {seconds, items, usd, tokens: {model: {kind: count}}}."""
    tokens = {model: vars(used) for model, used in usage.tokens.items()}
    return json.dumps({"seconds": usage.seconds, "items": usage.items, "usd": usage.usd, "tokens": tokens})
