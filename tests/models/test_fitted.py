"""What a fit found is one thing, assigned once; a fit of several trials is one run; a shopper is a vector."""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import ATTRIBUTES, DATA, fitted, made

from ivbpr_numba import TVBPR, VBPR, DataError, Features, UsageError, auc, create, load
from ivbpr_numba.answers import answers
from ivbpr_numba.answers.answers import Asked
from ivbpr_numba.answers.shoppers import Shoppers, stored
from ivbpr_numba.models.checkpoint import partial_path
from ivbpr_numba.models.registry import _BY_NAME
from ivbpr_numba.models.specifications import MODELS, SPECIFICATIONS
from ivbpr_numba.store.atomic import lock

AUTO = {"iterations": 5, "eval_every": 2, "patience": 40, "segment_every": 2, "epochs": "auto"}


class Stop(Exception):
    pass


# --- one state ---------------------------------------------------------------------------------------------


def wide(columns: int = 7) -> Features:
    return Features.from_arrays(DATA.items, np.random.default_rng(0).normal(size=(len(DATA.items), columns)))


def stop(event: dict[str, Any]) -> None:
    if event.get("iteration") == 3:
        raise Stop


@pytest.mark.parametrize("name", ["bpr-mf", "vbpr", "i-vbpr", "i-tvbpr"])
@pytest.mark.parametrize("fault", ["diverges", "stops", "lacks items"])
def test_a_failed_fit_leaves_the_model_as_it_was(name: str, fault: str) -> None:
    model = fitted(name)
    before, scores = model.fitted_, model.scores(DATA.users.texts())
    answer = model.recommend(DATA.users[0], 5)
    explained = model.explain(DATA.users[0], DATA.items[0])
    given = {"bpr-mf": None, "vbpr": wide(), "i-vbpr": ATTRIBUTES, "i-tvbpr": ATTRIBUTES}[name]
    observers: list[Callable[[dict[str, Any]], None]] = []
    errors: tuple[type[Exception], ...] = (UsageError,)
    if fault == "lacks items" and name == "bpr-mf":
        pytest.skip("knows no features")
    if fault == "diverges":
        model.set_params(learning_rate=1e18)
    elif fault == "stops":
        observers, errors = [stop], (Stop,)
    else:
        known = DATA.items.texts()[3:]
        given = Features.from_arrays(known, np.ones((len(known), 2)), ["a=x", "a=y"], kind="attributes")
        model.set_params(kind=None)
        errors = (DataError,)
    with pytest.raises(errors), np.errstate(all="ignore"):
        model.fit(DATA, given, observers=observers)
    assert model.fitted_ is before and model.features_ is before.features
    np.testing.assert_array_equal(model.scores(DATA.users.texts()), scores)
    assert model.recommend(DATA.users[0], 5) == answer
    assert model.explain(DATA.users[0], DATA.items[0]) == explained


def test_what_was_fitted_cannot_be_changed() -> None:
    model = fitted("bpr-mf")
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.fitted_.name = "other"  # type: ignore[misc]
    assert not hasattr(create("bpr-mf"), "item_bias_") and not hasattr(create("bpr-mf"), "data_")


def test_a_fit_without_file_has_the_digest_of_its_file(tmp_path: Path) -> None:
    for name in MODELS:
        model = fitted(name)
        assert (
            model.save(tmp_path / "m.h5", overwrite=True)
            == model.payload_sha256_
            == load(tmp_path / "m.h5").payload_sha256_
        )


def test_every_name_has_one_specification_and_one_estimator() -> None:
    assert tuple(SPECIFICATIONS) == MODELS and {*_BY_NAME} == {*MODELS}
    for name, one in SPECIFICATIONS.items():
        assert one.name == name and create(name).name == name and one in _BY_NAME[name].specifications
        for preset in one.presets:
            assert made(name).set_params(preset=preset).preset == preset


def test_kind_of_features() -> None:
    assert VBPR().name == "vbpr" and VBPR(kind="attributes").name == "i-vbpr"
    options = {"iterations": 1, "eval_every": 1, "patience": 1}
    assert VBPR(**options).fit(DATA, ATTRIBUTES).name == "i-vbpr"
    nameless = VBPR(**options, kind="dense").fit(DATA, ATTRIBUTES)
    assert nameless.name == "vbpr" and nameless.recommend(DATA.users[0], 1)
    with pytest.raises(UsageError, match="mean 'attributes'"):
        VBPR(kind="attribute").fit(DATA, ATTRIBUTES)


# --- epochs="auto" is one run ------------------------------------------------------------------------------


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ivbpr_numba.models.temporal.AUTO_EPOCHS", (1, 2, 4))


def at_trial(epochs: int, iteration: int) -> Callable[[dict[str, Any]], None]:
    def observe(event: dict[str, Any]) -> None:
        if (event.get("epochs"), event.get("iteration")) == (epochs, iteration):
            raise Stop

    return observe


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(("epochs", "iteration"), [(1, 1), (1, 4), (2, 1), (2, 5), (4, 3)])
def test_auto_resumes_at_any_trial(tmp_path: Path, epochs: int, iteration: int) -> None:
    straight = TVBPR(**AUTO).fit(DATA, ATTRIBUTES)
    out, log = tmp_path / "m.h5", tmp_path / "log"
    with pytest.raises(Stop):
        TVBPR(**AUTO).fit(DATA, ATTRIBUTES, out=out, log=log, observers=[at_trial(epochs, iteration)])
    seen: list[dict[str, Any]] = []
    model = TVBPR(**AUTO).fit(DATA, ATTRIBUTES, out=out, log=log, resume=True, observers=[seen.append])
    assert (
        model.payload_sha256_ == straight.payload_sha256_
        and model.history_
        and not partial_path(out).exists()
    )
    assert model.epochs_tried_ == straight.epochs_tried_ and [*model.epochs_tried_] == [1, 2, 4]
    assert model.config_["epochs"] == straight.config_["epochs"] and model.epochs == "auto"
    # Trials that were finished are not begun again; the one before the interruption may be looked at once more.
    first = next(e["epochs"] for e in seen if e["event"] in ("iteration", "evaluation"))
    assert first >= epochs or iteration < 2
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert {row["epochs"] for row in rows if "iteration" in row} == {1, 2, 4}


@pytest.mark.usefixtures("three")
def test_auto_takes_the_lock_and_refuses_a_leftover_before_it_learns(tmp_path: Path) -> None:
    out = tmp_path / "m.h5"
    told: list[dict[str, Any]] = []
    model = TVBPR(**AUTO).fit(DATA, ATTRIBUTES)
    tried = model.epochs_tried_
    with lock(out), pytest.raises(UsageError, match="lock"):
        model.fit(DATA, ATTRIBUTES, out=out, observers=[told.append])
    with pytest.raises(Stop):
        TVBPR(**AUTO).fit(DATA, ATTRIBUTES, out=out, observers=[at_trial(2, 5)])
    with pytest.raises(UsageError, match=r"unfinished fit.*resume=True"):
        model.fit(DATA, ATTRIBUTES, out=out, observers=[told.append])
    assert told == [] and model.epochs_tried_ == tried
    with pytest.raises(UsageError, match="different: seed"):
        TVBPR(**AUTO, seed=5).fit(DATA, ATTRIBUTES, out=out, resume=True)
    with pytest.raises(UsageError, match=r"epochs='auto' \(it tries up to 12\) for 11 bins"):
        TVBPR(**AUTO, bins=11).fit(DATA, ATTRIBUTES)


# --- views and shoppers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_scores_of_pairs_are_entries_of_the_score_rows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ivbpr_numba.ranking.best.PAIR_BYTES", 8 * len(DATA.items) * 7)  # several blocks
    model, rng = fitted(name), np.random.default_rng(3)
    users = rng.integers(0, len(DATA.users), 200)
    items = rng.integers(0, len(DATA.items), 200)
    rows = model.scores(DATA.users.texts())
    pairs = model.scores([DATA.users[int(u)] for u in users], [DATA.items[int(i)] for i in items])
    np.testing.assert_array_equal(pairs, rows[users, items])
    assert model.scores([], []).shape == (0,)
    with pytest.raises(UsageError, match="2 users and 1 items"):
        model.scores(DATA.users.texts()[:2], DATA.items.texts()[:1])
    with pytest.raises(DataError, match="nobody"):
        model.scores(["nobody"], DATA.items.texts()[:1])


@pytest.mark.parametrize("name", [name for name in MODELS if name != "rand"])
def test_inner_products_of_the_vectors_are_the_scores(name: str) -> None:
    model = fitted(name)
    users, items = model.user_vectors(), model.item_vectors()
    assert users.ids == DATA.users.texts() and items.ids == DATA.items.texts()
    wide = users.vectors.astype(np.float64), items.vectors.astype(np.float64)
    size = np.abs(wide[0]) @ np.abs(wide[1]).T
    assert (np.abs(wide[0] @ wide[1].T - model.scores(users.ids)) <= 1e-6 * size).all()
    if "tvbpr" in name:
        first = model.item_vectors(at="1970-01-01").vectors
        assert not np.array_equal(first, items.vectors)


def test_rand_has_no_vectors() -> None:
    with pytest.raises(UsageError, match="rand has no vectors"):
        fitted("rand").item_vectors()


@pytest.mark.parametrize("name", ["bpr-mf", "i-vbpr", "i-tvbpr"])
def test_a_steered_shopper_is_another_vector(name: str) -> None:
    """Recommendations and reasons of a vector that is nobody's are those of equations 1 and 2."""
    model = fitted(name)
    view = model.view()
    nobody = np.zeros(0, np.int32)
    own = stored(view, np.array([4]))
    steered = Shoppers(own.vectors * np.float32(-2), (np.array([0, 0]), nobody))
    items = view.scorer.items
    expected = items.bias.astype(np.float64) + items.vectors.astype(np.float64) @ steered.vectors[0]
    found = Asked.of(view, len(DATA.items), None, None, None).rows(view, steered)[0]
    assert len(found) == len(DATA.items)
    assert [row["score"] for row in found] == pytest.approx(sorted(expected, reverse=True), abs=1e-5)
    for row in found[:5]:
        terms = answers.explain(view, steered, DATA.items.row(row["item"]))
        assert terms["score"] == pytest.approx(row["score"], abs=1e-5)
    with pytest.raises(UsageError, match="row alone"):
        dataclasses.replace(steered, rows=None).scores(fitted("rand").view())


def test_items_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = fitted("i-vbpr", {"out": tmp_path / "m.h5"})
    first, second = model.view(), model.view()
    assert first.scorer.items is second.scorer.items and first.scorer.items.tiles is second.scorer.items.tiles

    def refuse(*given: object) -> None:
        raise AssertionError("projected again")

    monkeypatch.setattr("ivbpr_numba.answers.views.project_style", refuse)
    back = load(tmp_path / "m.h5")
    assert back.recommend(DATA.users[0], 3, reasons=False) == model.recommend(DATA.users[0], 3, reasons=False)


@pytest.mark.parametrize("name", MODELS)
def test_a_fitted_model_can_be_pickled(name: str) -> None:
    model = fitted(name)
    expected = model.scores(DATA.users.texts()[:3])
    back = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(back.scores(DATA.users.texts()[:3]), expected)


def test_what_is_neither_data_nor_features_is_named() -> None:
    for given, said in (
        ((ATTRIBUTES, DATA), "takes a Dataset, not Features.*come first"),
        ((DATA, np.ones((3, 2))), "takes Features, not an ndarray.*from_matrix"),
    ):
        with pytest.raises(UsageError, match=said):
            VBPR().fit(*given)
    with pytest.raises(UsageError, match="not fitted"):
        auc(VBPR())
    model = fitted("bpr-mf")
    with pytest.raises(UsageError, match="a list of ids"):
        model.scores("u000")
    assert model.recommend(DATA.users[0], 50, exclude="train") == model.recommend(
        DATA.users[0], 50, exclude=["train"]
    )
