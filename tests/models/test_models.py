"""What every model is: made and cloned by its options, fitted to what it needs, public by its name."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from small_models import ATTRIBUTES, DATA, DENSE, NAMES, ONE_HOT, fitted, made

import ivbpr_numba
from ivbpr_numba import BPRMF, MMMF, TVBPR, VBPR, DataError, Features, Popularity, Random, UsageError, create
from ivbpr_numba.models.registry import _BY_NAME
from ivbpr_numba.models.specifications import MODELS


def test_constructors_only_store(name: str) -> None:
    cls = _BY_NAME[name]
    odd = {option: object() for option in cls.option_names()}
    model = cls(**odd)
    assert model.get_params() == odd
    again = type(model)(**model.get_params())
    assert all(getattr(again, key) is value for key, value in odd.items())
    assert model.set_params(device="cpu") is model and model.get_params()["device"] == "cpu"
    with pytest.raises(UsageError, match="mean 'device'"):
        model.set_params(devise="cpu")


def test_scikit_learn_can_clone(name: str) -> None:
    model = create(name, threads=1)
    assert clone(model).get_params() == model.get_params()


def test_fit_returns_self_and_names_what_it_learned(name: str) -> None:
    model = fitted(name)
    assert model.name == name and model.data_ is DATA
    assert set(model.parameters_.arrays()) == {
        n[:-1] for n in dir(model) if n.endswith("_") and isinstance(getattr(model, n, None), np.ndarray)
    }
    assert (
        0 <= model.metrics_["valid"]["all"]["auc"] <= 1 and model.metrics_["test"]["cold"]["cold_below"] == 5
    )
    with pytest.raises(UsageError, match="not fitted"):
        made(name).scorer()


def test_features_that_do_not_fit() -> None:
    with pytest.raises(UsageError, match="needs features"):
        VBPR().fit(DATA)
    with pytest.raises(DataError, match="kind 'attributes'"):
        create("i-vbpr").fit(DATA, DENSE)
    few = Features.from_arrays(
        DATA.items.texts()[3:], ONE_HOT[3:].astype(np.float16), NAMES, kind="attributes"
    )
    with pytest.raises(DataError, match="3 of 45 items have no row"):
        create("i-vbpr").fit(DATA, few)
    assert fitted("vbpr").name == "vbpr" and VBPR(iterations=1).fit(DATA, ATTRIBUTES).name == "i-vbpr"
    events: list[dict] = []
    made("bpr-mf").fit(DATA, DENSE, observers=[events.append])
    assert [e["message"] for e in events if e["event"] == "warning"] == [
        "bpr-mf does not use features; they are ignored."
    ]


def test_public_names() -> None:
    for name in ivbpr_numba.__all__:
        assert getattr(ivbpr_numba, name) is not None
    with pytest.raises(AttributeError):
        _ = ivbpr_numba.nothing
    assert {type(create(m)) for m in MODELS} == {Random, Popularity, MMMF, BPRMF, VBPR, TVBPR}
