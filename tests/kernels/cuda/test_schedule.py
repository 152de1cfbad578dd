"""Levels share no row and, applied in turn, are the sequential rule; factor models, in order and in rounds."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import random_lists
from small_cuda import back, on

from ivbpr_numba.kernels import arguments
from ivbpr_numba.kernels.arguments import CLASSES, FactorTables, Rates
from ivbpr_numba.kernels.cpu import factor as cpu
from ivbpr_numba.kernels.cuda import factor, schedule
from ivbpr_numba.kernels.cuda.schedule import even_cuts, plan_levels
from ivbpr_numba.kernels.cuda.target import Shape
from ivbpr_numba.models.triples import TripleSampler

pytestmark = pytest.mark.cuda
U, I = 5, 8  # noqa: E741
SHAPES = (Shape(1, 32), Shape(2, 16))


def levels_of(triples, cuts, category=None):
    """Every segment's levels by the definition, as sets of triples."""
    found = []
    for lo, hi in itertools.pairwise(cuts):
        last, own = {}, []
        for t in range(lo, hi):
            u, i, j = triples[t]
            rows = [("u", u), ("i", i), ("i", j)]
            if category is not None:
                rows += [("c", category[item]) for item in (i, j) if category[item] >= 0]
            level = max(last.get(row, 0) for row in rows)
            last |= dict.fromkeys(rows, level + 1)
            own += [set() for _ in range(level + 1 - len(own))]
            own[level].add(t)
        found.append(own)
    return found


def planned(levels):
    order, starts, first = back(levels)
    return [
        [set(order[starts[level] : starts[level + 1]].tolist()) for level in range(first[s], first[s + 1])]
        for s in range(len(first) - 1)
    ]


triple = st.tuples(st.integers(0, U - 1), st.integers(0, I - 1), st.integers(0, I - 1))
triples_of_few = st.lists(triple.filter(lambda t: t[1] != t[2]), min_size=1, max_size=24)


@settings(max_examples=25)
@given(drawn=triples_of_few, segment=st.integers(1, 24), known=st.booleans())
def test_levels_are_those_of_the_definition(drawn, segment, known):
    columns = arguments.Triples(*np.array(drawn, np.int32).T.copy())
    cuts = even_cuts(len(drawn), segment)
    category = np.array([0, 1, -1, 0, 2, -1, 1, 0]) if known else None
    own = {"category": on(category), "n_categories": 3} if known else {}
    expected = levels_of(drawn, cuts, category)
    for shape in SHAPES:
        levels = plan_levels(on(columns), U, I, on(cuts), **own, shape=shape)
        assert planned(levels) == expected
    for level in (level for own_levels in expected for level in own_levels):
        users = [drawn[t][0] for t in level]
        items = [item for t in level for item in drawn[t][1:]]
        assert len(users) == len(set(users)) and len(items) == len(set(items))


def tables_of(rng, size):
    width = -(-(size + 1) // 16) * 16
    users, items = np.zeros((U, width), np.float32), np.zeros((I, width), np.float32)
    users[:, :size], items[:, : size + 1] = rng.normal(size=(U, size)), rng.normal(size=(I, size + 1))
    return FactorTables(users, items)


RATES = Rates(*np.array([0.05, 0.1, 0.2, 0.0, 0.0, 0.0], np.float32))


@settings(max_examples=8)
@given(drawn=triples_of_few, seed=st.integers(0, 99), margin=st.sampled_from([-1.0, 0.0, 1.0]))
def test_levels_applied_are_the_sequential_rule(drawn, seed, margin):
    """Not near the CPU's: the same bits as this kernel applied triple by triple."""
    tables = tables_of(np.random.default_rng(seed), 3)
    one_by_one, columns = on(tables), np.array(drawn, np.int32).T
    losses = 0.0
    for n in range(len(drawn)):
        single = on(arguments.Triples(*columns[:, n : n + 1].copy()))
        losses += factor.factor_epoch(single, one_by_one, 3, np.float32(margin), RATES, 1, SHAPES[0])
    for shape in SHAPES:
        found = on(tables)
        loss = factor.factor_epoch(
            on(arguments.Triples(*columns.copy())), found, 3, np.float32(margin), RATES, 1, shape
        )
        for array, expected in zip(back(found), back(one_by_one)):
            assert array.tobytes() == expected.tobytes()
        assert loss == pytest.approx(losses, rel=1e-5)


def random_triples(rng, n):
    return arguments.Triples(
        *np.array([(rng.integers(U), *rng.choice(I, 2, replace=False)) for _ in range(n)], np.int32).T.copy()
    )


@pytest.mark.parametrize("margin", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("size", [3, 20])
def test_an_epoch_is_near_the_cpus(monkeypatch, size, margin):
    monkeypatch.setattr(factor, "SEGMENT", 40)
    rng = np.random.default_rng(size)
    tables, triples = tables_of(rng, size), random_triples(rng, 100)
    expected = FactorTables(*(table.copy() for table in tables))
    loss = cpu.factor_epoch(triples, expected, size, np.float32(margin), RATES, 1)
    bits = set()
    for shape in SHAPES:
        found = on(tables)
        own = factor.factor_epoch(on(triples), found, size, np.float32(margin), RATES, 1, shape)
        assert own == pytest.approx(loss, rel=1e-5)
        for array, near in zip(back(found), expected):
            np.testing.assert_allclose(array, near, rtol=0, atol=1e-5)
        bits.add((own, *(array.tobytes() for array in back(found))))
    assert len(bits) == 1
    assert np.abs(expected.users - tables.users).max() > 0.05


def test_racing_loses_no_move():
    """Triples that share no row: racing is the sequential rule."""
    rng = np.random.default_rng(0)
    tables = tables_of(rng, 3)
    triples = arguments.Triples(*np.array([[0, 1, 2], [0, 1, 2], [3, 4, 5]], np.int32))
    expected = FactorTables(*(table.copy() for table in tables))
    loss = cpu.factor_epoch(triples, expected, 3, np.float32(-1), RATES, 1)
    found = on(tables)
    assert factor.factor_epoch(on(triples), found, 3, np.float32(-1), RATES, 4, SHAPES[1]) == pytest.approx(
        loss
    )
    for array, near in zip(back(found), expected):
        np.testing.assert_allclose(array, near, rtol=0, atol=1e-6)


def test_rounds_are_the_order_of_the_cpu():
    """Pieces put side by side leave every pair of triples that shares a row in its order."""
    lists = random_lists(np.random.default_rng(3), 20, 40, 1, 5)
    indptr = np.concatenate([[0], np.cumsum([len(items) for items in lists])])
    indices = np.concatenate(lists).astype(np.int32)
    sampler = TripleSampler(indptr, indices, 40, seed=1, negatives="uniform", sampling="users")
    drawn = sampler.draw_rounds(1)
    rng = np.random.default_rng(4)
    users, items = rng.normal(size=(20, 16)).astype(np.float32), rng.normal(size=(40, 16)).astype(np.float32)
    users[:, 3:], items[:, 4:] = 0, 0
    tables, expected = FactorTables(users, items), FactorTables(users.copy(), items.copy())
    loss = cpu.factor_rounds(drawn.rows, drawn.segments, expected, 3, np.float32(-1), RATES)
    segments = drawn.segments._replace(bounds=on(drawn.segments.bounds))
    for shape in SHAPES:
        found = on(tables)
        own = factor.factor_rounds(on(drawn.rows), segments, found, 3, np.float32(-1), RATES, shape)
        assert own == pytest.approx(loss, rel=1e-5)
        for array, near in zip(back(found), expected):
            np.testing.assert_allclose(array, near, rtol=0, atol=1e-5)


def test_pieces_of_rounds_hold_every_triple_once():
    groups = np.array([0, 2, 3, 5, 6, 7, 8, 9, 11])
    sizes = np.random.default_rng(0).integers(0, 4, (11, CLASSES))
    bounds = np.concatenate([np.zeros((11, 1), np.int64), np.cumsum(sizes, axis=1)], axis=1)
    bounds += np.concatenate([[0], np.cumsum(sizes.sum(axis=1))[:-1]])[:, None]
    pieces, cuts = factor.pieces_of(groups, bounds)
    places = np.concatenate([np.arange(start, start + n) for start, _, n in pieces])
    assert sorted(places.tolist()) == list(range(sizes.sum())) and cuts[-1] == sizes.sum()
    assert (pieces[:, 1] == np.concatenate([[0], np.cumsum(pieces[:, 2])[:-1]])).all()


def test_segments_of_an_iteration():
    assert even_cuts(10, 4).tolist() == [0, 4, 8, 10] and even_cuts(8, 4).tolist() == [0, 4, 8]
    assert schedule.SEGMENT == 8192
