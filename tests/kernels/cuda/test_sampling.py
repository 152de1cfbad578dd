"""Triples, orders and rounds: the CPU's, bit by bit, for all laws and both ways of sampling."""

import numpy as np
import pytest
from small import csr, random_lists
from small_cuda import SHAPES, back, on

from ivbpr_numba.kernels import arguments
from ivbpr_numba.kernels.arguments import CLASSES, GROUP
from ivbpr_numba.kernels.cpu import classes as cpu_classes
from ivbpr_numba.kernels.cpu import sampling as cpu
from ivbpr_numba.kernels.cpu.scalars import keyed_shuffle
from ivbpr_numba.kernels.cuda import classes, sampling, turns
from ivbpr_numba.kernels.cuda.target import Shape

pytestmark = pytest.mark.cuda
ONE_BLOCK = (Shape(1, 32), Shape(1, 7))
SEED = np.uint64(2**63 + 11)
# User 0 owns every item that anybody trained on, user 2 all of them but one, user 3 nothing.
LISTS = [
    list(range(13)),
    [0, 4],
    [i for i in range(13) if i != 5],
    [],
    *random_lists(np.random.default_rng(0), 9, 13, 1, 6),
]
N_ITEMS = 15


@pytest.mark.parametrize("n", [1, 2, 97])
def test_a_shuffle_is_that_of_one_step_after_the_other(n):
    expected = np.empty(n, np.int32)
    keyed_shuffle(SEED, expected)
    for shape in ONE_BLOCK:
        found = on(np.empty(n, np.int32))
        turns.shuffle(SEED, found, shape)
        np.testing.assert_array_equal(back(found), expected)


def visits_of(lists, n_items, iteration, sampling_way):
    """Visits by the CPU's kernels and by CUDA's, which are the same."""
    indptr, _ = csr(lists)
    sizes = np.diff(indptr)
    eligible = np.nonzero((sizes > 0) & (sizes < n_items))[0].astype(np.int64)
    order, n_draws = np.empty(len(eligible), np.int64), int(sizes[eligible].sum())
    cpu.user_order(SEED, iteration, eligible, order)
    found = on(np.empty_like(order))
    sampling.user_order(SEED, iteration, on(eligible), found, ONE_BLOCK[1])
    np.testing.assert_array_equal(back(found), order)
    draws = sizes.astype(np.int64)
    if sampling_way == "users":
        cpu.count_draws(SEED, iteration, eligible, n_draws, draws)
        for shape in SHAPES:
            found = on(np.full_like(draws, 3))
            sampling.count_draws(SEED, iteration, on(eligible), n_draws, found, shape)
            np.testing.assert_array_equal(back(found), draws)
    offsets = np.empty(len(order) + 1, np.int64)
    cpu.place_draws(order, draws, offsets)
    for shape in SHAPES:
        found = on(np.empty_like(offsets))
        sampling.place_draws(on(order), on(draws), found, shape)
        np.testing.assert_array_equal(back(found), offsets)
    return arguments.Visits(order, offsets)


@pytest.mark.parametrize("sampling_way", ["users", "interactions"])
@pytest.mark.parametrize("law", ["uniform", "trained", "popularity"])
def test_triples_are_those_of_the_cpu(law, sampling_way):
    indptr, indices = csr(LISTS)
    pairs = arguments.Pairs(indptr, indices)
    laws = arguments.NegativeLaw.of(law, np.bincount(indices, minlength=N_ITEMS).astype(np.int64))
    fallbacks = 0
    for iteration, shape in zip((1, 4), SHAPES):
        visits = visits_of(LISTS, N_ITEMS, iteration, sampling_way)
        n = int(visits.offsets[-1])
        expected, drawn = arguments.Triples(*np.empty((3, n), np.int32)), np.empty(n, np.int32)
        count = cpu.draw_triples(SEED, iteration, visits, pairs, laws, expected, drawn)
        found, places = on(arguments.Triples(*np.zeros((3, n), np.int32))), on(np.zeros(n, np.int32))
        given = (on(visits), on(pairs), arguments.NegativeLaw(laws.code, on(laws.trained), on(laws.counts)))
        assert sampling.draw_triples(SEED, iteration, *given, found, places, shape) == count
        np.testing.assert_array_equal(back(found), expected)
        np.testing.assert_array_equal(back(places), drawn)
        fallbacks += count
    assert (fallbacks > 0) == (law != "uniform")


def test_after_64_rejections_the_admissible_items_are_counted():
    n_items = 160
    lists = [[i for i in range(n_items) if i not in (10, 80, 159)], [3, 10, 80], [3, 10]]
    indptr, indices = csr(lists)
    pairs = arguments.Pairs(indptr, indices)
    visits = visits_of(lists, n_items, 2, "interactions")
    n = int(visits.offsets[-1])
    for law in ("uniform", "trained", "popularity"):
        laws = arguments.NegativeLaw.of(law, np.bincount(indices, minlength=n_items).astype(np.int64))
        expected, nothing = arguments.Triples(*np.empty((3, n), np.int32)), np.empty(0, np.int32)
        cpu.draw_triples(SEED, 2, visits, pairs, laws, expected, nothing)
        found = on(arguments.Triples(*np.zeros((3, n), np.int32)))
        given = (on(visits), on(pairs), arguments.NegativeLaw(laws.code, on(laws.trained), on(laws.counts)))
        sampling.draw_triples(SEED, 2, *given, found, on(nothing), SHAPES[1])
        np.testing.assert_array_equal(back(found), expected)


@pytest.mark.parametrize("law", ["uniform", "trained", "popularity"])
def test_rounds_are_those_of_the_cpu(law):
    lists = [[i for i in range(40) if i % 13], *random_lists(np.random.default_rng(1), 30, 60, 1, 12)]
    indptr, indices = csr(lists)
    pairs, n_items = arguments.Pairs(indptr, indices), 60
    visits = visits_of(lists, n_items, 3, "interactions")
    pool = np.arange(n_items, dtype=np.int32) if law == "uniform" else np.unique(indices).astype(np.int32)
    dealt = arguments.Classes(
        np.zeros(n_items, np.uint8), np.empty(len(pool), np.int32), np.empty(CLASSES + 1, np.int64)
    )
    same = on(dealt)
    cpu_classes.deal_items(SEED, 3, pool, dealt)
    classes.deal_items(SEED, 3, on(pool), same, ONE_BLOCK[0])
    if law == "popularity":
        dealt = dealt._replace(members=np.empty_like(indices))
        same = same._replace(members=on(np.empty_like(indices)))
        cpu_classes.deal_pairs(indices, dealt)
        classes.deal_pairs(on(indices), same, ONE_BLOCK[0])
    for found, expected in zip(back(same), dealt):
        np.testing.assert_array_equal(found, expected)
    chunks = np.diff(np.arange(CLASSES + 1) * len(visits.order) // CLASSES)
    groups = np.concatenate([[0], np.cumsum(-(-chunks // GROUP))])
    bounds, n = np.zeros((groups[-1], CLASSES + 1), np.int64), int(visits.offsets[-1])
    expected = arguments.Triples(*np.full((3, n), -1, np.int32))
    cpu_classes.draw_rounds(SEED, 3, visits, pairs, dealt, arguments.Segments(groups, bounds), expected)
    for shape in (Shape(1, 32), Shape(3, 2)):
        found, own = on(arguments.Triples(*np.full((3, n), -1, np.int32))), on(np.zeros_like(bounds))
        segments = arguments.Segments(groups, own)
        classes.draw_rounds(SEED, 3, on(visits), on(pairs), same, segments, found, shape)
        np.testing.assert_array_equal(back(own), bounds)
        np.testing.assert_array_equal(back(found), expected)
