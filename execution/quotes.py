"""What a run will probably cost, and at most: from prices, and from what runs of the same version did before."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connection

from credits.history import recent_cost, recent_quantity
from credits.pricing import KNOWN_BEFORE, Cost, CostType, price_before
from execution.planning import GraphPlan, NodeSpec, load_plan
from execution.prices import find_prices, price, uses_own_credentials
from graphs.models import GraphVersion

RECENT_RUNS: Final = 20
"""How many of the newest completed runs of a version are looked at."""

Masks = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Range:
    """What is to be expected, and the most that has to be reckoned with."""

    expected: float
    most: int


@dataclass(frozen=True, kw_only=True)
class NodeQuote:
    """How often a node will run, what once costs, and what that makes, in credits. An agent's includes its sub-runs."""

    node_id: UUID
    name: str
    block_id: str
    executions: Range
    price: Range
    cost: Range


@dataclass(frozen=True, kw_only=True)
class Quote:
    """What a run will cost, in credits.

    `based_on_runs` tells how many runs that is from; without any, each node is reckoned with once. `fee` is for the
    number of node executions.
    """

    based_on_runs: int
    cost: Range
    fee: Range
    nodes: tuple[NodeQuote, ...]


_EXECUTIONS = """
WITH runs AS MATERIALIZED (
    SELECT id FROM execution_execution
     WHERE graph_version_id = %(version)s AND NOT simulate AND status = 'COMPLETED' ORDER BY id DESC LIMIT %(limit)s
), counts AS (
    SELECT n.execution_id, n.node_id, count(*) AS executions
      FROM execution_nodeexecution n JOIN runs ON runs.id = n.execution_id
     WHERE n.status IN ('COMPLETED', 'FAILED') GROUP BY n.execution_id, n.node_id
)
SELECT (SELECT count(*) FROM runs), node_id, sum(executions)::float8, max(executions) FROM counts GROUP BY node_id
"""


def quote(*, version: GraphVersion, masks: Masks | None = None) -> Quote:
    """Return what a run of a version with these `nodes_input_masks` will cost."""
    tree = _Tree(owner_id=version.graph.owner_id)
    return _quote(load_plan(version.pk), masks or {}, above=(), tree=tree)


@dataclass(frozen=True, kw_only=True)
class _Tree:
    """What is quoted at once: graphs of one owner, each of them once."""

    owner_id: int
    costs: dict[UUID, Range] = field(default_factory=dict)


def _quote(graph: GraphPlan, masks: Masks, *, above: tuple[UUID, ...], tree: _Tree) -> Quote:
    seen, executions = _count_executions(graph)
    nodes = tuple(
        _quote_node(graph, spec, executions[node_id], masks.get(str(node_id), {}), above=above, tree=tree)
        for node_id, spec in graph.specs.items()
        if not spec.plan.is_note
    )
    fee = _fee(nodes)
    return Quote(
        based_on_runs=seen,
        fee=fee,
        cost=Range(
            expected=sum(node.cost.expected for node in nodes) + fee.expected,
            most=sum(node.cost.most for node in nodes) + fee.most,
        ),
        nodes=nodes,
    )


def _count_executions(graph: GraphPlan) -> tuple[int, dict[UUID, Range]]:
    with connection.cursor() as cursor:
        cursor.execute(_EXECUTIONS, {"version": graph.version_id, "limit": RECENT_RUNS})
        rows = cursor.fetchall()
    seen = rows[0][0] if rows else 0
    found = {node_id: Range(expected=total / seen, most=most) for _, node_id, total, most in rows}
    unknown = Range(expected=0.0, most=0) if seen else Range(expected=1.0, most=1)
    return seen, {node_id: found.get(node_id, unknown) for node_id in graph.specs}


def _quote_node(
    graph: GraphPlan,
    spec: NodeSpec,
    executions: Range,
    mask: Mapping[str, Any],
    *,
    above: tuple[UUID, ...],
    tree: _Tree,
) -> NodeQuote:
    once = _price_once(spec, mask)
    if spec.is_agent:
        below = _quote_below(spec, (*above, graph.version_id), tree)
        once = Range(expected=once.expected + below.expected, most=once.most + below.most)
    return NodeQuote(
        node_id=spec.plan.id,
        name=spec.plan.name,
        block_id=spec.plan.block_id,
        executions=executions,
        price=once,
        cost=Range(expected=once.expected * executions.expected, most=once.most * executions.most),
    )


def _price_once(spec: NodeSpec, mask: Mapping[str, Any]) -> Range:
    """Return what one execution costs: by its constants, and by whatever may come through its links at most."""
    listed = find_prices(spec)
    if not listed.costs:
        return Range(expected=0.0, most=0)
    likely = price(spec, delivered={}, mask=mask)
    if likely is None and (not spec.plan.incoming or uses_own_credentials(spec, mask=mask)):
        return Range(expected=0.0, most=0)
    size = likely.size if likely else 0
    # What comes through a link may ask for another line of the price list.
    possible = (likely.cost,) if likely and not spec.plan.incoming else listed.costs
    return Range(
        expected=_range(spec, likely.cost, size=size, version=likely.version).expected if likely else 0.0,
        most=max(_range(spec, cost, size=size, version=listed.version).most for cost in possible),
    )


def _range(spec: NodeSpec, cost: Cost, *, size: int, version: int) -> Range:
    """Return what one execution costs by a line of the price list: as the block's newest charges, if they tell."""
    block_id, least = spec.plan.block_id, price_before(cost, size=size)
    if cost.type is CostType.TOKENS or (cost.type is CostType.BYTE and spec.plan.incoming):
        # Neither tokens nor what comes through links is known before; the price without them is the least.
        paid = recent_cost(block_id=block_id, type=cost.type, version=version)
        return Range(expected=max(paid.mean, least), most=max(int(paid.most), least)) if paid else _exactly(least)
    used = None if cost.type in KNOWN_BEFORE else recent_quantity(block_id=block_id, type=cost.type)
    if used is None:
        return _exactly(least)
    return Range(
        expected=float(price_before(cost, size=size, quantity=used.mean)),
        most=price_before(cost, size=size, quantity=used.most),
    )


def _exactly(credits: int) -> Range:
    return Range(expected=float(credits), most=credits)


def _quote_below(spec: NodeSpec, above: tuple[UUID, ...], tree: _Tree) -> Range:
    """Return what a sub-run costs; a graph that stands above itself is not gone through again."""
    version = _find_version(spec, owner_id=tree.owner_id)
    if version is None or version in above or len(above) > settings.MAX_SUB_RUN_DEPTH:
        return Range(expected=0.0, most=0)
    if version not in tree.costs:
        tree.costs[version] = _quote(load_plan(version), {}, above=above, tree=tree).cost
    return tree.costs[version]


def _find_version(spec: NodeSpec, *, owner_id: int) -> UUID | None:
    try:
        graph_id, version = UUID(str(spec.constants.get("graph_id"))), int(spec.constants.get("graph_version") or 0)
    except (TypeError, ValueError):
        return None
    found = GraphVersion.objects.filter(graph_id=graph_id, version=version, graph__owner_id=owner_id)
    return found.values_list("pk", flat=True).first()


def _fee(nodes: tuple[NodeQuote, ...]) -> Range:
    per = settings.NODE_EXECUTIONS_PER_CREDIT
    if per <= 0:
        return Range(expected=0.0, most=0)
    expected = sum(node.executions.expected for node in nodes)
    return Range(expected=expected / per, most=ceil(sum(node.executions.most for node in nodes) / per))
