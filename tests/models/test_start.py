"""A fit that goes on from an earlier one: rows of users and items find their values, epochs stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from small_models import ATTRIBUTES, DATA, FEATURES, fitted, made

from ivbpr_numba import TVBPR, Dataset, UsageError
from ivbpr_numba.datasets.drawn import draw_users
from ivbpr_numba.models.base import Model
from ivbpr_numba.models.start import Start

LEARNED = ["mm-mf", "bpr-mf", "vbpr", "i-vbpr", "tvbpr", "i-tvbpr"]
STILL = {"iterations": 1, "eval_every": 1, "learning_rate": 1e-30}  # nothing moves but zeros
OF_USERS = ("user_factors", "user_visual")


def begun(name: str, data: Dataset, start: Start | None, **options: Any) -> dict[str, np.ndarray]:
    """What a fit begins with."""
    model = made(name, **{**STILL, **options}).fit(data, FEATURES.get(name), start=start)
    return model.parameters_.arrays()


@pytest.mark.parametrize("name", LEARNED)
def test_everything_is_taken_over(name: str) -> None:
    model = fitted(name)
    found = begun(name, DATA, Start(model.parameters_))
    for part, values in model.parameters_.arrays().items():
        if part != "epoch_edges":  # learned anew, unless they are asked to stay
            np.testing.assert_allclose(found[part], values, 0, 1e-28, err_msg=part)
            assert np.abs(values).max() > 0, part


@pytest.mark.parametrize("name", LEARNED)
def test_users_and_items_find_their_rows(name: str) -> None:
    """Somebody twice, somebody new, and items of which the earlier fit knew only some."""
    model = fitted(name)
    people = np.array([7, 7, -1, 0, 59, -1])
    data = draw_users(DATA, np.maximum(people, 3))
    items = np.where(np.arange(len(DATA.items)) % 3, np.arange(len(DATA.items))[::-1], -1)
    fresh = begun(name, data, None)
    found = begun(name, data, Start(model.parameters_, people, items))
    for part, values in model.parameters_.arrays().items():
        rows = people if part in OF_USERS else items if part in ("item_bias", "item_factors") else None
        if rows is None:
            continue
        for n, row in enumerate(rows.tolist()):
            expected = fresh[part][n] if row < 0 else values[row]
            np.testing.assert_allclose(found[part][n], expected, 0, 1e-28, err_msg=f"{part} {n}")


def test_drifting_items_are_taken_over_too() -> None:
    columns = {"category": np.array([b"a", b"b", b""] * 15)}
    data = Dataset(DATA.users, DATA.items, DATA.train, DATA.valid, DATA.test, columns, {"has_times": True})
    model = TVBPR(item_drift=True, iterations=6, eval_every=2, epochs=3).fit(data, ATTRIBUTES)
    items = np.r_[np.arange(44), -1]
    options = {"item_drift": True, "epochs": 3}
    found = begun("i-tvbpr", data, Start(model.parameters_, items=items), **options)
    expected = model.item_bias_drift_ * (items >= 0)
    np.testing.assert_allclose(found["item_bias_drift"], expected, 0, 1e-28)
    assert np.abs(model.item_bias_drift_[:, 44]).max() > 0
    np.testing.assert_allclose(found["category_bias"], model.category_bias_, 0, 1e-28)


@pytest.mark.parametrize("name", ["tvbpr", "i-tvbpr"])
def test_epochs_stay(name: str) -> None:
    times = np.sort(DATA.train.times)
    edges = np.array([times[0], times[40], times[41], times[-1] + 1])
    options = {"epochs": 3, "segment_every": 1, "iterations": 4}
    model = made(name, **options).fit(DATA, FEATURES[name], start=Start(epoch_edges=edges))
    assert (
        model.epoch_edges_.tolist()
        == edges.tolist()
        != made(name, **options).fit(DATA, FEATURES[name]).epoch_edges_.tolist()
    )
    drift = np.abs(model.drift_).max(axis=(1, 2))
    assert 0 < drift[1] < drift[2]  # one event's epoch has learned less


def test_a_start_is_part_of_what_was_learned_from(tmp_path: Any) -> None:
    edges = fitted("i-tvbpr").epoch_edges_
    with_start = fitted("i-tvbpr", {"start": Start(epoch_edges=edges)})
    assert len(with_start.provenance_["start_sha256"]) == 64
    assert "start_sha256" not in fitted("i-tvbpr").provenance_
    assert with_start.provenance_["start_sha256"] != Start(epoch_edges=edges + 1).digest()


@pytest.mark.parametrize(
    "start",
    [
        lambda: Start(fitted("vbpr").parameters_),  # other features
        lambda: Start(fitted("bpr-mf").parameters_),
        lambda: Start(fitted("i-vbpr", factors=3).parameters_),
        lambda: Start(fitted("i-vbpr").parameters_, users=np.arange(3)),
        lambda: Start(fitted("i-vbpr").parameters_, users=np.arange(60) + 1),
        lambda: Start(fitted("i-vbpr").parameters_, items=np.arange(44)),
    ],
)
def test_a_start_of_another_size_is_refused(start: Callable[[], Start]) -> None:
    with pytest.raises(UsageError, match="The start has no"):
        made("i-vbpr").fit(DATA, ATTRIBUTES, start=start())


def test_other_epochs_are_refused() -> None:
    model: Model = made("i-tvbpr", epochs=4)
    with pytest.raises(UsageError, match="3 epochs, this fit 4"):
        model.fit(DATA, ATTRIBUTES, start=Start(epoch_edges=np.array([0, 1, 2, 3])))
