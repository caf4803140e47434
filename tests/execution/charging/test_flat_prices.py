"""A price that is the same for all inputs is told without a look at them, and no other is."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from credits.history import Recent
from credits.metering import Price
from credits.price_list import PriceList
from credits.pricing import KNOWN_BEFORE, Cost, CostType, find_cost, price_to_hold
from execution.engine.exceptions import InputsInvalidError
from execution.engine.inputs import resolve_inputs
from execution.engine.plan import PlanLink, PlanNode, PlanPin
from execution.planning import NodeSpec
from execution.prices import price
from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Yielded
from tests.execution.engine.sketches import node_id

RECENT = Recent(mean=2.0, high=3.0, most=4.0, count=9)


class PlainInputs(BlockInputs):
    """What a price may go by."""

    text: str = "x"
    items: list[int] = []
    options: dict[str, int] = {}


class MailInputs(PlainInputs):
    """The same with somebody's credentials."""

    mail_credentials: dict[str, str] = {"id": "own", "provider": "p"}


class PlainBlock(Block[PlainInputs]):
    """Does nothing."""

    id = "9a3c5e70-1111-4222-8333-0000000000f1"
    name = "PlainBlock"
    Inputs = PlainInputs
    Outputs = BlockOutputs

    def run(self, inputs: PlainInputs, context: BlockContext) -> Iterator[Yielded]:
        yield from ()


class MailBlock(PlainBlock):
    """Is free for who brings credentials."""

    id = "9a3c5e70-1111-4222-8333-0000000000f2"
    name = "MailBlock"
    Inputs = MailInputs


TEXT = PlanPin(schema={"type": "string"}, has_default=True)
LIST = PlanPin(schema={"type": "array", "items": {"type": "integer"}}, has_default=True)
MAPPING = PlanPin(schema={"type": "object"}, required=True)
PINS = {"text": TEXT, "items": LIST, "options": MAPPING, "mail_credentials": MAPPING, "cost_$_total": TEXT}
STEPS = ["", "", "_$_0", "_$_2", "_$_-1", "_$_x", "_$_10001", "_#_k", "_@_id", "_#_k_$_x", "_$_1_#_k"]

names = st.one_of(
    st.sampled_from(list(PINS)),
    st.builds("{}{}".format, st.sampled_from([*PINS, "credentials", "another"]), st.sampled_from(STEPS)),
)
texts = st.sampled_from(["", "x", "5", "[1, 2]", '{"k": 1}', "own", "platform", "é\ud800"])
credentials = st.builds(lambda key: {"id": key, "provider": "p"}, st.sampled_from(["own", "platform"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts | credentials,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["k", "id"]), inner),
    max_leaves=5,
)
given_values = st.dictionaries(names, values, max_size=2)
filters = st.sampled_from([{"text": "x"}, {"text": None}, {"options": {"k": 1}}, {"items": []}])
amounts = st.decimals(min_value=0, max_value=50, places=1)
kinds = st.sampled_from([CostType.RUN, CostType.BYTE, *CostType])
flat_costs = st.builds(Cost, amount=amounts, type=kinds)
costs = st.builds(Cost, amount=amounts, type=kinds, filter=filters)
price_lists = st.builds(
    PriceList,
    costs=st.lists(flat_costs | costs, max_size=1).map(tuple) | st.lists(flat_costs | costs, max_size=3).map(tuple),
    version=st.integers(min_value=0, max_value=3),
    charge_on_failure=st.booleans(),
)


@st.composite
def nodes(draw: st.DrawFn) -> NodeSpec:
    """A node of any block, whose pins may be others than its block's, as an agent's are."""
    link = PlanLink(source_id=node_id("a"), source_name="value", sink_id=node_id("b"), sink_name="")
    plan = PlanNode(
        id=node_id("b"),
        block_id="",
        name="b",
        input_default=draw(given_values),
        pins=draw(st.sampled_from([PINS, PINS, {"text": TEXT}])),
        incoming=tuple(replace(link, sink_name=name) for name in draw(st.lists(names, max_size=3))),
    )
    return NodeSpec(plan=plan, block=draw(st.sampled_from([PlainBlock(), MailBlock()])), interface=None)


Values = Mapping[str, Any]


def price_by(prices: PriceList, spec: NodeSpec, *, delivered: Values, mask: Values) -> Price | None:
    """What is told where this is the price list."""
    with pytest.MonkeyPatch.context() as patch, override_settings(PLATFORM_CREDENTIAL_IDS=["platform"]):
        patch.setattr("execution.prices.find_prices_of", lambda _block: prices)
        patch.setattr("credits.metering.recent_quantity", lambda **_about: RECENT)
        return price(spec, delivered=delivered, mask=mask)


def price_by_inputs(prices: PriceList, spec: NodeSpec, *, delivered: Values, mask: Values) -> Price | None:
    """What has to be told: by all of the inputs."""
    try:
        inputs = resolve_inputs(node=spec.plan, delivered=delivered, mask=mask)
    except InputsInvalidError:
        return None
    fields = type(spec.block).Inputs.model_fields if spec.block else {}
    known = {name: inputs.get(name, field.get_default()) for name, field in fields.items()}
    with override_settings(PLATFORM_CREDENTIAL_IDS=["platform"]):
        cost = find_cost(prices.costs, known, platform_credentials=settings.PLATFORM_CREDENTIAL_IDS)
    if cost is None:
        return None
    size = len(json.dumps(inputs, separators=(",", ":")))
    quantity = None if cost.type in {*KNOWN_BEFORE, CostType.TOKENS} else RECENT.high
    return Price(
        cost=cost,
        version=prices.version,
        charge_on_failure=prices.charge_on_failure,
        size=size,
        hold=price_to_hold(cost, size=size, quantity=quantity),
    )


@hypothesis_settings(max_examples=1000, deadline=None)
@given(prices=price_lists, spec=nodes(), delivered=given_values, mask=given_values)
def test_with_or_without_a_look_at_the_inputs_the_price_is_the_same(
    prices: PriceList, spec: NodeSpec, delivered: Values, mask: Values
) -> None:
    told = price_by(prices, spec, delivered=delivered, mask=mask)

    expected = price_by_inputs(prices, spec, delivered=delivered, mask=mask)
    # Nobody asks how large the inputs are where no price goes by it.
    if expected and all(cost.type is not CostType.BYTE for cost in prices.costs):
        expected = replace(expected, size=0)
    assert told == expected


FLAT = PriceList(costs=(Cost(amount=Decimal(7)),), version=3)


@pytest.mark.parametrize(
    ("constants", "delivered", "mask"),
    [
        ({}, {}, {}),
        ({"text": 1}, {"items": "no list", "cost_$_total": 2}, {"options": None}),
        ({"options_#_k": 1}, {"items_$_0": 1, "items_$_9": None}, {"items_$_0": 2}),
    ],
)
def test_a_flat_price_is_told_by_the_names_of_the_inputs(
    monkeypatch: pytest.MonkeyPatch, constants: Values, delivered: Values, mask: Values
) -> None:
    links = [
        PlanLink(source_id=node_id("a"), source_name="value", sink_id=node_id("b"), sink_name=name)
        for name in ("items_$_0", "items_$_9")
    ]
    plan = PlanNode(id=node_id("b"), block_id="", name="b", input_default=constants, pins=PINS, incoming=tuple(links))
    monkeypatch.setattr("execution.prices.resolve_inputs", None)

    found = price_by(FLAT, NodeSpec(plan=plan, block=PlainBlock(), interface=None), delivered=delivered, mask=mask)

    assert found == Price(cost=FLAT.costs[0], version=3, charge_on_failure=False, size=0, hold=7)
