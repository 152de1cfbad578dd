"""Every kernel call of small fits, on the device beside the CPU: the same numbers, up to rounding where they are sums."""

from typing import Any

import numpy as np
import pytest
from small import csr
from small_cuda import SHAPES, back, on
from small_sgd import LISTS, U, options, random_triples, stored, unsettle

from ivbpr_numba import Dataset, backends
from ivbpr_numba.datasets.dataset import Dataset as Purchases
from ivbpr_numba.features.alignment import fit_scaling
from ivbpr_numba.features.inputs import DenseInput, SparseInput
from ivbpr_numba.kernels import arguments
from ivbpr_numba.kernels.arguments import SparseFeatures
from ivbpr_numba.kernels.cuda.target import Shape
from ivbpr_numba.models.learners import FactorLearner, VisualLearner
from ivbpr_numba.models.temporal_learner import TemporalLearner

pytestmark = pytest.mark.cuda

FILES = {name: file for file, names in backends.KERNELS.items() for name in names}
# What an iteration and its model ask for; the others have tests of their own, or run once a fit on the CPU.
EXACT = {"place_draws", "count_draws", "draw_triples", "plan_blocks"}
NEAR = {
    "factor_epoch", "visual_epoch", "sparse_epoch", "temporal_epoch", "sparse_temporal_epoch", "project_items",
    "project_sparse_items", "weigh_sparse_items", "column_statistics", "event_likelihoods",
}  # fmt: skip
TOLERANCE = 1e-5
BLOCK_SHAPES = (Shape(1, 48), Shape(2, 32))


def arrays_of(value: Any) -> list[np.ndarray]:
    if isinstance(value, tuple):
        return [array for part in value for array in arrays_of(part)]
    return [value] if isinstance(value, np.ndarray) else []


class Beside(backends.Kernels):
    """Kernels of the CPU; before each call the same happens on the device, in two shapes, and is compared."""

    def __init__(self) -> None:
        super().__init__("cpu")
        self.called: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        if name not in FILES:
            raise AttributeError(name)
        on_cpu = getattr(backends.kernels(), name)
        if name not in EXACT | NEAR:
            return on_cpu
        on_device = getattr(backends.Kernels("cuda"), name)
        shapes = BLOCK_SHAPES if name.endswith("epoch") or name == "event_likelihoods" else SHAPES
        if name == "project_items":
            shapes = (Shape(1, 16), Shape(3, 32))

        def call(*given: Any) -> Any:
            results = []
            for shape in shapes:
                copies = [on(part) for part in given]
                returned = on_device(*copies, shape=shape)
                results.append((returned, [np.array(a) for copy in copies for a in arrays_of(back(copy))]))
            expected = on_cpu(*given)
            for returned, found in results[1:]:
                assert returned == results[0][0], name
                assert [a.tobytes() for a in found] == [a.tobytes() for a in results[0][1]], name
            returned, found = results[0]
            host = [a for part in given for a in arrays_of(part)]
            for own, other in zip(found, host):
                if name in EXACT or own.dtype.kind != "f":
                    np.testing.assert_array_equal(own, other, name)
                else:
                    scale = max(1.0, float(np.abs(other).max(initial=0.0)))
                    np.testing.assert_allclose(own, other, rtol=0, atol=TOLERANCE * scale, err_msg=name)
            if expected is not None:
                assert returned == pytest.approx(expected, rel=TOLERANCE), name
            self.called[name] = self.called.get(name, 0) + 1
            return expected

        return call


def sparse_source(rng: np.random.Generator, n_items: int) -> SparseInput:
    """Two groups of columns 0–2 and 3–6, some items in neither; columns 7 and 8 with other values."""
    slots = np.stack([rng.integers(0, 4, n_items), rng.choice([0, 4, 5, 6, 7], n_items)], 1).astype(np.uint16)
    columns, values, indptr = [], [], [0]
    for _ in range(n_items):
        own = np.sort(rng.choice([7, 8], rng.integers(0, 3), replace=False))
        columns += own.tolist()
        values += rng.random(len(own)).tolist()
        indptr.append(len(columns))
    stored_features = SparseFeatures(
        slots, np.array(indptr, np.int64), np.array(columns, np.int32), np.array(values, np.float32)
    )
    return SparseInput(stored_features, 9, 1.0)


CHOICES = {"block": 4, "lambda_theta": 0.1, "lambda_visual": 0.2, "lambda_bias": 0.1}
KINDS = ["float16", "uint8", "float32", "sparse"]


def source_of(kind: str, rng: np.random.Generator, n_items: int) -> DenseInput | SparseInput:
    return (
        sparse_source(rng, n_items) if kind == "sparse" else stored(rng, n_items, 19, np.dtype(kind).type)[0]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_visual_models(kind: str) -> None:
    rng, kernels = np.random.default_rng(1), Beside()
    source = source_of(kind, rng, 12)
    scaling = fit_scaling(source, "none" if kind == "sparse" else "standard", kernels)
    learner = VisualLearner(options(**CHOICES), *csr(LISTS), 12, source, scaling, kernels)
    unsettle(learner, rng)
    with backends.threads(1):
        for iteration in (1, 2):
            learner.iterate(iteration)
        learner.scorer(learner.tables)
    dense = {"visual_epoch", "project_items", "column_statistics"}
    asked = {"sparse_epoch", "project_sparse_items"} if kind == "sparse" else dense
    assert set(kernels.called) == asked | {"count_draws", "place_draws", "draw_triples"}


def purchases() -> Purchases:
    rng = np.random.default_rng(2)
    users = np.repeat(np.arange(U), 4)
    items = np.concatenate([rng.choice(12, 4, replace=False) for _ in range(U)])
    items[:12] = np.arange(12)  # every item is somebody's
    return Dataset.from_pairs(
        [f"u{u}" for u in users], [f"i{i:02}" for i in items], 10**9 + rng.permutation(len(items))
    )


@pytest.mark.parametrize("drifting", [False, True])
@pytest.mark.parametrize("kind", ["float16", "sparse"])
def test_models_in_time(kind: str, drifting: bool) -> None:
    rng, kernels, data = np.random.default_rng(3), Beside(), purchases()
    source = source_of(kind, rng, len(data.items))
    chosen = {
        **options(**CHOICES), "epochs": 3, "bins": 6, "bin_type": "width", "segment_on": "train",
        "segment_negatives": 5, "segment_every": 1, "temporal_init": "shared", "item_drift": drifting,
    }  # fmt: skip
    learner = TemporalLearner(chosen, data, source, fit_scaling(source, "none", kernels), kernels)
    for name, table in learner.tables.items():
        if name in ("weight", "bias_weight", "item_drift", "category_drift"):
            table[...] += rng.normal(0, 0.2, table.shape)
    if drifting:
        learner.category = rng.integers(-1, 2, len(data.items))
        learner.tables["category_drift"] = rng.normal(0, 0.2, (3, 2)).astype(np.float32)
    with backends.threads(1):
        learner.iterate(1)
    asked = (
        {"sparse_temporal_epoch", "project_sparse_items"}
        if kind == "sparse"
        else {"temporal_epoch", "project_items"}
    )
    drawn = {"count_draws", "place_draws", "draw_triples", "plan_blocks", "event_likelihoods"}
    assert asked | drawn <= set(kernels.called)


def test_factor_models() -> None:
    rng, kernels = np.random.default_rng(4), Beside()
    learner = FactorLearner(options(lambda_theta=0.1, lambda_bias=0.1), *csr(LISTS), 12, kernels)
    unsettle(learner, rng)
    for iteration in (1, 2):
        learner.iterate(iteration)
    assert kernels.called["factor_epoch"] == 2


def test_averages_are_those_of_the_cpu() -> None:
    average, values = np.random.default_rng(5).normal(size=(2, 70)).astype(np.float32)
    expected = np.empty_like(average)
    backends.kernels().move_average(average, values, np.float32(0.1), expected)
    for shape in SHAPES:
        found = on(average)
        backends.Kernels("cuda").move_average(found, on(values), np.float32(0.1), found, shape=shape)
        np.testing.assert_allclose(back(found), expected, rtol=0, atol=1e-7)


def test_sums_of_weighted_items_are_those_of_the_cpu() -> None:
    source, weights = sparse_source(np.random.default_rng(6), 12), np.random.default_rng(7).normal(size=10)
    weights[0] = 0
    expected = np.empty(12)
    backends.kernels().weigh_sparse_items(source.stored, weights, expected)
    found = on(np.empty(12))
    backends.Kernels("cuda").weigh_sparse_items(on(source.stored), on(weights), found, shape=SHAPES[1])
    np.testing.assert_allclose(back(found), expected, rtol=1e-15)


def test_a_run_of_blocks_is_cut_as_the_cpu_does() -> None:
    """More than one run of 64 blocks, the last one short."""
    rng = np.random.default_rng(8)
    n, n_epochs, block = 150, 3, 1
    drawn = arguments.Triples(*np.array(random_triples(rng, n), np.int32).T.copy())
    epochs = rng.integers(0, n_epochs, n).astype(np.int16)
    Beside().plan_blocks(
        epochs, n_epochs, block, drawn, arguments.Triples(*np.zeros((3, n), np.int32)), np.zeros(n + 1, np.int64),
        np.zeros(n, np.int64),
    )  # fmt: skip
