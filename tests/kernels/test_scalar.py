"""The scalar functions: gradients in float64, overflow, and the same numbers from every way to run them."""

import math
import struct
from types import SimpleNamespace

import naive
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numba import njit

from ivbpr_numba.kernels.cpu import scalars
from ivbpr_numba.kernels.scalar import bpr, lists, random

U, I, K, D, F = 3, 4, 2, 3, 4  # noqa: E741
MODES = {"plain": bpr, "compiled": SimpleNamespace(**{n: getattr(scalars, n) for n in bpr.__all__})}
WORDS = st.integers(0, 2**64 - 1)


# --- one triple written with the product's functions only ---------------------------------------------------


def arrays_of(seed, visual):
    """Parameters and features; about half of the feature columns agree between two items."""
    rng = np.random.default_rng(seed)
    shapes = {"item_bias": (I,), "user_factors": (U, K), "item_factors": (I, K)}
    if visual:
        shapes |= {"user_visual": (U, D), "embedding": (D, F), "visual_bias": (F,)}
    params = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    return params, np.where(rng.random((I, F)) < 0.4, 1.0, rng.normal(size=(I, F)))


def difference(m, p, u, i, j, f):
    """x_uij from the scalar functions `m`."""
    x = m.bias_difference(p["item_bias"][i], p["item_bias"][j])
    for k in range(K):
        x += m.factor_difference(p["user_factors"][u, k], p["item_factors"][i, k], p["item_factors"][j, k])
    if "embedding" in p:
        for k in range(D):
            x += m.factor_difference(
                p["user_visual"][u, k], p["embedding"][k] @ f[i], p["embedding"][k] @ f[j]
            )
        for c in range(F):
            x += m.factor_difference(p["visual_bias"][c], f[i, c], f[j, c])
    return x


def loss_and_slope(m, x, rule):
    """Loss of one triple and its negative derivative, logistic or hinge."""
    if rule.loss == "bpr":
        return m.logistic_loss(x), m.logistic_slope(x)
    return m.hinge_loss(x, rule.margin), m.hinge_slope(x, rule.margin)


def moving(m, p, u, i, j, f, rule):
    """Every coordinate that a triple moves: (name, index, decay)."""
    factors = rule.lambda_factors
    for k in range(K):
        yield "user_factors", (u, k), factors
        yield "item_factors", (i, k), factors
        yield "item_factors", (j, k), factors / 10
    yield "item_bias", (i,), rule.lambda_bias
    yield "item_bias", (j,), rule.lambda_bias
    if "embedding" in p:
        for k in range(D):
            yield "user_visual", (u, k), rule.lambda_theta
        for c in np.nonzero(f[i] != f[j])[0]:
            decay = rule.lambda_visual * m.column_share(f[i, c] - f[j, c])
            yield "visual_bias", (c,), decay
            for k in range(D):
                yield "embedding", (k, c), decay


def objective(m, p, u, i, j, f, rule):
    """What a triple ascends: minus its loss, minus half of decay times the square of what it moves."""
    loss, _ = loss_and_slope(m, difference(m, p, u, i, j, f), rule)
    return -loss - sum(decay * p[name][at] ** 2 for name, at, decay in moving(m, p, u, i, j, f, rule)) / 2


def coordinate_gradient(m, p, name, at, u, i, j, f):
    """∂x/∂ one coordinate, by the product's gradient functions and the chain rule."""
    gamma_u, gamma_i, gamma_j = p["user_factors"][u], p["item_factors"][i], p["item_factors"][j]
    if name == "user_factors":
        return m.user_gradient(gamma_i[at[1]], gamma_j[at[1]])
    if name == "item_factors":
        return m.item_gradient(gamma_u[at[1]], 1.0 if at[0] == i else -1.0)
    if name == "item_bias":
        return 1.0 if at[0] == i else -1.0
    if name == "user_visual":
        return m.user_gradient(p["embedding"][at[1]] @ f[i], p["embedding"][at[1]] @ f[j])
    if name == "visual_bias":
        return m.user_gradient(f[i, at[0]], f[j, at[0]])
    k, c = at
    theta = p["user_visual"][u, k]
    return m.item_gradient(theta, 1.0) * f[i, c] + m.item_gradient(theta, -1.0) * f[j, c]


RULES = st.builds(
    naive.Rule,
    learning_rate=st.just(1.0),
    lambda_theta=st.sampled_from([0.0, 0.3, 5.0]),
    lambda_visual=st.sampled_from([0.0, 0.01, 1.0]),
    lambda_bias=st.sampled_from([0.0, 0.1]),
    reg_scope=st.sampled_from(["all", "user_visual"]),
    loss=st.sampled_from(["bpr", "hinge"]),
    margin=st.sampled_from([0.0, 0.5, 1.0]),
)
TRIPLES = st.tuples(st.integers(0, U - 1), st.permutations(range(I)))


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), rule=RULES, triple=TRIPLES, visual=st.booleans())
def test_steps_are_gradients(mode, seed, rule, triple, visual):
    m, (u, (i, j, *_)) = MODES[mode], triple
    p, f = arrays_of(seed, visual)
    x = difference(m, p, u, i, j, f)
    assume(rule.loss == "bpr" or abs(x - rule.margin) > 1e-3)  # the hinge has no derivative at its kink
    _, slope = loss_and_slope(m, x, rule)
    steps = {name: np.zeros_like(value) for name, value in p.items()}
    for name, at, decay in moving(m, p, u, i, j, f, rule):
        before = p[name][at]
        gradient = coordinate_gradient(m, p, name, at, u, i, j, f)
        steps[name][at] = m.stepped(before, slope, gradient, rule.learning_rate, decay) - before

    expected = naive.gradient(p, u, i, j, rule, f)
    h = 1e-5
    for name, value in p.items():
        np.testing.assert_allclose(steps[name], expected[name], rtol=0, atol=1e-10, err_msg=name)
        for at in np.ndindex(value.shape):
            centre = value[at]
            value[at] = centre + h
            above = objective(m, p, u, i, j, f, rule)
            value[at] = centre - h
            below = objective(m, p, u, i, j, f, rule)
            value[at] = centre
            assert abs((above - below) / (2 * h) - steps[name][at]) <= 1e-6, (name, at)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rate", [0.005, 0.05])
def test_the_rate_scales_gradient_and_penalty(mode, rate):
    stepped = MODES[mode].stepped
    assert stepped(2.0, 0.25, 3.0, rate, 0.1) == pytest.approx(2.0 + rate * (0.75 - 0.2), abs=1e-15)


@pytest.mark.parametrize("mode", MODES)
@given(margin=st.sampled_from([0.0, 0.5, 1.0]), x=st.floats(-3, 3))
def test_hinge(mode, margin, x):
    m, rule = MODES[mode], naive.Rule(loss="hinge", margin=margin)
    for value in (x, margin, 0.0):
        assert m.hinge_slope(value, margin) == rule.slope(value)
        assert m.hinge_loss(value, margin) == -rule.gain(value)


@pytest.mark.parametrize("mode", MODES)
def test_a_diverged_score_shows_in_the_loss(mode):
    assert math.isnan(MODES[mode].logistic_loss(math.nan))
    for margin in (0.0, 1.0):
        assert math.isnan(MODES[mode].hinge_loss(math.nan, margin))


# --- overflow -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("x", [0.0, 1e-300, 1.0, 36.0, 88.0, 104.0, 709.0, 710.0, 746.0, 1e3, 1e4])
def test_logistic_is_safe_far_out(mode, x):
    m = MODES[mode]
    for value in (x, -x):
        assert m.logistic_slope(value) == pytest.approx(naive.sigmoid(-value), rel=1e-14, abs=0)
        assert m.logistic_loss(value) == pytest.approx(-naive.log_sigmoid(value), rel=1e-14, abs=0)
        narrow = np.float32(value)  # the type inside kernels
        assert m.logistic_slope(narrow) == pytest.approx(naive.sigmoid(-float(narrow)), rel=1e-5, abs=1e-37)
        assert m.logistic_loss(narrow) == pytest.approx(
            -naive.log_sigmoid(float(narrow)), rel=1e-5, abs=1e-37
        )


@given(x=st.floats(-1e4, 1e4))
def test_logistic_slope_and_loss_agree(x):
    assert bpr.logistic_slope(x) + bpr.logistic_slope(-x) == pytest.approx(1.0, abs=1e-15)
    assert bpr.logistic_loss(-x) - bpr.logistic_loss(x) == pytest.approx(x, rel=1e-14, abs=1e-15)


# --- plain Python and compiled -------------------------------------------------------------------------------


def ulps(a, b):
    """How many float64 numbers lie between two of the same sign."""
    return abs(struct.unpack("<q", struct.pack("<d", a))[0] - struct.unpack("<q", struct.pack("<d", b))[0])


@given(x=st.floats(-100, 100), y=st.floats(-100, 100), z=st.floats(-100, 100), rate=st.floats(0, 1))
def test_compiled_equals_plain(x, y, z, rate):
    exact = [
        ("bias_difference", (x, y)),
        ("factor_difference", (x, y, z)),
        ("user_gradient", (x, y)),
        ("item_gradient", (x, -1.0)),
        ("hinge_slope", (x, abs(y))),
        ("hinge_loss", (x, abs(y))),
        ("stepped", (x, y, z, rate, abs(z))),
    ]
    for name, arguments in exact:
        assert getattr(scalars, name)(*arguments) == getattr(bpr, name)(*arguments), name
    # exp and log1p come from two mathematical libraries, each within an ulp of the truth.
    for name in ("logistic_slope", "logistic_loss"):
        assert ulps(getattr(scalars, name)(x), getattr(bpr, name)(x)) <= 4, name


def test_every_scalar_is_compiled():
    for name in [*bpr.__all__, *lists.__all__, *random.__all__]:
        assert hasattr(getattr(scalars, name), "py_func"), name


# --- random numbers ------------------------------------------------------------------------------------------


@njit
def compiled_mix64(words):
    state = np.uint64(0)
    for word in words:
        state = scalars.absorb(state, word)
    return state


@given(words=st.lists(WORDS, max_size=6))
def test_mix64(words):
    expected = naive.mix64(*words)
    assert random.mix64(*words) == expected
    assert compiled_mix64(np.array(words, dtype=np.uint64)) == expected


def test_check_values_of_the_format():
    assert random.mix64(1, 2, 3) == 0x6AE515C1C0AC7E37
    shuffled = np.empty(5, np.int64)
    scalars.keyed_shuffle(np.uint64(7), shuffled)
    assert shuffled.tolist() == [1, 4, 2, 3, 0]


@given(x=WORDS, n=st.integers(1, 2**31 - 1))
def test_bounded(x, n):
    expected = naive.bounded(x, n)
    assert 0 <= expected < n
    assert random.bounded(np.uint64(x), n) == expected
    assert scalars.bounded(np.uint64(x), n) == expected


@given(seed=st.integers(0, 2**63 - 1), u=st.integers(0, 2**31), i=st.integers(0, 2**31))
def test_unit24(seed, u, i):
    expected = naive.random_score(seed, u, i)
    hashed = np.uint64(naive.mix64(seed, naive.RAND, u, i))
    for unit24 in (random.unit24, scalars.unit24):
        assert float(unit24(hashed)) == expected  # exact: 24 bits fit into a float32
    assert 0 <= expected < 1


@pytest.mark.parametrize("bits", [0, 2**64 - 1])
def test_unit24_at_its_ends(bits):
    for unit24 in (random.unit24, scalars.unit24):
        assert float(unit24(np.uint64(bits))) == (bits >> 40) / 2**24


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("n", [0, 1, 2, 5, 100])
def test_keyed_shuffle(n, dtype):
    for key in (0, 7, 2**63 + 11, 2**64 - 1):
        for keyed_shuffle in (lists.keyed_shuffle, scalars.keyed_shuffle):
            shuffled = np.empty(n, dtype)
            with np.errstate(over="ignore"):
                keyed_shuffle(np.uint64(key), shuffled)
            assert shuffled.tolist() == naive.keyed_shuffle(n, key)


@given(own=st.sets(st.integers(0, 30)), item=st.integers(0, 30), lo=st.integers(0, 5), hi=st.integers(0, 31))
def test_contains(own, item, lo, hi):
    indices = np.array(sorted(own), np.int32)
    hi = min(hi, len(indices))
    for contains in (lists.contains, scalars.contains):
        assert contains(indices, lo, hi, item) == (item in indices[lo:hi].tolist())


@given(
    own=st.sets(st.integers(0, 8), max_size=8),
    trained=st.booleans(),
    popular=st.booleans(),
    x=WORDS,
)
def test_nth_admissible(own, trained, popular, x):
    """The item at the hashed place of the list of all admissible ones, each as often as it weighs."""
    indices, counts = np.array(sorted(own), np.int32), np.array([3, 1, 2, 0, 5, 1, 1, 0, 2])
    pool = np.flatnonzero(counts).astype(np.int32) if trained else np.empty(0, np.int32)
    weights = counts if popular else np.empty(0, np.int64)
    candidates = pool.tolist() if trained else list(range(9))
    admissible = [i for i in candidates if i not in own for _ in range(counts[i] if popular else 1)]
    assume(admissible)
    expected = admissible[naive.bounded(x, len(admissible))]
    for nth_admissible in (lists.nth_admissible, scalars.nth_admissible):
        assert nth_admissible(np.uint64(x), 0, len(indices), indices, pool, weights, 9) == expected


def test_streams_have_the_numbers_of_the_format():
    names = "USER POS NEG ORDER SEG SPLIT RAND INIT WORLD SAMPLE FOLD".split()
    assert [getattr(random, name) for name in names] == [getattr(naive, name) for name in names]
