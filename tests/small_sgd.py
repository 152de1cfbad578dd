"""Learners on small data beside the reference in float64, and how far rounding may take them apart."""

import naive
import numpy as np
from small import csr

from ivbpr_numba.arrays import stored_bits
from ivbpr_numba.features.alignment import fit_scaling
from ivbpr_numba.features.inputs import DenseInput
from ivbpr_numba.models.learners import FactorLearner, VisualLearner
from ivbpr_numba.models.triples import Triples

U, I = 7, 12  # noqa: E741

# Kernels compute in float32, whose rounding is 6e-8 of each term; the reference starts from the same float32
# numbers in float64. A coordinate may differ by TOLERANCE times the sum of the absolute terms that were added
# to it (see `reference`). 1e-5 is about 170 roundings: those of the sums over K, D and F and of the slope, and
# what earlier errors feed into later steps; a few hundred steps at a rate of .05 hardly amplify them.
TOLERANCE = 1e-5


# --- the reference with the size of its terms -----------------------------------------------------------------


def magnitude(a, triple, delta):
    """Σ|terms| of x_uij, where `a` holds absolute parameters."""
    u, i, j = triple
    x = a["item_bias"][i] + a["item_bias"][j]
    x += a["user_factors"][u] @ (a["item_factors"][i] + a["item_factors"][j])
    if delta is not None:
        x += a["visual_bias"] @ delta + a["user_visual"][u] @ (a["embedding"] @ delta)
    return x


def add_terms(total, a, triple, delta, rule):
    """Add Σ|terms| of one update to `total`: slope times gradient, and the penalty.

    The slope is at most 1 and follows an error of x with at most a quarter of it (the hinge not at all).
    """
    u, i, j = triple
    pull = rule.learning_rate * (1 + magnitude(a, triple, delta) / 4)
    shrink = rule.learning_rate * rule.lambda_factors
    total["user_factors"][u] += pull * (a["item_factors"][i] + a["item_factors"][j])
    total["user_factors"][u] += shrink * a["user_factors"][u]
    for item in (i, j):
        total["item_factors"][item] += pull * a["user_factors"][u] + shrink * a["item_factors"][item]
        total["item_bias"][item] += pull + rule.learning_rate * rule.lambda_bias * a["item_bias"][item]
    if delta is not None:
        shrink = rule.learning_rate * rule.lambda_theta
        total["user_visual"][u] += pull * (a["embedding"] @ delta) + shrink * a["user_visual"][u]
        shrink = rule.visual_step * rule.lambda_visual
        pull *= rule.visual_rate
        total["embedding"] += pull * np.outer(a["user_visual"][u], delta) + shrink * a["embedding"]
        total["visual_bias"] += pull * delta + shrink * a["visual_bias"]


def reference(params, triples, rule, f=None, block=1):
    """Parameters after the triples, and for every coordinate Σ|terms| of its start and its updates."""
    total = {name: np.abs(value) for name, value in params.items()}
    step = 16 if f is None else block
    for start in range(0, len(triples), step):
        part = triples[start : start + step]
        before = params
        params = (
            naive.sgd_mf(params, part, rule) if f is None else naive.sgd_visual_block(params, f, part, rule)
        )
        a = {name: np.maximum(np.abs(before[name]), np.abs(params[name])) for name in params}
        for triple in part:
            delta = None if f is None else np.abs(f[triple[1]] - f[triple[2]])
            add_terms(total, a, triple, delta, rule)
    return params, total


def assert_as_reference(learner, start, triples, rule, f=None, block=1, still=()):
    """The learner's tables agree with the reference; every group but `still` moved by far more than allowed."""
    expected, total = reference(start, triples, rule, f, block)
    for name, value in arrays(learner).items():
        assert value.shape == expected[name].shape
        error = np.abs(value - expected[name])
        allowed = TOLERANCE * total[name]
        worst = np.max(error - allowed, initial=0.0)
        assert worst <= 0, f"{name}: {worst:.3g} beyond the tolerance, largest error {error.max():.3g}"
        moved = np.abs(expected[name] - start[name])
        assert name in still or moved.size == 0 or (moved > 100 * allowed).any(), f"{name} did not move"


# --- learners of small data -----------------------------------------------------------------------------------


def arrays(learner):
    """The learner's parameters in float64, named as in the reference."""
    named = learner.parameters(learner.tables).arrays()
    return {name: value.astype(np.float64) for name, value in named.items()}


def options(**changed):
    """Options of a learner as the presets resolve them, by name."""
    return {
        "factors": 4,
        "visual_factors": 3,
        "init": "normal",
        "learning_rate": 0.05,
        "visual_rate": 0.75,
        "lambda_theta": 0.0,
        "lambda_visual": 0.0,
        "lambda_bias": 0.0,
        "reg_scope": "all",
        "block": 1,
        "negatives": "uniform",
        "sampling": "users",
        "update": "ordered",
        "seed": 3,
    } | changed


def rule_of(o):
    """The reference's rule with the same options."""
    names = ["learning_rate", "visual_rate", "lambda_theta", "lambda_visual", "lambda_bias", "reg_scope"]
    hinge = {"loss": "hinge", "margin": o["margin"]} if "margin" in o else {}
    return naive.Rule(**{name: o[name] for name in names}, **hinge)


def stored(rng, n_items, columns, dtype):
    """A matrix with more rows than items, in another order, and values of which many are equal."""
    n_rows = n_items + 3
    if dtype == np.uint8:
        matrix, scale = rng.integers(0, 4, (n_rows, columns)) * 80, 1 / 255
    else:
        matrix, scale = np.abs(rng.normal(size=(n_rows, columns))), 1.0 if dtype == np.float16 else 0.25
        matrix[:, ::2] = np.round(matrix[:, ::2])
    matrix = matrix.astype(dtype)
    rows = rng.permutation(n_rows)[:n_items]
    values = matrix[rows].astype(np.float64) * scale
    return DenseInput(stored_bits(matrix), rows, scale), values


def scaled(values, how):
    """The features a model sees, by the reference's scaling."""
    shift, multiplier = naive.feature_scaling(values, how)
    return (values - shift) * multiplier


class Given:
    """In place of a sampler: the triples of the test."""

    def __init__(self, triples):
        self.columns = np.array(triples, dtype=np.int32).reshape(-1, 3).T.copy()

    def draw(self, iteration):
        return Triples(*self.columns, 0)


def random_triples(rng, n):
    """Triples that repeat users and items, also within a block, some with both items alike in their features."""
    return [(int(rng.integers(U)), *(int(i) for i in rng.choice(I, 2, replace=False))) for _ in range(n)]


def unsettle(learner, rng, size=0.5):
    """Give every parameter, biases too, a value away from its start and from zero."""
    t = learner.tables
    k = learner.size if isinstance(learner, FactorLearner) else learner.latent
    t["users"][:, :k] = rng.normal(0, size, (U, k))
    t["items"][:, : k + 1] = rng.normal(0, size, (I, k + 1))
    if "visual" in t:
        d, columns = learner.visual, learner.columns
        t["visual"][:, :d] = rng.normal(0, size, (U, d))
        # Smaller with more features, so that x stays of the order of 1 and slopes tell errors apart.
        values = rng.normal(0, size / np.sqrt(columns), (d + 1, columns))
        learner.layout.embedding(t["embedding"])[:] = values[:d]
        learner.layout.bias(t["embedding"])[:] = values[d]


LISTS = [[0, 1, 2], [3], [1, 4, 6, 8], [], [0, 5, 7, 9, 10, 11], [2, 3], [8]]


def factor_learner(rng, triples=None, **changed):
    learner = FactorLearner(options(**changed), *csr(LISTS), I)
    unsettle(learner, rng)
    if triples is not None:
        learner.sampler = Given(triples)
    return learner


def visual_learner(rng, columns, dtype=np.float32, scaling="none", triples=None, **changed):
    """A learner on small data, and the features as the reference sees them."""
    source, values = stored(rng, I, columns, dtype)
    learner = VisualLearner(options(**changed), *csr(LISTS), I, source, fit_scaling(source, scaling))
    unsettle(learner, rng)
    if triples is not None:
        learner.sampler = Given(triples)
    return learner, scaled(values, scaling)


def assert_padding_is_zero(learner):
    """Columns and rows that only fill cache lines stay zero: they take part in sums."""
    t = learner.tables
    k = learner.size if isinstance(learner, FactorLearner) else learner.latent
    assert not t["users"][:, k:].any() and not t["items"][:, k + 1 :].any()
    if "visual" in t:
        d, columns = learner.visual, learner.columns
        assert not t["visual"][:, d:].any()
        assert not t["embedding"][d + 1 :].any() and not t["embedding"][:, columns:].any()


PENALTIES = {
    "none": {},
    "theta": {"lambda_theta": 0.3},
    "user_visual": {"lambda_theta": 0.3, "reg_scope": "user_visual"},
    "visual": {"lambda_visual": 0.4},
    "bias": {"lambda_bias": 0.2},
    "all": {"lambda_theta": 0.3, "lambda_visual": 0.4, "lambda_bias": 0.2},
}
