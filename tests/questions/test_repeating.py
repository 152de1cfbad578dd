"""Fitted again: the same seeds give the same bits, and the means are those of runs made by hand."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import ATTRIBUTES, DATA, DENSE, FEATURES, fitted, made

from ivbpr_numba import DataError, Dataset, UsageError, auc, compare, load
from ivbpr_numba.datasets.resplit import split_again
from ivbpr_numba.errors import Interrupted
from ivbpr_numba.questions.repeating import cost, repeat

Run = Callable[..., Any]
METRICS = ["recall@5", "ndcg@5"]


def purchases_of(data: Dataset) -> list[tuple[str, str, int]]:
    """Every interaction of all three parts, in no order."""
    parts = (data.test, data.train, data.valid)
    return [
        (data.users[int(u)], data.items[int(i)], int(t))
        for part in parts
        for u, i, t in zip(part.users, part.indices, part.times)
    ]


@pytest.mark.parametrize("seed", [0, 5, 9])
def test_a_dataset_split_again_is_the_one_prepared_with_that_seed(seed: int) -> None:
    again = split_again(DATA, seed)
    assert again.payload_sha256 == Dataset.from_pairs(*zip(*purchases_of(DATA)), seed=seed).payload_sha256
    assert (again.payload_sha256 == DATA.payload_sha256) == (seed == 5)
    assert again.source["seed"] == seed and again.source["report"] == DATA.source["report"]


def test_without_times_and_with_columns() -> None:
    titles = np.array([b"t%d" % n for n in range(len(DATA.items))])
    users, items, _ = zip(*purchases_of(DATA))
    plain = Dataset.from_pairs(users, items, seed=2)
    plain.item_columns["title"] = titles
    again = split_again(plain, 3)
    assert not again.has_times and again.item_columns["title"] is titles
    with pytest.raises(UsageError, match="how its data were split"):
        repeat(
            fitted("pop").adopt(fitted("pop").fitted_),
            1,
            Dataset(DATA.users, DATA.items, DATA.train, DATA.valid, DATA.test),
        )


@pytest.mark.parametrize("name", ["rand", "pop", "mm-mf", "bpr-mf", "vbpr", "i-tvbpr"])
def test_one_run_with_the_same_seeds_is_the_model_itself(name: str, tmp_path: Path) -> None:
    """Also of the file of a fit whose options were given, not the defaults."""
    options = {"rand": {}, "pop": {}}.get(name, {"factors": 4, "average": 0.5, "seed": 3})
    model = fitted(name, **options)
    model.save(tmp_path / "m.h5")
    for one in (model, load(tmp_path / "m.h5")):
        found = repeat(one, 1, DATA, features=FEATURES.get(name), metrics=METRICS)
        assert found["runs"][0]["payload_sha256"] == model.payload_sha256_
        report = auc(model, metrics=METRICS)
        for key in ("all", "cold", "stratified", "baselines", "metrics"):
            assert found["runs"][0][key] == report[key]
        assert found["mean"][name]["all"]["auc"] == report["all"]["auc"]
        assert found["mean"][name]["all"]["stderr_runs"] is None
        assert found["mean"][name]["all"]["stderr"] == report["all"]["stderr"]


def test_three_runs_by_hand(ivbpr: Run, tmp_path: Path) -> None:
    rows = ["user,item,time", *(f"{u},{i},{t}" for u, i, t in purchases_of(DATA))]
    (tmp_path / "p.csv").write_text("\n".join(rows))
    ATTRIBUTES.write(tmp_path / "f.h5")
    by_hand = []
    for k in range(3):
        data, model = tmp_path / f"d{k}.h5", tmp_path / f"m{k}.h5"
        ivbpr("prepare", tmp_path / "p.csv", "--seed", 2 + k, "--min-interactions", "5", "-o", data)
        few = ("--iterations", "4", "--eval-every", "2", "--seed", 7 + k)
        assert (
            ivbpr("fit", data, "--model", "i-vbpr", "--features", tmp_path / "f.h5", "-o", model, *few).code
            == 0
        )
        by_hand.append(json.loads(ivbpr("auc", model, "--metrics", "ndcg@5", "--format", "json").out))
    line = ("auc", tmp_path / "m0.h5", "--data", tmp_path / "d0.h5", "--repeat", "3", "--metrics", "ndcg@5")
    done = ivbpr(*line, "--format", "json")
    assert done.code == 0 and "3 times" in done.err
    document = json.loads(done.out)
    found = document.pop("repeat")
    assert {**document, "seconds": 0} == {**by_hand[0], "seconds": 0}
    assert [run["split_seed"] for run in found["runs"]] == [2, 3, 4]
    assert [run["fit_seed"] for run in found["runs"]] == [7, 8, 9] and found["varies"] == "split and fit seed"
    for run, k in zip(found["runs"], range(3)):
        assert run["payload_sha256"] == load(tmp_path / f"m{k}.h5").payload_sha256_
        for key in ("all", "cold", "stratified", "metrics", "baselines"):
            assert run[key] == by_hand[k][key]
    values = [one["all"]["auc"] for one in by_hand]
    mean = found["mean"]["i-vbpr"]["all"]
    average = sum(values) / 3
    assert mean["auc"] == pytest.approx(average, abs=1e-15)
    spread = math.sqrt(sum((value - average) ** 2 for value in values) / 2)
    assert mean["stderr_runs"] == pytest.approx(spread / math.sqrt(3), abs=1e-15) and spread > 0
    assert mean["stderr"] == pytest.approx(np.mean([one["all"]["stderr"] for one in by_hand]), abs=1e-15)
    gain = [one["metrics"]["ndcg@5"]["all"]["value"] for one in by_hand]
    assert found["mean"]["i-vbpr"]["metrics"]["ndcg@5"]["all"]["value"] == pytest.approx(np.mean(gain))
    inverse = [one["baselines"]["inverse_popularity"]["all"]["auc"] for one in by_hand]
    assert found["mean"]["inverse_popularity"]["all"]["auc"] == pytest.approx(np.mean(inverse))
    shown = ivbpr(*line)
    assert f"{mean['auc']:.4f} ±{mean['stderr_runs']:.4f}" in shown.out
    assert all(f"{run['all']['auc']:.4f}" in shown.out for run in found["runs"])
    table = shown.out.split("fitted again")[1]
    assert max(map(len, table.splitlines())) <= 80
    lines = list(csv.DictReader(ivbpr(*line, "--format", "csv").out.splitlines()))
    means = [row for row in lines if row["run"] == "mean"]
    assert float(means[0]["auc"]) == mean["auc"] and float(means[0]["stderr_runs"]) == mean["stderr_runs"]
    assert [row["run"] for row in lines][::6] == ["", "1", "2", "3", "mean"]


def test_a_split_that_is_not_drawn_stays(tmp_path: Path) -> None:
    users, items, times = zip(*purchases_of(DATA))
    data = Dataset.from_pairs(users, items, times, split="last")
    found = repeat(made("bpr-mf").fit(data), 2)
    assert found["varies"] == "fit seed" and [run["split_seed"] for run in found["runs"]] == [0, 0]
    assert [run["fit_seed"] for run in found["runs"]] == [0, 1]
    again = made("bpr-mf", seed=1).fit(data)
    assert found["runs"][1]["payload_sha256"] == again.payload_sha256_
    assert found["runs"][1]["all"] == auc(again)["all"]


def test_models_compared_again_by_hand(ivbpr: Run, tmp_path: Path) -> None:
    """Every run is `compare` of models fitted by hand to that split with that seed; the means are theirs."""
    DATA.write(tmp_path / "d.h5")
    paths = {name: tmp_path / f"{name}.h5" for name in ("bpr-mf", "i-vbpr", "pop")}
    for name, path in paths.items():
        fitted(name, **({} if name == "pop" else {"seed": 3})).save(path)
    features = {"i-vbpr": ATTRIBUTES}
    by_hand = []
    for k in range(2):
        data = split_again(DATA, 5 + k)
        models = {n: made(n, **({} if n == "pop" else {"seed": 3 + k})) for n in paths}
        by_hand.append(compare([m.fit(data, features.get(n)) for n, m in models.items()], cold_below=8))
    ATTRIBUTES.write(tmp_path / "f.h5")
    line = ("compare", *paths.values(), "--data", tmp_path / "d.h5", "--features", tmp_path / "f.h5")
    line = (*line, "--repeat", "2", "--cold-below", "8")
    done = ivbpr(*line, "--format", "json")
    assert done.code == 0 and "bpr-mf, i-vbpr, pop 2 times" in done.err
    document = json.loads(done.out)
    assert document["differences"] == json.loads(json.dumps(by_hand[0]["differences"]))
    found = document["repeat"]
    assert [run["split_seed"] for run in found["runs"]] == [5, 6]
    for run, one in zip(found["runs"], by_hand, strict=True):
        assert run["differences"] == one["differences"]
    assert len(found["mean"]) == 9
    for row in found["mean"]:
        own = [one.difference(row["a"], row["b"], row["setting"]) for one in by_hand]
        a, b = (one["difference"] for one in own)
        assert row["difference"] == pytest.approx((a + b) / 2, abs=1e-15)
        assert row["stderr_runs"] == pytest.approx(abs(a - b) / 2, abs=1e-15)
        assert row["stderr"] == pytest.approx(sum(one["stderr"] for one in own) / 2, abs=1e-15)
    shown = ivbpr(*line).out.split("2 runs")[1]
    assert f"{found['mean'][0]['difference']:+.4f}" in shown
    lines = list(csv.DictReader(ivbpr(*line, "--format", "csv").out.splitlines()))
    assert [float(r["difference"]) for r in lines if r["run"] == "mean"] == [
        row["difference"] for row in found["mean"]
    ]
    assert ivbpr(*line[:4], "--repeat", "2").code == 2
    assert ivbpr(*line[:6], "--repeat", "0").code == 2


def test_observers_and_cost() -> None:
    model, told = fitted("bpr-mf"), []
    repeat(model, 2, observers=[told.append])
    assert [event["step"] for event in told if "step" in event] == ["run 1 of 2", "run 2 of 2"]
    assert sum(event.get("event") == "end" for event in told) == 2
    each = model.history_[-1]["seconds"]
    assert cost(model, 4)["seconds"] == pytest.approx(4 * each, abs=0.06)
    assert cost(fitted("pop"), 4)["seconds"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_in_a_later_run(number: int) -> None:
    told = []

    def stop(event: dict[str, Any]) -> None:
        told.append(event)
        if event.get("iteration") == 3 and {"step": "run 2 of 3"} in told:
            os.kill(os.getpid(), number)

    with pytest.raises(Interrupted, match="in run 2 of 3; nothing was written") as caught:
        repeat(fitted("bpr-mf"), 3, observers=[stop])
    assert caught.value.exit_code == 128 + number and caught.value.resume_with is None
    assert told[-1]["iteration"] == 3 and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_cannot_be_repeated(ivbpr: Run, tmp_path: Path) -> None:
    fitted("bpr-mf").save(tmp_path / "m.h5")
    DATA.write(tmp_path / "d.h5")
    split_again(DATA, 1).write(tmp_path / "other.h5")
    np.save(tmp_path / "s.npy", np.zeros((len(DATA.users), len(DATA.items))))
    for arguments, code, said in (
        (["m.h5", "--repeat", "2"], 2, "--data"),
        (["m.h5", "--repeat", "0", "--data", "d.h5"], 2, "below 1"),
        (["m.h5", "--repeat", "2", "--data", "other.h5"], 3, "split/"),
        (["--scores", "s.npy", "--repeat", "2", "--data", "d.h5"], 2, "--repeat"),
    ):
        paths = [str(tmp_path / a) if a.endswith((".h5", ".npy")) else a for a in arguments]
        done = ivbpr("auc", *paths)
        assert done.code == code and said in done.err and done.out == ""
    with pytest.raises(UsageError, match="0 runs"):
        repeat(fitted("pop"), 0)
    with pytest.raises(DataError):
        repeat(fitted("vbpr"), 1, features=ATTRIBUTES)
    assert repeat(fitted("vbpr"), 1, features=DENSE)["runs"][0]["fit_seed"] == 0
