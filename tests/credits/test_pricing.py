"""What something costs: the rules, row by row."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credits.exceptions import PriceInvalidError
from credits.pricing import (
    MOST_CREDITS,
    Cost,
    CostType,
    TokenRates,
    Tokens,
    Usage,
    find_cost,
    fits,
    price_after,
    price_before,
    read_costs,
    write_costs,
)

PLATFORM = ["ours"]


def cost(amount: str, kind: CostType = CostType.RUN, **other: Any) -> Cost:
    return Cost(amount=Decimal(amount), type=kind, **other)


@pytest.mark.parametrize(
    ("wanted", "inputs", "expected"),
    [
        ({}, {"model": "large"}, True),
        ({"model": "large"}, {"model": "large", "prompt": "Hello"}, True),
        ({"model": "large"}, {"model": "small"}, False),
        ({"model": "large"}, {}, False),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 1, "d": 2}, "e": 3}}, True),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, False),
        ({"a": {"b": {"c": 1}}}, {"a": "text"}, False),
        ({"a": None}, {}, True),
        ({"a": None}, {"a": ""}, True),
        ({"a": ""}, {"a": None}, True),
        ({"a": {"b": ""}}, {}, True),
        ({"a": None}, {"a": 0}, False),
        ({"a": None}, {"a": False}, False),
        ({"a": None}, {"a": []}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": [1, 2]}, {"a": [1, 2]}, True),
        ({"a": [1]}, {"a": [1, 2]}, False),
    ],
)
def test_a_filter_is_a_subset_of_the_inputs(wanted: Any, inputs: Any, expected: bool) -> None:
    assert fits(wanted, inputs) is expected


def test_the_first_cost_that_fits_holds() -> None:
    costs = [
        cost("9", filter={"model": "large", "speed": "fast"}),
        cost("5", filter={"model": "large"}),
        cost("4", filter={"model": "large"}),
    ]

    found = find_cost(costs, {"model": "large"}, platform_credentials=PLATFORM)
    nothing = find_cost(costs, {"model": "small"}, platform_credentials=PLATFORM)

    assert found is costs[1]
    assert nothing is None


@pytest.mark.parametrize(
    ("inputs", "is_free"),
    [
        ({}, False),
        ({"credentials": {"id": "ours", "provider": "openai"}}, False),
        ({"credentials": {"id": "mine", "provider": "openai"}}, True),
        ({"a": {"id": "mine", "provider": "x"}, "b": {"id": "ours", "provider": "y"}}, False),
        ({"openai_credentials": {"id": "mine", "provider": "openai"}}, True),
        ({"person": {"id": "mine"}}, False),
        ({"person": {"id": "mine", "provider": "openai"}}, False),
    ],
)
def test_a_users_own_credentials_make_it_free(inputs: Any, is_free: bool) -> None:
    assert (find_cost([cost("5")], inputs, platform_credentials=PLATFORM) is None) is is_free


RATES = {"large": TokenRates(input=Decimal(250), output=Decimal(1000), cache_read=Decimal("2.5"))}


@pytest.mark.parametrize(
    ("price", "before", "after"),
    [
        (cost("5"), 5, 5),
        (cost("0.2"), 1, 1),
        (cost("0.01", CostType.BYTE), 12, 12),  # 1,234 bytes
        (cost("3", CostType.SECOND, divisor=Decimal(10)), 3, 9),  # 20.5 s
        (cost("0.5", CostType.SECOND), 1, 11),
        (cost("2", CostType.ITEMS, divisor=Decimal(5)), 2, 6),  # 11 items
        (cost("150", CostType.COST_USD), 1, 18),  # 0.12 $
        (cost("7", CostType.TOKENS, rates=RATES), 7, 2),  # 1,000 in, 1,200 out, 9 from the cache
        (cost("7", CostType.TOKENS), 7, 7),
    ],
)
def test_amounts_before_and_after(price: Cost, before: int, after: int) -> None:
    tokens = Tokens(input=1_000, output=1_200, cache_read=9)
    usage = Usage(seconds=20.5, items=11, usd=0.12, tokens={"large": tokens})

    assert price_before(price, size=1_234) == before
    assert price_after(price, usage=usage, size=1_234) == after


def test_an_estimate_is_priced_like_what_it_estimates() -> None:
    assert price_before(cost("3", CostType.SECOND, divisor=Decimal(10)), size=0, quantity=31.0) == 12
    assert price_before(cost("150", CostType.COST_USD), size=0, quantity=0.01) == 2


@pytest.mark.parametrize("kind", [CostType.ITEMS, CostType.COST_USD, CostType.TOKENS])
def test_what_a_block_does_not_tell_is_priced_as_before(kind: CostType) -> None:
    price = cost("4", kind)

    assert price_after(price, usage=Usage(seconds=100), size=0) == price_before(price, size=0)


def test_tenths_are_tenths() -> None:
    # In binary floating point 3 × 0.1 is more than 0.3, which would be rounded up.
    assert price_after(cost("100", CostType.COST_USD), usage=Usage(usd=0.1 + 0.2 - 1e-17), size=0) in (30, 31)
    assert price_after(cost("0.1", CostType.SECOND), usage=Usage(seconds=30), size=0) == 3


@given(
    kind=st.sampled_from(list(CostType)),
    amount=st.decimals(min_value=0, max_value=10**15, allow_nan=False, places=4),
    number=st.floats(),
    tokens=st.integers(),
)
def test_whatever_a_block_reports_a_price_is_a_sane_whole_number(
    kind: CostType, amount: Decimal, number: float, tokens: int
) -> None:
    price = Cost(amount=amount, type=kind, rates={"large": TokenRates(input=amount)})
    usage = Usage(seconds=number, items=number, usd=number, tokens={"large": Tokens(input=tokens)})

    charged = price_after(price, usage=usage, size=1_000)

    assert isinstance(charged, int)
    assert 0 <= charged <= MOST_CREDITS


def test_price_lists_come_and_go_as_json() -> None:
    listed = [
        {"amount": 5, "type": "RUN", "divisor": 1, "filter": {"model": "large"}, "rates": {}},
        {
            "amount": 7,
            "type": "TOKENS",
            "divisor": 1,
            "filter": {},
            "rates": {"large": {"input": 2.5, "output": 10, "cache_read": 0, "cache_write": 0}},
        },
    ]

    assert write_costs(read_costs(json.loads(json.dumps(listed)))) == listed


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "is a list"),
        ([5], "Cost 1 is no object"),
        ([{"amount": 1}, {}], "Cost 2: its amount must be a number"),
        ([{"amount": "5"}], "must be a number"),
        ([{"amount": True}], "must be a number"),
        ([{"amount": -1}], "from 0 to"),
        ([{"amount": float("inf")}], "from 0 to"),
        ([{"amount": float("nan")}], "from 0 to"),
        ([{"amount": 1, "type": "HOUR"}], "no type of cost"),
        ([{"amount": 1, "type": []}], "no type of cost"),
        ([{"amount": 1, "divisor": 0}], "above 0"),
        ([{"amount": 1, "filter": []}], "must be an object"),
        ([{"amount": 1, "price": 2}], "unknown parts: price"),
        ([{"amount": 1, "rates": {"large": 5}}], "its rates must be"),
        ([{"amount": 1, "rates": {"large": {"thinking": 5}}}], "unknown rates of large: thinking"),
        ([{"amount": 1, "rates": {"large": {"input": "5"}}}], "large's rate input must be a number"),
    ],
)
def test_a_price_list_that_makes_no_sense_is_refused(value: Any, message: str) -> None:
    with pytest.raises(PriceInvalidError, match=message):
        read_costs(value)
