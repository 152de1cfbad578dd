"""What the defaults reach on real purchases and on planted worlds; the figures stand in the README."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ivbpr_numba import auc, create

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SPLITS = 3


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("quality", "planted"):
        sys.modules.pop(name, None)


def means(
    name: str, source: Path, work: Path, model: str, splits: int = SPLITS, **options: object
) -> np.ndarray:
    """Mean over split seeds of the test AUC, All and Cold."""
    from quality import data_sets

    found = []
    for seed in range(splits):
        data, features = data_sets(name, source, work, seed)
        report = auc(create(model, **options).fit(data, features.get(model)), features=features.get(model))
        found.append([report["all"]["auc"], report["cold"]["auc"]])
    return np.mean(found, axis=0)


@pytest.mark.real_data
@pytest.mark.usefixtures("benchmarks")
@pytest.mark.parametrize(
    ("name", "model", "options", "least"),
    [
        ("hm", "bpr-mf", {}, (0.65, 0.64)),
        ("hm", "i-vbpr", {}, (0.79, 0.785)),
        ("hm", "i-vbpr", {"visual_factors": 10}, (0.755, 0.75)),
        ("hm", "i-vbpr", {"preset": "paper"}, (0.67, 0.66)),
        ("hm", "vbpr", {}, (0.705, 0.695)),
        ("hm", "i-tvbpr", {}, (0.815, 0.81)),
        ("hm", "i-tvbpr", {"visual_factors": 10}, (0.785, 0.78)),
        ("rtr", "bpr-mf", {}, (0.765, 0.44)),
        ("rtr", "i-vbpr", {}, (0.745, 0.53)),
    ],
    ids=str,
)
def test_real_purchases(
    real_data: Path, tmp_path: Path, name: str, model: str, options: dict, least: tuple[float, float]
) -> None:
    assert np.all(means(name, real_data, tmp_path, model, **options) >= least)


@pytest.mark.real_data
@pytest.mark.usefixtures("benchmarks")
def test_mymedialite_and_the_defaults_on_movielens(real_data: Path, tmp_path: Path) -> None:
    preset = means("ml100k", real_data, tmp_path, "bpr-mf", 5, preset="mymedialite")[0]
    assert preset == pytest.approx(0.9348, abs=0.005)  # what MyMediaLite itself reached
    for model in ("bpr-mf", "mm-mf"):
        own = means("ml100k", real_data, tmp_path, model, 5)[0]
        assert own >= 0.939


@pytest.mark.slow
@pytest.mark.usefixtures("benchmarks")
@pytest.mark.parametrize(("size", "mean", "each"), [("demo", 0.955, 0.94), ("tiny", 0.905, 0.86)])
def test_planted_worlds(size: str, mean: float, each: float) -> None:
    from planted import run

    rows = [run(size, seed, {}) for seed in range(4)]
    shares = [row["i-vbpr share"] for row in rows]
    assert np.mean(shares) >= mean and min(shares) >= each
    if size == "demo":
        assert np.mean([row["cold gain"] for row in rows]) >= 0.12
        assert np.mean([row["correlation"] for row in rows]) >= 0.87
        assert np.mean([row["top_beats_random"] for row in rows]) >= 0.8
