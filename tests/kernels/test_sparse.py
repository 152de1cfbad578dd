"""Training on sparse features: the reference in float64, the dense kernels on the same values, threads."""

import numpy as np
import pytest
from small import csr, needs_two_threads, threads, with_threads
from small_sgd import (
    LISTS,
    PENALTIES,
    Given,
    I,
    arrays,
    assert_as_reference,
    options,
    random_triples,
    rule_of,
    scaled,
    unsettle,
)

from ivbpr_numba import ranking
from ivbpr_numba.features import inputs
from ivbpr_numba.features.alignment import fit_scaling, project
from ivbpr_numba.features.inputs import DenseInput, SparseInput, sparse_input
from ivbpr_numba.features.layout import Group
from ivbpr_numba.models.learners import VisualLearner
from ivbpr_numba.store.sparse import csr_of

KINDS = ("groups", "gaps", "tags", "shares", "all")


def made_of(rng, kind, n_items=I):
    """Stored values (I, F) float32 of which most are zero, their groups, and how many of these are slots."""
    blocks, groups, slots = [], [], 0

    def add(name, block, exclusive=True):
        groups.append(Group(name, sum(b.shape[1] for b in blocks), block.shape[1], exclusive))
        blocks.append(block.astype(np.float32))

    one_hot = np.eye(7)
    if kind in ("groups", "all"):
        add("colour", one_hot[rng.integers(0, 7, n_items)])
        add("cut", np.eye(3)[rng.integers(0, 3, n_items)])
        slots += 2
    if kind in ("gaps", "all"):  # items without a value; and a group that few have
        add("cloth", one_hot[rng.integers(0, 7, n_items)] * (np.arange(n_items) % 4 > 0)[:, None])
        add("brand", one_hot[rng.integers(0, 7, n_items)] * (np.arange(n_items) % 4 == 0)[:, None])
        slots += 1
    if kind in ("tags", "all"):
        add("style", rng.random((n_items, 9)) < 0.3, exclusive=False)
    if kind in ("shares", "all"):
        add("season", rng.choice([0, 0.25, 0.5, 1], (n_items, 5)))
    return np.concatenate(blocks, axis=1), groups, slots


def both(rng, kind, scale=1.0):
    """The same features as kernels take them, sparse and dense, and their values in float64."""
    matrix, groups, slots = made_of(rng, kind)
    sparse = sparse_input(csr_of(matrix), groups, matrix.shape[1], scale)
    assert sparse.stored.slots.shape[1] == slots
    return sparse, DenseInput(matrix, np.arange(I), scale), matrix.astype(np.float64) * scale


def learner_on(source, scaling, seed, triples=None, **changed):
    made = VisualLearner(options(**changed), *csr(LISTS), I, source, fit_scaling(source, scaling))
    unsettle(made, np.random.default_rng(seed))
    if triples is not None:
        made.sampler = Given(triples)
    return made


def assert_rest_is_zero(learner):
    """Row 0 and the columns that only fill cache lines stay zero: they take part in sums."""
    t, d = learner.tables, learner.visual
    assert not t["embedding"][0].any() and not t["embedding"][:, d + 1 :].any()
    assert not t["visual"][:, d:].any()


# kind, K, D, scale, scaling, block, triples
CASES = {
    "one step": ("all", 4, 3, 1.0, "none", 1, 1),
    "one-hots": ("groups", 10, 10, 1.0, "none", 8, 60),
    "one-hots with gaps": ("gaps", 10, 10, 1.0, "none", 8, 60),
    "tags": ("tags", 5, 4, 1.0, "idf", 7, 60),
    "shares": ("shares", 5, 4, 0.5, "max", 7, 60),
    "everything": ("all", 15, 14, 1.0, "standard", 16, 100),
    "no latent part": ("all", 0, 3, 1.0, "none", 8, 50),
    "rows of two vectors": ("all", 20, 20, 1.0, "idf", 16, 100),
    "one number too many for one vector": ("all", 10, 15, 1.0, "none", 100, 200),
    "more triples than a chunk": ("all", 10, 10, 0.5, "none", 300, 300),
}


@pytest.mark.parametrize("name", CASES)
def test_sparse_steps(name):
    kind, factors, visual, scale, scaling, block, n = CASES[name]
    rng = np.random.default_rng(3)
    sparse, _, values = both(rng, kind, scale)
    triples = random_triples(rng, n)
    changed = {"factors": factors, "visual_factors": visual, "block": block, **PENALTIES["all"]}
    learner = learner_on(sparse, scaling, 4, triples, **changed)
    start, f = arrays(learner), scaled(values, scaling)
    assert learner.iterate(1).triples == n
    assert_as_reference(learner, start, triples, rule_of(learner.options), f, block)
    assert_rest_is_zero(learner)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_sparse_penalties(penalty):
    rng = np.random.default_rng(5)
    sparse, _, values = both(rng, "all")
    triples = random_triples(rng, 60)
    learner = learner_on(sparse, "none", 6, triples, block=8, **PENALTIES[penalty])
    start = arrays(learner)
    learner.iterate(1)
    assert_as_reference(learner, start, triples, rule_of(learner.options), values, 8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("update", ["ordered", "hogwild"])
def test_both_layouts_learn_the_same(kind, update):
    sparse, dense, _ = both(np.random.default_rng(7), kind)
    with threads(1):
        found = []
        for source in (sparse, dense):
            made = learner_on(source, "standard", 8, update=update, block=8, **PENALTIES["all"])
            losses = [made.iterate(t).loss for t in (1, 2, 3)]
            found.append((made.block, losses, arrays(made)))
    (block, losses, parameters), (dense_block, dense_losses, dense_parameters) = found
    assert block == dense_block
    np.testing.assert_allclose(losses, dense_losses, rtol=1e-5)
    for name, value in parameters.items():
        np.testing.assert_allclose(value, dense_parameters[name], rtol=1e-5, atol=1e-6, err_msg=name)


@needs_two_threads
@pytest.mark.parametrize("name", ["everything", "rows of two vectors"])
def test_threads_do_not_matter(name):
    kind, factors, visual, scale, scaling, block, _ = CASES[name]

    def bits():
        sparse, _, _ = both(np.random.default_rng(9), kind, scale)
        made = learner_on(sparse, scaling, 10, factors=factors, visual_factors=visual, block=block)
        losses = [made.iterate(t).loss for t in (1, 2)]
        return losses, {key: table.tobytes() for key, table in made.tables.items()}

    one = with_threads(1, bits)
    assert with_threads(2, bits) == one and with_threads(2, bits) == one


@pytest.mark.parametrize("how", ["none", "max", "standard", "idf"])
@pytest.mark.parametrize("kind", KINDS)
def test_scaling_and_projection_are_those_of_the_dense_layout(kind, how):
    rng = np.random.default_rng(11)
    sparse, dense, values = both(rng, kind, 0.5)
    one, other = fit_scaling(sparse, how), fit_scaling(dense, how)
    for name in ("shift", "multiplier", "mean", "variances"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    weights = rng.normal(size=(18, values.shape[1])).astype(np.float32)
    found = project(sparse, one.shift, one.multiplier, [weights])
    np.testing.assert_allclose(found, scaled(values, how) @ weights.T, rtol=1e-5, atol=1e-5)


def test_scores_are_those_of_the_dense_layout():
    sparse, dense, _ = both(np.random.default_rng(12), "all")
    rows = [
        ranking.scores(made.scorer(made.tables), np.arange(len(LISTS)))
        for made in (learner_on(source, "standard", 13) for source in (sparse, dense))
    ]
    np.testing.assert_allclose(*rows, rtol=1e-5, atol=1e-5)


def test_features_that_scaling_switches_off_stand_still():
    # idf gives a value that every item has the multiplier 0; here not all have the same amount of it.
    rng = np.random.default_rng(14)
    matrix = np.concatenate([1 + np.arange(I)[:, None] / I, np.eye(4)[rng.integers(0, 4, I)]], axis=1)
    groups = [Group("size", 0, 1, False), Group("hue", 1, 4, True)]
    sparse = sparse_input(csr_of(matrix.astype(np.float32)), groups, 5, 0.5)
    learner = learner_on(sparse, "idf", 15, random_triples(rng, 30), block=8, **PENALTIES["all"])
    start = arrays(learner)
    learner.iterate(1)
    after = arrays(learner)
    assert np.array_equal(after["embedding"][:, 0], start["embedding"][:, 0])
    assert after["visual_bias"][0] == start["visual_bias"][0]
    assert (after["visual_bias"][1:] != start["visual_bias"][1:]).all()


def test_equal_values_move_no_row():
    matrix = np.zeros((I, 6), np.float32)
    matrix[np.arange(I), np.arange(I) % 3] = 1
    matrix[:, 3:] = (np.arange(I) % 3 + 1)[:, None] / 4
    groups = [Group("hue", 0, 3, True), Group("share", 3, 3, False)]
    sparse = sparse_input(csr_of(matrix), groups, 6, 1.0)
    learner = learner_on(sparse, "none", 16, [(0, 0, 3), (2, 4, 1)], **PENALTIES["all"])
    start = arrays(learner)
    learner.iterate(1)
    after = arrays(learner)
    assert all(np.array_equal(after[name], start[name]) for name in ("embedding", "visual_bias"))
    assert not np.array_equal(after["item_bias"], start["item_bias"])


class TestSlots:
    """Which groups have a slot, and that nothing is lost where they have none."""

    def rebuilt(self, source: SparseInput) -> np.ndarray:
        s = source.stored
        out = np.zeros((source.n_items, source.columns), np.float32)
        for i, row in enumerate(s.slots):
            out[i, row[row > 0].astype(int) - 1] = 1
            part = slice(s.indptr[i], s.indptr[i + 1])
            out[i, s.columns[part]] = s.values[part]
        return out

    @pytest.mark.parametrize("kind", KINDS)
    def test_all_values_are_kept(self, kind):
        matrix, groups, slots = made_of(np.random.default_rng(17), kind)
        source = sparse_input(csr_of(matrix), groups, matrix.shape[1], 1.0)
        assert np.array_equal(self.rebuilt(source), matrix)
        assert source.stored.slots.shape == (I, slots)

    def test_two_values_of_a_group_that_is_called_exclusive(self):
        matrix = np.eye(4, dtype=np.float32)[np.arange(I) % 4]
        matrix[5] = [1, 0, 1, 0]
        source = sparse_input(csr_of(matrix), [Group("hue", 0, 4, True)], 4, 1.0)
        assert source.stored.slots.shape == (I, 0)
        assert np.array_equal(self.rebuilt(source), matrix)

    def test_a_column_beyond_the_numbers_of_slots(self, monkeypatch):
        monkeypatch.setattr(inputs, "LAST_SLOT", 8)
        matrix = np.concatenate([np.eye(4)[np.arange(I) % 4], np.eye(5)[np.arange(I) % 5]], axis=1)
        groups = [Group("hue", 0, 4, True), Group("cut", 4, 5, True)]
        source = sparse_input(csr_of(matrix.astype(np.float32)), groups, 9, 1.0)
        assert source.stored.slots.shape == (I, 1)
        assert np.array_equal(self.rebuilt(source), matrix)

    def test_a_negative_zero_is_nothing(self):
        matrix = np.zeros((I, 3), np.float32)
        matrix[:, 0], matrix[:, 1] = -0.0, 0.5
        source = sparse_input(csr_of(matrix), [Group("all", 0, 3, False)], 3, 1.0)
        assert source.stored.columns.tolist() == [1] * I
