"""Counts, scores and best items: the CPU's, bit by bit, ties and padding included."""

import numpy as np
import pytest
from small_cuda import PANEL_SHAPES, SHAPES, back, on

from ivbpr_numba.kernels.arguments import TILE
from ivbpr_numba.kernels.cpu import ranking as cpu
from ivbpr_numba.kernels.cpu import top as cpu_top
from ivbpr_numba.kernels.cuda import ranking, top

pytestmark = pytest.mark.cuda


class World:
    """Users and items in three classes, of which many tie, with one item whose bias is NaN."""

    def __init__(self, n_users, n_items, length, seed=0):
        rng = np.random.default_rng(seed)
        self.users = rng.normal(size=(n_users, length)).astype(np.float32)
        self.vectors = rng.normal(size=(n_items, length)).astype(np.float32)
        self.bias = rng.normal(size=n_items).astype(np.float32)
        # Every third item is the item before it: ties that exist only if no rounding differs.
        self.vectors[1::3], self.bias[1::3] = self.vectors[: n_items - 1 : 3], self.bias[: n_items - 1 : 3]
        self.bias[n_items - 1] = np.nan
        self.classes = rng.integers(0, 3, n_items).astype(np.int8)
        own = [rng.choice(n_items - 1, rng.integers(1, 9), replace=False) for _ in range(n_users)]
        self.indptr = np.concatenate([[0], np.cumsum([len(o) for o in own])]).astype(np.int64)
        self.items = np.concatenate(own).astype(np.int32)  # the first of each is the target
        self.ascending = np.concatenate([np.sort(o) for o in own]).astype(np.int32)
        slots, begin = [], [0]
        for where in range(3):
            members = np.flatnonzero(self.classes == where)
            padded = np.full(-(-len(members) // TILE) * TILE, -1)
            padded[: len(members)] = members
            slots.append(padded)
            begin.append(begin[-1] + len(padded) // TILE)
        self.slot_item, self.class_begin = np.concatenate(slots).astype(np.int64), np.array(begin, np.int64)

    def tiles(self, slot_item):
        tiles = np.empty((len(slot_item) // TILE, self.users.shape[1] + 1, TILE), np.float32)
        cpu.fill_tiles(self.vectors, self.bias, slot_item, tiles)
        return tiles

    def in_order(self):
        """Tiles of the items in order of their rows."""
        n_items = len(self.bias)
        slots = np.full(-(-n_items // TILE) * TILE, -1, np.int64)
        slots[:n_items] = np.arange(n_items)
        return self.tiles(slots)


SIZES = [(3, 70, 5), (9, 140, 4), (3, 70, 35)]  # the last has more factors than shared memory holds at a time


@pytest.fixture(scope="module", params=SIZES, ids=str)
def world(request):
    return World(*request.param)


def test_tiles_are_those_of_the_cpu(world):
    expected = world.tiles(world.slot_item)
    for shape in SHAPES:
        tiles = on(np.empty_like(expected))
        ranking.fill_tiles(on(world.vectors), on(world.bias), on(world.slot_item), tiles, shape)
        assert back(tiles).tobytes() == expected.tobytes()


def test_counts_are_those_of_the_cpu(world):
    tiles, n = world.tiles(world.slot_item), len(world.users)
    given = (
        world.users, world.vectors, world.bias, world.classes, tiles, world.class_begin, world.indptr, world.items
    )  # fmt: skip
    less, equal = np.zeros((n, 3), np.int64), np.zeros((n, 3), np.int64)
    cpu.count_ranks(*given, less, equal)
    assert equal.sum() > 0 and less.sum() > 0
    for shape in PANEL_SHAPES:
        found = on(np.full((n, 3), 7)), on(np.full((n, 3), 7))
        ranking.count_ranks(*(on(a) for a in given), *found, shape)
        np.testing.assert_array_equal(back(found[0]), less)
        np.testing.assert_array_equal(back(found[1]), equal)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_counts_of_rows_are_those_of_the_cpu(world, dtype):
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 20, (len(world.users), len(world.bias))).astype(dtype)
    scores[:, -1] = np.nan
    given = (scores, world.classes, world.indptr, world.items)
    expected = np.zeros((2, len(world.users), 3), np.int64)
    cpu.count_row(*given, *expected)
    for shape in SHAPES:
        found = on(np.zeros_like(expected[0])), on(np.zeros_like(expected[0]))
        ranking.count_row(*(on(a) for a in given), *found, shape)
        np.testing.assert_array_equal([back(f) for f in found], expected)


def test_scores_are_those_of_the_cpu(world):
    tiles = world.tiles(world.slot_item)
    item_slot = np.empty(len(world.bias), np.int64)
    real = world.slot_item >= 0
    item_slot[world.slot_item[real]] = np.flatnonzero(real)
    expected = np.empty((len(world.users), len(world.bias)), np.float32)
    cpu.score_items(world.users, tiles, item_slot, expected)
    found = on(np.empty_like(expected))
    ranking.score_items(on(world.users), on(tiles), on(item_slot), found, SHAPES[1])
    assert back(found).tobytes() == expected.tobytes()


def test_random_scores_are_those_of_the_cpu():
    users, expected = np.array([5, 0, 9]), np.empty((3, 11), np.float32)
    cpu.random_scores(np.uint64(2**63 + 5), users, expected)
    found = on(np.empty_like(expected))
    ranking.random_scores(np.uint64(2**63 + 5), on(users), found, SHAPES[1])
    assert back(found).tobytes() == expected.tobytes()


@pytest.mark.parametrize("wanted", [1, 6, 150])
def test_the_best_are_those_of_the_cpu(world, wanted):
    """150 is more than there are items: every admissible one, in order."""
    n, tiles = len(world.users), world.in_order()
    allowed = np.random.default_rng(2).random(len(world.bias)) < 0.8
    given = (world.users, tiles, world.indptr, world.ascending, allowed)
    expected = (
        np.zeros((n, wanted), np.float32), np.zeros((n, wanted), np.int32), np.zeros(n, np.int64)
    )  # fmt: skip
    cpu_top.top_items(*given, *expected)
    rows = np.empty((n, len(world.bias)), np.float32)
    cpu.score_items(world.users, tiles, np.arange(len(world.bias)), rows)
    for shape in PANEL_SHAPES:
        found = tuple(on(np.zeros_like(a)) for a in expected)
        top.top_items(*(on(a) for a in given), *found, shape)
        same_lists(found, expected)
    for shape in SHAPES:
        found = tuple(on(np.zeros_like(a)) for a in expected)
        top.best_of_rows(*(on(a) for a in (rows, *given[2:])), *found, shape)
        same_lists(found, expected)


def same_lists(found, expected):
    scores, items, sizes = (back(a) for a in found)
    np.testing.assert_array_equal(sizes, expected[2])
    for u, size in enumerate(sizes):
        np.testing.assert_array_equal(items[u, :size], expected[1][u, :size])
        np.testing.assert_array_equal(scores[u, :size], expected[0][u, :size])


def test_lists_are_cut_down_as_they_fill():
    """Scores that rise with the row: every item is above the threshold, so each list overflows again and again."""
    n_items = 9 * TILE
    users, vectors = np.ones((2, 1), np.float32), np.arange(n_items, dtype=np.float32)[:, None] // 3
    tiles = np.empty((9, 2, TILE), np.float32)
    cpu.fill_tiles(vectors, np.zeros(n_items, np.float32), np.arange(n_items), tiles)
    nothing = np.zeros(3, np.int64), np.empty(0, np.int32), np.ones(n_items, bool)
    found = on(np.empty((2, 5), np.float32)), on(np.empty((2, 5), np.int32)), on(np.empty(2, np.int64))
    top.top_items(on(users), on(tiles), *(on(a) for a in nothing), *found, PANEL_SHAPES[0])
    # Of three items that tie the smallest row is the best.
    expected = [n_items - 3, n_items - 2, n_items - 1, n_items - 6, n_items - 5]
    assert back(found[1]).tolist() == [expected, expected]
