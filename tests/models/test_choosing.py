"""λ_Θ that the data decide: by hand, in the model and its file, and never of other data than the training part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import DATA, fitted

from ivbpr_numba import Dataset, create, load
from ivbpr_numba.models.choosing import LEAST, MOST, choose, decay_for
from ivbpr_numba.models.presets import resolve

QUICK: dict[str, Any] = {"iterations": 2, "eval_every": 1}


def test_by_hand() -> None:
    """0.45 over the pairs of a vector: 10 users, 30 items, 200 pairs are 5 pairs for each of 40."""
    assert decay_for(200, 40) == 0.09
    assert decay_for(40_000, 10_350) == 0.12
    assert decay_for(98_114, 2_625) == 0.012
    assert decay_for(3, 100) == MOST
    assert decay_for(10**9, 10) == LEAST


@given(pairs=st.integers(1, 10**6), vectors=st.integers(2, 10**5), times=st.integers(2, 50))
def test_more_pairs_never_hold_back_more(pairs: int, vectors: int, times: int) -> None:
    few, many = decay_for(pairs, vectors), decay_for(times * pairs, vectors)
    assert LEAST <= many <= few <= MOST
    assert decay_for(times * pairs, times * vectors) == few  # as dense: alike


def test_only_training_pairs_decide() -> None:
    options = resolve("bpr-mf", None, {})
    found, chosen = choose(options, DATA)
    counts = DATA.train_counts
    users, items = int((np.diff(DATA.train.indptr) > 0).sum()), int((counts > 0).sum())
    assert chosen == {
        "lambda_theta": {
            "value": found["lambda_theta"],
            **{"pairs": int(counts.sum()), "users": users, "items": items},
        }
    }
    assert found["lambda_theta"] == decay_for(int(counts.sum()), users + items)
    assert options["lambda_theta"] == "auto" and found == {**options, "lambda_theta": found["lambda_theta"]}


def test_what_was_given_stays() -> None:
    for given_options in ({"lambda_theta": 0.25}, {"lambda_theta": "0.25"}, {"preset": "mymedialite"}):
        preset = given_options.pop("preset", None)
        options = resolve("bpr-mf", preset, given_options)
        assert choose(options, DATA) == (options, {})
    options = resolve("pop", None, {})
    assert choose(options, DATA) == (options, {})


@pytest.mark.parametrize("model", ["bpr-mf", "mm-mf"])
def test_the_model_and_its_file_know_number_and_reason(model: str, tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    out = tmp_path / "model.h5"
    learned = create(model, **QUICK).fit(DATA, observers=events.append, out=out)
    start = next(event for event in events if event["event"] == "start")
    value = learned.config_["lambda_theta"]
    assert isinstance(value, float) and start["config"]["lambda_theta"] == value
    assert start["chosen"] == learned.provenance_["chosen"] == load(out).provenance_["chosen"]
    with h5py.File(out) as file:
        assert json.loads(file["/config"][()])["lambda_theta"] == value
    # The number is what was learned with: named, it gives the same model.
    named = create(model, **QUICK, lambda_theta=value).fit(DATA)
    assert named.payload_sha256_ == learned.payload_sha256_ and "chosen" not in named.provenance_
    assert fitted(model, **QUICK, lambda_theta=2 * value).payload_sha256_ != learned.payload_sha256_


def test_held_out_items_have_no_part() -> None:
    """Other validation and test items with the same training pairs: the same number."""
    swapped = Dataset(DATA.users, DATA.items, DATA.train, DATA.test, DATA.valid)
    assert choose(resolve("bpr-mf", None, {}), swapped) == choose(resolve("bpr-mf", None, {}), DATA)
