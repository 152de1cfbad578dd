"""The one seam for devices: kernels by name, loaded when asked for, and the device's own reach a learner."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from small_models import ATTRIBUTES, DATA, DENSE

from ivbpr_numba import UsageError, backends
from ivbpr_numba.features.alignment import align, fit_scaling
from ivbpr_numba.models.learners import FactorLearner, VisualLearner
from ivbpr_numba.models.presets import resolve
from ivbpr_numba.models.temporal_learner import TemporalLearner

NAMES = [name for names in backends.KERNELS.values() for name in names]


def test_every_name_is_a_kernel() -> None:
    kernels = backends.kernels()
    assert kernels.device == "cpu" and kernels is backends.kernels("cpu")
    assert len(NAMES) == len(set(NAMES))
    for file, names in backends.KERNELS.items():
        for name in names:
            found = getattr(kernels, name)
            assert found.py_func.__module__ == f"ivbpr_numba.kernels.cpu.{file}"
            assert getattr(kernels, name) is found


def test_unknown_names_and_devices() -> None:
    with pytest.raises(AttributeError, match="no kernel is named 'factor_epochs'"):
        _ = backends.kernels().factor_epochs
    with pytest.raises(UsageError, match="no kernels for the device 'cpuu'") as refused:
        backends.kernels("cpuu")
    assert "cpu" in refused.value.hint
    with pytest.raises(UsageError, match="no kernels for the device 'auto'"):
        backends.kernels("auto")  # a choice, not a device
    assert backends.kernels("cuda").device == "cuda"


def test_kernels_can_be_copied_and_pickled() -> None:
    """A model that keeps them can be."""
    for same in (copy.deepcopy(backends.Kernels("cpu")), pickle.loads(pickle.dumps(backends.Kernels("cpu")))):
        assert same.device == "cpu" and same.top_items is backends.kernels().top_items


def test_asking_for_kernels_loads_nothing() -> None:
    code = """
import sys
from ivbpr_numba import backends, ranking
kernels = backends.kernels("cpu")
print("numba" in sys.modules)
kernels.number_ids
print(*sorted(m for m in sys.modules if m.startswith("ivbpr_numba.kernels.cpu.")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "ivbpr_numba.kernels.cpu.idtable"]


def test_as_many_racers_as_threads() -> None:
    with backends.threads(1):
        assert backends.kernels().threads() == backends.kernels().racers() == 1


class Recorder(backends.Kernels):
    """Kernels that note which of them were called."""

    def __init__(self) -> None:
        super().__init__("cpu")
        self.called: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        if name not in NAMES:
            raise AttributeError(name)
        kernel = getattr(backends.kernels(), name)

        def call(*arguments: Any) -> Any:
            self.called.add(name)
            return kernel(*arguments)

        return call


DRAWN = {"user_order", "count_draws", "place_draws", "draw_triples"}


def learner_of(name: str, kernels: backends.Kernels, **changed: Any) -> Any:
    features = ATTRIBUTES if name.startswith("i-") else DENSE
    own = {"iterations": 1, "lambda_theta": 0.03, "sampling": "users"}
    options = resolve(name, None, {**own, **changed}, features.kind)
    train = DATA.train
    if name == "bpr-mf":
        return FactorLearner(options, train.indptr, train.indices, len(DATA.items), kernels)
    source = align(features, DATA.items)
    scaling = fit_scaling(source, options["feature_scaling"], kernels)
    if name.endswith("-vbpr") or name == "vbpr":
        pairs = (train.indptr, train.indices, len(DATA.items))
        return VisualLearner(options, *pairs, source, scaling, kernels)
    return TemporalLearner(options, DATA, source, scaling, kernels)


@pytest.mark.parametrize(
    ("name", "changed", "expected"),
    [
        ("bpr-mf", {}, {"factor_epoch"}),
        ("vbpr", {}, {"column_statistics", "visual_epoch", "project_items"}),
        ("vbpr", {"update": "hogwild"}, {"column_statistics", "visual_epoch_racing", "project_items"}),
        ("i-vbpr", {}, {"sparse_epoch", "project_sparse_items"}),
        ("i-vbpr", {"update": "hogwild"}, {"sparse_epoch_racing", "project_sparse_items"}),
        (
            "i-tvbpr",
            {"segment_every": 1, "epochs": 3},
            {"plan_blocks", "sparse_temporal_epoch", "event_likelihoods", "project_sparse_items"},
        ),
        (
            "tvbpr",
            {"segment_every": 1, "epochs": 3},
            {"column_statistics", "plan_blocks", "temporal_epoch", "event_likelihoods"} | {"project_items"},
        ),
    ],
)
def test_a_learner_uses_the_kernels_it_is_given(name: str, changed: Any, expected: set[str]) -> None:
    recorder = Recorder()
    given, plain = learner_of(name, recorder, **changed), learner_of(name, backends.kernels(), **changed)
    with backends.threads(1):
        for learner in (given, plain):
            learner.iterate(1)
            scorer = learner.scorer(learner.tables)
            if name.endswith("tvbpr"):
                scorer.at(0)
    assert recorder.called == expected | DRAWN
    for table, values in plain.tables.items():
        np.testing.assert_array_equal(given.tables[table], values, table)
