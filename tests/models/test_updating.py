"""Updates: new and touched rows at the optimum of the fit's objective, nothing else moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pytest
from small_models import ATTRIBUTES, DATA, DENSE, ONE_HOT, changed, fitted, made

from ivbpr_numba import TVBPR, DataError, Features, UsageError, backends, load
from ivbpr_numba.answers import folding
from ivbpr_numba.answers.folding import folded
from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.models.growing import Grower
from ivbpr_numba.models.item_triples import TRIPLES, ItemTriples

LEARNED = ["mm-mf", "bpr-mf", "vbpr", "i-vbpr", "tvbpr", "i-tvbpr"]
LATER = int(DATA.train.times.max()) + 50_000
NEW = [  # a known user, two new ones, and an item that nobody had
    *(("u003", "i001"), ("u003", "i044"), ("a new one", "i001"), ("a new one", "i020")),
    *(("zoe", "i003"), ("zoe", "i005"), ("zoe", "new item"), ("u010", "new item")),
]
GROWN = DATA.with_pairs(*(list(column) for column in zip(*NEW)), [LATER + n for n in range(len(NEW))])
MATRIX = {"attributes": ONE_HOT.astype(np.float16), "dense": DENSE.take(np.arange(len(DATA.items)))}


def more(kind: str, change: bool = False, **parts: Any) -> Features:
    """The features of the small models with a row for the new item; of another item changed."""
    old = ATTRIBUTES if kind == "attributes" else DENSE
    matrix = np.concatenate([MATRIX[kind], MATRIX[kind][:1]])
    matrix[7] = np.where(change, 1 - matrix[7], matrix[7])
    given = {"names": old.names, "groups": old.groups, "kind": kind, **parts}
    return Features.from_arrays([*DATA.items.texts(), "new item"], matrix, **given)


def features_of(name: str) -> Features | None:
    return None if "vbpr" not in name else more("attributes" if name.startswith("i-") else "dense")


def updated(name: str, **options: Any) -> Any:
    in_time = {"epochs": 2, "bins": 6, "segment_every": 1} if "tvbpr" in name else {}
    return fitted(name, **in_time).partial_fit(GROWN, features_of(name), **options)


@pytest.mark.parametrize("name", ["pop", *LEARNED])
def test_nothing_new_changes_nothing(name: str) -> None:
    model = fitted(name)
    before, digest = model.scores(DATA.users), model.payload_sha256_
    model.partial_fit(DATA)
    assert np.array_equal(model.scores(DATA.users), before) and model.payload_sha256_ == digest
    about = model.provenance_["update"]
    assert about["of"] == digest and about["moved_users"] == about["moved_items"] == 0


@pytest.mark.parametrize("name", LEARNED)
def test_only_what_was_bought_and_who_bought_moves(name: str) -> None:
    in_time = {"epochs": 2, "bins": 6, "segment_every": 1} if "tvbpr" in name else {}
    before, after = fitted(name, **in_time), updated(name)
    users, items = GROWN.users.find(DATA.users.values), GROWN.items.find(DATA.items.values)
    kept_users = np.array([user not in ("u003", "u010") for user in DATA.users])
    kept_items = np.array([item not in ("i001", "i044", "i020", "i003", "i005") for item in DATA.items])
    for part, old in before.parameters_.arrays().items():
        new = after.parameters_.arrays()[part]
        if part in ("user_factors", "user_visual"):
            new, old, moved = (
                new[users][kept_users],
                old[kept_users],
                new[users][~kept_users] != old[~kept_users],
            )
        elif part in ("item_factors", "item_bias"):
            new, old, moved = (
                new[items][kept_items],
                old[kept_items],
                new[items][~kept_items] != old[~kept_items],
            )
        else:
            moved = np.ones(1, bool)
        assert np.array_equal(new, old), part
        assert moved.all(), part
    assert after.provenance_["update"] | {"of": ""} == {
        **{"of": "", "full": False, "new_users": 2, "new_items": 1, "new_purchases": 8},
        **{"moved_users": 4, "moved_items": 6},
    }


def test_users_are_folded_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's vector is that of `fold_in` from all that he has, with the items as they were."""
    after, likes = updated("i-vbpr"), ["i003", "i005"]
    bought = GROWN.with_pairs([], [], [])
    items = after.parameters_
    old = fitted("i-vbpr").parameters_
    rows = GROWN.items.find(DATA.items.values)
    items.item_bias[rows], items.item_factors[rows] = old.item_bias, old.item_factors
    items.item_bias[GROWN.items.row("new item")] = 0
    items.item_factors[GROWN.items.row("new item")] = 0
    at_first = replace(after.fitted_, parameters=items, data=bought)
    view = type(after.views)(at_first, after.views.found, after.views.source).at()
    own = GROWN.train.indices[GROWN.train.indptr[GROWN.users.row("zoe")] :][:3]
    assert len(likes) + 1 == len(own)
    monkeypatch.setattr(folding, "TRIPLES", TRIPLES)
    vector = folded(view, own).vectors[0]
    zoe = GROWN.users.row("zoe")
    assert np.array_equal(vector, np.concatenate([items.user_factors[zoe], items.user_visual[zoe]]))


# --- items -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", ["uniform", "trained", "popularity"])
@pytest.mark.parametrize("sampling", ["users", "interactions"])
def test_triples_of_an_item_come_as_the_fit_draws_them(law: str, sampling: str) -> None:
    """Shares of the triples in which it is the positive, and of its users there, over many iterations."""
    lists = [DATA.train.indices[a:b].tolist() for a, b in zip(DATA.train.indptr, DATA.train.indptr[1:])]
    item, n_items = 4, len(DATA.items)
    config = {"negatives": law, "sampling": sampling, "seed": 3}
    pairs, others, positive = ItemTriples.of(DATA.train, n_items, config).draw(item)
    users = DATA.train.users[pairs]
    assert (others >= 0).all()
    for u, j, first in zip(users.tolist(), others.tolist(), positive.tolist()):
        assert (item in lists[u]) == first != (j in lists[u])
    as_first, as_second = [], 0
    for t in range(1, 61):
        for u, i, j in naive.draw_iteration(lists, n_items, 3, t, law, sampling):
            as_first += [u] if i == item else []
            as_second += j == item
    assert positive.mean() == pytest.approx(len(as_first) / (len(as_first) + as_second), abs=0.07)
    drawn = np.bincount(users[positive], minlength=60) / positive.sum()
    assert np.abs(drawn - np.bincount(as_first, minlength=60) / len(as_first)).max() < 0.05


@pytest.mark.parametrize("name", ["bpr-mf", "i-vbpr", "i-tvbpr"])
def test_the_slope_of_an_item_is_zero(name: str) -> None:
    """By central differences of the reference, over the triples of the item and with their penalties."""
    model, data, features = updated(name), GROWN, features_of(name)
    p, config = model.parameters_, model.config_
    item = data.items.row("i001")
    style = model.views.style
    grower = Grower(p, config, data, style)
    grower.move_items(np.array([item]))
    params = {k: np.asarray(v, np.float64) for k, v in p.arrays().items() if k != "epoch_edges"}
    f = None
    if features is not None:
        scaling = model.features_.scaling
        f = (features.values(features.rows_of_all(data.items)) - scaling.shift) * scaling.multiplier
    rule = naive.Rule(lambda_theta=config["lambda_theta"], lambda_bias=max(config["lambda_bias"], 1e-3))
    pairs, others, positive = ItemTriples.of(data.train, len(data.items), config).draw(item)
    keep = np.arange(0, TRIPLES)
    users = data.train.users[pairs]

    def objective(bias: float, factors: np.ndarray) -> float:
        own = {
            **params,
            "item_bias": params["item_bias"].copy(),
            "item_factors": params["item_factors"].copy(),
        }
        own["item_bias"][item], own["item_factors"][item] = bias, factors
        total = 0.0
        for n in keep.tolist():
            i, j = (item, int(others[n])) if positive[n] else (int(others[n]), item)
            t = int(grower.epochs[pairs[n]]) if "tvbpr" in name else None
            total += naive.objective(own, int(users[n]), i, j, rule, f, t)
        return total / len(keep)

    bias, factors = params["item_bias"][item], params["item_factors"][item]
    for place in (-1, 0, 3):
        step = 1e-3
        shift = np.zeros(len(factors))
        if place >= 0:
            shift[place] = step
        both = [objective(bias + s * step * (place < 0), factors + s * shift) for s in (1, -1)]
        assert abs(both[0] - both[1]) / (2 * step) < 2e-5


# --- further training, files, time -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bpr-mf", "i-vbpr", "tvbpr"])
def test_threads_change_no_bit_and_files_keep_all(name: str, tmp_path: Path) -> None:
    digests = set()
    for threads in (1, 2):
        with backends.threads(threads):
            out = tmp_path / f"{threads}.h5"
            model = fitted(name, threads=threads).partial_fit(GROWN, features_of(name), out=out)
        digests.add(model.payload_sha256_)
        again = load(out)
        assert again.payload_sha256_ == model.payload_sha256_
        assert again.provenance_["update"] == model.provenance_["update"]
        assert np.array_equal(again.scores(["zoe"]), model.scores(["zoe"]))
    assert len(digests) == 1


def test_an_interruption_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(self: Grower, rows: np.ndarray) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Grower, "move_items", stopped)
    model = fitted("i-vbpr")
    before, digest = model.scores(["u003"]), model.payload_sha256_
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(GROWN, features_of("i-vbpr"), out=tmp_path / "m.h5")
    assert model.payload_sha256_ == digest and np.array_equal(model.scores(["u003"]), before)
    assert not any(tmp_path.iterdir())


def test_full_goes_on_from_there(tmp_path: Path) -> None:
    touched, full = updated("i-vbpr"), updated("i-vbpr", full=True, out=tmp_path / "m.h5")
    assert full.provenance_["update"]["full"] and len(full.history_) > 0
    assert full.provenance_["update"]["of"] == touched.provenance_["update"]["of"]
    scaling = fitted("i-vbpr").features_.scaling
    assert np.array_equal(full.features_.scaling.multiplier, scaling.multiplier)
    assert not np.array_equal(full.embedding_, touched.embedding_)
    still = fitted("i-vbpr")
    options = {**still.config_, "iterations": 1, "eval_every": 1, "learning_rate": 1e-30}
    changed(still, config=options).partial_fit(GROWN, features_of("i-vbpr"), full=True)
    for part, values in still.parameters_.arrays().items():
        np.testing.assert_allclose(values, getattr(touched, f"{part}_"), 0, 1e-28)
    with pytest.raises(UsageError, match="holds the finished model of another fit"):
        updated("i-vbpr", out=tmp_path / "m.h5")
    assert load(tmp_path / "m.h5").payload_sha256_ == full.payload_sha256_


@pytest.mark.parametrize("full", [False, True])
def test_epochs_stay_and_scaling_too(full: bool) -> None:
    before, after = fitted("tvbpr", epochs=2, bins=6, segment_every=1), updated("tvbpr", full=full)
    assert np.array_equal(after.epoch_edges_, before.epoch_edges_)
    for part in ("shift", "multiplier"):
        assert np.array_equal(getattr(after.features_.scaling, part), getattr(before.features_.scaling, part))
    assert after.scorer().epochs(np.array([LATER])).tolist() == [1]


def test_drifting_items_are_solved_for() -> None:
    columns = {"category": np.array([b"a", b"b", b""] * 15)}
    data = Dataset(DATA.users, DATA.items, DATA.train, DATA.valid, DATA.test, columns, {"has_times": True})
    model = TVBPR(item_drift=True, iterations=6, eval_every=2, epochs=2).fit(data, ATTRIBUTES)
    grown = data.with_pairs(["zoe", "u010"], ["new item", "new item"], [LATER, LATER])
    before = model.item_bias_drift_.copy()
    model.partial_fit(grown, more("attributes"))
    rows = grown.items.find(data.items.values)
    assert np.array_equal(model.item_bias_drift_[:, rows], before)
    own = model.item_bias_drift_[:, grown.items.row("new item")]
    assert own[0] == own[1] != 0


# --- what can't be continued -------------------------------------------------------------------------------


def test_features_that_do_not_continue_are_refused() -> None:
    wrong: list[tuple[Callable[[], Features | None], type[Exception], str]] = [
        (lambda: None, DataError, "have no row for new items: 'new item'"),
        (
            lambda: more("attributes", change=True),
            DataError,
            r"for 1 items of the model, the first is 'i007'",
        ),
        (lambda: more("dense"), DataError, "are 'dense', the model knows 'attributes'"),
        (
            lambda: more("attributes", names=[f"side={k}" for k in range(5)], groups=None),
            DataError,
            "columns",
        ),
    ]
    for features, error, message in wrong:
        model = fitted("i-vbpr")
        digest = model.payload_sha256_
        with pytest.raises(error, match=message):
            model.partial_fit(GROWN, features())
        assert model.payload_sha256_ == digest


def test_changed_features_are_found_without_the_old_file(tmp_path: Path) -> None:
    """The new file stands where the old one was: the model's own projections tell."""
    path = tmp_path / "f.h5"
    ATTRIBUTES.write(path)
    made("i-vbpr").fit(DATA, Features.read(path), out=tmp_path / "m.h5")
    path.unlink()
    more("attributes", change=True).write(path)
    with pytest.raises(DataError, match="have other values than those of the fit"):
        load(tmp_path / "m.h5").partial_fit(GROWN, Features.read(path))
    path.unlink()
    more("attributes").write(path)
    model = load(tmp_path / "m.h5").partial_fit(GROWN, Features.read(path))
    assert model.provenance_["update"]["new_items"] == 1


def test_random_scores_and_other_data_are_refused() -> None:
    with pytest.raises(UsageError, match="rand learns nothing"):
        fitted("rand").partial_fit(GROWN)
    with pytest.raises(DataError, match="of the model are not in the data"):
        fitted("bpr-mf").partial_fit(Dataset.from_pairs(["q"] * 3, ["x", "y", "z"], [1, 2, 3]))
    pop = fitted("pop").partial_fit(GROWN)
    assert np.array_equal(pop.item_bias_, GROWN.train_counts)
