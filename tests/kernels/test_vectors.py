"""Explicit vectors and the plain loops they stand for agree; without vectors everything still works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ivbpr_numba.arrays import padded, stored_bits
from ivbpr_numba.kernels.arguments import (
    TILE,
    Block,
    Drift,
    FactorTables,
    Rates,
    Scratch,
    Sizes,
    Triples,
    VisualTables,
)
from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu import (
    block_factors,
    block_sums,
    exponential,
    factor,
    features,
    panels,
    projection,
    segmentation,
    vectors,
)

needs_vectors = pytest.mark.skipif(not vectors.USABLE, reason="no explicit vectors here")


@kernel
def arithmetic(a, out):
    x, y = vectors.load(a, 0, 2), vectors.load(a, 1, 5)
    vectors.store(out, 0, 0, vectors.add(x, y))
    vectors.store(out, 1, 0, vectors.sub(x, y))
    vectors.store(out, 2, 0, vectors.mul(x, y))
    vectors.store(out, 3, 0, vectors.fma(x, y, vectors.splat(np.float32(0.5))))
    vectors.store(out, 4, 0, vectors.spread(a, 1, 7))
    words = vectors.less_bits(x, y), vectors.upto_bits(x, y), vectors.above_bits(x, y)
    return vectors.total(x), words, vectors.bits_set(words[1]), vectors.lowest_bit(words[2] << np.uint64(48))


@needs_vectors
def test_operations() -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(-3, 4, (2, 40)).astype(np.float32)
    a[0, 3] = a[1, 9] = np.nan
    a[0, 4], a[1, 10] = -np.inf, np.inf
    out = np.zeros((6, 18), np.float32)
    found, words, upto, lowest = arithmetic(a, out)
    x, y = a[0, 2:18], a[1, 5:21]
    every = (x + y, x - y, x * y, x * y + np.float32(0.5), np.full(16, y[2]))
    for row, expected in zip(out[:, :16], every):
        np.testing.assert_array_equal(row, expected)
    assert not out[5].any() and not out[:, 16:].any()
    assert np.isnan(found)
    lanes = np.arange(16)
    for word, where in zip(words, (x < y, x <= y, ~(x <= y))):
        assert 0 < where.sum() < 16
        np.testing.assert_array_equal(word >> lanes & 1, where)
        assert word < 1 << 16
    assert upto == np.sum(x <= y)
    assert lowest == 48 + np.flatnonzero(~(x <= y))[0]
    a[0, 3:5] = 0
    assert arithmetic(a, out)[0] == a[0, 2:18].sum()


@kernel
def whole_product(a, b):
    return vectors.dot_whole(a, 2, b)


@needs_vectors
def test_products_of_whole_numbers() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(-(2**31), 2**31, (3, 16)).astype(np.int32), rng.normal(0, 1, 16)
    assert abs(whole_product(a, b) - a[2].astype(np.longdouble) @ b) < 1e-14 * 16 * np.abs(a[2] * b).sum()
    assert whole_product(a, np.ones(16)) == a[2].astype(np.int64).sum()


@kernel
def convert(a, out):
    vectors.store(out, 0, 0, vectors.load_stored(a, 0, 1))


@pytest.mark.skipif(not vectors.HALF_USABLE, reason="no conversion of float16 here")
def test_every_finite_half() -> None:
    every = np.arange(1 << 16, dtype=np.uint16)
    every = every[np.isfinite(every.view(np.float16))]
    out = np.zeros((1, 16), np.float32)
    for start in range(0, len(every) - 16, 16):
        part = every[start : start + 17].reshape(1, -1)
        convert(part, out)
        np.testing.assert_array_equal(out[0], part[0, 1:].view(np.float16).astype(np.float32))


@needs_vectors
@pytest.mark.parametrize("margin", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("size", [1, 10, 15, 16, 40])
def test_factor_steps(size: int, margin: float) -> None:
    rng = np.random.default_rng(size)
    n, users, items, width = 700, 9, 14, padded(size + 1)
    start = [np.zeros((users, width), np.float32), np.zeros((items, width), np.float32)]
    start[0][:, :size] = rng.normal(0, 1, (users, size))
    start[1][:, : size + 1] = rng.normal(0, 1, (items, size + 1))
    of = np.sort(rng.integers(0, users, n)).astype(np.int32)
    positives = rng.integers(0, items, n).astype(np.int32)
    negatives = ((positives + rng.integers(1, items, n)) % items).astype(np.int32)
    triples = Triples(of, positives, negatives)
    rates = Rates(*np.float32([0.05, 0.01, 0.02, 0, 0, 0]))
    found = []
    for function in (factor.plain_range, factor.vector_range):
        tables = [table.copy() for table in start]
        loss = function(triples, 3, n, FactorTables(*tables), size, np.float32(margin), rates)
        found.append((*tables, loss))
    for plain, vector in zip(*found):
        np.testing.assert_allclose(vector, plain, 2e-4, 2e-5)
    assert not found[1][0][:, size:].any() and not found[1][1][:, size + 1 :].any()


def test_a_diverged_loss_is_not_finite() -> None:
    """The loss is how a fit notices that it diverged, also where it is summed as a product."""
    users, items = np.full((1, 16), np.nan, np.float32), np.ones((2, 16), np.float32)
    row = np.zeros(1, np.int32)
    triples, rates = Triples(row, row, row + 1), Rates(*np.float32([0.05, 0, 0, 0, 0, 0]))
    tables = FactorTables(users, items)
    assert not np.isfinite(factor.factor_range(triples, 0, 1, tables, 10, np.float32(-1), rates))


def tables_of_a_block(rng: np.random.Generator, columns: int, d: int) -> tuple[np.ndarray, ...]:
    """Embedding, differences and pulls as `visual.visual_epoch` lays them out."""
    width = -(-columns // 16) * 16
    embedding = np.zeros((-(-(d + 1) // 4) * 4, width), np.float32)
    embedding[: d + 1, :columns] = rng.normal(0, 1, (d + 1, columns))
    differences = np.zeros((200, width + 16), np.float32)
    differences[:, :columns] = rng.normal(0, 1, (200, columns))
    pulls = np.zeros((200, -(-(d + 1) // 16) * 16), np.float32)
    pulls[:150, : d + 1] = rng.normal(0, 1, (150, d + 1))
    return embedding, differences, pulls


@needs_vectors
@pytest.mark.parametrize(("columns", "d"), [(1, 1), (37, 3), (80, 10), (128, 17)])
def test_projections_and_sums(columns: int, d: int) -> None:
    embedding, differences, pulls = tables_of_a_block(np.random.default_rng(columns), columns, d)
    width, height = embedding.shape[1], len(embedding)
    expected = differences[:, :width].astype(np.float64) @ embedding.T.astype(np.float64)
    whole = []
    for function in (projection.plain_project, projection.vector_project):
        for columns_at_a_time in (width, 48):
            out, partial = np.zeros((200, 32), np.float32), np.full((4 * height + 3, 16), 7, np.float32)
            for first in range(0, 200, 4):
                for lo in range(0, width, columns_at_a_time):
                    hi = min(lo + columns_at_a_time, width)
                    function(embedding, differences, first, lo, hi, out, partial, 3)
            np.testing.assert_allclose(out[:, :height], expected, 1e-5, 1e-4)
            assert not out[:, height:].any()
            whole.append(out)
    np.testing.assert_array_equal(whole[2], whole[3])  # sums go on where they stopped
    for lo in range(0, width, 16):
        wanted = pulls[:150].T.astype(np.float64) @ differences[:150, lo:width]
        for function in (block_sums.plain_sums, block_sums.vector_sums):
            total = np.zeros((height, width), np.float32)
            function(total, pulls, differences, 0, 80, lo, width)
            function(total, pulls, differences, 80, 150, lo, width)
            assert not total[:, :lo].any()
            np.testing.assert_allclose(total[: d + 1, lo:], wanted[: d + 1], 1e-5, 1e-4)


@needs_vectors
def test_squared_differences_are_summed() -> None:
    rng = np.random.default_rng(0)
    differences = rng.integers(-2, 3, (30, 48)).astype(np.float32)
    for function in (block_sums.plain_shares, block_sums.vector_shares):
        shares = np.full(48, 5, np.float32)
        function(shares, differences, 3, 29, 16, 48)
        np.testing.assert_array_equal(shares[16:], 5 + (differences[3:29, 16:] ** 2).sum(axis=0))
        assert (shares[:16] == 5).all()


@kernel
def four_totals(a, out):
    x, y, z = vectors.load(a, 0, 0), vectors.load(a, 1, 0), vectors.load(a, 2, 0)
    w = vectors.load(a, 3, 0)
    out[0, 0], out[0, 1], out[0, 2] = vectors.total(x), vectors.total(y), vectors.total(z)
    out[0, 3] = vectors.total(w)
    vectors.store_totals(out, 1, 1, x, y, z, w)


@needs_vectors
def test_four_totals_have_the_bits_of_one() -> None:
    a = np.random.default_rng(0).normal(0, 1, (4, 16)).astype(np.float32)
    out = np.zeros((2, 6), np.float32)
    four_totals(a, out)
    np.testing.assert_array_equal(out[1], [0, *out[0, :4], 0])
    np.testing.assert_allclose(out[0, :4], a.sum(axis=1), 1e-5)


@kernel
def powers_and_sums(a, out):
    for row in range(a.shape[0] - 16):
        x = vectors.load(a, row, 0)
        vectors.store(out, 0, 16 * row, exponential.exp_below(x))
        vectors.store(out, 1, 16 * row, vectors.smaller(x, vectors.splat(np.float32(-2))))
    vectors.store(out, 2, 0, vectors.row_totals(a, a.shape[0] - 16))


@needs_vectors
def test_powers_of_e_and_sums_of_sixteen_rows() -> None:
    rng = np.random.default_rng(0)
    a = -np.concatenate([rng.random((200, 16)) * 90, rng.random((200, 16))]).astype(np.float32)
    a[0, :5] = 0, -0.0, -np.inf, np.nan, -87
    out = np.zeros((3, 16 * len(a)), np.float32)
    powers_and_sums(a, out)
    x = a[:-16].ravel()
    expected = np.exp(np.maximum(x, np.float32(-87)).astype(np.float64))
    np.testing.assert_allclose(out[0, : len(x)], expected, 2.4e-7)  # two units in the last place
    np.testing.assert_array_equal(out[1, : len(x)], np.where(x < -2, x, np.float32(-2)))
    np.testing.assert_allclose(out[2, :16], a[-16:].sum(axis=1), 1e-6)


@needs_vectors
@pytest.mark.parametrize(("k", "d", "n_epochs", "n"), [(10, 10, 5, 256), (0, 1, 1, 1), (17, 16, 20, 37)])
def test_likelihoods_of_an_event(k: int, d: int, n_epochs: int, n: int) -> None:
    rng = np.random.default_rng(n)
    latent, style = padded(k), padded(d + 1)
    users = np.zeros((3, latent + style), np.float32)
    items = np.zeros((41, latent + n_epochs * style), np.float32)
    users[:, :k], items[:40, :k] = rng.normal(0, 1, (3, k)), rng.normal(0, 1, (40, k))
    users[:, latent : latent + d], users[:, latent + d] = rng.normal(0, 1, (3, d)), 1
    for e in range(n_epochs):
        at = latent + e * style
        items[:40, at : at + d + 1] = rng.normal(0, 2, (40, d + 1))
        items[40, at + d] = -1e30
    positive = rng.normal(0, 3, n_epochs).astype(np.float32)
    negatives = rng.integers(0, 40, n)
    found = []
    for function in (segmentation.plain_explained, segmentation.vector_explained):
        chosen = np.full(n + 32, 7)
        chosen[:n] = negatives
        room = np.full((32 + 2 * n_epochs, max(16, n_epochs)), np.nan, np.float32)
        out = np.full(n_epochs, 3.0)
        function(users, 1, items, latent, chosen, n, positive, room, out)
        found.append(out)
    scores = np.array(
        [
            items[negatives, :latent].astype(np.float64) @ users[1, :latent]
            + items[negatives, at : at + style].astype(np.float64) @ users[1, latent:]
            for at in range(latent, items.shape[1], style)
        ]
    )
    expected = 3.0 - np.logaddexp(0, scores - positive[:, None]).sum(axis=1)
    for out in found:
        np.testing.assert_allclose(out, expected, 1e-5, 1e-5)


@needs_vectors
@pytest.mark.parametrize(("k", "d"), [(0, 1), (10, 10), (15, 15), (16, 16), (40, 20), (5, 31)])
def test_factor_steps_of_a_block(k: int, d: int) -> None:
    rng = np.random.default_rng(k)
    n, users, items = 400, 9, 14
    widths = padded(k + 1), padded(k + 1), padded(d + 1)
    start = [np.zeros((rows, width), np.float32) for rows, width in zip((users, items, users), widths)]
    start[0][:, :k] = rng.normal(0, 1, (users, k))
    start[1][:, : k + 1] = rng.normal(0, 1, (items, k + 1))
    start[2][:, :d] = rng.normal(0, 1, (users, d))
    room = (n, padded(d + 1))
    projections = np.zeros(room, np.float32)
    projections[:, : d + 1] = rng.normal(0, 1, (n, d + 1))
    of = np.sort(rng.integers(0, users, n + 5)).astype(np.int32)
    positives = rng.integers(0, items, n + 5).astype(np.int32)
    negatives = ((positives + rng.integers(1, items, n + 5)) % items).astype(np.int32)
    triples, sizes = Triples(of, positives, negatives), Sizes(k, d)
    rates = Rates(*np.float32([0.05, 0.01, 0.03, 0.02, 0, 0]))
    found = []
    still = Drift(np.empty(0, np.float32), np.empty(0, np.float32), np.empty(0, np.int64))
    ways = [(block_factors.plain_factors, (still,)), (block_factors.vector_factors, ())]
    for function, more in ways:
        tables, pulls = [table.copy() for table in start], np.zeros(room, np.float32)
        scratch = Scratch(np.zeros((n, 16), np.float32), projections, pulls)
        loss = function(triples, Block(5, n), VisualTables(*tables), sizes, scratch, rates, *more)
        found.append((*tables, pulls, loss))
    for vector in found[1:]:
        for one, other in zip(vector, found[0]):
            np.testing.assert_allclose(one, other, 2e-4, 2e-5)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.uint8])
@pytest.mark.parametrize("columns", [1, 16, 37])
def test_stored_differences(columns: int, dtype: type) -> None:
    rng = np.random.default_rng(columns)
    matrix = stored_bits(rng.integers(0, 200, (5, columns)).astype(dtype))
    out = np.full((2, 64), np.float32(7))
    for start in range(0, columns, 16):
        features.feature_differences(matrix, 3, 1, start, start + 16, out[0])
    features.plain_differences(matrix, 3, 1, 0, columns, out[1])
    np.testing.assert_array_equal(out[0], out[1])
    assert (out[:, columns:] == 7).all()


PANELS = {  # and how many users they have in registers
    "wide": (panels.vector_score_tile, panels.wide_count_panel, panels.wide_find_above, 4),
    "narrow": (panels.vector_score_tile, panels.narrow_count_panel, panels.narrow_find_above, 6),
    "plain": (panels.plain_score_tile, panels.plain_count_panel, panels.plain_find_above, 5),
}


@pytest.mark.parametrize("way", PANELS)
@pytest.mark.parametrize(("length", "users"), [(0, 3), (1, 4), (7, 1), (20, 7)])
def test_panels_have_the_bits_of_scores(length: int, users: int, way: str) -> None:
    """Counting and choosing in registers see ties exactly where the scores that are shown are equal."""
    if way != "plain" and not vectors.USABLE:
        pytest.skip("no explicit vectors here")
    score_tile, count_panel, find_above, places = PANELS[way]
    rng = np.random.default_rng(length)
    rows = rng.normal(0, 1, (users + 2, length)).astype(np.float32)
    tile = rng.normal(0, 1, (length + 1, TILE)).astype(np.float32)
    tile[:, 40:50] = tile[:, 10:20]
    tile[0, 60:] = np.nan
    tile[0, 58], tile[0, 59] = np.inf, -np.inf
    scores = np.full((-(-users // places) * places, TILE), np.nan, np.float32)
    for row, out in zip(rows[1:], scores[:users]):
        score_tile(row, tile, out)
        expected = tile[0].astype(np.float64) + row.astype(np.float64) @ tile[1:].astype(np.float64)
        np.testing.assert_allclose(out, expected, 1e-4, 1e-5)
    packed = np.full((len(scores) // places * length + 1, places), 7, np.float32)
    panels.fill_panels(rows, 1, users + 1, packed[1:])
    tiles = np.concatenate([np.full((5, TILE), 3, np.float32), tile])
    targets = np.full((len(scores) // places, places), np.nan, np.float32)
    targets.flat[:users] = scores[:users, 15]
    targets.flat[users // 2] = np.inf  # a target may be infinite, and tie
    less, upto = np.ones(targets.shape, np.int64), np.ones(targets.shape, np.int64)
    for p in range(len(targets)):
        count_panel(packed, 1 + p * length, length, tiles, 5, targets, p, less, upto)
        found, kept = np.ones(places, np.uint64), np.full((places, TILE), 9, np.float32)
        find_above(packed, 1 + p * length, length, tiles, 5, targets, p, found, kept)
        for u in range(min(places, users - places * p)):
            own = scores[places * p + u]
            above = ~(own <= targets[p, u])
            np.testing.assert_array_equal(found[u] >> np.arange(TILE, dtype=np.uint64) & np.uint64(1), above)
            np.testing.assert_array_equal(kept[u], own)  # padding is above, so every tile here has some
    own, wanted = scores[:users], targets.reshape(-1, 1)[:users]
    np.testing.assert_array_equal(less.ravel()[:users], 1 + (own < wanted).sum(axis=1))
    np.testing.assert_array_equal(upto.ravel()[:users], 1 + (own <= wanted).sum(axis=1))
    assert (less.ravel()[users:] == 1).all() and (upto.ravel()[users:] == 1).all()  # nothing up to NaN
    assert (upto - less).ravel()[users // 2] == 1 and (upto - less).ravel()[
        : users // 2
    ].sum() >= users // 2 * 2


PROGRAM = """
import sys
import numpy as np
from ivbpr_numba import BPRMF, TVBPR, VBPR, Dataset, Features
from ivbpr_numba.kernels.cpu import vectors
from ivbpr_numba.worlds.world import generate
rng = np.random.default_rng(0)
pairs = rng.integers(0, 40, 600), rng.integers(0, 60, 600)
data = Dataset.from_pairs(*pairs, 1_500_000_000 + rng.integers(0, 10**7, 600), min_interactions=3)
features = Features.from_arrays(data.items, rng.random((len(data.items), 37)).astype(np.float16))
wide = Features.from_arrays(data.items, rng.random((len(data.items), 300)).astype(np.float32))
slow = {"learning_rate": 0.002}
work = {  # the wide ones in blocks that are shared out among threads; last blocks are no multiple of eight
    "factors": (BPRMF(iterations=2), None),
    "small": (VBPR(iterations=2, block=16), features),
    "wide": (VBPR(iterations=2, block=251, **slow), wide),
    "in time": (TVBPR(iterations=2, block=13, epochs=2, bins=4, segment_every=9), features),
    "wide in time": (TVBPR(iterations=2, block=251, epochs=2, bins=4, segment_every=9, **slow), wide),
}
found = {"usable": np.array(vectors.USABLE), "bought": generate("tiny", 3, users=99, exact_limit=0).purchases.items}
for label, (model, given) in work.items():
    model.fit(data, given)
    found |= {f"{label} {name}": array for name, array in model.parameters_.arrays().items()}
    found[f"{label} auc"] = np.array(model.metrics_["test"]["all"]["auc"])
np.savez(sys.argv[1], **found)
"""


def test_everything_works_without_vectors(tmp_path: Path) -> None:
    found = []
    for plain in ("", "1"):
        out = tmp_path / f"found{plain}.npz"
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(out)], env={**os.environ, "IVBPR_PLAIN": plain}, check=True
        )
        with np.load(out) as arrays:
            found.append(dict(arrays))
    assert not found[1].pop("usable")
    np.testing.assert_array_equal(found[0]["bought"], found[1].pop("bought"))
    for name, array in found[1].items():
        tolerance = 0.02 if name.endswith("auc") else 1e-5
        np.testing.assert_allclose(found[0][name], array, 0, tolerance, err_msg=name)
