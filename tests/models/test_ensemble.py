"""Ensembles: the mean score of their members, as one model that keeps every promise of a single one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import naive
import numba
import numpy as np
import pytest
from small_models import DATA, FEATURES, changed, fitted, made, saved

from ivbpr_numba import Dataset, Session, UsageError, load, ranking
from ivbpr_numba.models.ensemble import joined, member_seed, share
from ivbpr_numba.models.specifications import MODELS, PRESETS, SPECIFICATIONS
from ivbpr_numba.models.start import Start
from ivbpr_numba.parameters import TemporalParameters


class Stop(Exception):
    pass


def stop(event: dict) -> None:
    if event.get("iteration") == 5:
        raise Stop


LEARNED = [name for name in MODELS if name not in ("rand", "pop")]
S = 3
# Without validation the last iterate is kept, and epochs that are never cut are the same for every member.
STILL: dict[str, Any] = {"iterations": 4, "eval_every": 4, "patience": 40, "factors": 3}


def options_of(name: str, **options: Any) -> dict[str, Any]:
    in_time = {"segment_every": 2, "epochs": 3, "bins": 6} if "tvbpr" in name else {}
    return {"ensemble": S, "factors": 3, **in_time, **options}


def still(name: str) -> dict[str, Any]:
    return {**STILL, **({"segment_every": 20, "epochs": 3, "bins": 6} if "tvbpr" in name else {})}


def features_of(name: str) -> np.ndarray | None:
    if name not in FEATURES:
        return None
    return FEATURES[name].values(FEATURES[name].rows_of_all(DATA.items)).astype(np.float64)


@pytest.mark.parametrize("item_drift", [False, True])
@pytest.mark.parametrize("name", LEARNED)
def test_the_score_is_the_mean_of_the_members(name: str, item_drift: bool) -> None:
    options = still(name)
    if item_drift:
        if "tvbpr" not in name:
            pytest.skip("nothing drifts")
        options["item_drift"] = True
    seeds = naive.member_seeds(7, S)
    assert seeds == [member_seed(7, m) for m in range(S)] and len({*seeds}) == S
    members = [fitted(name, seed=seed, **options) for seed in seeds]
    model = fitted(name, seed=7, ensemble=S, **options)
    assert model.parameters_.user_factors.shape[1] == S * 3
    params = [
        {n: a.astype(np.float64) for n, a in one.parameters_.arrays().items() if n != "epoch_edges"}
        for one in members
    ]
    values = features_of(name)
    if values is not None:
        scaling = members[0].features_.scaling
        values = (values - scaling.shift) * scaling.multiplier
    for epoch in range(3) if "tvbpr" in name else [None]:
        scorer = model.scorer()
        if epoch is not None:
            scorer = scorer.at(epoch)
        ours = ranking.scores(scorer, np.arange(5))
        for u in range(5):
            expected = [
                naive.ensemble_score(params, u, i, values, epoch, np.full(len(DATA.items), -1))
                for i in range(len(DATA.items))
            ]
            # Each visual score is known up to one number for all items: the shift of the features.
            gap = ours[u] - np.array(expected)
            np.testing.assert_allclose(gap - gap.mean(), 0, atol=2e-5)


@pytest.mark.parametrize("name", LEARNED)
def test_one_member_is_the_model(name: str) -> None:
    one, plain = fitted(name, ensemble=1), fitted(name)
    for part, values in plain.parameters_.arrays().items():
        np.testing.assert_array_equal(one.parameters_.arrays()[part], values)


@pytest.mark.parametrize("name", ["bpr-mf", "i-vbpr", "tvbpr"])
def test_same_bits_for_any_number_of_threads(tmp_path: Path, name: str) -> None:
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("this machine has one thread")
    one, two = (saved(tmp_path / f"{t}.h5", name, threads=t, **options_of(name)) for t in (1, 2))
    assert one == two


@pytest.mark.parametrize("name", ["mm-mf", "i-vbpr", "i-tvbpr"])
def test_resume_ends_with_the_same_bits(tmp_path: Path, name: str) -> None:
    options = options_of(name, average=0.5, iterations=9)
    straight = saved(tmp_path / "straight.h5", name, **options)
    out = tmp_path / "m.h5"
    with pytest.raises(Stop):
        fitted(name, {"out": out, "observers": [stop]}, **options)
    with pytest.raises(UsageError, match="ensemble"):
        fitted(name, {"out": out, "resume": True}, **{**options, "ensemble": 2})
    assert fitted(name, {"out": out, "resume": True}, **options).payload_sha256_ == straight


@pytest.mark.parametrize("name", ["bpr-mf", "vbpr", "i-vbpr", "i-tvbpr"])
def test_it_answers_like_one_model(tmp_path: Path, name: str) -> None:
    model = fitted(name, {"out": tmp_path / "m.h5"}, **options_of(name))
    again = load(tmp_path / "m.h5")
    for part, values in model.parameters_.arrays().items():
        np.testing.assert_array_equal(again.parameters_.arrays()[part], values)
    user, item = DATA.users.texts()[0], DATA.items.texts()[3]
    told = model.explain(user, item)
    size = sum(abs(term["contribution"]) for term in told["terms"])
    scored = model.scores([user])[0][3]
    assert sum(term["contribution"] for term in told["terms"]) == pytest.approx(scored, abs=1e-5 * size)
    assert [row["item"] for row in model.recommend(user, 3)] == [
        row["item"] for row in again.recommend(user, 3)
    ]
    assert len(model.similar(item, 3)) == 3
    if name == "i-vbpr":
        lifted = Session(model, user).boost("side=left", 3.0).recommend(3)
        assert all(model.find_features().values(DATA.items.find([row["item"]]))[0, 0] == 1 for row in lifted)


@pytest.mark.parametrize("name", ["bpr-mf", "mm-mf", "i-vbpr"])
def test_equal_members_fold_in_as_one_of_them(name: str) -> None:
    """The λ of the fit is right for joined factors: the optimum of S equal members is that of one."""
    one = fitted(name, **options_of(name, ensemble=1))
    many = changed(fitted(name, **options_of(name)), parameters=joined([one.parameters_] * S))
    likes = DATA.items.texts()[:4]
    shoppers = [model.fold_in(likes) for model in (one, many)]
    for of_user, of_item in (("user_factors", "item_factors"), ("user_visual", "embedding")):
        if not hasattr(one.parameters_, of_item):
            continue
        parts = []
        for model, shopper in zip((one, many), shoppers):
            items = getattr(model.parameters_, of_item)
            parts.append(getattr(shopper, of_user) @ (items if of_item == "embedding" else items.T))
        np.testing.assert_allclose(*parts, atol=1e-5)
        assert np.abs(parts[0]).max() > 1e-3


@pytest.mark.parametrize("name", LEARNED)
def test_what_is_shared_out_joins_to_the_same(name: str) -> None:
    parameters = fitted(name, **options_of(name)).parameters_
    again = joined([share(parameters, m, S) for m in range(S)])
    for part, values in parameters.arrays().items():
        np.testing.assert_allclose(again.arrays()[part], values, atol=1e-6, err_msg=part)


@pytest.mark.parametrize("name", ["bpr-mf", "i-vbpr", "i-tvbpr"])
def test_an_update_goes_on_from_it(name: str) -> None:
    model = fitted(name, **options_of(name))
    before = model.parameters_
    later: Dataset = DATA.with_pairs(["new", "u000"], DATA.items[:2], [1_600_000_000] * 2)
    moved = model.partial_fit(later)
    assert moved.parameters_.user_factors.shape == (len(DATA.users) + 1, S * 3)
    start = Start(before, epoch_edges=before.epoch_edges if isinstance(before, TemporalParameters) else None)
    nothing = made(name, **options_of(name, iterations=1, eval_every=1, learning_rate=1e-20, average=0.0))
    begun = nothing.fit(DATA, FEATURES.get(name), start=start)
    for part, values in before.arrays().items():
        np.testing.assert_allclose(begun.parameters_.arrays()[part], values, atol=1e-6, err_msg=part)


def test_all_members_have_the_same_epochs() -> None:
    model = fitted("i-tvbpr", **options_of("i-tvbpr", iterations=12, patience=40))
    assert model.epoch_edges_.shape == (4,) and model.weight_.shape == (3, S * 40)


def test_it_is_off_everywhere() -> None:
    for preset in PRESETS:
        for name in LEARNED:
            if preset in SPECIFICATIONS[name].presets:
                assert SPECIFICATIONS[name].presets[preset]["ensemble"] == 1
    for size in (0, 65, 1.5, True):
        with pytest.raises(UsageError, match="ensemble"):
            fitted("bpr-mf", ensemble=size)
