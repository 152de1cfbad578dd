"""The order of large data: the reference's triples in rounds, whose chunks share no row; their application."""

from collections import Counter
from types import SimpleNamespace

import naive
import numpy as np
import pytest
from small import csr, needs_two_threads, random_lists, with_threads

from ivbpr_numba.kernels.arguments import CLASSES
from ivbpr_numba.models import triples as module
from ivbpr_numba.models.learners import FactorLearner
from ivbpr_numba.models.presets import resolve
from ivbpr_numba.models.triples import Triples, TripleSampler

LAWS = ["uniform", "trained", "popularity"]
MODES = ["users", "interactions"]


def sampler_of(lists, n_items, seed=0, negatives="uniform", sampling="users"):
    return TripleSampler(*csr(lists), n_items, seed=seed, negatives=negatives, sampling=sampling)


def rounds_of(drawn):
    """Drawn triples as the reference gives them: by round and chunk of users."""
    columns = list(zip(*(column.tolist() for column in drawn.rows)))
    groups, bounds = drawn.segments
    return [
        [
            [
                triple
                for g in range(groups[chunk], groups[chunk + 1])
                for triple in columns[
                    bounds[g, (chunk + turn) % CLASSES] : bounds[g, (chunk + turn) % CLASSES + 1]
                ]
            ]
            for chunk in range(CLASSES)
        ]
        for turn in range(CLASSES)
    ]


def flat(rounds):
    return [triple for chunks in rounds for chunk in chunks for triple in chunk]


@pytest.mark.parametrize("sampling", MODES)
@pytest.mark.parametrize("negatives", LAWS)
@pytest.mark.parametrize("n_users, n_items, most", [(1, 9, 5), (7, 12, 6), (90, 40, 12), (300, 70, 30)])
def test_triples_are_those_of_the_reference(n_users, n_items, most, negatives, sampling):
    lists = random_lists(np.random.default_rng(n_users), n_users, n_items, 1, most)
    for t in (1, 2, 7):
        drawn = sampler_of(lists, n_items, 5, negatives, sampling).draw_rounds(t)
        expected = naive.draw_rounds(lists, n_items, 5, t, negatives, sampling)
        assert rounds_of(drawn) == expected
        assert len(drawn) == len(flat(expected))


def test_several_groups_in_a_chunk():
    lists = random_lists(np.random.default_rng(1), CLASSES * naive.GROUP + 3000, 500, 1, 3)
    drawn = sampler_of(lists, 500, 2, "trained").draw_rounds(3)
    assert np.diff(drawn.segments.groups).tolist() == [2] * CLASSES
    assert rounds_of(drawn) == naive.draw_rounds(lists, 500, 2, 3, "trained")


@pytest.mark.parametrize("negatives", LAWS)
def test_chunks_of_a_round_share_no_row(negatives):
    lists = random_lists(np.random.default_rng(2), 200, 60, 1, 20)
    for turn in rounds_of(sampler_of(lists, 60, 4, negatives).draw_rounds(2)):
        users = [{u for u, _, _ in chunk} for chunk in turn]
        items = [{item for _, i, j in chunk for item in (i, j)} for chunk in turn]
        for found in (users, items):
            assert sum(map(len, found)) == len(set().union(*found)) > 0


@pytest.mark.parametrize("negatives", LAWS)
def test_a_user_who_owns_a_whole_class_is_left_out_there(negatives):
    # User 0 lacks two of 24 items: seven or six of the eight classes are entirely his.
    lists = [list(range(2, 24)), *random_lists(np.random.default_rng(3), 20, 24, 3, 8)]
    sampler = sampler_of(lists, 24, 6, negatives, "interactions")
    kept = Counter()
    for t in range(1, 6):
        drawn = sampler.draw_rounds(t)
        assert rounds_of(drawn) == naive.draw_rounds(lists, 24, 6, t, negatives, "interactions")
        assert len(drawn) < sampler.n_draws
        kept.update(u for u, _, _ in flat(rounds_of(drawn)))
        assert all(j not in lists[u] for u, _, j in flat(rounds_of(drawn)))
    assert 0 < kept[0] < 5 * 22 // 2


def test_after_64_rejections_the_candidates_of_the_class_are_counted():
    # User 0 lacks one in twenty items: few of 64 candidates are another's, in some classes.
    lists = [[i for i in range(320) if i % 20], [5, 200], [7, 40, 80]]
    expected = naive.draw_rounds(lists, 320, 3, 1, "uniform", "interactions")
    assert rounds_of(sampler_of(lists, 320, 3, "uniform", "interactions").draw_rounds(1)) == expected
    members, class_of = naive.candidates_by_class(lists, 320, 3, 1)
    order = naive.keyed_shuffle(304, naive.mix64(3, naive.POS, 1, 0, 0))
    counted = 0
    for k in range(304):
        own = members[class_of[lists[0][order[-1 - k]]]]
        words = (naive.mix64(3, naive.NEG, 1, 0, 128 * k + a) for a in range(64))
        counted += all(own[naive.bounded(word, len(own))] % 20 for word in words)
    assert counted > 5


def test_negatives_are_spread_over_all_items_alike():
    """Over iterations every item is another's negative equally often, whichever item is the positive."""
    lists = [[0], [1], [2]]
    sampler = sampler_of(lists, 16, 1, "uniform", "interactions")
    seen = Counter(triple for t in range(1, 601) for triple in flat(rounds_of(sampler.draw_rounds(t))))
    for i in range(3):
        counts = np.array([seen[i, i, j] for j in range(16) if j != i])
        assert counts.sum() == 600  # classes of two items: the other one is never the user's
        assert ((counts - 600 / 15) ** 2 / (600 / 15)).sum() < 14 + 4 * np.sqrt(28)


# --- application ----------------------------------------------------------------------------------------------


def learner_of(lists, n_items, in_rounds=True, model="bpr-mf", **changed):
    own = {"learning_rate": 0.1, "lambda_theta": 0.03, "sampling": "users", "seed": 3}
    options = resolve(model, None, {**own, **changed})
    learner = FactorLearner(options, *csr(lists), n_items)
    learner.in_rounds = in_rounds
    return learner


@pytest.mark.parametrize("factors", [4, 20])
@pytest.mark.parametrize("model", ["bpr-mf", "mm-mf"])
def test_the_same_bits_as_one_triple_after_the_other(model, factors):
    lists = random_lists(np.random.default_rng(4), 150, 80, 1, 12)
    learner = learner_of(lists, 80, model=model, factors=factors)
    other = learner_of(lists, 80, in_rounds=False, model=model, factors=factors)
    params = {name: a.astype(np.float64) for name, a in learner.parameters(learner.tables).arrays().items()}
    o = learner.options
    hinge = {"loss": "hinge", "margin": o["margin"]} if model == "mm-mf" else {}
    rates = {name: o[name] for name in ("learning_rate", "lambda_theta", "lambda_bias")}
    orders = {t: flat(naive.draw_rounds(lists, 80, 3, t, "trained")) for t in (1, 2, 3)}
    columns = {t: np.array(order, np.int32).T.copy() for t, order in orders.items()}
    other.sampler = SimpleNamespace(draw=lambda t: Triples(*columns[t], 0))
    for t in (1, 2):
        order = orders[t]
        done, expected = learner.iterate(t), other.iterate(t)
        assert (done.triples, done.fallbacks) == (len(order), 0)
        assert done.loss == pytest.approx(expected.loss, rel=1e-6)
        for name, table in learner.tables.items():
            np.testing.assert_array_equal(table, other.tables[name], name)
        params = naive.sgd_mf(params, order, naive.Rule(**rates, lambda_visual=0, reg_scope="all", **hinge))
    for name, array in learner.parameters(learner.tables).arrays().items():
        np.testing.assert_allclose(array, params[name], rtol=0, atol=2e-5, err_msg=name)


@needs_two_threads
@pytest.mark.parametrize("negatives", LAWS)
def test_threads_do_not_matter(negatives):
    lists = random_lists(np.random.default_rng(5), 3000, 200, 1, 12)

    def run():
        learner = learner_of(lists, 200, negatives=negatives)
        losses = [learner.iterate(t).loss for t in (1, 2)]
        return losses, {name: table.tobytes() for name, table in learner.tables.items()}

    one = with_threads(1, run)
    assert all(with_threads(2, run) == one for _ in range(3))


def test_an_iteration_does_not_depend_on_what_was_drawn_before():
    lists = random_lists(np.random.default_rng(6), 50, 40, 1, 12)
    used, fresh = sampler_of(lists, 40), sampler_of(lists, 40)
    for t in (1, 9):
        used.draw_rounds(t)
    assert rounds_of(used.draw_rounds(4)) == rounds_of(fresh.draw_rounds(4))


# --- who is learned in rounds ---------------------------------------------------------------------------------


def test_sizes_decide(monkeypatch):
    lists = random_lists(np.random.default_rng(7), 40, 59, 2, 9)
    lists[3] = list(range(30))
    assert not sampler_of(lists, 60).suits_rounds()
    monkeypatch.setattr(module, "LARGE", sampler_of(lists, 60).n_draws)
    assert not sampler_of(lists, 60).suits_rounds()
    monkeypatch.setattr(module, "LEAST_ITEMS", 60)
    assert sampler_of(lists, 60).suits_rounds()
    assert not sampler_of(lists, 59).suits_rounds()
    monkeypatch.setattr(module, "LEAST_ITEMS", 1)
    assert not sampler_of(lists, 59).suits_rounds()  # user 3 owns more than half of them
    monkeypatch.setattr(module, "LARGE", module.LARGE + 1)
    assert not sampler_of(lists, 60).suits_rounds()


def test_racing_needs_no_rounds(monkeypatch):
    monkeypatch.setattr(module, "LARGE", 1)
    monkeypatch.setattr(module, "LEAST_ITEMS", 1)
    train = csr(random_lists(np.random.default_rng(8), 40, 60, 2, 9))
    ways = {
        update: FactorLearner(resolve("bpr-mf", None, {"update": update}), *train, 60).in_rounds
        for update in ("ordered", "hogwild")
    }
    assert ways == {"ordered": True, "hogwild": False}
