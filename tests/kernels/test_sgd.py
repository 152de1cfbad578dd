"""Training on the CPU against the reference in float64: single steps, blocks, iterations, and their options."""

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import csr, needs_two_threads, threads, with_threads
from small_sgd import (
    LISTS,
    PENALTIES,
    TOLERANCE,
    Given,
    I,
    U,
    arrays,
    assert_as_reference,
    assert_padding_is_zero,
    factor_learner,
    options,
    random_triples,
    reference,
    rule_of,
    scaled,
    stored,
    unsettle,
    visual_learner,
)

from ivbpr_numba import ranking
from ivbpr_numba.errors import DataError
from ivbpr_numba.features import alignment as feature_input
from ivbpr_numba.features.alignment import fit_scaling
from ivbpr_numba.features.features import Features
from ivbpr_numba.features.inputs import DenseInput
from ivbpr_numba.ids import Ids
from ivbpr_numba.kernels.cpu.blocks import PARALLEL_WORK, round_size
from ivbpr_numba.models.learners import FactorLearner, VisualLearner, block_size

# --- factor models --------------------------------------------------------------------------------------------

MARGINS = {"bpr": {}, "hinge 0": {"margin": 0.0}, "hinge 1": {"margin": 1.0}}


def assert_away_from_kink(params, triples, rule):
    """No x of the run lies where rounding decides whether the hinge pulls."""
    if rule.loss == "bpr":
        return
    for triple in triples:
        assert abs(naive.difference(params, *triple) - rule.margin) > 1e-4
        params = naive.sgd_mf(params, [triple], rule)


@pytest.mark.parametrize("n", [1, 150])
@pytest.mark.parametrize("penalty", ["none", "theta", "bias", "all"])
@pytest.mark.parametrize("loss", MARGINS)
def test_factor_steps(loss, penalty, n):
    rng = np.random.default_rng(1)
    triples = random_triples(rng, n)
    learner = factor_learner(rng, triples, **MARGINS[loss], **PENALTIES[penalty])
    start, rule = arrays(learner), rule_of(learner.options)
    if n == 1 and naive.difference(start, *triples[0]) > rule.margin:
        u, i, j = triples[0]
        learner.sampler, triples = Given([(u, j, i)]), [(u, j, i)]  # so that the hinge pulls
    assert_away_from_kink(start, triples, rule)
    done = learner.iterate(1)
    assert (done.triples, done.fallbacks, done.warning) == (n, 0, "")
    assert_as_reference(learner, start, triples, rule)


@pytest.mark.parametrize("factors", [1, 2, 4, 15, 16, 17, 33])
def test_factor_sizes(factors):
    rng = np.random.default_rng(factors)
    triples = random_triples(rng, 60)
    learner = factor_learner(rng, triples, factors=factors, **PENALTIES["all"])
    start = arrays(learner)
    learner.iterate(1)
    assert_as_reference(learner, start, triples, rule_of(learner.options))
    assert_padding_is_zero(learner)


@pytest.mark.parametrize("loss", MARGINS)
def test_factor_loss_is_that_of_the_triples_when_applied(loss):
    rng = np.random.default_rng(2)
    triples = random_triples(rng, 80)
    learner = factor_learner(rng, triples, **MARGINS[loss])
    params, rule = arrays(learner), rule_of(learner.options)
    expected = 0.0
    for triple in triples:
        expected -= rule.gain(naive.difference(params, *triple))
        params = naive.sgd_mf(params, [triple], rule)
    assert expected > 1
    assert learner.iterate(1).loss == pytest.approx(expected, rel=TOLERANCE)


@pytest.mark.parametrize("negatives", ["uniform", "trained", "popularity"])
def test_factor_iterations(negatives):
    learner = factor_learner(np.random.default_rng(4), negatives=negatives, **PENALTIES["all"])
    start, o = arrays(learner), learner.options
    triples = []
    for t in (1, 2, 3):
        assert learner.iterate(t).triples == sum(map(len, LISTS))
        triples += naive.draw_iteration(LISTS, I, o["seed"], t, negatives)
    assert_as_reference(learner, start, triples, rule_of(o))


# --- visual models --------------------------------------------------------------------------------------------

# K, D, F, stored type, scaling, block, triples
VISUAL = {
    "one step": (4, 3, 5, np.float32, "none", 1, 1),
    "one block": (4, 3, 5, np.float32, "none", 7, 7),
    "single triples": (5, 4, 5, np.uint8, "none", 1, 60),
    "short last block": (10, 10, 49, np.float16, "none", 8, 60),
    "blocks of seven": (3, 5, 20, np.uint8, "max", 7, 60),
    "no latent part": (0, 3, 20, np.float16, "max", 8, 50),
    "one visual factor, one feature": (3, 1, 1, np.float32, "standard", 8, 40),
    "whole cache lines": (16, 16, 32, np.float32, "idf", 16, 60),
    "table rows of a multiple of four": (15, 7, 128, np.uint8, "idf", 16, 60),
    "several column tiles": (10, 10, 300, np.uint8, "standard", 32, 100),
    "block larger than the data": (4, 2, 300, np.float16, "standard", 64, 33),
}
PARALLEL = {
    "float32": (6, 10, 300, np.float32, "standard", 128, 300),
    "float16": (16, 12, 257, np.float16, "max", 128, 137),
    "uint8": (0, 10, 300, np.uint8, "none", 136, 140),
    "several rounds": (4, 3, 8185, np.float16, "max", 200, 330),
}


def check_visual(case, seed=5, **changed):
    factors, visual, columns, dtype, scaling, block, n = case
    rng = np.random.default_rng(seed)
    triples = random_triples(rng, n)
    shape = {"factors": factors, "visual_factors": visual, "block": block}
    learner, f = visual_learner(rng, columns, dtype, scaling, triples, **shape, **changed)
    start, rule = arrays(learner), rule_of(learner.options)
    assert learner.iterate(1).triples == n
    assert learner.block == block
    assert_as_reference(learner, start, triples, rule, f, block)
    assert_padding_is_zero(learner)


def work(case):
    """Multiplications in a block as the kernel reckons them when it decides on threads."""
    _, visual, columns, _, _, block, _ = case
    return block * -(-columns // 16) * 16 * (visual + 1)


@pytest.mark.parametrize("name", VISUAL)
def test_visual_steps(name):
    assert work(VISUAL[name]) <= PARALLEL_WORK
    check_visual(VISUAL[name], **PENALTIES["all"])


@pytest.mark.parametrize("name", PARALLEL)
def test_visual_steps_in_parallel(name):
    assert work(PARALLEL[name]) > PARALLEL_WORK
    # A block of 128 triples at a rate of .05 would be unstable on these features.
    check_visual(PARALLEL[name], **PENALTIES["all"], learning_rate=0.005)


def test_the_cases_have_one_round_and_several():
    rounds = {-(-case[5] // round_size(case[5], case[2])) for case in PARALLEL.values()}
    assert rounds == {1, 4}


@pytest.mark.parametrize("block", [1, 8])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_visual_penalties(penalty, block):
    check_visual((4, 3, 20, np.uint8, "max", block, 60), seed=6, **PENALTIES[penalty])


def test_a_penalty_above_one_step_forgets_at_once():
    # 1 − η λ would be negative, and a power of it that is no whole number no number.
    check_visual((4, 3, 20, np.float32, "none", 8, 60), seed=9, lambda_visual=30.0)


def test_features_that_scaling_switches_off_are_not_penalised():
    # A feature that every item has gets multiplier 0 by idf: its Δ is 0, so its column of E must stand still
    # however much the stored values differ.
    rng = np.random.default_rng(7)
    triples = random_triples(rng, 30)
    learner, _ = visual_learner(rng, 20, np.uint8, "idf", triples)
    matrix = rng.integers(0, 4, (I, 20)).astype(np.uint8)
    matrix[:, 3] = 1 + np.arange(I)
    source = DenseInput(matrix, np.arange(I), 0.5)
    learner = VisualLearner(
        options(block=8, **PENALTIES["all"]), *csr(LISTS), I, source, fit_scaling(source, "idf")
    )
    unsettle(learner, rng)
    learner.sampler = Given(triples)
    start, f = arrays(learner), scaled(matrix * 0.5, "idf")
    assert not f[:, 3].any() and f[:, 4].any()
    learner.iterate(1)
    assert_as_reference(learner, start, triples, rule_of(learner.options), f, 8)
    after = arrays(learner)
    assert (after["embedding"][:, 3] == start["embedding"][:, 3]).all()
    assert after["visual_bias"][3] == start["visual_bias"][3]


def test_items_with_equal_features_move_no_column():
    rng = np.random.default_rng(8)
    matrix = rng.normal(size=(I, 20)).astype(np.float32)
    matrix[1] = matrix[0]
    source = DenseInput(matrix, np.arange(I), 1.0)
    learner = VisualLearner(
        options(**PENALTIES["all"]), *csr(LISTS), I, source, fit_scaling(source, "standard")
    )
    unsettle(learner, rng)
    triples = [(0, 0, 1), (2, 1, 0)]
    learner.sampler = Given(triples)
    start = arrays(learner)
    learner.iterate(1)
    still = ("embedding", "visual_bias")
    f = scaled(matrix.astype(np.float64), "standard")
    assert_as_reference(learner, start, triples, rule_of(learner.options), f, 1, still)
    assert all((arrays(learner)[name] == start[name]).all() for name in still)


@pytest.mark.parametrize("block", [1, 7])
def test_visual_loss_is_that_of_the_triples_when_applied(block):
    rng = np.random.default_rng(9)
    triples = random_triples(rng, 24)
    learner, f = visual_learner(rng, 20, np.float16, "max", triples, block=block, **PENALTIES["all"])
    params, rule = arrays(learner), rule_of(learner.options)
    expected = 0.0
    for start in range(0, len(triples), block):
        part = triples[start : start + block]
        for b, triple in enumerate(part):
            now = naive.sgd_visual_block(params, f, part[:b], rule)
            frozen = {name: params[name] for name in ("embedding", "visual_bias")}
            expected -= rule.gain(naive.difference(now | frozen, *triple, f))
        params = naive.sgd_visual_block(params, f, part, rule)
    assert learner.iterate(1).loss == pytest.approx(expected, rel=TOLERANCE)


@pytest.mark.parametrize("sampling", ["users", "interactions"])
def test_visual_iterations(sampling):
    learner, f = visual_learner(
        np.random.default_rng(10),
        49,
        np.float16,
        "none",
        block=8,
        negatives="trained",
        sampling=sampling,
        **PENALTIES["all"],
    )
    start, o = arrays(learner), learner.options
    expected, blocks = start, []
    for t in (1, 2, 3):
        learner.iterate(t)
        drawn = naive.draw_iteration(LISTS, I, o["seed"], t, "trained", sampling)
        expected = naive.sgd_visual(expected, f, drawn, rule_of(o), 8)
        blocks.append(drawn)
    # Blocks end with their iteration, so the sizes of the terms are summed iteration by iteration.
    total = {name: np.zeros_like(value) for name, value in start.items()}
    params = start
    for drawn in blocks:
        params, part = reference(params, drawn, rule_of(o), f, 8)
        for name in total:
            total[name] += part[name]
    for name, value in arrays(learner).items():
        np.testing.assert_array_less(np.abs(value - expected[name]), TOLERANCE * total[name] + 1e-30, name)


def test_scores_of_learners_are_those_of_equation_1():
    rng = np.random.default_rng(11)
    factor = factor_learner(rng)
    visual, f = visual_learner(rng, 49, np.uint8, "standard")
    for learner, features in ((factor, None), (visual, f)):
        params = arrays(learner)
        a = {name: np.abs(value) for name, value in params.items()}
        ours = ranking.scores(learner.scorer(learner.tables), np.arange(U))
        for u in range(U):
            # Shift and value are projected apart, so their terms count apart.
            size = None if features is None else np.abs(features) + np.abs(features).max()
            bound = naive.scores(a, u, size)
            assert (np.abs(ours[u] - naive.scores(params, u, features)) <= 1e-6 * bound).all()


# --- block size -----------------------------------------------------------------------------------------------


@given(rate=st.floats(1e-4, 1.0), variance=st.floats(0, 1e4), theta=st.floats(0, 1e3))
def test_block_size(rate, variance, theta):
    assert block_size(rate, 2 * variance * (1 + theta)) == naive.block_size(rate, 2 * variance, theta)[0]


@pytest.mark.parametrize("block", [1, 2, 512, 1024])
def test_block_size_at_its_edges(block):
    load = 260 / (0.125 * block)  # η·B·M·(1 + Θ) is exactly 260
    assert block_size(0.125, load) == block
    if block > 1:
        assert block_size(0.125, np.nextafter(load, np.inf)) == block // 2


@pytest.mark.parametrize("rate, hot", [(0.05, False), (2.0, False), (3.0, True)])
def test_automatic_blocks_follow_features_and_users(rate, hot):
    rates = {"learning_rate": 2 * rate, "visual_rate": 0.5}  # blocks depend on the rate of E
    learner, f = visual_learner(np.random.default_rng(12), 49, np.float32, block="auto", **rates)
    scale = 0.5 if rate < 1 else np.sqrt(4 / naive.feature_spread(f))
    learner.tables["visual"][:, :3] *= np.float32(scale)
    theta = float(np.mean((arrays(learner)["user_visual"] ** 2).sum(1)))
    expected, too_high = naive.block_size(rate, naive.feature_spread(f), theta)
    done = learner.iterate(1)
    assert learner.block == expected
    assert bool(done.warning) == too_high
    if done.warning:
        assert f"{rate:g}" in done.warning and "lower it" in done.warning
    theta = float(np.mean((arrays(learner)["user_visual"] ** 2).sum(1)))
    learner.iterate(2)
    assert learner.block == naive.block_size(rate, naive.feature_spread(f), theta)[0]


# --- feature scaling ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["none", "max", "standard", "idf"])
@pytest.mark.parametrize("dtype", [np.float16, np.uint8, np.float32])
@pytest.mark.parametrize("columns", [1, 33])
def test_scaling(how, dtype, columns):
    rng = np.random.default_rng(13)
    source, values = stored(rng, 40, columns, dtype)
    if columns > 1:
        matrix = source.matrix.copy()
        matrix[:, 5] = matrix[0, 5]  # constant over the items
        matrix[:, 6] = 0
        if dtype == np.float32:
            matrix[:, 7] -= 10  # negative values
        source = DenseInput(matrix, source.rows, source.scale)
        numbers = matrix.view(np.float16) if dtype == np.float16 else matrix
        values = numbers[source.rows].astype(np.float64) * source.scale
    fitted = fit_scaling(source, how)
    shift, multiplier = naive.feature_scaling(values, how)
    np.testing.assert_allclose(fitted.shift, shift, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(fitted.multiplier, multiplier, rtol=1e-6, atol=0)
    np.testing.assert_allclose(fitted.mean, values.mean(0), rtol=1e-6, atol=1e-12)
    spread = naive.feature_spread((values - shift) * multiplier)
    assert 2 * fitted.variance == pytest.approx(spread, rel=1e-6, abs=1e-12)
    length = np.square((values - shift) * multiplier).sum(1).mean()
    assert fitted.squared_length == pytest.approx(length, rel=1e-5, abs=1e-9)
    assert {array.dtype for array in (fitted.shift, fitted.multiplier, fitted.mean)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("dtype", [np.float16, np.uint8, np.float32])
@pytest.mark.parametrize("mapped", [False, True])
def test_aligned_rows_are_those_of_the_items(mapped, dtype, monkeypatch):
    matrix = (np.arange(50 * 5).reshape(50, 5) % 251).astype(dtype)
    names = [f"i{n:02}" for n in np.random.default_rng(19).permutation(50)]
    features = Features.from_arrays(names, matrix, scale=0.5)
    items = Ids.collect(sorted(names)[:50:3])
    if mapped:
        monkeypatch.setattr(feature_input, "IN_MEMORY_BYTES", 0)
    source = feature_input.align(features, items)
    assert (len(source.matrix) == 50) == mapped
    assert (source.scale, len(source.rows)) == (0.5, len(items))
    numbers = source.matrix.view(np.float16) if dtype == np.float16 else source.matrix
    for n in range(len(items)):
        np.testing.assert_array_equal(numbers[source.rows[n]], matrix[names.index(items[n])])
    with pytest.raises(DataError, match=r"1 of 2 items .* 'zz'"):
        feature_input.align(features, Ids.collect(["i00", "zz"]))


# --- start values ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 5, 2**63 - 1])
@pytest.mark.parametrize("init", ["normal", "uniform01"])
def test_initial_parameters(init, seed):
    def expected(group, shape):
        generator = np.random.Generator(np.random.PCG64(naive.mix64(seed, naive.INIT, group)))
        return (generator.normal(0, 0.1, shape) if init == "normal" else generator.random(shape)).astype(
            np.float32
        )

    source, _ = stored(np.random.default_rng(14), I, 20, np.float16)
    o = options(init=init, seed=seed, factors=5)
    factor = FactorLearner(o, *csr(LISTS), I)
    visual = VisualLearner(o, *csr(LISTS), I, source, fit_scaling(source, "none"))
    common = {
        "item_bias": np.zeros(I),
        "user_factors": expected(1, (U, 5)),
        "item_factors": expected(2, (I, 5)),
    }
    own = {"user_visual": expected(3, (U, 3)), "embedding": expected(4, (3, 20)), "visual_bias": np.zeros(20)}
    for learner, named in ((factor, common), (visual, common | own)):
        started = learner.parameters(learner.tables).arrays()
        assert started.keys() == named.keys()
        for name, value in named.items():
            assert started[name].dtype == np.float32
            np.testing.assert_array_equal(started[name], value, err_msg=name)
        assert_padding_is_zero(learner)


# --- threads --------------------------------------------------------------------------------------------------


def bits_after(make, iterations=2):
    learner = make()
    losses = [learner.iterate(t).loss for t in range(1, iterations + 1)]
    return losses, {name: table.tobytes() for name, table in learner.tables.items()}


@needs_two_threads
@pytest.mark.parametrize("name", [*PARALLEL, "short last block", "several column tiles"])
def test_threads_do_not_matter(name):
    factors, visual, columns, dtype, scaling, block, n = (VISUAL | PARALLEL)[name]

    def make():
        rng = np.random.default_rng(15)
        triples = random_triples(rng, n)
        shape = {"factors": factors, "visual_factors": visual, "block": block, "learning_rate": 0.005}
        return visual_learner(rng, columns, dtype, scaling, triples, **shape, **PENALTIES["all"])[0]

    one = with_threads(1, lambda: bits_after(make))
    assert all(with_threads(2, lambda: bits_after(make)) == one for _ in range(3))


@needs_two_threads
def test_threads_do_not_matter_to_factor_models():
    def make():
        return factor_learner(np.random.default_rng(16), **PENALTIES["all"])

    assert with_threads(1, lambda: bits_after(make)) == with_threads(2, lambda: bits_after(make))


# --- Hogwild --------------------------------------------------------------------------------------------------


def hidden_groups(kind, update):
    """A learner of users who own items of one half of the catalogue, with features that tell the halves."""
    rng = np.random.default_rng(17)
    lists = [sorted((rng.choice(60, 12, replace=False) * 2 + u % 2).tolist()) for u in range(200)]
    o = options(factors=8, visual_factors=4, block=8, update=update, lambda_theta=0.01)
    if kind == "factor":
        return lists, FactorLearner(o, *csr(lists), 120)
    matrix = rng.random((120, 20)).astype(np.float32)
    matrix[:, 0] = np.arange(120) % 2
    source = DenseInput(matrix, np.arange(120), 1.0)
    return lists, VisualLearner(o, *csr(lists), 120, source, fit_scaling(source, "none"))


def learned(kind, update, count):
    """Mean loss of the last of ten iterations, and the share of (own, other) pairs in order."""
    with threads(count):
        lists, learner = hidden_groups(kind, update)
        for t in range(1, 11):
            done = learner.iterate(t)
        rows = ranking.scores(learner.scorer(learner.tables), np.arange(len(lists)))
    shares = []
    for row, items in zip(rows, lists):
        others = np.delete(row, items)
        shares.append(np.mean(row[items][:, None] > others))
    return done.loss / done.triples, float(np.mean(shares))


@needs_two_threads
@pytest.mark.parametrize("kind", ["factor", "visual"])
def test_hogwild_learns_like_ordered_updates(kind):
    loss, share = learned(kind, "ordered", 1)
    racing_loss, racing_share = learned(kind, "hogwild", 2)
    assert loss < 0.6 and share > 0.75
    assert racing_loss == pytest.approx(loss, rel=0.1)
    assert racing_share == pytest.approx(share, abs=0.05)


def test_hogwild_on_one_thread_is_the_reference_too():
    rng = np.random.default_rng(18)
    triples = random_triples(rng, 60)
    with threads(1):
        learner = factor_learner(rng, triples, update="hogwild", **PENALTIES["all"])
        start = arrays(learner)
        learner.iterate(1)
        assert_as_reference(learner, start, triples, rule_of(learner.options))
        learner, f = visual_learner(rng, 20, np.float32, "none", triples, update="hogwild", block=7)
        start = arrays(learner)
        learner.iterate(1)
        assert_as_reference(learner, start, triples, rule_of(learner.options), f, 7)
