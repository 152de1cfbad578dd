"""From vectors to AUCs: scores, exact counts with ties, questions of a dataset, features read and projected."""

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from small import needs_two_threads, with_threads

from ivbpr_numba import ranking
from ivbpr_numba.arrays import stored_bits
from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.features.alignment import project
from ivbpr_numba.features.inputs import DenseInput
from ivbpr_numba.kernels.arguments import TILE
from ivbpr_numba.kernels.cpu.features import decode, feature_differences
from ivbpr_numba.kernels.cpu.panels import PANEL
from ivbpr_numba.kernels.cpu.ranking import PANELS, TASKS
from ivbpr_numba.ranking import Questions, RowScorer, VectorScorer

SIZES = [1, 2, 30, TILE - 1, TILE, TILE + 1, 600]


# --- small inputs ---------------------------------------------------------------------------------------------


def integer_scorer(rng, n_users, n_items, length):
    """Vectors of small whole numbers: scores are exact and most of them tied."""
    return VectorScorer(
        rng.integers(-1, 2, (n_users, length)).astype(np.float32),
        ranking.ItemSide(
            rng.integers(-1, 2, (n_items, length)).astype(np.float32),
            rng.integers(-2, 3, n_items).astype(np.float32),
        ),
    )


def doubled_scorer(rng, n_users, n_items, length):
    """Vectors of any numbers, but every item has a twin somewhere: only equal arithmetic finds the ties."""
    pick = rng.permutation(np.arange(n_items) // 2)
    return VectorScorer(
        rng.normal(size=(n_users, length)).astype(np.float32),
        ranking.ItemSide(
            rng.normal(size=(n_items, length)).astype(np.float32)[pick],
            rng.normal(size=n_items).astype(np.float32)[pick],
        ),
    )


def asked_of(own, users=None):
    """Questions from lists of own items, the target first; user rows 0, 1, … unless given."""
    users = np.arange(len(own)) if users is None else np.asarray(users, np.int64)
    indptr = np.concatenate([[0], np.cumsum([len(items) for items in own])]).astype(np.int64)
    items = np.array([i for row in own for i in row], np.int32)
    return Questions(users, np.zeros(len(own), np.int64), items[indptr[:-1]], indptr, items)


def random_own(rng, n, n_items):
    """For each of n users some items in any order: one only, a few, or all."""
    sizes = rng.integers(1, n_items + 1, n)
    sizes[::3] = 1
    sizes[1::3] = np.minimum(sizes[1::3], 5)
    if n > 2:
        sizes[2] = n_items
    return [rng.permutation(n_items)[:size].tolist() for size in sizes]


def brute_force(rows, own, classes):
    """less, equal and pairs, (n, 3) each, from score rows by counting."""
    counts = np.zeros((3, len(own), 3), np.int64)
    for n, (row, items) in enumerate(zip(rows, own)):
        for c in range(3):
            candidates = [j for j in range(len(classes)) if classes[j] == c and j not in set(items)]
            counts[:, n, c] = naive.count_pairs(row, items[0], candidates)
    return counts


def assert_counts(counts, rows, own, classes):
    less, equal, pairs = brute_force(rows, own, classes)
    np.testing.assert_array_equal(counts.less, less)
    np.testing.assert_array_equal(counts.equal, equal)
    np.testing.assert_array_equal(counts.pairs, pairs)
    np.testing.assert_array_equal(counts.target_class, [classes[items[0]] for items in own])


def classes_of(rng, n_items, kind):
    """Classes of items: all three in any order, a middle one missing, or one alone."""
    if kind == "mixed":
        return rng.integers(0, 3, n_items).astype(np.int8)
    if kind == "two":
        return (2 * rng.integers(0, 2, n_items)).astype(np.int8)
    return np.zeros(n_items, np.int8)


# --- counts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [integer_scorer, doubled_scorer])
@pytest.mark.parametrize("length", [0, 1, 3, 20])
@pytest.mark.parametrize("n_items", SIZES)
def test_counts_of_vectors(n_items, length, make):
    rng = np.random.default_rng(n_items + length)
    for kind, n in (("mixed", 7), ("two", 4), ("alone", 5)):
        scorer, classes = make(rng, n, n_items, length), classes_of(rng, n_items, kind)
        own = random_own(rng, n, n_items)
        counts = ranking.count(scorer, asked_of(own), classes)
        assert_counts(counts, ranking.scores(scorer, np.arange(n)), own, classes)
        if n_items >= TILE - 1:
            assert counts.equal.sum() > 0  # there are ties to get wrong


@pytest.mark.parametrize(
    "n", [1, PANEL - 1, PANEL, PANEL + 1, 2 * TASKS * PANEL + 3, TASKS * PANELS * PANEL + 5]
)
def test_counts_of_any_number_of_users(n):
    rng = np.random.default_rng(n)
    scorer, classes = integer_scorer(rng, 2 * n, 300, 3), classes_of(rng, 300, "mixed")
    own, users = random_own(rng, n, 300), rng.permutation(2 * n)[:n]
    counts = ranking.count(scorer, asked_of(own, users), classes)
    assert_counts(counts, ranking.scores(scorer, users), own, classes)


@pytest.mark.parametrize("length", [0, 3])
def test_counts_of_scores_that_are_not_finite(length):
    """An infinite score ties with its like; NaN is below and equal to nothing, as target and as candidate."""
    rng = np.random.default_rng(length)
    n_items = 3 * TILE + 7
    bias = rng.integers(-2, 3, n_items).astype(np.float32)
    for number in (np.nan, np.inf, -np.inf):
        bias[rng.random(n_items) < 0.2] = number
    users, vectors = np.ones((90, length), np.float32), np.zeros((n_items, length), np.float32)
    scorer, classes = VectorScorer(users, ranking.ItemSide(vectors, bias)), classes_of(rng, n_items, "mixed")
    own = random_own(rng, 90, n_items)
    counts = ranking.count(scorer, asked_of(own), classes)
    rows = ranking.scores(scorer, np.arange(90))
    np.testing.assert_array_equal(rows[0], bias)
    assert_counts(counts, rows, own, classes)
    assert {np.isnan(row[items[0]]) for row, items in zip(rows, own)} == {True, False}


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), n_items=st.integers(1, 40), length=st.integers(0, 9))
def test_counts_of_small_catalogues(seed, n_items, length):
    rng = np.random.default_rng(seed)
    scorer, classes = integer_scorer(rng, 6, n_items, length), classes_of(rng, n_items, "mixed")
    own = random_own(rng, 6, n_items)
    counts = ranking.count(scorer, asked_of(own), classes)
    assert_counts(counts, ranking.scores(scorer, np.arange(6)), own, classes)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_items", SIZES)
def test_counts_of_rows(n_items, dtype, monkeypatch):
    rng = np.random.default_rng(n_items)
    table = rng.integers(0, 5, (20, n_items)).astype(dtype)
    table[rng.random(table.shape) < 0.05] = np.inf
    table[rng.random(table.shape) < 0.05] = -np.inf
    table[rng.random(table.shape) < 0.05] = np.nan  # compares with nothing
    if dtype == np.float64:
        table *= 1 + 2.0**-40  # lost in float32
    batches = []

    def rows(users):
        batches.append(len(users))
        return table[users]

    monkeypatch.setattr("ivbpr_numba.ranking.counting.ROW_BYTES", 8 * n_items * 3)
    scorer, classes = RowScorer(rows, n_items), classes_of(rng, n_items, "mixed")
    own, users = random_own(rng, 7, n_items), rng.permutation(20)[:7]
    counts = ranking.count(scorer, asked_of(own, users), classes)
    assert batches == [3, 3, 1]  # rows of three users fit the memory at once
    assert_counts(counts, table[users], own, classes)
    np.testing.assert_array_equal(ranking.scores(scorer, users), table[users])


def test_rows_of_another_layout():
    rng = np.random.default_rng(1)
    table = np.asfortranarray(rng.integers(0, 4, (5, 40)).astype(np.float32))
    own, classes = random_own(rng, 5, 40), classes_of(rng, 40, "mixed")
    counts = ranking.count(RowScorer(lambda users: table[users], 40), asked_of(own), classes)
    assert_counts(counts, table, own, classes)


def test_nobody_to_ask():
    nobody = asked_of([])
    for scorer in (
        integer_scorer(np.random.default_rng(1), 3, 10, 2),
        RowScorer(lambda users: np.zeros((len(users), 10)), 10),
    ):
        values, pairs, tied = ranking.count(scorer, nobody, np.zeros(10, np.int8)).auc()
        assert len(values) == len(pairs) == len(tied) == 0
        assert ranking.summary(values, pairs, tied) == {
            "auc": None, "users": 0, "pairs": 0, "tied_pairs": 0, "stderr": None, "ci95": None,
        }  # fmt: skip


@needs_two_threads
def test_threads_do_not_matter():
    rng = np.random.default_rng(2)
    scorer, classes = doubled_scorer(rng, 100, 700, 20), classes_of(rng, 700, "mixed")
    own = random_own(rng, 100, 700)
    table = ranking.scores(scorer, np.arange(100))

    def run():
        seen = [ranking.scores(scorer, np.arange(100)).tobytes()]
        for s in (scorer, RowScorer(lambda users: table[users], 700)):
            counts = ranking.count(s, asked_of(own), classes)
            seen += [counts.less.tobytes(), counts.equal.tobytes(), counts.pairs.tobytes()]
        return seen + [
            a.tobytes() for found in ranking.top(scorer, np.arange(100), 7, left_out, allowed) for a in found
        ]

    left_out, allowed = owned_of(own), np.ones(700, bool)
    one, two = with_threads(1, run), with_threads(2, run)
    assert one == two
    assert one[1:4] == one[4:7]  # vectors and rows of the same scores


# --- scores ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 3, 4, 20])
@pytest.mark.parametrize("n_items", [1, TILE, TILE + 1])
def test_scores(n_items, length):
    rng = np.random.default_rng(3)
    s = VectorScorer(
        rng.normal(size=(9, length)).astype(np.float32),
        ranking.ItemSide(
            rng.normal(size=(n_items, length)).astype(np.float32), rng.normal(size=n_items).astype(np.float32)
        ),
    )
    users = np.array([4, 0, 4, 8])
    wide = [array.astype(np.float64) for array in (s.user_vectors[users], s.items.vectors, s.items.bias)]
    found = ranking.scores(s, users)
    assert found.dtype == np.float32 and found.shape == (4, n_items)
    size = np.abs(wide[0]) @ np.abs(wide[1]).T + np.abs(wide[2])
    assert (np.abs(found - (wide[0] @ wide[1].T + wide[2])) <= 1e-6 * size).all()


def test_strided_tables_of_learners():
    # A learner's scorer shows columns of its packed tables, which are not contiguous.
    rng = np.random.default_rng(4)
    users = rng.integers(-2, 3, (5, 16)).astype(np.float32)
    items = rng.integers(-2, 3, (40, 16)).astype(np.float32)
    scorer = VectorScorer(users[:, :6], ranking.ItemSide(items[:, :6], items[:, 6]))
    assert scorer.n_items == 40
    np.testing.assert_array_equal(
        ranking.scores(scorer, np.arange(5)), users[:, :6] @ items[:, :6].T + items[:, 6]
    )


# --- the best ------------------------------------------------------------------------------------------------


def best_by_sorting(row, owned, allowed, n):
    """Items of a score row from best to worst, of equal ones the smaller first."""
    left = [i for i in range(len(row)) if allowed[i] and i not in set(owned) and row[i] == row[i]]
    return sorted(left, key=lambda i: (-row[i], i))[:n]


def owned_of(own):
    """CSR of items to leave out, ascending within a user."""
    indptr = np.concatenate([[0], np.cumsum([len(items) for items in own])]).astype(np.int64)
    return indptr, np.array([i for items in own for i in sorted(items)], np.int32)


def assert_best(scorer, n_users, own, allowed, n):
    items, values = ranking.top(scorer, np.arange(n_users), n, owned_of(own), allowed)
    rows = ranking.scores(scorer, np.arange(n_users))
    for row, owned, found, value in zip(rows, own, items, values, strict=True):
        assert found.tolist() == best_by_sorting(row, owned, allowed, n)
        np.testing.assert_array_equal(value, row[found])


@pytest.mark.parametrize("make", [integer_scorer, doubled_scorer])
@pytest.mark.parametrize("n_items", SIZES)
def test_the_best_items(n_items, make):
    """Ties, users who own everything, items that are not allowed, shorter lists than asked for."""
    rng = np.random.default_rng(n_items)
    for n, n_users, length in ((1, 5, 3), (10, 9, 20), (700, 6, 0)):
        own = random_own(rng, n_users, n_items)
        own[0] = []
        allowed = rng.random(n_items) < rng.choice([0.1, 0.9])
        assert_best(make(rng, n_users, n_items, length), n_users, own, allowed, n)


@pytest.mark.parametrize("n_users", [1, TASKS * PANEL * 2 + 3, TASKS * PANELS * PANEL + 5])
def test_the_best_items_of_many_users(n_users):
    rng = np.random.default_rng(n_users)
    scorer = doubled_scorer(rng, n_users, 150, 5)
    own = random_own(rng, n_users, 150)
    assert_best(scorer, n_users, own, np.ones(150, bool), 3)


def test_the_best_of_scores_that_are_not_finite():
    rng = np.random.default_rng(8)
    bias = rng.integers(-2, 3, 200).astype(np.float32)
    for number in (np.nan, np.inf, -np.inf):
        bias[rng.random(200) < 0.2] = number
    for length in (0, 2):
        scorer = VectorScorer(
            np.ones((6, length), np.float32), ranking.ItemSide(np.zeros((200, length), np.float32), bias)
        )
        for n in (3, 100, 200):
            assert_best(scorer, 6, random_own(rng, 6, 200), rng.random(200) < 0.8, n)


# --- AUC, rank, summary ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judged():
    """A split of 40 users over 90 items with many unpopular ones, tied scores, and counts for the test split."""
    rng = np.random.default_rng(5)
    popular = 1 / (1 + np.arange(90))
    lists, valid, test = [], [], []
    for u in range(40):
        size = int(rng.integers(3, 9))
        items = rng.choice(90, size, replace=False, p=popular / popular.sum()).tolist()
        valid.append(items.pop() if u % 7 else -1)
        test.append(items.pop() if u % 5 else -1)
        lists.append(sorted(items))
    scorer = integer_scorer(rng, 40, 90, 2)
    rows = ranking.scores(scorer, np.arange(40))
    classes = ranking.item_classes(naive.training_counts(lists, 90))
    assert set(classes) == {0, 1, 2}
    found = {}
    for split, held, other in (("test", test, valid), ("valid", valid, test)):
        users = [u for u in range(40) if held[u] >= 0]
        own = [[held[u], *lists[u], *([other[u]] if other[u] >= 0 else [])] for u in users]
        found[split] = users, own, ranking.count(scorer, asked_of(own, users), classes)
    return lists, valid, test, rows, found


@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("ties", ["strict", "half"])
@pytest.mark.parametrize("split", ["test", "valid"])
def test_auc_of_every_user(judged, split, ties, stratified):
    lists, valid, test, rows, found = judged
    users, _, counts = found[split]
    values, pairs, tied = counts.auc(ties, stratified)
    expected = naive.per_user(lambda u, _: rows[u], lists, valid, test, 90, split, ties, stratified)
    assert expected and sum(row[4] for row in expected) > 0
    known = {row[0]: row for row in expected}
    for u, value, n, equal in zip(users, values, pairs, tied):
        if u in known:
            assert (value, n, equal) == pytest.approx(known[u][2:], abs=1e-12)
        else:
            assert np.isnan(value) and n == 0
    summary = ranking.summary(values, pairs, tied)
    for name, value in naive.summary(expected).items():
        assert summary[name] == pytest.approx(value, abs=1e-12), name
    low, high = summary["ci95"]
    assert high - low == pytest.approx(2 * 1.96 * summary["stderr"])
    assert (low + high) / 2 == pytest.approx(summary["auc"])


def test_cold_and_stratified_auc_end_to_end(judged):
    lists, valid, test, rows, found = judged
    counts = found["test"][2]
    expected = naive.auc(lambda u, _: rows[u], lists, valid, test, 90)
    trained = naive.training_counts(lists, 90)
    cold = np.array([trained[i] < 5 for i in test if i >= 0])
    values, pairs, tied = counts.auc()
    ours = {
        "all": ranking.summary(values, pairs, tied),
        "cold": ranking.summary(values[cold], pairs[cold], tied[cold]),
        "stratified": ranking.summary(*counts.auc(stratified=True)),
    }
    assert 0 < expected["cold"]["users"] < expected["all"]["users"]
    for name, figures in expected.items():
        for figure, value in figures.items():
            assert ours[name][figure] == pytest.approx(value, abs=1e-12), (name, figure)


@pytest.mark.parametrize("split", ["test", "valid"])
def test_ranks(judged, split):
    rows, (users, own, counts) = judged[3], judged[4][split]
    expected = [
        naive.rank(rows[u], items[0], [j for j in range(90) if j not in items[1:]])
        for u, items in zip(users, own)
    ]
    np.testing.assert_array_equal(counts.rank(), expected)


def test_no_candidate_is_nan_and_left_out_of_the_mean():
    rng = np.random.default_rng(6)
    scorer, classes = integer_scorer(rng, 3, 8, 2), np.array([0, 1, 1, 2, 2, 2, 2, 2], np.int8)
    # User 0 owns everything; user 1's target is the only item of its class.
    own = [[3, 0, 1, 2, 4, 5, 6, 7], [0, 4], [5, 1]]
    counts = ranking.count(scorer, asked_of(own), classes)
    values, pairs, tied = counts.auc()
    assert np.isnan(values).tolist() == [True, False, False] and pairs.tolist() == [0, 6, 6]
    assert counts.rank()[0] == 1
    alike, own_pairs, _ = counts.auc(stratified=True)
    assert np.isnan(alike).tolist() == [True, True, False] and own_pairs.tolist() == [0, 0, 4]
    summary = ranking.summary(values, pairs, tied)
    assert summary["users"] == 2 and summary["auc"] == pytest.approx(values[1:].mean())
    one = ranking.summary(values[:2], pairs[:2], tied[:2])
    assert one["users"] == 1 and one["stderr"] is None and one["ci95"] is None


def test_the_interval_stays_between_0_and_1():
    summary = ranking.summary(np.array([1.0, 1.0, 0.9]), np.full(3, 10), np.zeros(3, int))
    assert summary["ci95"][1] == 1.0
    summary = ranking.summary(np.array([0.0, 0.0, 0.1]), np.full(3, 10), np.zeros(3, int))
    assert summary["ci95"][0] == 0.0


def test_item_classes():
    assert ranking.item_classes(np.arange(12)).tolist() == [naive.count_class(n) for n in range(12)]
    assert ranking.item_classes(np.arange(12)).dtype == np.int8


# --- questions ------------------------------------------------------------------------------------------------


def of_part(part, u):
    """Items and times of a user in one part of a dataset."""
    own = slice(part.indptr[u], part.indptr[u + 1])
    return part.indices[own].tolist(), part.times[own].tolist()


@pytest.fixture(scope="module")
def dated():
    """A dataset cut at two moments: some users have a test item, some a validation item, some both or none."""
    rng = np.random.default_rng(7)
    rows = [
        (f"u{u:02}", f"i{i:02}", 1_300_000_000 + int(rng.integers(0, 10**7)))
        for u in range(30)
        for i in rng.choice(25, int(rng.integers(3, 12)), replace=False)
    ]
    return Dataset.from_pairs(*zip(*rows), split="time")


@pytest.mark.parametrize("kind", ["time", "random"])
@pytest.mark.parametrize("split", ["test", "valid"])
def test_questions(dated, split, kind):
    data = dated
    if kind == "random":
        pairs = [(f"u{u}", f"i{(5 * u + 3 * n) % 17}") for u in range(12) for n in range(3 + u % 9)]
        data = Dataset.from_pairs(*zip(*pairs))
    held, other = (data.test, data.valid) if split == "test" else (data.valid, data.test)
    users = [u for u in range(len(data.users)) if of_part(held, u)[0]]
    assert users and (kind == "random") == (len(users) == len(data.users))
    asked = ranking.questions(data, split)
    assert asked.users.tolist() == users
    others = 0
    for n, u in enumerate(users):
        (target,), (time,) = of_part(held, u)
        assert (asked.targets[n], asked.times[n]) == (target, time)
        own = asked.items[asked.indptr[n] : asked.indptr[n + 1]].tolist()
        assert own[0] == target
        assert sorted(own[1:]) == sorted(of_part(data.train, u)[0] + of_part(other, u)[0])
        others += len(of_part(other, u)[0])
    assert 0 < others and (kind == "random" or others < len(users))
    assert asked.items.dtype == np.int32 and asked.indptr.dtype == np.int64


def test_questions_of_a_dataset_are_the_protocol(dated):
    data, n_items = dated, len(dated.items)
    everybody = range(len(data.users))
    lists = [sorted(of_part(data.train, u)[0]) for u in everybody]
    valid, test = ([(of_part(p, u)[0] or [-1])[0] for u in everybody] for p in (data.valid, data.test))
    scorer = integer_scorer(np.random.default_rng(8), len(lists), n_items, 3)
    rows = ranking.scores(scorer, np.arange(len(lists)))
    for split in ("test", "valid"):
        expected = naive.summary(naive.per_user(lambda u, _: rows[u], lists, valid, test, n_items, split))
        counts = ranking.count(
            scorer, ranking.questions(data, split), ranking.item_classes(data.train_counts)
        )
        ours = ranking.summary(*counts.auc())
        assert ours["users"] == expected["users"] > 0 and ours["pairs"] == expected["pairs"]
        assert ours["auc"] == pytest.approx(expected["auc"], abs=1e-12)


def test_a_dataset_without_held_out_items_asks_nothing(dated):
    nothing = type(dated.test)(
        np.zeros(len(dated.users) + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64)
    )
    data = Dataset(dated.users, dated.items, dated.train, dated.valid, nothing)
    assert len(ranking.questions(data, "test").users) == 0
    asked = ranking.questions(data, "valid")
    assert len(asked.items) == sum(
        1 + len(of_part(data.train, u)[0]) for u in asked.users
    )  # only the target and the training items are left


def test_part_of_questions():
    rng = np.random.default_rng(9)
    own, users = random_own(rng, 10, 20), rng.permutation(30)[:10]
    whole = asked_of(own, users)
    for chosen in ([], [3], [9, 0, 4], list(range(10))):
        part = whole.part(np.array(chosen, np.int64))
        expected = asked_of([own[n] for n in chosen], users[chosen])
        for name in ("users", "times", "targets", "indptr", "items"):
            np.testing.assert_array_equal(getattr(part, name), getattr(expected, name), err_msg=name)


# --- features -------------------------------------------------------------------------------------------------


@njit
def decoded(stored):
    out = np.empty(stored.shape[0], np.float32)
    for n in range(stored.shape[0]):
        out[n] = decode(stored[n])
    return out


def test_every_finite_float16_is_decoded_exactly():
    bits = np.arange(2**16).astype(np.uint16)
    expected = bits.view(np.float16).astype(np.float32)
    finite = np.isfinite(expected)
    assert finite.sum() == 2**16 - 2 * 1024
    # As bits, so that -0 is told from 0.
    np.testing.assert_array_equal(decoded(bits[finite]).view(np.uint32), expected[finite].view(np.uint32))


def test_bytes_and_floats_are_decoded_as_they_are():
    assert decoded(np.arange(256).astype(np.uint8)).tolist() == list(range(256))
    values = np.random.default_rng(10).normal(size=50).astype(np.float32)
    assert decoded(values).tolist() == values.tolist()


@pytest.mark.parametrize("dtype", [np.float16, np.uint8, np.float32])
def test_feature_differences(dtype):
    matrix = (np.random.default_rng(11).random((4, 30)) * 200).astype(dtype)
    out = np.full(32, 7, np.float32)
    feature_differences(stored_bits(matrix), 2, 1, 0, 32, out)
    np.testing.assert_array_equal(out[:30], matrix[2].astype(np.float32) - matrix[1].astype(np.float32))
    assert (out[30:] == 7).all()


@pytest.mark.parametrize("dtype", [np.float16, np.uint8, np.float32])
@pytest.mark.parametrize("n_items, columns, height", [(1, 1, 1), (63, 5, 3), (65, 16, 4), (200, 300, 11)])
def test_project(n_items, columns, height, dtype):
    rng = np.random.default_rng(12)
    matrix = (rng.random((n_items + 4, columns)) * 100).astype(dtype)
    rows, scale = rng.permutation(n_items + 4)[:n_items], 0.03
    shift = rng.normal(size=columns).astype(np.float32)
    multiplier = rng.random(columns).astype(np.float32)
    embedding = rng.normal(size=(height, columns)).astype(np.float32)
    bias = rng.normal(size=columns).astype(np.float32)
    found = project(DenseInput(stored_bits(matrix), rows, scale), shift, multiplier, [embedding, bias])

    stacked = np.vstack([embedding, bias]).astype(np.float64) * multiplier
    values = matrix[rows].astype(np.float64) * scale
    assert found.dtype == np.float32 and found.shape == (n_items, height + 1)
    # float32: within some roundings of the sum of the absolute terms, values and shift apart.
    size = values @ np.abs(stacked).T + np.abs(stacked) @ np.abs(shift.astype(np.float64))
    assert (np.abs(found - (values - shift) @ stacked.T) <= 1e-6 * size).all()
