"""Whom a fit asks while it runs: how many, who, and what they decide; everybody judges what it found."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from naive import mix64
from small_models import ATTRIBUTES, DATA, FEATURES, fitted, made

from ivbpr_numba import BPRMF, TVBPR, Dataset, Features, UsageError, create, load
from ivbpr_numba.datasets.prepare import prepare
from ivbpr_numba.features.alignment import values_in_a_row
from ivbpr_numba.features.tables import build_feature_table
from ivbpr_numba.fitted.fitted import learning_options
from ivbpr_numba.kernels.scalar.random import SAMPLE
from ivbpr_numba.models import validation
from ivbpr_numba.models.checkpoint import partial_path
from ivbpr_numba.models.presets import resolve
from ivbpr_numba.models.specifications import SPECIFICATIONS
from ivbpr_numba.models.validation import LEAST, SMALL, affordable, drawn, resolve_users
from ivbpr_numba.ranking import count, questions
from ivbpr_numba.worlds.world import generate

LEARNED = [name for name, one in SPECIFICATIONS.items() if "valid_users" in one.presets["default"]]
Run = Callable[..., Any]


class Stop(Exception):
    pass


def sizes(users: int, items: int, pairs: int) -> Any:
    """As much of a dataset as decides how many are asked."""
    return SimpleNamespace(
        items=range(items),
        train=SimpleNamespace(indices=range(pairs)),
        valid=SimpleNamespace(indices=range(users)),
    )


def wanted(data: Any, model: str = "bpr-mf", features: Features | None = None, **given: Any) -> int | str:
    options = resolve(model, None, given, "attributes")
    return resolve_users(options, data, features)["valid_users"]


# --- how many ----------------------------------------------------------------------------------------------


def test_only_models_that_learn_validate() -> None:
    assert set(SPECIFICATIONS) - set(LEARNED) == {"rand", "pop"}
    for one in SPECIFICATIONS.values():
        assert {preset.get("valid_users") for preset in one.presets.values()} <= {"auto", None}
    with pytest.raises(UsageError, match="valid_users= does not apply to pop"):
        resolve("pop", None, {"valid_users": 10})


def test_as_many_as_cost_less_than_the_iterations_between() -> None:
    # By hand: a triple is 1,000 + 20 · 10, a user 1,000 items of 10 + 1 components.
    assert affordable(1_000, 110_000, 10) == 110_000 * 1_000 // 11_000
    # 800 + 200 + 2 · 9 values · (10 + 1), a user 1,000 items of 20 + 1 components.
    assert affordable(1_000, 110_000, 10, 10, 9.0) == 110_000 * 1_198 // 21_000
    assert affordable(10**7, 1, 10) == 0


def test_auto_is_everybody_until_the_data_are_large() -> None:
    assert wanted(sizes(30_000, SMALL // 30_000, 10)) == "all"
    assert wanted(sizes(30_000, SMALL // 30_000 + 1, 10)) == LEAST
    assert wanted(sizes(LEAST, 10**6, 10**6)) == "all"
    assert wanted(sizes(100_000, 300_000, 1_500_000)) == LEAST
    # Many purchases an item: five iterations of them are worth more.
    assert wanted(sizes(130_000, 20_000, 4_000_000)) == affordable(20_000, 20_000_000, 10) > 9 * LEAST
    assert wanted(sizes(130_000, 20_000, 4_000_000), eval_every=1) == affordable(20_000, 4_000_000, 10)
    assert wanted(sizes(130_000, 20_000, 40_000_000)) == "all"
    # Without eval_every there is one evaluation, after all iterations.
    options = resolve("bpr-mf", "mymedialite", {"iterations": 2})
    assert options["eval_every"] is None
    once = resolve_users(options, sizes(130_000, 20_000, 4_000_000), None)["valid_users"]
    assert once == affordable(20_000, 8_000_000, 10)


def test_features_buy_users() -> None:
    data = sizes(130_000, 20_000, 1_000_000)
    known = values_in_a_row(ATTRIBUTES)
    assert known == 2.0  # a side and a hue each
    asked = wanted(data, "i-vbpr", ATTRIBUTES, visual_factors=10)
    assert asked == affordable(20_000, 5_000_000, 10, 10, known)
    assert wanted(data, "vbpr", FEATURES["vbpr"], visual_factors=10) > asked


@pytest.mark.parametrize(
    ("given", "found"),
    [("all", "all"), (1, 1), ("17", 17), (59, 59), (60, "all"), ("10000", "all"), (None, "all")],
)
def test_a_number_of_all_or_more_is_all(given: Any, found: Any) -> None:
    assert len(DATA.valid.indices) == 60
    assert wanted(DATA, valid_users=given) == found


@pytest.mark.parametrize("value", [0, -3, "many", 1.5, True, "", "1e4", ["all"]])
def test_other_numbers_are_refused(value: Any) -> None:
    with pytest.raises(UsageError, match=r"valid_users=.*whole number"):
        BPRMF(valid_users=value).fit(DATA)


# --- who ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 7, 2**63 - 1])
def test_the_sample_is_that_of_the_specification(seed: int) -> None:
    users = np.array([0, 1, 2, 5, 8, 13, 21, 34, 10**6, 2**31 - 2])
    keys = [mix64(seed, SAMPLE, u) for u in users.tolist()]
    for n in range(1, 11):
        least = sorted(np.argsort(np.array(keys, dtype=object), kind="stable")[:n].tolist())
        assert drawn(users, n, seed).tolist() == least


def test_every_user_is_as_likely() -> None:
    times = np.zeros(50)
    for seed in range(2000):
        times[drawn(np.arange(50), 10, seed)] += 1
    assert abs(times - 400).max() < 4.5 * np.sqrt(2000 * 0.2 * 0.8)


@pytest.mark.parametrize("name", LEARNED)
def test_the_fit_asks_them_and_the_model_is_judged_by_all(name: str) -> None:
    events: list[dict[str, Any]] = []
    options = {"iterations": 4, "eval_every": 4, "segment_every": 2} if "tv" in name else {"eval_every": 8}
    model = fitted(name, {"observers": events.append}, valid_users=25, **options)
    asked = questions(DATA, "valid")
    scorer, classes = model.views.scorer(), np.zeros(len(DATA.items), np.int8)
    own, _, _ = count(scorer, asked, classes).auc()
    chosen = drawn(asked.users, 25, 0)
    assert model.history_[-1]["valid_auc"] == pytest.approx(own[chosen].mean(), abs=1e-12)
    judged = model.metrics_["valid"]["all"]
    assert (judged["users"], judged["auc"]) == (60, pytest.approx(own.mean(), abs=1e-12))
    assert events[-1]["valid_auc"] == judged["auc"] != model.history_[-1]["valid_auc"]
    assert model.config_["valid_users"] == 25
    assert [events[0][key] for key in ("valid_users", "valid_users_of")] == [25, 60]


def test_hogwild_asks_the_same() -> None:
    model = fitted("bpr-mf", valid_users=25, update="hogwild", threads=1)
    assert model.history_ and model.config_["valid_users"] == 25


def test_the_best_for_the_sample_is_kept() -> None:
    options = {"iterations": 60, "eval_every": 3, "patience": 12, "learning_rate": 0.3, "seed": 4}
    model = fitted("bpr-mf", valid_users=10, **options)
    best = max(model.history_, key=lambda row: (row["valid_auc"], -row["iteration"]))["iteration"]
    everybody = fitted("bpr-mf", **options)
    other = max(everybody.history_, key=lambda row: (row["valid_auc"], -row["iteration"]))["iteration"]
    assert best != other  # else nothing is shown
    short = fitted("bpr-mf", iterations=best, eval_every=best, learning_rate=0.3, seed=4)
    np.testing.assert_array_equal(model.item_factors_, short.item_factors_)


def test_auto_on_large_data_is_a_sample_in_every_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "SMALL", 0)
    monkeypatch.setattr(validation, "LEAST", 25)
    monkeypatch.setattr(validation, "affordable", lambda *sizes: 3)
    monkeypatch.setattr("ivbpr_numba.models.temporal.AUTO_EPOCHS", (1, 2))
    options = {"iterations": 4, "eval_every": 2, "segment_every": 2, "epochs": "auto"}
    model = TVBPR(**options).fit(DATA, ATTRIBUTES)
    assert (model.config_["valid_users"], model.valid_users) == (25, None)
    for n in (1, 2):
        alone = fitted("i-tvbpr", valid_users=25, **{**options, "epochs": n})
        assert model.epochs_tried_[n] == max(row["valid_auc"] for row in alone.history_)
    assert [*model.epochs_tried_] == [1, 2]


# --- what two fits have in common --------------------------------------------------------------------------


def test_everybody_is_no_part_of_what_was_learned() -> None:
    """So that digests of models are those of the time before the option."""
    one, same, other = (fitted("bpr-mf", valid_users=n) for n in (None, 60, 59))
    assert one.config_["valid_users"] == same.config_["valid_users"] == "all"
    assert "valid_users" not in learning_options(one.config_)
    assert one.payload_sha256_ == same.payload_sha256_
    assert learning_options(other.config_)["valid_users"] == 59
    assert other.payload_sha256_ != one.payload_sha256_


def stop(event: dict[str, Any]) -> None:
    if event.get("iteration") == 5:
        raise Stop


def test_a_sampled_fit_goes_on_with_its_sample(tmp_path: Path) -> None:
    straight = fitted("bpr-mf", valid_users=20)
    out, log = tmp_path / "m.h5", tmp_path / "log"
    with pytest.raises(Stop):
        fitted("bpr-mf", {"out": out, "log": log, "observers": stop}, valid_users=20)
    assert partial_path(out).exists()
    for other in (None, 21):
        with pytest.raises(UsageError, match="different: valid users"):
            fitted("bpr-mf", {"out": out, "resume": True}, valid_users=other)
    model = fitted("bpr-mf", {"out": out, "log": log, "resume": True}, valid_users="20")
    assert model.payload_sha256_ == straight.payload_sha256_
    assert [row["valid_auc"] for row in model.history_] == [row["valid_auc"] for row in straight.history_]
    head = json.loads(log.read_text().splitlines()[0])
    assert (head["config"]["valid_users"], head["valid_users"], head["valid_users_of"]) == (20, 20, 60)
    again = load(out)
    assert again.valid_users == 20 and again.fit(DATA).payload_sha256_ == straight.payload_sha256_
    with pytest.raises(UsageError):  # another fit's model
        fitted("bpr-mf", {"out": out})


def test_models_of_the_time_before_are_fitted_again() -> None:
    model = fitted("bpr-mf")
    old = {name: value for name, value in model.config_.items() if name != "valid_users"}
    assert learning_options(old) == learning_options(model.config_)
    assert create("bpr-mf", **{k: v for k, v in old.items() if k != "preset"}).fit(DATA).name == "bpr-mf"


def test_nobody_to_ask() -> None:
    from ivbpr_numba.datasets.interactions import Interactions

    none = Interactions(np.zeros(len(DATA.users) + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64))
    data = Dataset(DATA.users, DATA.items, DATA.train, none, none, source=DATA.source)
    model = made("bpr-mf", valid_users=5).fit(data)
    assert model.config_["valid_users"] == "all" and model.history_[-1]["valid_auc"] is None


# --- on the screen -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("users", "said"), [("20", True), ("auto", False), ("60", False)])
def test_people_are_told(ivbpr: Run, tmp_path: Path, users: str, said: bool) -> None:
    data, out = tmp_path / "d.h5", tmp_path / "m.h5"
    DATA.write(data)
    few = ("--iterations", "2", "--eval-every", "1", "-o", out, "--log", tmp_path / "log")
    done = ivbpr("fit", data, "--model", "bpr-mf", "--valid-users", users, *few)
    assert done.code == 0
    told = " ".join(done.err.split())
    assert ("ask 20 of 60 users" in told and "judged over all" in told) == said
    head = json.loads((tmp_path / "log").read_text().splitlines()[0])
    assert (head["valid_users"], head["valid_users_of"]) == (20 if said else 60, 60)
    if said:
        quiet = ivbpr(
            "--quiet", "fit", data, "--model", "bpr-mf", "--valid-users", users, *few, "--overwrite"
        )
        assert quiet.code == 0 and "users" not in quiet.err


# --- what the sample costs in quality ----------------------------------------------------------------------


def benchmark() -> Any:
    folder = str(Path(__file__).parents[2] / "benchmarks")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    import validation_users

    return validation_users


@pytest.mark.parametrize("users", [None, 12])
def test_the_benchmark_follows_the_rule_of_the_fit(users: int | None) -> None:
    options = {"iterations": 60, "eval_every": 3, "patience": 12, "learning_rate": 0.3}
    model = fitted("bpr-mf", valid_users=users, **options)
    chosen = benchmark().choice(np.array([row["valid_auc"] for row in model.history_]), 3, 12)
    best = max(model.history_, key=lambda row: (row["valid_auc"], -row["iteration"]))["iteration"]
    assert (chosen + 1) * 3 == best and model.history_[-1]["iteration"] - best in (12, 60 - best)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["bpr-mf", "i-vbpr", "i-tvbpr"])
def test_a_sample_chooses_as_well(model: str, tmp_path: Path) -> None:
    """On the demonstration world, .95 of the samples within .0005 of what everybody would have chosen.

    Of its 2,000 users 1,700 are asked: the mean over a sample of n of N users varies as √((1 − n/N) / n), so
    these are as certain as the 10,000 of 100,000 of large data.
    """
    n = 1_700
    assert (1 - n / 2_000) / n < (1 - LEAST / 100_000) / LEAST < (1 - (n - 50) / 2_000) / (n - 50)
    files = generate("demo", 0).write(tmp_path)
    groups = ["colour", "pattern", "material", "garment", "fit"]
    build_feature_table(
        files["catalogue"], id_column="id", columns=groups, tags=["tags"], out=tmp_path / "a.h5"
    )
    data, features = prepare(files["purchases"]), Features.read(tmp_path / "a.h5")
    used = features if SPECIFICATIONS[model].kind else None
    for seed in range(2):
        options = resolve_users(
            resolve(model, None, {"seed": seed, "valid_users": n}, "attributes"), data, used
        )
        asked = questions(data, "valid").users
        draws = [drawn(asked, n, 1000 * seed + k) for k in range(20)]
        own = benchmark()
        found = own.judge(data, own.learner_of(model, options, data, used), options, draws)
        assert found["valid_lost_mean"] <= 0.0002 and found["within"] >= 0.95, found
