"""What a fit does on its way: taste is learned, the best kept, rates too high told, the same bits, the log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from small_models import DATA, DENSE, FEATURES, fitted, made, saved

from ivbpr_numba import BPRMF, Dataset, UsageError
from ivbpr_numba.models.specifications import MODELS


@pytest.mark.parametrize("name", ["mm-mf", "bpr-mf", "vbpr", "i-vbpr", "i-tvbpr"])
def test_taste_is_learned(name: str) -> None:
    options = {"block": 64} if name in FEATURES else {}  # an iteration has 460 triples
    model = made(name, iterations=60, **options).fit(DATA, FEATURES.get(name))
    assert model.metrics_["test"]["all"]["auc"] > 0.6
    losses = [row["loss"] for row in model.history_]
    assert losses[-1] < 0.9 * losses[0]


def test_the_best_iterate_is_kept(tmp_path: Path) -> None:
    model = fitted("bpr-mf", iterations=60, eval_every=3, patience=12, learning_rate=0.3)
    best = max(model.history_, key=lambda row: (row["valid_auc"], -row["iteration"]))
    assert model.metrics_["valid"]["all"]["auc"] == pytest.approx(best["valid_auc"], abs=1e-12)
    assert model.history_[-1]["iteration"] - best["iteration"] == 12 or model.history_[-1]["iteration"] == 60
    short = fitted("bpr-mf", iterations=best["iteration"], eval_every=best["iteration"], learning_rate=0.3)
    np.testing.assert_array_equal(model.item_factors_, short.item_factors_)


def test_without_validation_the_last_iterate_is_kept() -> None:
    model = BPRMF(preset="mymedialite", iterations=7).fit(DATA)
    assert [row["iteration"] for row in model.history_] == [7]
    only_train = Dataset(DATA.users, DATA.items, DATA.train, nobody(), nobody(), source=DATA.source)
    events: list[dict] = []
    model = made("bpr-mf").fit(only_train, observers=[events.append])
    assert any(e["event"] == "warning" and "validation" in e["message"] for e in events)
    assert model.history_[-1]["iteration"] == 8 and model.metrics_["test"]["all"]["auc"] is None


def nobody() -> Any:
    from ivbpr_numba.datasets.interactions import Interactions

    return Interactions(np.zeros(len(DATA.users) + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64))


def test_averaging_is_the_documented_recursion() -> None:
    decay, expected = 0.75, None
    for iterations in range(1, 5):
        raw = fitted(
            "bpr-mf", iterations=iterations, eval_every=iterations, average=0.0
        ).item_factors_.astype(np.float64)
        expected = raw if expected is None else expected + (1 - decay) * (raw - expected)
    averaged = fitted("bpr-mf", iterations=4, eval_every=4, average=decay).item_factors_
    np.testing.assert_allclose(averaged, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("rate", [1e3, 1e20])
@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("rand", "pop")], indirect=True)
def test_divergence_is_wrong_usage_for_every_model(name: str, rate: float) -> None:
    with pytest.raises(UsageError, match=r"diverged.*learning_rate=") as caught:
        fitted(name, learning_rate=rate, iterations=30, eval_every=30)
    assert caught.value.exit_code == 2


def test_a_rate_that_is_too_high_is_told() -> None:
    events: list[dict] = []
    made("vbpr", learning_rate=0.2, visual_rate=1, feature_scaling="none", iterations=2, block=1).fit(
        DATA, DENSE, observers=[events.append]
    )
    assert any("too high" in e.get("message", "") for e in events)


def test_same_bits_for_any_number_of_threads(tmp_path: Path, name: str) -> None:
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("this machine has one thread")
    one, two, again = (saved(tmp_path / f"{k}.h5", name, threads=t) for k, t in enumerate((1, 2, 2)))
    assert one == two == again
    if name != "pop":
        assert saved(tmp_path / "other.h5", name, seed=1) != one


def test_payload_depends_on_what_is_learned_from(tmp_path: Path) -> None:
    same = saved(tmp_path / "a.h5", "i-vbpr")
    assert saved(tmp_path / "b.h5", "i-vbpr", iterations=9) != same
    assert saved(tmp_path / "c.h5", "i-vbpr", feature_scaling="idf") != same


def test_the_log_tells_what_was_run_and_each_evaluation(tmp_path: Path) -> None:
    fitted("i-vbpr", {"log": tmp_path / "run.jsonl"}, seed=3)
    head, *rows = (json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines())
    assert head["model"] == "i-vbpr" and head["config"]["seed"] == 3 and head["device"] == "cpu"
    assert {"ivbpr", "numba", "numpy", "threads", "device_reason", "dataset_sha256"} <= {*head}
    assert [row["iteration"] for row in rows] == [2, 4, 6, 8]
    wanted = {"iteration", "triples", "seconds", "triples_per_second", "loss", "valid_auc", "learning_rate"}
    assert all(wanted <= {*row} for row in rows)
    assert rows[-1]["triples"] == 8 * len(DATA.train)
