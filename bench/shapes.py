"""Graphs without a content: how many nodes, and which waits for which.

Real ones come from a folder of workflow traces (`read_shape`), the others are made here.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

Link = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Nodes 0 … `size`-1 and links (source, sink). ValueError if a link leads backwards: nodes are in an order."""

    name: str
    size: int
    links: tuple[Link, ...]

    def __post_init__(self) -> None:
        for source, sink in self.links:
            if not 0 <= source < sink < self.size:
                raise ValueError(f"{self.name}: the link {source} → {sink} leads nowhere or backwards.")

    @cached_property
    def predecessors(self) -> tuple[tuple[int, ...], ...]:
        """Return, for each node, the nodes that it waits for."""
        found: list[list[int]] = [[] for _ in range(self.size)]
        for source, sink in self.links:
            found[sink].append(source)
        return tuple(tuple(each) for each in found)

    @cached_property
    def levels(self) -> tuple[tuple[int, ...], ...]:
        """Return the nodes in steps: each node in the first step in which all that it waits for is there."""
        depth: list[int] = []
        for before in self.predecessors:
            depth.append(1 + max((depth[each] for each in before), default=-1))
        steps: list[list[int]] = [[] for _ in range(max(depth, default=-1) + 1)]
        for node, step in enumerate(depth):
            steps[step].append(node)
        return tuple(tuple(step) for step in steps)


def chain(size: int) -> Shape:
    """Return nodes one behind the other."""
    return Shape(name=f"chain-{size}", size=size, links=tuple((node, node + 1) for node in range(size - 1)))


def fan_out(width: int) -> Shape:
    """Return 1 → `width` → 1."""
    middle = range(1, width + 1)
    links = [*((0, node) for node in middle), *((node, width + 1) for node in middle)]
    return Shape(name=f"fan-{width}", size=width + 2, links=tuple(links))


def apart(size: int) -> Shape:
    """Return nodes that have nothing to do with each other."""
    return Shape(name=f"apart-{size}", size=size, links=())


def stencil(*, width: int, steps: int) -> Shape:
    """Return Task Bench's one-dimensional stencil: each point waits for itself and its two neighbours."""
    return _grid("stencil", width=width, steps=steps, before=lambda _step, point: (point - 1, point, point + 1))


def fft(*, width: int, steps: int) -> Shape:
    """Return Task Bench's butterfly: each point waits for itself and the two that are 2ⁿ away, n growing by step."""

    def before(step: int, point: int) -> Iterable[int]:
        distance = 1 << ((step - 1) % max(1, width.bit_length() - 1))
        return point - distance, point, point + distance

    return _grid("fft", width=width, steps=steps, before=before)


def all_to_all(*, width: int, steps: int) -> Shape:
    """Return steps of which each point waits for every point of the step before."""
    return _grid("all-to-all", width=width, steps=steps, before=lambda _step, _point: range(width))


def tree(*, levels: int) -> Shape:
    """Return a binary tree from one root to 2^(levels-1) leaves."""
    size = 2**levels - 1
    links = tuple(((node - 1) // 2, node) for node in range(1, size))
    return Shape(name=f"tree-{size}", size=size, links=links)


def montage(size: int) -> Shape:
    """Return a graph like Montage's, a mosaic of sky images in three colours, with `size` (≥ 40) nodes.

    Per colour: images are projected, neighbours compared (most nodes), the comparisons fitted and modelled, each image
    corrected, all put together and drawn; in the end one picture is made of the three. Sizes and widths are those of
    the traces that `read_shape` reads: about five comparisons to an image.
    """
    colours = 3
    fixed = colours * 5 + 1
    nodes, spare = divmod(size - fixed, colours)
    shape = _Drawing()
    ends = [_add_colour(shape, nodes=nodes + (1 if colour < spare else 0)) for colour in range(colours)]
    shape.add(ends)
    return Shape(name=f"montage-{size}", size=shape.size, links=tuple(shape.links))


def read_shape(path: Path) -> Shape:
    """Return a trace's shape: JSON with `nodes` ({"id": number}) and `links` ([source, sink])."""
    trace: dict[str, Any] = json.loads(path.read_text("utf-8"))
    ids = [node["id"] for node in trace["nodes"]]
    order = {key: place for place, key in enumerate(_in_order(ids, trace["links"]))}
    links = sorted((order[source], order[sink]) for source, sink in trace["links"])
    return Shape(name=f"{path.stem.partition('-')[0]}-{len(ids)}", size=len(ids), links=tuple(links))


def read_shapes(folder: Path | None) -> dict[str, Shape]:
    """Return the shapes of all traces in a folder by name; none if there is no folder."""
    shapes = [read_shape(path) for path in sorted(folder.glob("*.json"))] if folder else []
    return {shape.name: shape for shape in shapes}


class _Drawing:
    def __init__(self) -> None:
        self.size = 0
        self.links: list[Link] = []

    def add(self, before: Iterable[int] = ()) -> int:
        node, self.size = self.size, self.size + 1
        self.links += [(each, node) for each in before]
        return node


def _add_colour(shape: _Drawing, *, nodes: int) -> int:
    """Add one colour's `nodes` images and comparisons, and the five that end it; return the last."""
    images = max(2, round(nodes / 7.4 + 2.3))
    projected = [shape.add() for _ in range(images)]
    pairs = _pairs(images)
    compared = [shape.add([projected[a], projected[b]]) for a, b in (next(pairs) for _ in range(nodes - 2 * images))]
    model = shape.add([shape.add(compared)])
    corrected = [shape.add([image, model]) for image in projected]
    table = shape.add(corrected)
    return shape.add([shape.add([table, *corrected])])


def _pairs(count: int) -> Iterator[tuple[int, int]]:
    """Yield pairs of images, near ones first; again from the start when all were there."""
    while True:
        for distance in range(1, count):
            for first in range(count - distance):
                yield first, first + distance


def _grid(name: str, *, width: int, steps: int, before: Any) -> Shape:
    links = [
        ((step - 1) * width + source, step * width + point)
        for step in range(1, steps)
        for point in range(width)
        for source in before(step, point)
        if 0 <= source < width
    ]
    return Shape(name=f"{name}-{width * steps}", size=width * steps, links=tuple(links))


def _in_order(ids: list[Any], links: list[list[Any]]) -> list[Any]:
    """Return the ids so that each comes behind all that it waits for. ValueError if there is a cycle."""
    waits = dict.fromkeys(ids, 0)
    after: dict[Any, list[Any]] = {key: [] for key in ids}
    for source, sink in links:
        waits[sink] += 1
        after[source].append(sink)
    order = [key for key in ids if not waits[key]]
    for key in order:  # grows while it is read
        for sink in after[key]:
            waits[sink] -= 1
            if not waits[sink]:
                order.append(sink)
    if len(order) < len(ids):
        raise ValueError("The trace has a cycle.")
    return order
