"""The file of a model brings it back, for us and for other programs; what contradicts itself is refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from small_models import ATTRIBUTES, DATA, DENSE, FEATURES, N_ITEMS, N_USERS, fitted, made

from ivbpr_numba import DataError, Features, UsageError, load
from ivbpr_numba.kernels.scalar.random import RAND, mix64
from ivbpr_numba.store.verify import verify


def test_a_file_brings_the_model_back(tmp_path: Path, name: str) -> None:
    model = fitted(name)
    digest = model.save(tmp_path / "m.h5")
    back = load(tmp_path / "m.h5")
    assert type(back) is type(model) and back.name == name and back.payload_sha256_ == digest
    assert (back.config_, back.history_, back.metrics_) == (model.config_, model.history_, model.metrics_)
    for key, array in model.parameters_.arrays().items():
        np.testing.assert_array_equal(getattr(back, f"{key}_"), array)
    assert back.data_.payload_sha256 == DATA.payload_sha256 and back.data_.has_times
    users = DATA.users.texts()[:7]
    np.testing.assert_array_equal(back.scores(users), model.scores(users))
    assert verify(tmp_path / "m.h5").ok
    assert back.save(tmp_path / "again.h5") == digest


def everything(group: h5py.Group) -> dict[str, Any]:
    """Arrays of a group, and of groups in it, as float64."""
    return {
        key: everything(node) if isinstance(node, h5py.Group) else np.asarray(node, np.float64)
        for key, node in group.items()
    }


def test_scores_can_be_recomputed_from_the_files_alone(tmp_path: Path, name: str) -> None:
    """With h5py, NumPy and equation (1), nothing of ours."""
    features = FEATURES.get(name)
    model = made(name)
    if features is not None:
        features.write(tmp_path / "f.h5")
        model.fit(DATA, Features.read(tmp_path / "f.h5"), out=tmp_path / "m.h5")
    else:
        model.fit(DATA, out=tmp_path / "m.h5")
    users = np.arange(0, N_USERS, 7)
    got = model.scores([DATA.users[int(u)] for u in users])
    with h5py.File(tmp_path / "m.h5") as file:
        p = everything(file["params"]) if "params" in file else {}
        if name == "rand":
            seed = json.loads(file["config"][()])["seed"]
            expected = np.array(
                [[(mix64(seed, RAND, u, i) >> 40) * 2.0**-24 for i in range(N_ITEMS)] for u in users]
            )
            np.testing.assert_array_equal(got, expected)
            return
        expected = np.tile(p["item_bias"], (len(users), 1))
        size = np.abs(expected)
        if name in ("tvbpr", "i-tvbpr"):  # the last epoch
            w, b = p["temporal"]["weight"][-1], p["temporal"]["bias_weight"][-1]
            p["embedding"] = w[:, None] * p["embedding"] + p["temporal"]["drift"][-1]
            p["visual_bias"] = b * p["visual_bias"] + p["temporal"]["bias_drift"][-1]
        if "user_factors" in p:
            expected = expected + p["user_factors"][users] @ p["item_factors"].T
            size = size + np.abs(p["user_factors"][users]) @ np.abs(p["item_factors"].T)
        if "embedding" in p:
            with h5py.File(tmp_path / "f.h5") as stored:
                ids = stored["ids/items"][()].tolist()
                rows = [ids.index(item) for item in file["ids/items"][()].tolist()]
                v = stored["matrix"][()][rows].astype(np.float64) * stored.attrs["scale"]
            f = (v - file["features/shift"][()]) * file["features/multiplier"][()].astype(np.float64)
            theta = p["user_visual"][users] @ p["embedding"]
            expected = expected + (theta + p["visual_bias"]) @ f.T
            parts = np.abs(p["user_visual"][users]) @ np.abs(p["embedding"]) + np.abs(p["visual_bias"])
            spread = np.abs(v) + np.abs(file["features/shift"][()])
            size = size + parts @ (spread * np.abs(file["features/multiplier"][()])).T
    assert np.all(np.abs(got - expected) <= 1e-6 * size)


def test_features_are_found_where_they_were_or_beside_the_model(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    ATTRIBUTES.write(tmp_path / "a" / "f.h5")
    model = made("i-vbpr").fit(DATA, Features.read(tmp_path / "a" / "f.h5"), out=tmp_path / "a" / "m.h5")
    user = DATA.users[0]
    expected = model.scores([user])
    shutil.move(tmp_path / "a", tmp_path / "b")
    np.testing.assert_array_equal(load(tmp_path / "b" / "m.h5").scores([user]), expected)
    os.rename(tmp_path / "b" / "f.h5", tmp_path / "elsewhere.h5")
    # Ranking does without them, by the projections in the model file; reasons don't.
    alone = load(tmp_path / "b" / "m.h5")
    np.testing.assert_array_equal(alone.scores([user]), expected)
    assert len(alone.recommend(user, 3, reasons=False)) == 3
    for ask in (
        lambda: alone.recommend(user, 3, reasons=True),
        lambda: alone.explain(user, alone.data_.items[0]),
    ):
        with pytest.raises(UsageError, match=r"f\.h5.*features="):
            ask()
    DENSE.write(tmp_path / "b" / "f.h5")
    with pytest.raises(DataError, match="not those of the fit"):
        load(tmp_path / "b" / "m.h5").scores([user])


def test_projections_of_other_parameters_are_not_used(tmp_path: Path) -> None:
    from ivbpr_numba.store.files import read_tree, write_tree

    model = fitted("i-vbpr", {"out": tmp_path / "m.h5"})
    tree = read_tree(tmp_path / "m.h5", "ivbpr-model")
    tree.objects["/cache/payload_sha256"] = "0" * 64
    write_tree(tmp_path / "stale.h5", tree, payload=["/@model"])
    with pytest.raises(UsageError, match="features="):
        load(tmp_path / "stale.h5").scores([DATA.users[0]])
    back = load(tmp_path / "stale.h5")
    back.scorer(ATTRIBUTES)
    np.testing.assert_array_equal(back.scores([DATA.users[0]]), model.scores([DATA.users[0]]))


def test_files_that_are_no_models(tmp_path: Path) -> None:
    DATA.write(tmp_path / "d.h5")
    with pytest.raises(DataError, match="ivbpr-dataset"):
        load(tmp_path / "d.h5")
    with pytest.raises(UsageError):
        load(tmp_path / "none.h5")


def test_parts_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    from ivbpr_numba.store.files import read_tree, write_tree

    fitted("i-vbpr").save(tmp_path / "m.h5")
    for path, value in [
        ("/params/item_bias", np.zeros(3, np.float32)),
        ("/params/user_factors", None),
        ("/params/embedding", np.full((10, 5), np.nan, np.float32)),
        ("/config", "[]"),
        ("/config", '{"preset": "default"}'),
        ("/history", "{"),
        ("/features/names", np.array([b"one"])),
        ("/split/train/indices", np.zeros(3, np.int32)),
    ]:
        tree = read_tree(tmp_path / "m.h5", "ivbpr-model")
        if value is None:
            del tree.objects[path]
        else:
            tree.objects[path] = value
        write_tree(tmp_path / "broken.h5", tree, payload=["/@model"])
        with pytest.raises(DataError) as caught:
            load(tmp_path / "broken.h5")
        assert "broken.h5" in str(caught.value) and "\n" not in str(caught.value)
