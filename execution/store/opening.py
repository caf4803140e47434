"""Claims on what becomes ready by a record, for the process that records: nobody else has seen it yet."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from execution.engine.dataflow import Firing
from execution.planning import load_plan
from execution.prices import may_cost
from execution.store.claims import Claimed
from execution.store.prices_at_hand import flat_price_at_hand, price_at_hand


def open_claim(
    previous: Claimed, firing: Firing, *, key: UUID, text: str, before: Mapping[str, Any] | None = None
) -> Claimed | None:
    """Return the claim on a firing that comes of `previous`, in its run; None if its price is not at hand.

    `key` is what its node execution is called, `text` the inputs that are added to what was delivered to it `before`,
    as rows have them. Unless that is known, the inputs of one that was opened before come back when it is claimed (see
    `Taker`).
    """
    spec = load_plan(previous.graph_version_id).specs[firing.node_id]
    inputs, mask = {**(before or {}), **json.loads(text)}, previous.masks.get(str(firing.node_id), {})
    is_paid, price = not previous.simulate and may_cost(spec), None
    if is_paid and (firing.is_new or before is not None):
        price = price_at_hand(spec, inputs=inputs, mask=mask)
    elif is_paid:
        # What was delivered before is not read while the run is locked.
        price = flat_price_at_hand(spec, pins={*firing.pins, *firing.added}, mask=mask)
    if is_paid and price is None:
        return None
    return replace(
        previous,
        id=key,
        node_id=firing.node_id,
        ordinal=firing.ordinal,
        token=uuid4(),
        attempt=1,
        losses=0,
        suspicions=0,
        waits=0,
        output_count=0,
        inputs=inputs,
        is_paid=is_paid,
        price=price,
        spent=None,
        may_send_next=False,
    )
