"""Shapes of graphs: the right size, every link forwards, as wide and deep as their names say."""

import json
from pathlib import Path

import pytest

from bench.shapes import Shape, all_to_all, chain, fan_out, fft, montage, read_shapes, stencil, tree


def test_a_chain_has_a_level_per_node() -> None:
    shape = chain(40)

    assert [len(level) for level in shape.levels] == [1] * 40
    assert len(shape.links) == 39


def test_a_fan_out_waits_for_all_in_the_end() -> None:
    shape = fan_out(100)

    assert [len(level) for level in shape.levels] == [1, 100, 1]
    assert shape.predecessors[101] == tuple(range(1, 101))


@pytest.mark.parametrize(("size", "links"), [(58, 114), (310, 798), (1738, 4698)])
def test_a_generated_montage_has_as_many_links_as_the_real_one(size: int, links: int) -> None:
    shape = montage(size)

    assert shape.size == size
    assert len(shape.links) == links
    assert [len(level) for level in shape.levels][-4:] == [3, 3, 3, 1]


def test_a_stencil_waits_for_its_neighbours() -> None:
    shape = stencil(width=4, steps=3)

    assert shape.size == 12
    assert shape.predecessors[5] == (0, 1, 2)
    assert shape.predecessors[4] == (0, 1)


def test_a_butterfly_reaches_twice_as_far_in_each_step() -> None:
    shape = fft(width=8, steps=4)

    assert shape.predecessors[8] == (0, 1)
    assert shape.predecessors[16] == (8, 10)
    assert shape.predecessors[24] == (16, 20)


def test_all_to_all_waits_for_the_whole_step_before() -> None:
    assert all_to_all(width=5, steps=2).predecessors[7] == (0, 1, 2, 3, 4)


def test_a_tree_doubles_in_each_level() -> None:
    assert [len(level) for level in tree(levels=5).levels] == [1, 2, 4, 8, 16]


def test_a_trace_is_read_in_an_order_in_which_it_can_run(tmp_path: Path) -> None:
    trace = {"nodes": [{"id": 7}, {"id": 8}, {"id": 9}], "links": [[9, 7], [7, 8]]}
    (tmp_path / "small-001.json").write_text(json.dumps(trace))

    shapes = read_shapes(tmp_path)

    assert shapes["small-3"].links == ((0, 1), (1, 2))


def test_a_trace_with_a_cycle_is_refused(tmp_path: Path) -> None:
    trace = {"nodes": [{"id": 0}, {"id": 1}], "links": [[0, 1], [1, 0]]}
    (tmp_path / "round-001.json").write_text(json.dumps(trace))

    with pytest.raises(ValueError, match="cycle"):
        read_shapes(tmp_path)


def test_links_that_lead_backwards_are_refused() -> None:
    with pytest.raises(ValueError, match="backwards"):
        Shape(name="wrong", size=2, links=((1, 0),))
