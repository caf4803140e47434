"""What something costs: pure functions over a price list, the inputs of a node execution and what it used.

A price list is a list of costs, each for the inputs that its filter is a subset of; the first that fits holds, and
where none fits it is free. An amount is known before the block runs, or only afterwards:

    type      before                after
    RUN       amount                –
    BYTE      int(size × amount)    –
    SECOND    estimate              ceil(seconds / divisor) × amount
    ITEMS     estimate              ceil(items / divisor) × amount
    COST_USD  estimate              ceil(usd × amount)
    TOKENS    flat price (amount)   ceil(Σ tokens × rate / 1,000,000)

Credits are whole and rounded up; amounts, rates and quantities are decimal numbers, so 0.1 is a tenth.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum
from typing import Any, Final

from credits.exceptions import PriceInvalidError

TOKENS_PER_RATE: Final = 1_000_000
MOST_CREDITS: Final = 10**12
"""No charge is above this: what a block reports of itself must not break the books."""

MAX_MODEL_LENGTH: Final = 100


class CostType(StrEnum):
    """How a cost's amount is applied."""

    RUN = "RUN"
    BYTE = "BYTE"
    SECOND = "SECOND"
    ITEMS = "ITEMS"
    COST_USD = "COST_USD"
    TOKENS = "TOKENS"


KNOWN_BEFORE: Final = frozenset({CostType.RUN, CostType.BYTE})


@dataclass(frozen=True, kw_only=True)
class TokenRates:
    """Credits per million tokens of a model."""

    input: Decimal = Decimal(0)
    output: Decimal = Decimal(0)
    cache_read: Decimal = Decimal(0)
    cache_write: Decimal = Decimal(0)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One line of a price list: credits for the inputs that `filter` is a subset of. `rates` (TOKENS) are by model."""

    amount: Decimal
    type: CostType = CostType.RUN
    divisor: Decimal = Decimal(1)
    filter: Mapping[str, Any] = field(default_factory=dict)
    rates: Mapping[str, TokenRates] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """What a model was given and gave back."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a node execution used. `items` and `usd` are what the block says; None where it says nothing."""

    seconds: float = 0.0
    items: float | None = None
    usd: float | None = None
    tokens: Mapping[str, Tokens] = field(default_factory=dict)


def find_cost(
    costs: Sequence[Cost], inputs: Mapping[str, Any], *, platform_credentials: Collection[str]
) -> Cost | None:
    """Return the first cost that fits; None where it is free: nothing fits, or the credentials are the user's own."""
    if uses_own_credentials(inputs, platform_credentials=platform_credentials):
        return None
    return next((cost for cost in costs if fits(cost.filter, inputs)), None)


def is_flat(costs: Sequence[Cost]) -> bool:
    """Whether something costs the same for all inputs (a user's own credentials aside)."""
    return len(costs) == 1 and not costs[0].filter and costs[0].type is not CostType.BYTE


def goes_by_size(costs: Sequence[Cost]) -> bool:
    """Whether it can matter how large the inputs are."""
    return any(cost.type is CostType.BYTE for cost in costs)


def fits(wanted: Any, given: Any) -> bool:
    """Whether `wanted` is a subset of `given`, at every depth. null, "" and missing are the same."""
    if isinstance(wanted, Mapping):
        inside = given if isinstance(given, Mapping) else {}
        return all(fits(value, inside.get(name)) for name, value in wanted.items())
    if _is_nothing(wanted) or _is_nothing(given):
        return _is_nothing(wanted) and _is_nothing(given)
    # True is no 1 in JSON.
    return isinstance(wanted, bool) == isinstance(given, bool) and bool(wanted == given)


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value == "")


def uses_own_credentials(inputs: Mapping[str, Any], *, platform_credentials: Collection[str]) -> bool:
    """Whether a pin for credentials names some ({id, provider, …}), and none of those named is the platform's.

    Such a pin is called `credentials`, or something that ends in `_credentials`.
    """
    named = [
        str(value["id"])
        for name, value in inputs.items()
        if is_for_credentials(name)
        if isinstance(value, Mapping) and {"id", "provider"} <= value.keys()
    ]
    return bool(named) and not any(each in platform_credentials for each in named)


def is_for_credentials(pin: str) -> bool:
    """Whether a pin takes credentials, by its name."""
    return pin == "credentials" or pin.endswith("_credentials")


def price_before(cost: Cost, *, size: int, quantity: float | None = None) -> int:
    """Return the credits to set aside before the block runs.

    `size` is that of the inputs in bytes. `quantity` is what such a block used lately (seconds, items or US dollars);
    without it, one unit is set aside, and of US dollars a single credit.
    """
    if cost.type is CostType.RUN or cost.type is CostType.TOKENS:
        return _round_up(cost.amount)
    if cost.type is CostType.BYTE:
        return _bound((size * cost.amount).to_integral_value(ROUND_FLOOR))
    if quantity is not None:
        return price_quantity(cost, quantity)
    return 1 if cost.type is CostType.COST_USD and cost.amount > 0 else _round_up(cost.amount)


def price_to_hold(cost: Cost, *, size: int, quantity: float | None = None) -> int:
    """Return the credits to set aside; at least one where it is not known yet whether it costs something."""
    least = 0 if cost.type in KNOWN_BEFORE or _is_free(cost) else 1
    return max(price_before(cost, size=size, quantity=quantity), least)


def _is_free(cost: Cost) -> bool:
    return cost.amount == 0 and not any(rate for rates in cost.rates.values() for rate in vars(rates).values())


def price_after(cost: Cost, *, usage: Usage, size: int) -> int:
    """Return the credits that a node execution cost. What its block doesn't tell is priced as before it ran."""
    if cost.type is CostType.TOKENS and usage.tokens:
        return _price_tokens(cost, usage.tokens)
    quantity = quantity_of(cost, usage)
    return price_before(cost, size=size) if quantity is None else price_quantity(cost, quantity)


def quantity_of(cost: Cost, usage: Usage) -> float | None:
    """Return how much was used of what the cost goes by, if that is known only afterwards."""
    if cost.type is CostType.SECOND:
        return usage.seconds
    if cost.type is CostType.ITEMS:
        return usage.items
    return usage.usd if cost.type is CostType.COST_USD else None


def price_quantity(cost: Cost, quantity: float) -> int:
    """Return the credits for so many seconds, items or US dollars."""
    amount = _decimal(quantity)
    if cost.type is CostType.COST_USD:
        return _round_up(amount * cost.amount)
    units = (amount / cost.divisor).to_integral_value(ROUND_CEILING)
    return _round_up(units * cost.amount)


def _price_tokens(cost: Cost, tokens: Mapping[str, Tokens]) -> int:
    """Models without a rate cost the flat price, each once."""
    total, flat = Decimal(0), 0
    for model, used in tokens.items():
        rates = cost.rates.get(model)
        if rates is None:
            flat += _round_up(cost.amount)
            continue
        total += max(used.input, 0) * rates.input + max(used.output, 0) * rates.output
        total += max(used.cache_read, 0) * rates.cache_read + max(used.cache_write, 0) * rates.cache_write
    return min(flat + _round_up(total / TOKENS_PER_RATE), MOST_CREDITS)


def read_quantity(value: object) -> float | None:
    """Return a quantity that a block reports; None if it is no amount of anything: then it has told nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    try:
        number = float(value)
    except (OverflowError, ValueError):
        return None
    return number if 0 <= number < math.inf else None


def read_tokens(value: object) -> int:
    """Return a number of tokens that a block reports; 0 if it is none."""
    return int(read_quantity(value) or 0)


def read_model(value: object) -> str:
    """Return the name of a model as the ledger can keep it."""
    return str(value).replace("\0", "")[:MAX_MODEL_LENGTH].encode(errors="replace").decode()


def _decimal(number: float) -> Decimal:
    """Return a quantity within what is sane: 0 if it is no amount of anything."""
    amount = Decimal(str(number))
    if amount.is_nan():
        return Decimal(0)
    return min(max(amount, Decimal(0)), Decimal(MOST_CREDITS))


def _round_up(credits: Decimal) -> int:
    return _bound(credits.to_integral_value(ROUND_CEILING))


def _bound(credits: Decimal) -> int:
    return min(max(int(credits), 0), MOST_CREDITS)


def read_costs(value: Any) -> tuple[Cost, ...]:
    """Return a price list from JSON: [{amount, type, divisor, filter, rates}].

    Raises `PriceInvalidError` naming what is wrong, and where.
    """
    if not isinstance(value, list):
        raise PriceInvalidError("A price list is a list of costs.")
    return tuple(_read_cost(each, where=f"Cost {number}") for number, each in enumerate(value, start=1))


def _read_cost(value: Any, *, where: str) -> Cost:
    if not isinstance(value, Mapping):
        raise PriceInvalidError(f"{where} is no object.")
    if unknown := sorted(value.keys() - {"amount", "type", "divisor", "filter", "rates"}):
        raise PriceInvalidError(f"{where} has unknown parts: {', '.join(map(str, unknown))}.")
    kind = value.get("type", CostType.RUN)
    if kind not in list(CostType):
        raise PriceInvalidError(f"{where}: {kind!r} is no type of cost. There are {', '.join(CostType)}.")
    divisor = _read_number(value.get("divisor", 1), where=f"{where}: its divisor")
    if divisor == 0:
        raise PriceInvalidError(f"{where}: its divisor must be above 0.")
    inputs = value.get("filter", {})
    if not isinstance(inputs, Mapping):
        raise PriceInvalidError(f"{where}: its filter must be an object.")
    amount = _read_number(value.get("amount"), where=f"{where}: its amount")
    rates = _read_rates(value.get("rates", {}), where=where)
    return Cost(amount=amount, type=CostType(kind), divisor=divisor, filter=inputs, rates=rates)


def _read_rates(value: Any, *, where: str) -> dict[str, TokenRates]:
    if not isinstance(value, Mapping) or not all(isinstance(rates, Mapping) for rates in value.values()):
        raise PriceInvalidError(f"{where}: its rates must be {{model: {{input, output, cache_read, cache_write}}}}.")
    names = set(TokenRates.__dataclass_fields__)
    read = {}
    for model, rates in value.items():
        if unknown := sorted(rates.keys() - names):
            raise PriceInvalidError(f"{where}: unknown rates of {model}: {', '.join(map(str, unknown))}.")
        numbers = {name: _read_number(rate, where=f"{where}: {model}'s rate {name}") for name, rate in rates.items()}
        read[model] = TokenRates(**numbers)
    return read


def _read_number(value: Any, *, where: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise PriceInvalidError(f"{where} must be a number.")
    number = Decimal(str(value))
    if not number.is_finite() or not 0 <= number <= MOST_CREDITS:
        raise PriceInvalidError(f"{where} must be from 0 to {MOST_CREDITS:,}.")
    return number


def write_costs(costs: Sequence[Cost]) -> list[dict[str, Any]]:
    """Return a price list as JSON; the reverse of `read_costs`."""
    return [
        {
            "amount": _plain(cost.amount),
            "type": cost.type.value,
            "divisor": _plain(cost.divisor),
            "filter": dict(cost.filter),
            "rates": _write_rates(cost.rates),
        }
        for cost in costs
    ]


def describe_cost(cost: Cost, *, models: Collection[str] = ()) -> dict[str, Any]:
    """Return a cost as JSON that `read_costs` takes, without what says nothing: of the rates those of `models` only."""
    described: dict[str, Any] = {"amount": _plain(cost.amount), "type": cost.type.value}
    if cost.divisor != 1:
        described["divisor"] = _plain(cost.divisor)
    if cost.filter:
        described["filter"] = dict(cost.filter)
    if rates := _write_rates({model: rates for model, rates in cost.rates.items() if model in models}):
        described["rates"] = rates
    return described


def _write_rates(rates: Mapping[str, TokenRates]) -> dict[str, dict[str, int | float]]:
    names = TokenRates.__dataclass_fields__
    return {model: {name: _plain(getattr(each, name)) for name in names} for model, each in rates.items()}


def _plain(number: Decimal) -> int | float:
    return int(number) if number == number.to_integral_value() else float(number)
