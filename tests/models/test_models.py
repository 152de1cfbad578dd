"""The life of every model: options, fit, determinism, file, resume, other programs' readings of the file."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numba
import numpy as np
import pytest
from sklearn.base import clone
from small_models import (
    ATTRIBUTES,
    DATA,
    DENSE,
    FEATURES,
    N_ITEMS,
    N_USERS,
    NAMES,
    ONE_HOT,
    fitted,
    made,
)

import ivbpr_numba
from ivbpr_numba import (
    BPRMF,
    MMMF,
    TVBPR,
    VBPR,
    DataError,
    Dataset,
    EnvironmentProblem,
    Features,
    Interrupted,
    Popularity,
    Random,
    UsageError,
    create,
    load,
)
from ivbpr_numba.features.alignment import learned_as
from ivbpr_numba.kernels.scalar.random import RAND, mix64
from ivbpr_numba.models.checkpoint import Checkpoint, partial_path
from ivbpr_numba.models.presets import resolve
from ivbpr_numba.models.registry import _BY_NAME, _fixed
from ivbpr_numba.models.specifications import MODELS, SPECIFICATIONS
from ivbpr_numba.store.verify import verify


@pytest.fixture(params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


# --- scikit-learn's manners --------------------------------------------------------------------------------


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


def test_every_option_of_the_presets_can_be_given(name: str) -> None:
    """The constructor, the presets and the command line know the same options."""
    from ivbpr_cli.commands.fit import OPTIONS

    known = {*_BY_NAME[name].option_names()} - {*_fixed(name)}
    ignored = {*SPECIFICATIONS[name].ignored}
    assert known - ignored == {*resolve(name, None, {}, "dense")}
    assert known <= {*OPTIONS}


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


# --- presets (model specification 2.7) ---------------------------------------------------------------------


def test_the_table_of_presets() -> None:
    mf, visual, paper = (
        SPECIFICATIONS[m].presets[p]
        for p, m in (("default", "bpr-mf"), ("default", "i-vbpr"), ("paper", "vbpr"))
    )
    assert (mf["learning_rate"], mf["lambda_theta"], mf["lambda_bias"]) == (0.05, 0.03, 0.05)
    assert (mf["negatives"], mf["average"], mf["iterations"], mf["patience"]) == ("trained", 0.9, 300, 30)
    own = SPECIFICATIONS["bpr-mf"].presets["mymedialite"]
    assert own == SPECIFICATIONS["bpr-mf"].presets["paper"]
    assert (own["learning_rate"], own["lambda_theta"], own["lambda_bias"]) == (0.05, 0.0025, 0)
    assert (own["negatives"], own["average"], own["iterations"], own["factors"]) == ("uniform", 0, 30, 10)
    assert (
        SPECIFICATIONS["mm-mf"].presets["default"]["margin"] == 1
        and SPECIFICATIONS["mm-mf"].presets["paper"]["margin"] == 0
    )
    assert SPECIFICATIONS["mm-mf"].presets["mymedialite"]["learning_rate"] == 0.1
    assert (visual["learning_rate"], visual["lambda_theta"], visual["lambda_bias"]) == (0.01, 0.3, 0.1)
    assert (visual["negatives"], visual["average"]) == ("trained", 0.9)
    assert resolve("i-vbpr", None, {}, "attributes")["lambda_visual"] == 0.003
    assert resolve("vbpr", None, {}, "dense")["lambda_visual"] == 0.003
    assert (paper["init"], paper["lambda_theta"], paper["learning_rate"], paper["negatives"]) == (
        *("uniform01", 5.0),
        *(0.005, "uniform"),
    )
    assert (paper["lambda_visual"], paper["lambda_bias"], paper["average"]) == (0, 0, 0)
    time = SPECIFICATIONS["i-tvbpr"].presets["paper"]
    assert (time["epochs"], time["segment_on"], time["segment_negatives"], time["temporal_init"]) == (
        *(10, "valid"),
        *(1000, "paper"),
    )
    assert resolve("vbpr", None, {}, "dense")["feature_scaling"] == "standard"
    assert resolve("vbpr", "paper", {}, "dense")["feature_scaling"] == "max"
    assert resolve("i-vbpr", "paper", {}, "attributes")["feature_scaling"] == "none"
    assert resolve("bpr-mf", "mymedialite", {})["eval_every"] is None


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        ("bprmf", {}, "mean 'bpr-mf'"),
        ("bpr-mf", {"preset": "papre"}, "mean 'paper'"),
        ("vbpr", {"preset": "mymedialite"}, "not for vbpr"),
        ("bpr-mf", {"visual_factors": 3}, "visual_factors= does not apply"),
        ("bpr-mf", {"learning_rate": float("nan")}, "finite"),
        ("bpr-mf", {"learning_rate": float("inf")}, "finite"),
        ("bpr-mf", {"learning_rate": 0}, "above 0"),
        ("bpr-mf", {"learning_rate": "fast"}, "not a number"),
        ("bpr-mf", {"factors": -1}, "whole number"),
        ("bpr-mf", {"factors": 0}, "at least 1"),
        ("bpr-mf", {"factors": 2.5}, "whole number"),
        ("bpr-mf", {"factors": True}, "whole number"),
        ("bpr-mf", {"iterations": 0}, "whole number"),
        ("bpr-mf", {"lambda_theta": -1}, "negative"),
        ("bpr-mf", {"average": 1.0}, "below 1"),
        ("bpr-mf", {"negatives": "uniformly"}, "mean 'uniform'"),
        ("bpr-mf", {"init": "zeros"}, "normal, uniform01"),
        ("bpr-mf", {"seed": -1}, "whole number"),
        ("bpr-mf", {"device": "gpu"}, "device"),
        ("bpr-mf", {"threads": 0}, "whole number"),
        ("bpr-mf", {"threads": 10_000}, "offers 1 to"),
        ("bpr-mf", {"preset": "mymedialite", "patience": 3}, "eval_every="),
        ("mm-mf", {"margin": -0.1}, "negative"),
        ("vbpr", {"block": 0}, "whole number"),
        ("vbpr", {"block": "many"}, "whole number"),
        ("vbpr", {"block": "9" * 5000}, "whole number"),
        ("vbpr", {"visual_factors": 0}, "whole number"),
        ("vbpr", {"feature_scaling": "std"}, "feature_scaling='std'"),
        ("vbpr", {"reg_scope": "user_visuals"}, "mean 'user_visual'"),
    ],
)
def test_wrong_options_are_named(model: str, options: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        create(model, **options).fit(DATA, FEATURES.get(model))
    assert caught.value.hint and "\n" not in str(caught.value)


def test_cuda_is_refused_here() -> None:
    with pytest.raises(EnvironmentProblem, match="device='cuda'"):
        fitted("bpr-mf", device="cuda")
    assert fitted("bpr-mf", device="auto").provenance_["device"] == "cpu"


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


# --- learning ----------------------------------------------------------------------------------------------


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
    made("vbpr", learning_rate=0.2, feature_scaling="none", iterations=2, block=1).fit(
        DATA, DENSE, observers=[events.append]
    )
    assert any("too high" in e.get("message", "") for e in events)


# --- the same bits -----------------------------------------------------------------------------------------


def saved(path: Path, name: str, **options: Any) -> str:
    return fitted(name, {"out": path}, **options).payload_sha256_


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


# --- the file ----------------------------------------------------------------------------------------------


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


# --- checkpoints -------------------------------------------------------------------------------------------


class Stop(Exception):
    pass


def stopper(iteration: int) -> Callable[[dict], None]:
    def stop(event: dict) -> None:
        if event.get("iteration") == iteration:
            raise Stop

    return stop


@pytest.mark.parametrize("name", ["mm-mf", "bpr-mf", "vbpr", "i-vbpr", "i-tvbpr"])
@pytest.mark.parametrize("when", [1, 3, 4, 7])
def test_resume_ends_with_the_same_bits(tmp_path: Path, name: str, when: int) -> None:
    options = {"average": 0.5, "iterations": 9, "patience": 40}
    straight = saved(tmp_path / "straight.h5", name, **options)
    out = tmp_path / "m.h5"
    with pytest.raises(Stop):
        fitted(name, {"out": out, "observers": [stopper(when)], "log": tmp_path / "log"}, **options)
    assert not out.exists() and partial_path(out).exists() == (when > 2)
    if when > 2:
        with pytest.raises(UsageError, match="resume=True"):
            fitted(name, {"out": out}, **options)
        with pytest.raises(UsageError, match="learning rate"):
            fitted(name, {"out": out, "resume": True}, **options, learning_rate=0.002)
    model = fitted(name, {"out": out, "resume": True, "log": tmp_path / "log"}, **options)
    assert model.payload_sha256_ == straight
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log", "m.h5", "straight.h5"]
    assert [row["iteration"] for row in model.history_] == [2, 4, 6, 8, 9]
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert sum("config" in line for line in lines) == 2 and lines[-1]["iteration"] == 9


def test_overwrite_throws_the_state_away(tmp_path: Path) -> None:
    out = tmp_path / "m.h5"
    with pytest.raises(Stop):
        fitted("bpr-mf", {"out": out, "observers": [stopper(5)]}, seed=9)
    with pytest.raises(UsageError, match="contradict"):
        fitted("bpr-mf", {"out": out, "resume": True, "overwrite": True})
    digest = fitted("bpr-mf", {"out": out, "overwrite": True}).payload_sha256_
    assert digest == saved(tmp_path / "other.h5", "bpr-mf")


def test_resuming_without_a_state_is_said(tmp_path: Path) -> None:
    events: list[dict] = []
    model = fitted("bpr-mf", {"out": tmp_path / "m.h5", "resume": True, "observers": [events.append]})
    assert [e["message"] for e in events if e["event"] == "warning"] == [
        f"There is no state of an unfinished fit in {tmp_path / 'm.partial.h5'}: starting anew."
    ]
    assert model.payload_sha256_ == saved(tmp_path / "other.h5", "bpr-mf")


def test_an_old_model_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "m.h5"
    saved(out, "pop")
    before = out.read_bytes()
    with pytest.raises(Stop):
        fitted("bpr-mf", {"out": out, "overwrite": True, "observers": [stopper(5)]})
    assert out.read_bytes() == before


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "m.h5"
    with pytest.raises(Stop):
        fitted("bpr-mf", {"out": out, "observers": [stopper(5)]})
    image = bytearray(partial_path(out).read_bytes())
    image[len(image) // 2] ^= 0xFF
    partial_path(out).write_bytes(image)
    with pytest.raises(DataError, match="partial"):
        fitted("bpr-mf", {"out": out, "resume": True})


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_the_state(tmp_path: Path, number: int, code: int) -> None:
    out = tmp_path / "m.h5"

    def interrupt(event: dict) -> None:
        if event.get("iteration") == 3:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught:
        fitted("bpr-mf", {"out": out, "observers": [interrupt]})
    assert caught.value.exit_code == code and partial_path(out).exists()
    assert signal.getsignal(number) is before
    assert fitted("bpr-mf", {"out": out, "resume": True}).payload_sha256_ == saved(
        tmp_path / "s.h5", "bpr-mf"
    )


def test_checkpoints_come_as_often_as_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    write = Checkpoint.write
    monkeypatch.setattr(
        Checkpoint, "write", lambda self, state: (written.append(state.iteration), write(self, state))
    )
    fitted("bpr-mf", {"out": tmp_path / "m.h5"})
    fitted("bpr-mf", {"out": tmp_path / "m.h5", "checkpoint_every": 3})
    assert written == [2, 4, 6, 8, 3, 6]
    with pytest.raises(UsageError, match="checkpoint_every="):
        fitted("bpr-mf", {"out": tmp_path / "m.h5", "checkpoint_every": 0})


# --- the log -----------------------------------------------------------------------------------------------


def test_the_log_tells_what_was_run_and_each_evaluation(tmp_path: Path) -> None:
    fitted("i-vbpr", {"log": tmp_path / "run.jsonl"}, seed=3)
    head, *rows = (json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines())
    assert head["model"] == "i-vbpr" and head["config"]["seed"] == 3 and head["device"] == "cpu"
    assert {"ivbpr", "numba", "numpy", "threads", "device_reason", "dataset_sha256"} <= {*head}
    assert [row["iteration"] for row in rows] == [2, 4, 6, 8]
    wanted = {"iteration", "triples", "seconds", "triples_per_second", "loss", "valid_auc", "learning_rate"}
    assert all(wanted <= {*row} for row in rows)
    assert rows[-1]["triples"] == 8 * len(DATA.train)


# --- the public door ---------------------------------------------------------------------------------------


def test_public_names() -> None:
    for name in ivbpr_numba.__all__:
        assert getattr(ivbpr_numba, name) is not None
    with pytest.raises(AttributeError):
        _ = ivbpr_numba.nothing
    assert {type(create(m)) for m in MODELS} == {Random, Popularity, MMMF, BPRMF, VBPR, TVBPR}


def test_defaults_by_what_features_are_learned_as() -> None:
    """One λ_visual for all; probabilities are brought to the spread of one-hots."""
    soft = np.clip(ONE_HOT.astype(np.float32), 0.02, 0.9)
    features = {
        "attributes": ATTRIBUTES,
        "probabilities": Features.from_arrays(DATA.items, soft, NAMES, kind="attributes"),
        "dense": DENSE,
    }
    scalings = {"attributes": "none", "probabilities": "standard", "dense": "standard"}
    for kind, given in features.items():
        assert learned_as(given) == kind
        name = "vbpr" if kind == "dense" else "i-vbpr"
        options = create(name, iterations=1, block=64).fit(DATA, given).config_
        in_time = resolve(name.replace("vbpr", "tvbpr"), None, {}, kind)
        assert options["feature_scaling"] == in_time["feature_scaling"] == scalings[kind]
        assert (options["lambda_visual"], in_time["lambda_visual"]) == (0.003, 0.005)
        paper = create(name, preset="paper", iterations=1, eval_every=1, block=64).fit(DATA, given).config_
        assert paper["feature_scaling"] == ("max" if kind == "dense" else "none")
    # Shares of rows, as a table with several rows an item has them, are mostly zeros: attributes.
    shares = np.where(ONE_HOT, 0.5, 0.0).astype(np.float16)
    assert learned_as(Features.from_arrays(DATA.items, shares, NAMES, kind="attributes")) == "attributes"
