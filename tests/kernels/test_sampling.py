"""The sampler: the reference's triples one by one, the laws they follow, and what must not change them."""

from collections import Counter

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import csr, needs_two_threads, random_lists, with_threads

from ivbpr_numba.errors import DataError
from ivbpr_numba.models.triples import TripleSampler

LAWS = ["uniform", "trained", "popularity"]
MODES = ["users", "interactions"]


def sampler_of(lists, n_items, seed=0, negatives="uniform", sampling="users"):
    indptr, indices = csr(lists)
    return TripleSampler(indptr, indices, n_items, seed=seed, negatives=negatives, sampling=sampling)


def drawn(sampler, t):
    """Triples of an iteration as a list, and how many fell back to the uniform law."""
    triples = sampler.draw(t)
    columns = (triples.users, triples.positives, triples.negatives)
    assert all(column.dtype == np.int32 for column in columns)
    return list(zip(*(column.tolist() for column in columns))), triples.fallbacks


def assert_as_reference(lists, n_items, seed, t, negatives, sampling):
    """Every triple, their order, and the fall-backs are the reference's; returns the triples."""
    triples, fallbacks = drawn(sampler_of(lists, n_items, seed, negatives, sampling), t)
    assert triples == naive.draw_iteration(lists, n_items, seed, t, negatives, sampling)
    draws = naive.draws_per_user(lists, n_items, seed, t, sampling)
    assert fallbacks == sum(draws[u] for u in naive.users_without_negative(lists, n_items, negatives))
    return triples


# --- equality with the reference -----------------------------------------------------------------------------


@st.composite
def datasets(draw):
    """Few users and items; some users own nothing, everything, or every item that anybody trained on."""
    n_items = draw(st.integers(2, 12))
    owned = st.sets(st.integers(0, n_items - 1), max_size=n_items)
    lists = draw(st.lists(owned, min_size=1, max_size=7))
    trained = set().union(*lists)
    for special in draw(st.lists(st.sampled_from(["nothing", "all items", "all trained"]), max_size=3)):
        owner = {"nothing": set(), "all items": set(range(n_items)), "all trained": trained}[special]
        lists.insert(draw(st.integers(0, len(lists))), owner)
    return [sorted(items) for items in lists], n_items


@pytest.mark.parametrize("sampling", MODES)
@pytest.mark.parametrize("negatives", LAWS)
@settings(max_examples=60)
@given(data=datasets(), seed=st.integers(0, 2**63 - 1), t=st.integers(1, 2000))
def test_triples_are_those_of_the_reference(negatives, sampling, data, seed, t):
    lists, n_items = data
    if naive.eligible_users(lists, n_items):
        assert_as_reference(lists, n_items, seed, t, negatives, sampling)
    else:
        with pytest.raises(DataError, match="No user"):
            sampler_of(lists, n_items, seed, negatives, sampling)


@pytest.mark.parametrize("sampling", MODES)
@pytest.mark.parametrize("negatives", LAWS)
def test_special_owners(negatives, sampling):
    # Item 7 is trained only by the user who owns everything; user 3 owns all other trained items.
    lists = [[0, 1, 2], [], list(range(8)), [0, 1, 2, 3, 4, 5, 6], [5]]
    triples = [
        triple for t in range(1, 6) for triple in assert_as_reference(lists, 8, 11, t, negatives, sampling)
    ]
    assert {u for u, _, _ in triples} == {0, 3, 4}
    # Without the one who owns everything, items 3 and 4 have no training pair and user 1 owns all others.
    lists = [[0, 1, 2], [0, 1, 2, 5], [], [5]]
    fallbacks = 0
    for t in range(1, 6):
        for u, _, j in assert_as_reference(lists, 6, 11, t, negatives, sampling):
            if negatives != "uniform":
                assert (j in (3, 4)) == (u == 1)
                fallbacks += u == 1
    assert (fallbacks > 0) == (negatives != "uniform")


@pytest.mark.parametrize("negatives", LAWS)
def test_after_64_rejections_the_admissible_items_are_counted(negatives):
    n_items = 400
    # Items 10, 200 and 399 are the only ones user 0 lacks, with 2, 1 and 0 training pairs.
    missing = {10, 200, 399}
    lists = [
        [i for i in range(n_items) if i not in missing],
        [3, 10, 200],
        [3, 10],
        *([i for i in range(0, n_items, 2) if i not in missing] for _ in range(3)),
    ]
    seed, t = 5, 2
    triples = assert_as_reference(lists, n_items, seed, t, negatives, "interactions")
    # Independent of how the draws are made: how many of user 0's 64 candidates are admissible.
    pool = {
        "uniform": list(range(n_items)),
        "trained": sorted({i for items in lists for i in items}),
        "popularity": [i for items in lists for i in items],
    }[negatives]
    counted = 0
    for k in range(len(lists[0])):
        tried = {pool[naive.bounded(naive.mix64(seed, naive.NEG, t, 0, k, a), len(pool))] for a in range(64)}
        counted += not tried & missing
    assert counted > 100
    chosen = Counter(j for u, _, j in triples if u == 0)
    assert set(chosen) == (missing if negatives == "uniform" else {10, 200})
    if negatives == "popularity":
        assert chosen[10] > 1.5 * chosen[200]  # two training pairs against one


@pytest.mark.parametrize("negatives", LAWS)
def test_64_rejections_after_falling_back(negatives):
    # User 0 owns every trained item and lacks three of all: its uniform draws are rejected again and again.
    n_items, missing = 400, {0, 200, 399}
    lists = [[i for i in range(n_items) if i not in missing], [3, 10], [3]]
    triples = assert_as_reference(lists, n_items, 5, 2, negatives, "interactions")
    assert {j for u, _, j in triples if u == 0} == missing


def test_negatives_avoid_positives_and_positives_are_owned():
    lists = random_lists(np.random.default_rng(3), 40, 60, 0, 30)
    for negatives in LAWS:
        triples, _ = drawn(sampler_of(lists, 60, 4, negatives), 1)
        assert len(triples) == sum(map(len, lists))
        assert all(i in lists[u] and j not in lists[u] and 0 <= j < 60 for u, i, j in triples)


# --- laws ----------------------------------------------------------------------------------------------------


def chi_square_excess(counts, expected):
    """How many standard deviations chi-square lies above its mean; normal for many cells."""
    counts, expected = np.asarray(counts, float), np.asarray(expected, float)
    assert expected.min() > 5
    freedom = len(counts) - 1
    return (((counts - expected) ** 2 / expected).sum() - freedom) / np.sqrt(2 * freedom)


@pytest.fixture(scope="module")
def larger():
    """60 users with 3 to 40 of 150 items, popular ones first, and 60 iterations of every law."""
    rng = np.random.default_rng(8)
    weight = 1 / (3 + np.arange(150))
    lists = [
        sorted(rng.choice(150, rng.integers(3, 41), replace=False, p=weight / weight.sum()).tolist())
        for _ in range(60)
    ]
    samplers = {law: sampler_of(lists, 150, 9, law) for law in LAWS}
    return lists, {law: [drawn(s, t)[0] for t in range(1, 61)] for law, s in samplers.items()}


def test_users_are_uniform(larger):
    lists, iterations = larger
    users = Counter(u for triples in iterations["uniform"] for u, _, _ in triples)
    total = sum(users.values())
    assert total == 60 * sum(map(len, lists))
    assert chi_square_excess([users[u] for u in range(60)], [total / 60] * 60) < 4


def test_every_pair_once_with_sampling_interactions(larger):
    lists, _ = larger
    triples, _ = drawn(sampler_of(lists, 150, 9, sampling="interactions"), 3)
    assert Counter((u, i) for u, i, _ in triples) == Counter((u, i) for u, l in enumerate(lists) for i in l)  # noqa: E741


def test_positives_do_not_repeat_within_a_round(larger):
    lists, iterations = larger
    first = Counter()
    for triples in iterations["uniform"]:
        for u, items in enumerate(lists):
            positives = [i for v, i, _ in triples if v == u]
            rounds = [positives[r : r + len(items)] for r in range(0, len(positives), len(items))]
            assert all(len(set(r)) == len(r) for r in rounds)
            first.update((len(items), items.index(r[0])) for r in rounds)
    # Every place of a list comes first equally often: lists of three, where short ciphers are biased.
    size = min(map(len, lists))
    counts = [first[size, place] for place in range(size)]
    assert sum(counts) > 500 and chi_square_excess(counts, [sum(counts) / size] * size) < 4


@pytest.mark.parametrize("law", LAWS)
def test_negatives_follow_their_law(larger, law):
    lists, iterations = larger
    users = Counter(u for triples in iterations[law] for u, _, _ in triples)
    observed = np.bincount([j for triples in iterations[law] for _, _, j in triples], minlength=150)
    expected = np.zeros(150)
    for u, n in users.items():
        weights = naive.admissible_weights(lists, 150, u, law)
        expected += n * weights / weights.sum()
    assert (observed[expected == 0] == 0).all()
    assert chi_square_excess(observed[expected > 5], expected[expected > 5]) < 4
    if law == "uniform":
        return
    wrong = np.mean([naive.admissible_weights(lists, 150, u, "uniform") for u in range(60)], axis=0)
    wrong *= observed.sum() / wrong.sum()
    assert chi_square_excess(observed, wrong) > 10  # the test can tell the laws apart


def test_users_come_in_another_order_each_time_with_all_their_draws_together(larger):
    _, iterations = larger
    orders = []
    for triples in iterations["uniform"][:5]:
        order = [u for n, (u, _, _) in enumerate(triples) if n == 0 or triples[n - 1][0] != u]
        assert len(order) == len(set(order))
        orders.append(tuple(order))
    assert len(set(orders)) == 5


# --- what must not matter ------------------------------------------------------------------------------------


@needs_two_threads
@pytest.mark.parametrize("sampling", MODES)
@pytest.mark.parametrize("negatives", LAWS)
def test_threads_do_not_matter(negatives, sampling):
    lists = random_lists(np.random.default_rng(4), 300, 50, 0, 49)
    lists[7] = list(range(50))

    def run():
        return drawn(sampler_of(lists, 50, 6, negatives, sampling), 2)

    assert with_threads(1, run) == with_threads(2, run)


@pytest.mark.parametrize("sampling", MODES)
def test_an_iteration_does_not_depend_on_what_was_drawn_before(sampling):
    lists = random_lists(np.random.default_rng(5), 30, 40, 1, 20)
    used, fresh = (sampler_of(lists, 40, 3, "trained", sampling) for _ in range(2))
    for t in (1, 9, 4):
        used.draw(t)
    assert drawn(used, 3) == drawn(fresh, 3)
    assert drawn(fresh, 3) != drawn(fresh, 4)


def test_the_seed_matters():
    lists = random_lists(np.random.default_rng(6), 30, 40, 1, 20)
    assert drawn(sampler_of(lists, 40, 1), 1) != drawn(sampler_of(lists, 40, 2), 1)


def test_index_types_of_the_input_do_not_matter():
    lists = random_lists(np.random.default_rng(7), 20, 30, 1, 15)
    indptr, indices = csr(lists)
    wide = TripleSampler(
        indptr.astype(np.int32), indices.astype(np.int64), 30, seed=1, negatives="trained", sampling="users"
    )
    assert drawn(wide, 1) == drawn(sampler_of(lists, 30, 1, "trained"), 1)
