"""The reference itself: gradients against central differences, reductions, laws of the sampler, brute force."""

from collections import Counter
from dataclasses import replace

import naive
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

U, I, K, D, F, N, C = 3, 5, 2, 3, 4, 2, 2  # noqa: E741
CATEGORY = np.array([0, 1, 0, -1, 1])
MODELS = ["mf", "vbpr", "tvbpr", "tvbpr+"]


def random_params(rng, model, dtype=np.float64):
    """Parameters of a small model with every entry away from zero influence."""
    shapes = {"item_bias": (I,), "user_factors": (U, K), "item_factors": (I, K)}
    if model != "mf":
        shapes |= {"user_visual": (U, D), "embedding": (D, F), "visual_bias": (F,)}
    if model.startswith("tvbpr"):
        shapes |= {"weight": (N, D), "drift": (N, D, F), "bias_weight": (N, F), "bias_drift": (N, F)}
    if model == "tvbpr+":
        shapes |= {"item_bias_drift": (N, I), "category_bias": (N, C)}
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


def random_features(rng):
    """Half of the entries are equal over all items, so that some differences are exactly zero."""
    return np.where(rng.random((I, F)) < 0.5, 1.0, rng.normal(size=(I, F)))


def visual_arguments(model, f, epoch=1):
    """What `naive.score` and the rest need besides parameters and a triple."""
    if model == "mf":
        return {}
    if model == "vbpr":
        return {"f": f}
    return {"f": f, "epoch": epoch} | ({"category": CATEGORY} if model == "tvbpr+" else {})


def assert_params_close(a, b, rtol=1e-12, atol=1e-12):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=rtol, atol=atol, err_msg=name)


RULES = st.builds(
    naive.Rule,
    learning_rate=st.sampled_from([0.005, 0.05]),
    lambda_theta=st.sampled_from([0.0, 0.3, 5.0]),
    lambda_visual=st.sampled_from([0.0, 0.01, 1.0]),
    lambda_bias=st.sampled_from([0.0, 0.1]),
    reg_scope=st.sampled_from(["all", "user_visual"]),
    loss=st.sampled_from(["bpr", "hinge"]),
    margin=st.sampled_from([0.0, 1.0]),
)
TRIPLE = st.tuples(st.integers(0, U - 1), st.permutations(range(I)).map(lambda p: (p[0], p[1])))


# --- gradients ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rule=RULES, triple=TRIPLE)
def test_gradient_agrees_with_central_differences(model, seed, rule, triple):
    rng = np.random.default_rng(seed)
    params, f = random_params(rng, model), random_features(rng)
    u, (i, j) = triple
    extra = visual_arguments(model, f)
    if rule.loss == "hinge":
        assume(abs(naive.difference(params, u, i, j, **extra) - rule.margin) > 0.01)
    written = naive.gradient(params, u, i, j, rule, **extra)
    h = 1e-5
    for name, value in params.items():
        for at in np.ndindex(value.shape):
            old = value[at]
            value[at] = old + h
            up = naive.objective(params, u, i, j, rule, **extra)
            value[at] = old - h
            down = naive.objective(params, u, i, j, rule, **extra)
            value[at] = old
            assert abs((up - down) / (2 * h) - written[name][at]) <= 1e-6, (name, at)


@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rule=RULES, triple=TRIPLE)
def test_one_step_is_ascent_along_the_gradient(model, seed, rule, triple):
    rng = np.random.default_rng(seed)
    params, f = random_params(rng, model), rng.integers(0, 2, (I, F)).astype(float)
    u, (i, j) = triple
    extra = visual_arguments(model, f)
    gradient = naive.gradient(params, u, i, j, rule, **extra)
    expected = {name: params[name] + rule.learning_rate * gradient[name] for name in params}
    assert_params_close(train(model, params, f, [(u, i, j)], [1], rule, block=1), expected)


@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rule=RULES, triple=TRIPLE)
def test_a_small_step_is_ascent_along_the_gradient_of_any_features(model, seed, rule, triple):
    """The decay is a power, so that no feature, however large, makes it overshoot: alike to first order."""
    rng = np.random.default_rng(seed)
    params, f = random_params(rng, model), random_features(rng)
    u, (i, j) = triple
    gradient = naive.gradient(params, u, i, j, rule, **visual_arguments(model, f))
    rule = replace(rule, learning_rate=1e-8)
    moved = train(model, params, f, [(u, i, j)], [1], rule, block=1)
    found = {name: (moved[name] - params[name]) / rule.learning_rate for name in params}
    assert_params_close(found, gradient, rtol=1e-4, atol=1e-4)


def train(model, params, f, triples, epochs, rule, block):
    if model == "mf":
        return naive.sgd_mf(params, triples, rule)
    if model == "vbpr":
        return naive.sgd_visual(params, f, triples, rule, block)
    category = CATEGORY if model == "tvbpr+" else None
    return naive.sgd_temporal(params, f, triples, epochs, rule, block, category)


def test_slope_at_the_margin():
    zero, one = naive.Rule(loss="hinge", margin=0.0), naive.Rule(loss="hinge", margin=1.0)
    assert [zero.slope(x) for x in (-1.0, 0.0, 1e-9)] == [1.0, 1.0, 0.0]
    assert [one.slope(x) for x in (0.999, 1.0)] == [1.0, 0.0]
    assert naive.Rule().slope(800.0) == 0.0 and naive.Rule().slope(-800.0) == 1.0
    assert naive.log_sigmoid(-800.0) == -800.0


# --- reductions --------------------------------------------------------------------------------------------


def random_triples(rng, n):
    triples = []
    for _ in range(n):
        i, j = rng.choice(I, size=2, replace=False)
        triples.append((int(rng.integers(U)), int(i), int(j)))
    return triples


@pytest.mark.parametrize("seed", range(3))
def test_tvbpr_with_unit_weights_and_no_drift_scores_as_vbpr(seed):
    rng = np.random.default_rng(seed)
    params, f = random_params(rng, "vbpr"), random_features(rng)
    in_time = params | {
        "weight": np.ones((N, D)),
        "bias_weight": np.ones((N, F)),
        "drift": np.zeros((N, D, F)),
        "bias_drift": np.zeros((N, F)),
    }
    for u in range(U):
        for e in range(N):
            np.testing.assert_allclose(naive.scores(in_time, u, f, e), naive.scores(params, u, f), atol=1e-12)


def test_one_epoch_is_vbpr_with_that_epochs_parameters():
    rng = np.random.default_rng(0)
    in_time, f = random_params(rng, "tvbpr"), random_features(rng)
    e = 1
    plain = {name: in_time[name] for name in ("item_bias", "user_factors", "item_factors", "user_visual")}
    plain["embedding"] = in_time["weight"][e][:, None] * in_time["embedding"] + in_time["drift"][e]
    plain["visual_bias"] = in_time["visual_bias"] * in_time["bias_weight"][e] + in_time["bias_drift"][e]
    for u in range(U):
        np.testing.assert_allclose(naive.scores(in_time, u, f, e), naive.scores(plain, u, f), atol=1e-12)


@pytest.mark.parametrize("block", [1, 7])
def test_without_visual_part_training_is_mf(block):
    rng = np.random.default_rng(1)
    f, triples = random_features(rng), random_triples(rng, 40)
    rule = naive.Rule(lambda_theta=0.3, lambda_bias=0.1)
    factors = random_params(rng, "mf")
    visual = factors | {
        "user_visual": np.zeros((U, D)),
        "embedding": np.zeros((D, F)),
        "visual_bias": np.zeros(F),
    }
    expected = naive.sgd_mf(factors, triples, rule)
    # A visual bias would learn from the first triple on: without features nothing visual can.
    got = naive.sgd_visual(visual, np.zeros_like(f), triples, rule, block)
    for name in factors:
        np.testing.assert_allclose(got[name], expected[name], atol=1e-14)
    for u in range(U):
        np.testing.assert_allclose(naive.scores(visual, u, f), naive.scores(factors, u), atol=1e-14)


def test_frozen_visual_part_within_a_block():
    rng = np.random.default_rng(2)
    params, f, triples = random_params(rng, "vbpr"), random_features(rng), random_triples(rng, 6)
    rule = naive.Rule(lambda_visual=1.0, lambda_theta=0.3)
    whole = naive.sgd_visual_block(params, f, triples, rule)
    # The same block by hand: one triple at a time with E, beta put back, their increments gathered.
    walked = naive.copy_params(params)
    e_sum, b_sum, m = np.zeros((D, F)), np.zeros(F), np.zeros(F)
    for u, i, j in triples:
        g = naive.gradient(walked, u, i, j, naive.Rule(lambda_theta=0.3), f=f)
        e_sum += g["embedding"]
        b_sum += g["visual_bias"]
        m += (f[i] - f[j]) ** 2
        for name in ("item_bias", "user_factors", "item_factors", "user_visual"):
            walked[name] = walked[name] + rule.learning_rate * g[name]
    decay = (1 - rule.learning_rate) ** m
    walked["embedding"] = params["embedding"] * decay + rule.learning_rate * e_sum
    walked["visual_bias"] = params["visual_bias"] * decay + rule.learning_rate * b_sum
    assert_params_close(whole, walked)
    assert np.abs(whole["embedding"] - naive.sgd_visual(params, f, triples, rule)["embedding"]).max() > 1e-6


def test_blocks_in_time_keep_the_order_within_an_epoch():
    rng = np.random.default_rng(3)
    block, n = 2, 300
    triples = [(n_, 0, 1) for n_ in range(n)]
    epochs = rng.integers(3, size=n).tolist()
    cut = naive.blocks_in_time(triples, epochs, block)
    assert sorted(t for _, part in cut for t in part) == triples
    assert all(0 < len(part) <= block for _, part in cut)
    assert all(epochs[u] == e for e, part in cut for u, _, _ in part)
    runs = [[(e, u) for e, part in cut for u, _, _ in part if u // (64 * block) == r] for r in range(3)]
    assert [pair for run in runs for pair in run] == [(e, u) for e, part in cut for u, _, _ in part]
    assert all(run == sorted(run) for run in runs)


def test_block_size_rule():
    assert naive.block_size(0.01, 10.0, 0.1) == (1024, False)
    assert naive.block_size(1.0, 1.0, 0.0) == (256, False)
    assert naive.block_size(1.0, 260 / 256, 0.0) == (256, False)
    assert naive.block_size(1.0, 1.01 * 260 / 256, 0.0) == (128, False)
    assert naive.block_size(1.0, 8.5, 0.0) == (16, True)
    assert naive.block_size(1.0, 1e6, 0.0) == (1, True)


def test_average_starts_as_a_copy():
    first, second = {"a": np.array([1.0])}, {"a": np.array([2.0])}
    mean = naive.average(None, first, 0.9)
    assert mean["a"][0] == 1.0 and mean["a"] is not first["a"]
    assert naive.average(mean, second, 0.9)["a"][0] == pytest.approx(1.1)


# --- random numbers and sampling ---------------------------------------------------------------------------


def chi_square(counts, expected):
    return float(((np.asarray(counts) - expected) ** 2 / expected).sum())


def test_mix64_known_answers():
    # First and second output of the published splitmix64 from state 0.
    assert naive.mix64(0) == 0xE220A8397B1DCDAF
    assert naive.mix64(0x9E3779B97F4A7C15) == 0x6E789E6AA1B965F4
    assert naive.mix64(3, 5) == naive.mix64((naive.mix64(3) + 5) % 2**64)
    assert naive.bounded(2**64 - 1, 7) == 6 and naive.bounded(0, 7) == 0


def test_keyed_shuffle_is_uniform():
    counts = Counter(tuple(naive.keyed_shuffle(3, key)) for key in range(6000))
    assert len(counts) == 6
    assert chi_square(list(counts.values()), 1000) < 20.5  # 5 degrees of freedom, p = .001


LISTS = [[0, 3, 5], [2], list(range(12)), [], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]


def test_users_are_uniform_and_only_eligible():
    users = Counter()
    for t in range(1, 301):
        draws = naive.draws_per_user(LISTS, 12, seed=7, t=t)
        assert sum(draws.values()) == 14
        users += draws
    assert set(users) == {0, 1, 4}
    assert chi_square([users[u] for u in (0, 1, 4)], 1400) < 13.8  # 2 degrees of freedom, p = .001
    assert naive.draws_per_user(LISTS, 12, 7, 1, "interactions") == {0: 3, 1: 1, 4: 10}


def test_positives_do_not_repeat_within_a_round():
    for t in range(1, 30):
        of_user = [i for u, i, _ in naive.draw_iteration(LISTS, 12, seed=1, t=t) if u == 0]
        for start in range(0, len(of_user), 3):
            part = of_user[start : start + 3]
            assert len(set(part)) == len(part) and set(part) <= {0, 3, 5}


@pytest.mark.parametrize("negatives", ["uniform", "trained", "popularity"])
def test_negatives_follow_their_law(negatives):
    n_items = 14
    counts = Counter()
    for t in range(1, 400):
        counts.update(
            j for u, _, j in naive.draw_iteration(LISTS[:2] + LISTS[3:], n_items, 5, t, negatives) if u == 0
        )
    assert not set(counts) & {0, 3, 5}
    weights = naive.admissible_weights(LISTS[:2] + LISTS[3:], n_items, 0, negatives)
    items = np.flatnonzero(weights)
    assert set(counts) == set(items)
    expected = sum(counts.values()) * weights[items] / weights.sum()
    assert chi_square([counts[i] for i in items], expected) < 31.3  # at most 11 degrees of freedom, p = .001


def test_order_keeps_a_users_draws_together_and_changes_with_t():
    orders = set()
    for t in range(1, 20):
        users = [u for u, _, _ in naive.draw_iteration(LISTS, 12, seed=2, t=t)]
        runs = [u for n, u in enumerate(users) if n == 0 or users[n - 1] != u]
        assert len(runs) == len(set(runs))
        orders.add(tuple(runs))
    assert len(orders) > 3


def test_after_64_rejections_the_draw_is_uniform_over_what_is_left():
    n_items = 5000
    free = [17, 18, 4999]
    lists = [[i for i in range(n_items) if i not in free]]
    counts = Counter(
        naive.draw_negative(lists, n_items, range(n_items), "uniform", 3, t, 0, 0) for t in range(150)
    )
    assert set(counts) == set(free)
    assert chi_square([counts[j] for j in free], 50) < 13.8


def test_a_user_who_owns_all_trained_items_draws_from_all():
    lists = [[0, 1, 2], [1, 2]]
    assert naive.users_without_negative(lists, 6, "trained") == [0]
    drawn = {j for t in range(1, 40) for u, _, j in naive.draw_iteration(lists, 6, 0, t, "trained") if u == 0}
    assert drawn == {3, 4, 5}
    drawn = {
        j for t in range(1, 40) for u, _, j in naive.draw_iteration(lists, 6, 0, t, "popularity") if u == 1
    }
    assert drawn == {0}


# --- split, scaling, counting ------------------------------------------------------------------------------


def test_random_split_is_uniform_over_ordered_pairs():
    counts = Counter(naive.split_random(f"user-{n}", 4, seed=1) for n in range(6000))
    assert all(test != valid for test, valid in counts)
    assert len(counts) == 12
    assert chi_square(list(counts.values()), 500) < 31.3


def test_last_split_draws_among_equal_times():
    assert naive.split_last("u", [5, 9, 8, 1], seed=0) == (1, 2)
    places = Counter(naive.split_last(f"user-{n}", [5, 9, 9, 9], seed=3) for n in range(6000))
    assert len(places) == 6 and all(0 not in pair for pair in places)
    assert chi_square(list(places.values()), 1000) < 25.7  # 1 in 10,000 for 5 degrees of freedom


def test_window_split_draws_among_equal_times():
    assert naive.split_first_of("u", [1, 7, 5, 9], seed=0, start=5, end=9) == 2
    assert naive.split_first_of("u", [1, 7, 5, 9], seed=0, start=2, end=5) is None
    places = Counter(naive.split_first_of(f"user-{n}", [1, 5, 5, 5], 3, 5, 6) for n in range(6000))
    assert sorted(places) == [1, 2, 3]
    assert chi_square(list(places.values()), 2000) < 18.4


def test_feature_scaling():
    values = np.array([[0.0, 1.0, 3.0], [4.0, 1.0, 0.0], [2.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    for kind in ("none", "max", "standard", "idf"):
        shift, multiplier = naive.feature_scaling(values, kind)
        f = (values - shift) * multiplier
        if kind == "none":
            np.testing.assert_array_equal(f, values)
        if kind == "max":
            assert np.abs(f).max() == 1.0
        if kind == "standard":
            np.testing.assert_allclose(f.mean(0), 0, atol=1e-15)
            np.testing.assert_allclose(f.std(0), [1, 0, 1])
        if kind == "idf":
            np.testing.assert_allclose(multiplier, np.sqrt([np.log(4 / 3), 0, np.log(4 / 2)]))
    wide = np.random.default_rng(0).normal(size=(50, 40))
    shift, multiplier = naive.feature_scaling(wide, "standard")
    assert (((wide - shift) * multiplier) ** 2).sum(1).mean() == pytest.approx(10)


def test_auc_by_hand():
    lists, valid, test = [[0], [1]], [1, 2], [2, 0]
    rows = {0: np.array([9.0, 9.0, 1.0, 0.0, 1.0, 2.0]), 1: np.array([3.0, 9, 9, 3.0, 3.0, 3.0])}
    # User 0: item 2 against 3, 4, 5: one won, one tied. User 1: item 0 against 3, 4, 5: three ties.
    result = naive.auc(lambda u, i: rows[u], lists, valid, test, 6)
    assert result["all"] == {
        "auc": pytest.approx(1 / 6),
        "users": 2,
        "pairs": 6,
        "tied_pairs": 4,
        "stderr": pytest.approx(1 / 6),
    }
    half = naive.auc(lambda u, i: rows[u], lists, valid, test, 6, ties="half", cold_below=1)
    assert half["all"]["auc"] == pytest.approx(0.5)
    assert half["cold"]["users"] == 1  # item 0 has a training pair, item 2 has none
    # Classes: items 0, 1 have one pair, the rest none: user 1's test item 0 has no candidate in its class.
    assert half["stratified"]["users"] == 1 and half["stratified"]["pairs"] == 3
    found = {
        name: naive.metric(lambda u, i: rows[u], lists, valid, test, 6, name, 3)["value"]
        for name in ("recall", "precision", "ndcg", "map", "mrr")
    }
    third = {
        "recall": 1,
        "precision": 1 / 3,
        "ndcg": 1 / 2,
        "map": 1 / 3,
        "mrr": 1 / 3,
    }  # of the one at rank 3
    assert found == {name: pytest.approx(value / 2) for name, value in third.items()}
    np.testing.assert_array_equal(naive.inverse_popularity(lists, 6), [-1, -1, 0, 0, 0, 0])


def test_cosine_prefers_shared_rare_features():
    values = np.array([[1, 0, 1], [1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=float)
    row = naive.cosine_scores([[0]], 0, values)
    assert row[2] == pytest.approx(1.0) and row[3] < row[2] and row[5] == 0.0


# --- segmentation ------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_segmentation_equals_brute_force_ties_included(data):
    n_bins = data.draw(st.integers(1, 8))
    n_epochs = data.draw(st.integers(1, n_bins))
    cells = st.lists(st.integers(-3, 0), min_size=n_bins * n_epochs, max_size=n_bins * n_epochs)
    table = np.array(data.draw(cells), dtype=float).reshape(n_bins, n_epochs)
    assert naive.segment(table) == naive.segment_brute_force(table)


def test_start_ends_give_the_remainder_to_the_first_epoch():
    assert naive.start_ends(80, 3) == [27, 53, 79]
    assert naive.start_ends(7, 3) == [2, 4, 6]
    assert naive.start_ends(5, 5) == [0, 1, 2, 3, 4]


@settings(max_examples=200, deadline=None)
@given(
    first=st.integers(0, 10**9),
    span=st.integers(1, 10**8),
    n_bins=st.integers(1, 80),
    where=st.floats(-0.2, 1.2),
)
def test_edges_agree_with_bins(first, span, n_bins, where):
    last = first + span
    n_epochs = min(3, n_bins)
    ends = naive.start_ends(n_bins, n_epochs)
    edges = naive.epoch_edges(ends, first, last, n_bins)
    around = [edge + shift for edge in edges for shift in (-1, 0, 1)]
    for time in [int(first + where * span), first, last, *around]:
        b = naive.time_bin(time, first, last, n_bins)
        assert naive.epoch_of_time(time, edges) == naive.epoch_of_bin(b, ends)


def test_segment_table_sums_log_sigmoids():
    rng = np.random.default_rng(4)
    params, f = random_params(rng, "tvbpr"), random_features(rng)
    lists = [[0, 1], [2], [3]]
    events, bins = [(0, 0), (1, 2)], [3, 3]
    negatives = [naive.segment_negatives(lists, I, 9, 1, e, u, i, 4) for e, (u, i) in enumerate(events)]
    assert not {0, 1} & set(negatives[0]) and 2 not in negatives[1]
    table = naive.segment_table(params, f, events, negatives, bins, 4)
    by_hand = sum(
        np.log(1 / (1 + np.exp(naive.score(params, u, j, f, 1) - naive.score(params, u, i, f, 1))))
        for (u, i), js in zip(events, negatives)
        for j in js
    )
    assert table[3, 1] == pytest.approx(by_hand) and not table[:3].any()
